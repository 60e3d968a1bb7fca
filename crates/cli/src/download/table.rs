//! The published checkpoints: one table, with the source of each fact.
//!
//! Accuracies are those that the publisher states for the network on ImageNet's validation set, in percent. No publisher
//! states a hash where these facts were read, so that of the first download is kept (see `hashes`).

use mobilenet::{Architecture, cost};
use mobilenet_formats::ModelOptions;
use mobilenet_kernels::shape::Padding;

/// One published checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// Its name here: publisher, width and resolution.
    pub name: &'static str,
    /// Its publisher.
    pub publisher: &'static Publisher,
    /// Its file, relative to the publisher's address.
    pub file: &'static str,
    /// Top-1 and top-5 in percent, as published.
    pub accuracy: Option<(f32, f32)>,
    /// SHA-256 in hexadecimal, as published.
    pub sha256: Option<&'static str>,
}

/// What the checkpoints of a publisher have in common.
#[derive(Debug)]
pub struct Publisher {
    /// Start of the files' addresses.
    pub address: &'static str,
    /// License of the weights.
    pub licence: &'static str,
    /// Source of address, license and accuracies.
    pub read_at: &'static str,
    /// Padding, if the files do not say.
    pub padding: Option<Padding>,
    /// Ending of the network's file, if the checkpoint is an archive.
    pub inside: Option<&'static str>,
    /// Most bytes of a checkpoint per parameter of the network, plus [`EXTRA_BYTES`].
    pub bytes_per_parameter: u64,
}

impl Checkpoint {
    /// Its address.
    pub fn address(&self) -> String {
        format!("{}{}", self.publisher.address, self.file)
    }

    /// Most bytes of one of its files: a multiple of the network's parameters, which its name tells.
    pub fn size_limit(&self) -> u64 {
        let alpha = self.name.split('-').nth(1).and_then(|alpha| alpha.parse().ok()).unwrap_or(1.0);
        let parameters = cost::of(&Architecture { alpha, ..Architecture::default() }).parameters;
        parameters * self.publisher.bytes_per_parameter + EXTRA_BYTES
    }

    /// What is known beside the file.
    pub fn options(&self) -> ModelOptions {
        ModelOptions { padding: self.publisher.padding, ..ModelOptions::default() }
    }
}

/// Bytes of a parameter with its share of the file's structure: floats have 4.
const FLOATS: u64 = 8;

/// Bytes that a checkpoint may have beside its parameters.
const EXTRA_BYTES: u64 = 16 << 20;

/// Keras names its files by width and resolution; its documentation has one accuracy, that of 1.0-224.
static KERAS: Publisher = Publisher {
    address: "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/",
    licence: "Apache-2.0",
    read_at: "keras-team/keras keras/src/applications/mobilenet.py, keras-team/keras-io templates/api/applications/index.md",
    padding: None,
    inside: None,
    bytes_per_parameter: FLOATS,
};

/// TensorFlow's archives hold a TFLite file beside checkpoints and frozen graphs.
static TENSORFLOW: Publisher = Publisher {
    address: "https://storage.googleapis.com/download.tensorflow.org/models/mobilenet_v1_2018_08_02/",
    licence: "Apache-2.0",
    read_at: "tensorflow/models research/mobilenet/README.md",
    padding: None,
    inside: Some(".tflite"),
    bytes_per_parameter: 16 * FLOATS,
};

/// timm trains with TensorFlow's padding.
static TIMM: Publisher = Publisher {
    address: "https://huggingface.co/timm/",
    licence: "Apache-2.0",
    read_at: "huggingface/pytorch-image-models README.md and timm/models/efficientnet.py",
    padding: Some(Padding::Same),
    inside: None,
    bytes_per_parameter: FLOATS,
};

