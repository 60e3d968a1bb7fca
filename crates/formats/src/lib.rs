//! Bytes of a model file become [`Weights`], and back: one file a format, one file that knows the frameworks' names.
//!
//! Goes in: a [`ModelSource`] (the file's bytes, and those of files it refers to) and the caller's [`ModelOptions`], which
//! count where the file is silent. Comes out: a [`LoadedModel`], the weights with a note for each property of where it
//! was found. Next: `infer` runs them, `train` starts from them, [`safetensors::write`] keeps them.
//!
//! A parser returns named [`Tensors`] or the layers of a graph; `naming` alone knows what the frameworks call them and
//! in which order their axes stand. The format is told by the content, never by a file's name.

#![forbid(unsafe_code)]

#[cfg(any(feature = "keras", feature = "onnx", feature = "tfjs", feature = "tflite"))]
#[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "some of it is ONNX' alone"))]
mod graph;
pub mod json;
#[cfg(feature = "keras")]
pub mod keras;
pub mod labels;
#[cfg(any(feature = "keras", feature = "tfjs"))]
mod layers;
pub mod naming;
mod native;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod options;
pub mod safetensors;
pub mod tensors;
#[cfg(feature = "tfjs")]
pub mod tfjs;
#[cfg(feature = "tflite")]
pub mod tflite;

pub use options::{ModelOptions, Origin, Property};
pub use tensors::{Data, Dtype, ReadAt, Tensor, Tensors};

use mobilenet::{Error, Result, Weights};

/// A file, and the files beside it that it refers to (shards of TF.js, external data of ONNX).
#[derive(Clone, Copy, Debug)]
pub struct ModelSource<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// Files it refers to, by the name that [`companion_files`] gives; empty for most formats.
    pub companions: &'a [(&'a str, &'a [u8])],
}

impl<'a> ModelSource<'a> {
    /// A file that stands alone.
    pub const fn alone(bytes: &'a [u8]) -> Self {
        Self { bytes, companions: &[] }
    }

    /// The bytes of the file beside it called `name`.
    pub fn part(&self, format: &'static str, name: &str) -> Result<&'a [u8]> {
        let found = self.companions.iter().find(|(given, _)| *given == name).map(|(_, bytes)| *bytes);
        found.ok_or_else(|| {
            Error::format(format, format!("the file refers to `{name}` beside it, which was not given"))
        })
    }
}

/// A network that was read, and how.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    /// The network.
    pub weights: Weights,
    /// The format of its file.
    pub format: Format,
    /// For each property, its value and whether the file, the caller or a default said so.
    pub properties: Vec<Property>,
}

/// The formats that are told apart by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// safetensors: the native model file, timm's, Hugging Face's.
    Safetensors,
    /// Keras' HDF5: weights only or the whole model.
    KerasH5,
    /// Keras 3's zip.
    KerasZip,
    /// TensorFlow Lite's FlatBuffer.
    Tflite,
    /// TensorFlow.js: `model.json`, with shards beside it.
    Tfjs,
    /// ONNX' protobuf.
    Onnx,
}

