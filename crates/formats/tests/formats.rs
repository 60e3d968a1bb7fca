//! Readers and writers of model files: names, axes, round trips, and the sentences for what is wrong.

use mobilenet::Kernel;
use mobilenet::width::Rounding;
use mobilenet_formats::safetensors::{Storage, read_from, write};
use mobilenet_formats::{self as formats, Format, ModelOptions, ModelSource, Origin, ReadAt};
use mobilenet_kernels::shape::Padding;
use mobilenet_testing::{shared, small};
use safetensors::SafeTensors;

#[test]
fn the_native_file_gives_back_every_bit() {
    let weights = small(1);
    let bytes = write(&weights, Storage::F32).unwrap();
    assert_eq!(Format::detect(&bytes).unwrap(), Format::Safetensors);
    assert_eq!(formats::read(&bytes, &ModelOptions::default()).unwrap(), weights);
    assert_eq!(bytes, write(&weights, Storage::F32).unwrap(), "the same network, the same bytes");
    let theirs = SafeTensors::deserialize(&bytes).unwrap();
    for layer in &weights.layers {
        let bias: Vec<u8> = layer.bias.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(theirs.tensor(&format!("{}/bias", layer.name)).unwrap().data(), bias);
        let kernel: Vec<u8> = layer.kernel.to_f32().iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(theirs.tensor(&format!("{}/kernel", layer.name)).unwrap().data(), kernel);
    }
}

#[test]
fn steps_may_leave_a_layer_out() {
    let mut weights = small(4);
    let layers = weights.architecture.layers().len();
    weights.steps = vec![0.125; layers];
    // As of a quantized network whose last layer was taught anew.
    weights.steps[layers - 1] = 0.0;
    let bytes = write(&weights, Storage::F32).unwrap();
    assert_eq!(formats::read(&bytes, &ModelOptions::default()).unwrap().steps, weights.steps);
    weights.steps[0] = -1.0;
    let said = formats::read(&write(&weights, Storage::F32).unwrap(), &ModelOptions::default()).unwrap_err();
    assert!(said.to_string().contains("numbers of 0 or more, one a layer"), "{said}");
}

#[test]
fn float16_is_within_its_rounding_and_stable() {
    let weights = small(2);
    let bytes = write(&weights, Storage::F16).unwrap();
    let back = formats::read(&bytes, &ModelOptions::default()).unwrap();
    for (layer, rounded) in weights.layers.iter().zip(&back.layers) {
        assert_eq!(layer.bias, rounded.bias, "{}", layer.name);
        for (exact, rounded) in layer.kernel.to_f32().iter().zip(rounded.kernel.to_f32().iter()) {
            // Half a unit in the last of 11 bits, or half the smallest subnormal.
            assert!(
                (exact - rounded).abs() <= (exact.abs() / 2048.0).max(3.0e-8),
                "{exact} became {rounded}"
            );
        }
    }
    assert_eq!(bytes, write(&back, Storage::F16).unwrap());
}

#[test]
fn int8_kernels_ranges_and_provenance_survive() {
    let mut weights = small(3);
    for (index, layer) in weights.layers.iter_mut().enumerate() {
        let values = (0..layer.kernel.len()).map(|at| ((at * 31 + index) % 255) as i16 - 127);
        let scales = (0..layer.bias.len()).map(|at| 0.001 + at as f32 * 1e-4).collect();
        layer.kernel = Kernel::Int8 { values: values.map(|value| value as i8).collect(), scales };
        layer.range = Some(6.0 - index as f32 * 0.1);
    }
    weights.provenance.description = "a test".into();
    weights.provenance.licence = "none".into();
    let bytes = write(&weights, Storage::F32).unwrap();
    assert_eq!(formats::read(&bytes, &ModelOptions::default()).unwrap(), weights);
}

#[test]
fn timm_is_read_by_names_and_shapes() {
    let Some(bytes) = shared("weights/timm/mobilenetv1_100.safetensors") else { return };
    let options = ModelOptions { padding: Some(Padding::Same), ..ModelOptions::default() };
    let reading = formats::read_source(&ModelSource::alone(&bytes), &options).unwrap();
    let architecture = &reading.weights.architecture;
    assert_eq!((architecture.alpha, architecture.rounding), (1.0, Rounding::Truncate));
    assert_eq!((architecture.classes, architecture.background, architecture.epsilon), (1000, false, 1e-5));
    let origin = |name| reading.properties.iter().find(|property| property.name == name).unwrap().origin;
    assert_eq!((origin("padding"), origin("epsilon")), (Origin::Caller, Origin::Default));
    let native = write(&reading.weights, Storage::F32).unwrap();
    assert_eq!(formats::read(&native, &ModelOptions::default()).unwrap(), reading.weights);
}

