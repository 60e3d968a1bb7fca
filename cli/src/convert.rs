//! `mobilenet convert IN OUT`: a network of any format becomes the native model file, and each property that the
//! tensors do not show is printed with who said so.

use crate::network::{self, Known};
use anyhow::Context;
use clap::ValueEnum;
use mobilenet::formats::Origin;
use mobilenet::formats::safetensors::{Storage, write};
use std::path::PathBuf;

#[derive(Clone, Copy, ValueEnum)]
enum Precision {
    F32,
    F16,
}

#[derive(clap::Args)]
pub struct Arguments {
    /// The network: safetensors, Keras, …; its format is told by the content.
    input: PathBuf,
    /// Where the native file goes.
    output: PathBuf,
    /// In which numbers the kernels are kept.
    #[arg(long, default_value = "f32")]
    precision: Precision,
    #[command(flatten)]
    known: Known,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let reading = network::read(&arguments.input, &arguments.known)?;
    let storage = match arguments.precision {
        Precision::F32 => Storage::F32,
        Precision::F16 => Storage::F16,
    };
    let bytes = write(&reading.weights, storage)?;
    std::fs::write(&arguments.output, &bytes).with_context(|| arguments.output.display().to_string())?;
    let architecture = &reading.weights.architecture;
    println!("{}: width {}, {} classes", reading.format.name(), architecture.alpha, architecture.classes);
    for property in &reading.properties {
        let origin = match property.origin {
            Origin::File => "the file says so",
            Origin::Caller => "as asked",
            Origin::Habit => "the format's habit, for nobody said",
        };
        println!("  {:<14} {} ({origin})", property.name, property.value);
    }
    println!("{}: {} bytes", arguments.output.display(), bytes.len());
    Ok(())
}
