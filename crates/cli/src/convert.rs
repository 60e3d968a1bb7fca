//! `mobilenet convert IN OUT`: a network of any format becomes the native model file, and each property that the
//! tensors do not show is printed with who said so.

use crate::network::{self, Known};
use anyhow::Result;
use clap::ValueEnum;
use mobilenet::Kernel;
use mobilenet::Weights;
use mobilenet::quantize::quantize;
use mobilenet_formats::safetensors::{Storage, write};
use mobilenet_formats::{LoadedModel, Origin};
use std::path::{Path, PathBuf};

/// In which numbers a native file keeps its kernels.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    F16,
    Int8,
}

/// Arguments of `convert`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network: safetensors, Keras, TFLite, TF.js or ONNX; its format is told by the content.
    input: PathBuf,
    /// Where the native file goes.
    output: PathBuf,
    /// In which numbers the kernels are kept. Without it int8 stays int8, and floats are float32. `int8` needs no
    /// pictures; `mobilenet quantize --calibrate` does better with some.
    #[arg(long)]
    precision: Option<Precision>,
    #[command(flatten)]
    known: Known,
}

/// Converts, and prints what was found where.
pub fn run(arguments: &Arguments) -> Result<()> {
    let reading = network::read(&arguments.input, &arguments.known)?;
    finish(reading, arguments.precision, &arguments.output)
}

/// Prints what was read, and writes it.
pub fn finish(mut reading: LoadedModel, precision: Option<Precision>, output: &Path) -> Result<()> {
    network::print(&reading);
    let weights = &mut reading.weights;
    let (precision, origin) = match precision {
        Some(precision) => (precision, Origin::Caller),
        None if weights.is_int8() => (Precision::Int8, Origin::File),
        None => (Precision::F32, Origin::Default),
    };
    let (name, storage) = match precision {
        Precision::F32 => ("f32", Storage::F32),
        Precision::F16 => ("f16", Storage::F16),
        Precision::Int8 => ("int8", Storage::F32),
    };
    println!("  {:<14} {name} ({})", "precision", network::describe(origin));
    if precision == Precision::Int8 {
        let measured = weights.is_quantized();
        *weights = quantize(weights)?;
        let ranges =
            if measured { "the file says so" } else { "from made-up pictures, for the file has none" };
        println!("  {:<14} {ranges}", "ranges");
    } else {
        multiply_out(weights);
    }
    network::write(output, &write(weights, storage)?)
}

/// Int8 kernels become floats. What the ranges say stays true.
fn multiply_out(weights: &mut Weights) {
    for layer in &mut weights.layers {
        if matches!(layer.kernel, Kernel::Int8 { .. }) {
            layer.kernel = Kernel::F32(layer.kernel.to_f32().into_owned());
        }
    }
}
