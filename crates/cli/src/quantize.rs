//! `mobilenet quantize IN OUT --calibrate DIR`: a float network becomes a native int8 file, its ranges measured on
//! pictures like those to come.

use crate::network::{self, Known};
use crate::pictures;
use crate::runner::{answer, spread, square, threads};
use anyhow::{Result, bail};
use mobilenet::{Classifier, LayerWeights, Weights};
use mobilenet::{Precision, Selection, quantize::Calibration};
use mobilenet_formats::safetensors::{Storage, write};
use std::path::{Path, PathBuf};

/// Arguments of `quantize`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The network, in any format.
    input: PathBuf,
    /// Where the native int8 file goes.
    output: PathBuf,
    /// Pictures like those that the network will see: a folder, a tar or a tar.gz; their classes do not matter.
    #[arg(long, value_name = "DIR")]
    calibrate: PathBuf,
    /// At most so many of them, spread evenly.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pictures: u32,
    #[command(flatten)]
    known: Known,
}

/// Calibrates, writes, and says what it cost on the same pictures.
pub fn run(arguments: &Arguments) -> Result<()> {
    let reading = network::read(&arguments.input, &arguments.known)?;
    let weights = &reading.weights;
    if weights.is_quantized() {
        bail!(
            "{} is int8 already, ranges and all: `mobilenet convert` keeps it as it is",
            arguments.input.display()
        );
    }
    network::print(&reading);
    let pictures = pictures::sample(&arguments.calibrate, arguments.pictures as usize)?;
    let int8 = calibrate(weights, &pictures)?;
    println!("ranges of {} pictures from {}", pictures.len(), arguments.calibrate.display());
    for LayerWeights { name, range, .. } in &int8.layers {
        if let Some(range) = range {
            println!("  {name:<14} {range:.4}");
        }
    }
    print_cost(weights, &int8, &pictures, &arguments.calibrate)?;
    network::write(&arguments.output, &write(&int8, Storage::F32)?)
}

fn calibrate(weights: &Weights, pictures: &[pictures::Picture]) -> Result<Weights> {
    let mut calibration = Calibration::new(weights)?;
    let side = weights.architecture.resolution;
    for picture in pictures {
        calibration.add(&square(picture, side, weights)?)?;
    }
    Ok(calibration.finish()?)
}

/// How far the int8 network is from the float one.
fn print_cost(
    weights: &Weights,
    int8: &Weights,
    pictures: &[pictures::Picture],
    folder: &Path,
) -> Result<()> {
    let pair = || Ok([Classifier::new(weights, Precision::F32)?, Classifier::new(int8, Precision::Int8)?]);
    let mut workers: Vec<[Classifier; 2]> = (0..threads()).map(|_| pair()).collect::<Result<_>>()?;
    let top = Selection::top(1);
    let answers = spread(&mut workers, pictures, |[float, int8], picture| {
        let pixels = picture.decode()?;
        let (float, int8) = (answer(float, &picture.name, &pixels)?, answer(int8, &picture.name, &pixels)?);
        let apart: f64 = float.iter().zip(int8).map(|(a, b)| f64::from((a - b).abs())).sum();
        Ok((top.pick(float)?[0].index == top.pick(int8)?[0].index, apart / float.len() as f64))
    })?;
    let same = answers.iter().filter(|(same, _)| *same).count();
    let mean = answers.iter().map(|(_, apart)| apart).sum::<f64>() / answers.len() as f64;
    println!("same top-1 {same} of {} in {}, mean difference {mean:.2e}", answers.len(), folder.display());
    Ok(())
}