/// A demonstration of TensorFlow.js.
static TFJS: Publisher = Publisher {
    address: "https://storage.googleapis.com/tfjs-models/tfjs/",
    licence: "not stated for the weights; Apache-2.0 for the example",
    read_at: "tensorflow/tfjs-examples webcam-transfer-learning/index.js",
    padding: None,
    inside: None,
    bytes_per_parameter: FLOATS,
};

const fn row(
    name: &'static str,
    publisher: &'static Publisher,
    file: &'static str,
    accuracy: Option<(f32, f32)>,
) -> Checkpoint {
    Checkpoint { name, publisher, file, accuracy, sha256: None }
}

/// Keras' file of one width and resolution.
macro_rules! keras {
    ($name:literal, $file:literal) => {
        row(concat!("keras-", $name), &KERAS, concat!("mobilenet_", $file, "_tf.h5"), None)
    };
    ($name:literal, $file:literal, $top1:literal, $top5:literal) => {
        row(concat!("keras-", $name), &KERAS, concat!("mobilenet_", $file, "_tf.h5"), Some(($top1, $top5)))
    };
}

/// TensorFlow's archive of one width and resolution.
macro_rules! tensorflow {
    ($name:literal, $file:literal, $top1:literal, $top5:literal) => {
        row(
            concat!("tensorflow-", $name),
            &TENSORFLOW,
            concat!("mobilenet_v1_", $file, ".tgz"),
            Some(($top1, $top5)),
        )
    };
}