/// Every Keras file: alpha, resolution, and what the configuration (or a default) says.
#[test]
fn keras_files_are_read_in_every_layout() {
    let files = [
        ("keras/mobilenet_1_0_224_tf.h5", Format::KerasH5, 1.0, 224, Origin::Default),
        ("keras/mobilenet_2_5_224_tf_rebuilt_weights.h5", Format::KerasH5, 0.25, 224, Origin::Default),
        ("keras/mbnet128_0.25.h5", Format::KerasH5, 0.25, 128, Origin::File),
        ("keras/mobilenet_v1_0.25_224.h5", Format::KerasH5, 0.25, 224, Origin::File),
        ("keras/mobilenet_v1_0.25_224.keras", Format::KerasZip, 0.25, 224, Origin::File),
    ];
    for (file, format, alpha, resolution, origin) in files {
        let Some(bytes) = shared(&format!("weights/{file}")) else { return };
        let reading = formats::read_source(&ModelSource::alone(&bytes), &ModelOptions::default())
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let architecture = &reading.weights.architecture;
        assert_eq!(reading.format, format, "{file}");
        assert_eq!((architecture.alpha, architecture.resolution), (alpha, resolution), "{file}");
        assert_eq!((architecture.padding, architecture.epsilon), (Padding::Keras, 1e-3), "{file}");
        for property in ["padding", "activation", "epsilon", "resolution"] {
            let found = reading.properties.iter().find(|found| found.name == property).unwrap();
            assert_eq!(found.origin, origin, "{file}: {property}");
        }
    }
}

/// The sentence with which bytes are refused.
fn refused(bytes: &[u8]) -> String {
    formats::read(bytes, &ModelOptions::default()).unwrap_err().to_string()
}

#[test]
fn what_is_no_model_is_called_what_it_is() {
    assert!(refused(b"").contains("the file is empty"));
    assert!(refused(b"<!doctype html><html>").contains("web page"));
    assert!(refused(b"version https://git-lfs.github.com/spec/v1").contains("Git LFS pointer"));
    assert!(refused(&[0x1f, 0x8b, 8, 0]).contains("gzip"));
    assert!(refused(&[0x80, 2, 0x8a]).contains("pickle"));
    assert!(refused(&[0xff; 64]).contains("no known format"));
}

/// Tensors of a native file changed by `change`, written without its metadata under Keras' names.
fn changed(change: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>) -> bool) -> Vec<u8> {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let weights = small(4);
    let layers = weights.architecture.layers();
    let mut tensors = Vec::new();
    for layer in &weights.layers {
        let shape = layers.iter().find(|found| found.name == layer.name).unwrap().kernel_shape().unwrap();
        let depthwise = layer.name.starts_with("conv_dw");
        let kernel = if depthwise { "depthwise_kernel" } else { "kernel" };
        tensors.push((
            format!("{}/{kernel}", layer.name),
            shape.to_vec(),
            layer.kernel.to_f32().into_owned(),
        ));
        let channels = layer.bias.len();
        if layer.name == "conv_preds" {
            tensors.push(("conv_preds/bias".into(), vec![channels], layer.bias.clone()));
            continue;
        }
        tensors.push((format!("{}_bn/beta", layer.name), vec![channels], layer.bias.clone()));
        tensors.push((format!("{}_bn/moving_mean", layer.name), vec![channels], vec![0.0; channels]));
        tensors.push((format!("{}_bn/moving_variance", layer.name), vec![channels], vec![0.999; channels]));
    }
    let mut kept = Vec::new();
    for (name, mut shape, mut values) in tensors {
        if change(&name, &mut shape, &mut values) {
            kept.push((
                name,
                shape,
                values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>(),
            ));
        }
    }
    let views = kept.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    serialize(views, None).unwrap()
}

#[test]
fn batch_norm_is_folded_as_the_definition_says() {
    let read = formats::read(&changed(|_, _, _| true), &ModelOptions::default()).unwrap();
    for (found, expected) in read.layers.iter().zip(&small(4).layers) {
        // Mean 0, variance 0.999 and epsilon 0.001: the scale is one, to a rounding.
        assert_eq!(found.bias, expected.bias, "{}", found.name);
        for (found, expected) in found.kernel.to_f32().iter().zip(expected.kernel.to_f32().iter()) {
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} for {expected}");
        }
    }
}