impl Format {
    /// As a person calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Safetensors => "safetensors",
            Format::KerasH5 => "Keras HDF5",
            Format::KerasZip => "Keras 3",
            Format::Tflite => "TFLite",
            Format::Tfjs => "TF.js",
            Format::Onnx => "ONNX",
        }
    }

    /// Tells the format from the first bytes; what is no model gets a sentence that says what it is instead.
    pub fn detect(bytes: &[u8]) -> Result<Self> {
        let refuse = |problem: &str| Err(Error::unsupported_format("model file", problem));
        let text = bytes.trim_ascii_start();
        match bytes {
            [] => Err(Error::format("model file", "the file is empty; the download may have failed")),
            [0x89, b'H', b'D', b'F', ..] => Ok(Format::KerasH5),
            [b'P', b'K', 3, 4, ..] if contains(bytes, b"data.pkl") => refuse(
                "this is a PyTorch pickle, which can run code; save its state_dict as safetensors and load that: \
                 safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")",
            ),
            [b'P', b'K', 3, 4, ..] => Ok(Format::KerasZip),
            [0x80, 2..=5, ..] => refuse(
                "this is a Python pickle (an old PyTorch file?), which can run code; save its tensors as safetensors and \
                 load that: safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")",
            ),
            [b'R', b'a', b'r', b'!', ..] | [b'7', b'z', 0xbc, 0xaf, ..] => {
                refuse("the file is an archive; unpack it first")
            }
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
                refuse("this is one array of NumPy, not a network; save all weights as safetensors")
            }
            [b'G', b'G', b'U', b'F', ..] => {
                refuse("this is a GGUF file of a language model, not a MobileNet v1")
            }
            [0x1f, 0x8b, ..] => refuse("the file is compressed by gzip; unpack it first"),
            [_, _, _, _, b'T', b'F', b'L', b'3', ..] => Ok(Format::Tflite),
            [_, _, _, _, _, _, _, _, b'{', ..] => Ok(Format::Safetensors),
            _ if text.starts_with(b"<") => refuse(
                "this is a web page (it starts with `<`), not weights; the address may be wrong or need a login",
            ),
            _ if text.starts_with(b"version https://git-lfs") => {
                refuse("this is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`")
            }
            _ if text.starts_with(b"{") => Ok(Format::Tfjs),
            _ if text.starts_with(b"name:") || text.starts_with(b"layer") => refuse(
                "this is a Caffe description (.prototxt) without weights; convert it and its .caffemodel to ONNX",
            ),
            [0x08, 1, 0x12, ..] => refuse(
                "this is a TensorFlow SavedModel (saved_model.pb); convert its folder and load that: \
                 python -m tf2onnx.convert --saved-model FOLDER --output model.onnx",
            ),
            [0x08, 1..=20, ..] => Ok(Format::Onnx),
            [0x0a, ..] if contains(bytes, b"Convolution") || contains(bytes, b"caffe") => refuse(
                "this is a Caffe model (.caffemodel); convert it with its .prototxt to ONNX and load that",
            ),
            [0x0a, ..] => refuse(
                "this looks like a TensorFlow graph (.pb); convert it to TFLite, TF.js or ONNX and load that: \
                 python -m tf2onnx.convert --graphdef model.pb --inputs INPUT:0 --outputs OUTPUT:0 --output model.onnx",
            ),
            _ => refuse(
                "the first bytes belong to no known format (safetensors, Keras, TFLite, TF.js, ONNX); \
                 the file may be damaged or cut off",
            ),
        }
    }
}

/// Whether `needle` occurs in the first 4 KB. The standard library's search is a kilobyte of the class's file.
fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes[..bytes.len().min(4096)].windows(needle.len()).any(|window| window == needle)
}

/// Reads a network of any known format that stands in one file.
///
/// # Errors
/// A sentence that names what is wrong, the tensor or node, and what was expected.
pub fn read(bytes: &[u8], options: &ModelOptions) -> Result<Weights> {
    read_source(&ModelSource::alone(bytes), options).map(|reading| reading.weights)
}

/// Reads a network of any known format and says where each property was found.
///
/// # Errors
/// As [`read`]; a file beside it that was not given is named.
pub fn read_source(source: &ModelSource, options: &ModelOptions) -> Result<LoadedModel> {
    match Format::detect(source.bytes)? {
        Format::Safetensors => safetensors::read(source, options),
        #[cfg(feature = "keras")]
        Format::KerasH5 => keras::read_h5(source, options),
        #[cfg(feature = "keras")]
        Format::KerasZip => keras::read_zip(source, options),
        #[cfg(feature = "tflite")]
        Format::Tflite => tflite::read(source, options),
        #[cfg(feature = "tfjs")]
        Format::Tfjs => tfjs::read(source, options),
        #[cfg(feature = "onnx")]
        Format::Onnx => onnx::read(source, options),
        #[allow(unreachable_patterns, reason = "with all formats none is left")]
        other => Err(Error::unsupported_format(
            other.name(),
            "this build has no reader for it; use `mobilenet convert`",
        )),
    }
}

/// Names of the files that `bytes` refers to and [`read_source`] needs in [`ModelSource::companions`].
pub fn companion_files(bytes: &[u8]) -> Result<Vec<String>> {
    match Format::detect(bytes)? {
        #[cfg(feature = "tfjs")]
        Format::Tfjs => tfjs::companion_files(bytes),
        #[cfg(feature = "onnx")]
        Format::Onnx => onnx::companion_files(bytes),
        _ => Ok(Vec::new()),
    }
}