/// All of them.
pub static CHECKPOINTS: &[Checkpoint] = &[
    row(
        "timm-1.0-224",
        &TIMM,
        "mobilenetv1_100.ra4_e3600_r224_in1k/resolve/main/model.safetensors",
        Some((75.382, 92.312)),
    ),
    row(
        "timm-1.25-224",
        &TIMM,
        "mobilenetv1_125.ra4_e3600_r224_in1k/resolve/main/model.safetensors",
        Some((76.924, 93.234)),
    ),
    keras!("1.0-224", "1_0_224", 70.4, 89.5),
    keras!("1.0-192", "1_0_192"),
    keras!("1.0-160", "1_0_160"),
    keras!("1.0-128", "1_0_128"),
    keras!("0.75-224", "7_5_224"),
    keras!("0.75-192", "7_5_192"),
    keras!("0.75-160", "7_5_160"),
    keras!("0.75-128", "7_5_128"),
    keras!("0.5-224", "5_0_224"),
    keras!("0.5-192", "5_0_192"),
    keras!("0.5-160", "5_0_160"),
    keras!("0.5-128", "5_0_128"),
    keras!("0.25-224", "2_5_224"),
    keras!("0.25-192", "2_5_192"),
    keras!("0.25-160", "2_5_160"),
    keras!("0.25-128", "2_5_128"),
    tensorflow!("1.0-224", "1.0_224", 70.9, 89.9),
    tensorflow!("1.0-192", "1.0_192", 70.0, 89.2),
    tensorflow!("1.0-160", "1.0_160", 68.0, 87.7),
    tensorflow!("1.0-128", "1.0_128", 65.2, 85.8),
    tensorflow!("0.75-224", "0.75_224", 68.4, 88.2),
    tensorflow!("0.75-192", "0.75_192", 67.2, 87.3),
    tensorflow!("0.75-160", "0.75_160", 65.3, 86.0),
    tensorflow!("0.75-128", "0.75_128", 62.1, 83.9),
    tensorflow!("0.5-224", "0.5_224", 63.3, 84.9),
    tensorflow!("0.5-192", "0.5_192", 61.7, 83.6),
    tensorflow!("0.5-160", "0.5_160", 59.1, 81.9),
    tensorflow!("0.5-128", "0.5_128", 56.3, 79.4),
    tensorflow!("0.25-224", "0.25_224", 49.8, 74.2),
    tensorflow!("0.25-192", "0.25_192", 47.7, 72.3),
    tensorflow!("0.25-160", "0.25_160", 45.5, 70.3),
    tensorflow!("0.25-128", "0.25_128", 41.5, 66.3),
    tensorflow!("1.0-224-quant", "1.0_224_quant", 70.1, 88.9),
    tensorflow!("1.0-192-quant", "1.0_192_quant", 69.2, 88.3),
    tensorflow!("1.0-160-quant", "1.0_160_quant", 67.2, 86.7),
    tensorflow!("1.0-128-quant", "1.0_128_quant", 63.4, 84.2),
    tensorflow!("0.75-224-quant", "0.75_224_quant", 66.8, 87.0),
    tensorflow!("0.75-192-quant", "0.75_192_quant", 66.1, 86.4),
    tensorflow!("0.75-160-quant", "0.75_160_quant", 62.3, 83.8),
    tensorflow!("0.75-128-quant", "0.75_128_quant", 55.8, 78.8),
    tensorflow!("0.5-224-quant", "0.5_224_quant", 60.7, 83.2),
    tensorflow!("0.5-192-quant", "0.5_192_quant", 60.0, 82.2),
    tensorflow!("0.5-160-quant", "0.5_160_quant", 57.7, 80.4),
    tensorflow!("0.5-128-quant", "0.5_128_quant", 54.5, 77.7),
    tensorflow!("0.25-224-quant", "0.25_224_quant", 48.0, 72.8),
    tensorflow!("0.25-192-quant", "0.25_192_quant", 46.0, 71.2),
    tensorflow!("0.25-160-quant", "0.25_160_quant", 43.4, 68.5),
    tensorflow!("0.25-128-quant", "0.25_128_quant", 39.5, 64.4),
    row("tfjs-0.25-224", &TFJS, "mobilenet_v1_0.25_224/model.json", None),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_addresses_are_each_there_once() {
        let names: BTreeSet<_> = CHECKPOINTS.iter().map(|row| row.name).collect();
        let addresses: BTreeSet<_> = CHECKPOINTS.iter().map(Checkpoint::address).collect();
        assert_eq!((names.len(), addresses.len()), (CHECKPOINTS.len(), CHECKPOINTS.len()));
        assert!(addresses.iter().all(|address| address.starts_with("https://")));
    }

    /// Published sizes that are known: Keras' 1.0 has 17,225,924 bytes.
    #[test]
    fn sizes_are_bounded_by_the_width_in_the_name() {
        let limit = |name: &str| CHECKPOINTS.iter().find(|row| row.name == name).unwrap().size_limit();
        assert!((17_225_924..60_000_000).contains(&limit("keras-1.0-224")));
        assert!((2_116_512..25_000_000).contains(&limit("keras-0.25-128")));
        assert!(limit("timm-1.25-224") > limit("timm-1.0-224"));
        assert!(limit("tensorflow-1.0-224") < 600_000_000);
        let widths = CHECKPOINTS.iter().map(|row| row.name.split('-').nth(1).unwrap().parse::<f64>());
        assert!(widths.into_iter().all(|width| width.is_ok()));
    }

    /// A slip of the finger would most likely break the order that width and resolution give to the accuracies.
    #[test]
    fn accuracies_fall_with_width_and_resolution() {
        for ending in ["", "-quant"] {
            for width in ["1.0", "0.75", "0.5", "0.25"] {
                let of = |side: &&str| {
                    let name = format!("tensorflow-{width}-{side}{ending}");
                    CHECKPOINTS.iter().find(|row| row.name == name).unwrap().accuracy.unwrap()
                };
                let sides: Vec<_> = ["224", "192", "160", "128"].iter().map(of).collect();
                assert!(sides.is_sorted_by(|a, b| a.0 > b.0 && a.1 > b.1), "{width}{ending}: {sides:?}");
            }
        }
        assert!(CHECKPOINTS.iter().filter_map(|row| row.accuracy).all(|(one, five)| one < five));
    }
}