#[test]
fn each_lie_has_its_sentence() {
    let nan = changed(|name, _, values| {
        if name == "conv_pw_3/kernel" {
            values[2] = f32::NAN;
        }
        true
    });
    assert!(refused(&nan).contains("tensor `conv_pw_3/kernel`: value 2 is NaN"), "{}", refused(&nan));
    let absent = changed(|name, _, _| name != "conv_dw_5_bn/moving_mean");
    assert!(refused(&absent).contains("`conv_dw_5_bn/moving_mean` is missing"), "{}", refused(&absent));
    let blocks = changed(|name, _, _| !name.starts_with("conv_pw_7"));
    assert!(refused(&blocks).contains("`conv_pw_7/kernel` is missing"), "{}", refused(&blocks));
    let shape = changed(|name, shape, values| {
        if name == "conv_dw_2/depthwise_kernel" {
            shape[1] = 2;
            values.truncate(values.len() / 3 * 2);
        }
        true
    });
    let expected = "tensor `conv_dw_2/depthwise_kernel`: expected shape [3, 3, 8, 1], found [3, 2, 8, 1]";
    assert_eq!(refused(&shape), expected);
    let variance = changed(|name, _, values| {
        if name == "conv1_bn/moving_variance" {
            values[0] = -1.0;
        }
        true
    });
    assert!(refused(&variance).contains("a variance is -1"), "{}", refused(&variance));
}

#[test]
fn unknown_names_and_strangers_are_refused() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let view = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
    let bytes = serialize([("encoder.weight", view)], None).unwrap();
    assert!(refused(&bytes).contains("no tensor is the first convolution"), "{}", refused(&bytes));
    assert!(refused(&bytes).contains("`encoder.weight`"), "{}", refused(&bytes));
}

#[test]
fn a_native_file_that_is_cut_anywhere_is_refused() {
    let bytes = write(&small(5), Storage::F32).unwrap();
    for length in (0..bytes.len()).step_by(97) {
        assert!(formats::read(&bytes[..length], &ModelOptions::default()).is_err(), "{length} bytes");
    }
}

/// A file that lies elsewhere.
#[derive(Debug)]
struct Elsewhere<'a>(&'a [u8]);

impl ReadAt for Elsewhere<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, start: usize, room: &mut [u8]) -> bool {
        room.copy_from_slice(&self.0[start..start + room.len()]);
        true
    }
}

#[test]
fn a_file_that_is_read_in_parts_is_the_same_network_and_the_same_errors() {
    let options = ModelOptions::default();
    let floats = small(8);
    let int8 = mobilenet::quantize::quantize(&floats).unwrap();
    for (weights, storage) in [(&floats, Storage::F32), (&floats, Storage::F16), (&int8, Storage::F32)] {
        let bytes = write(weights, storage).unwrap();
        let whole = formats::read(&bytes, &options).unwrap();
        assert_eq!(read_from(&Elsewhere(&bytes), &options).unwrap().weights, whole);
        let ends = (0..24).chain((24..bytes.len()).step_by(997));
        for file in ends.map(|length| &bytes[..length]) {
            let parts = read_from(&Elsewhere(file), &options).unwrap_err().to_string();
            match formats::safetensors::read(&ModelSource::alone(file), &options) {
                Ok(_) => panic!("{} bytes are enough", file.len()),
                Err(error) => assert_eq!(parts, error.to_string(), "{} bytes", file.len()),
            }
        }
    }
    let other = changed(|_, _, _| true);
    assert_eq!(
        read_from(&Elsewhere(&other), &options).unwrap().weights,
        formats::read(&other, &options).unwrap()
    );
}

/// Flips, cuts and splices bytes: whatever comes, an answer and no panic.
#[test]
fn damaged_files_give_sentences() {
    let files = [
        write(&small(6), Storage::F32).unwrap(),
        write(&small(7), Storage::F16).unwrap(),
        changed(|_, _, _| true),
    ];
    let mut random = mobilenet_testing::Random(8);
    for round in 0..3000 {
        let mut bytes = files[round % files.len()].clone();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for _ in 0..=random.below(4) {
            // Most of the damage goes where the structure is.
            let range = if random.below(4) == 0 { bytes.len() } else { header.min(bytes.len()) };
            let at = random.below(range);
            match random.below(3) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes.truncate(at.max(1)),
                _ => {
                    let to = (at + random.below(64)).min(bytes.len());
                    let from = random.below(bytes.len());
                    let piece = bytes[from..(from + random.below(64)).min(bytes.len())].to_vec();
                    bytes.splice(at..to, piece);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        let read = formats::read(&bytes, &ModelOptions::default());
        if SafeTensors::deserialize(&bytes).is_err() {
            assert!(read.is_err(), "round {round}: the format's own reader refuses the file");
        }
        if let Ok(weights) = read {
            assert!(weights.layers.iter().all(|layer| layer.bias.iter().all(|bias| bias.is_finite())));
        }
    }
}
