//! `mobilenet convert IN OUT`: converts a network of any format to the native model file, and prints where each property
//! comes from that the tensors do not show.

use crate::console::outln;
use crate::files;
use crate::model::{self, ModelArgs};
use anyhow::Result;
use clap::ValueEnum;
use mobilenet::quantize::quantize;
use mobilenet::{Kernel, Weights};
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_formats::{LoadedModel, Origin};
use std::path::{Path, PathBuf};

/// Number format of the kernels in a native file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoredPrecision {
    F32,
    F16,
    Int8,
}

/// Arguments of `convert`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Network to convert: safetensors, Keras, TFLite, TF.js or ONNX, detected by content.
    input: PathBuf,
    /// Native file to write.
    output: PathBuf,
    /// Number format of the kernels; default int8 for int8 networks, else f32. Quantizing by `int8` needs no images, but
    /// `mobilenet quantize --calibrate` is more accurate.
    #[arg(long)]
    precision: Option<StoredPrecision>,
    #[command(flatten)]
    model: ModelArgs,
}

/// Converts, and prints what was found.
pub fn run(arguments: &Arguments) -> Result<()> {
    files::check_target(&arguments.output)?;
    let model = model::read(&arguments.input, &arguments.model)?;
    finish(model, arguments.precision, &arguments.output)
}

/// Prints what was read, and writes it.
pub fn finish(mut model: LoadedModel, precision: Option<StoredPrecision>, output: &Path) -> Result<()> {
    model::print(&model);
    let weights = &mut model.weights;
    let (precision, origin) = match precision {
        Some(precision) => (precision, Origin::Caller),
        None if weights.is_int8() => (StoredPrecision::Int8, Origin::File),
        None => (StoredPrecision::F32, Origin::Default),
    };
    let word = precision.to_possible_value();
    let word = word.as_ref().map_or("", |word| word.get_name());
    outln!("  {:<14} {word} ({})", "precision", model::describe(origin));
    if precision == StoredPrecision::Int8 {
        let ranges =
            if weights.is_quantized() { "from the file" } else { "estimated, because the file has none" };
        *weights = quantize(weights)?;
        outln!("  {:<14} {ranges}", "ranges");
    } else {
        dequantize(weights);
    }
    let storage = if precision == StoredPrecision::F16 { Storage::F16 } else { Storage::F32 };
    model::write(output, &write(weights, storage)?)
}

/// Turns int8 kernels into floats. The ranges of the activations stay.
fn dequantize(weights: &mut Weights) {
    for layer in &mut weights.layers {
        if matches!(layer.kernel, Kernel::Int8 { .. }) {
            layer.kernel = Kernel::F32(layer.kernel.to_f32().into_owned());
        }
    }
}
