//! `mobilenet quantize IN OUT --calibrate DIR`: makes a native int8 file of a float network, with ranges measured on
//! images like those that it will see.

use crate::console::outln;
use crate::files;
use crate::images::{ImageLimits, Sample, Unreadable};
use crate::model::{self, ModelArgs};
use crate::runner::{decoded, distribute, probabilities, rgb, threads};
use anyhow::{Result, ensure};
use mobilenet::quantize::Calibration;
use mobilenet::{Classifier, LayerWeights, Precision, Selection, Weights};
use mobilenet_formats::safetensors::{Storage, write};
use std::path::{Path, PathBuf};

/// Arguments of `quantize`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Network to quantize, in any format.
    input: PathBuf,
    /// Native int8 file to write.
    output: PathBuf,
    /// Images like those that the network will see: a folder, a tar or a tar.gz. Their classes do not matter.
    #[arg(long, value_name = "DIR")]
    calibrate: PathBuf,
    /// Most images to use, evenly spaced.
    #[arg(long, alias = "pictures", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_images: u32,
    #[command(flatten)]
    limits: ImageLimits,
    #[command(flatten)]
    model: ModelArgs,
}

/// What to do about images that cannot be decoded.
const CURE: &str = "repair or remove them and run again";

/// Calibrates, writes, and prints the difference on the same images.
pub fn run(arguments: &Arguments) -> Result<()> {
    files::check_target(&arguments.output)?;
    let model = model::read(&arguments.input, &arguments.model)?;
    let weights = &model.weights;
    ensure!(
        !weights.is_quantized(),
        "{}: must be a float network, got one that is int8 already; `mobilenet convert` keeps its ranges",
        arguments.input.display()
    );
    model::print(&model);
    let images = Images {
        sample: Sample::open(&arguments.calibrate, arguments.max_images as usize)?,
        unreadable: Unreadable::default(),
        limits: arguments.limits,
    };
    let int8 = images.calibrate(weights)?;
    let count = images.sample.len() - images.unreadable.count();
    outln!("ranges of {count} images from {}", arguments.calibrate.display());
    for LayerWeights { name, range, .. } in &int8.layers {
        if let Some(range) = range {
            outln!("  {name:<14} {range:.4}");
        }
    }
    images.print_difference(weights, &int8, &arguments.calibrate)?;
    model::write(&arguments.output, &write(&int8, Storage::F32)?)
}

/// The images to calibrate on.
struct Images {
    sample: Sample,
    unreadable: Unreadable,
    limits: ImageLimits,
}

impl Images {
    fn calibrate(&self, weights: &Weights) -> Result<Weights> {
        let mut calibration = Calibration::new(weights)?;
        self.sample.batches(|batch| {
            for (index, image) in batch {
                if let Some(pixels) = decoded(*index, image, self.limits, &self.unreadable) {
                    calibration.add(&rgb(&image.name, &pixels, weights)?)?;
                }
            }
            Ok(())
        })?;
        self.unreadable.check(self.sample.len(), CURE)?;
        Ok(calibration.finish()?)
    }

    /// Prints how far the int8 network is from the float one.
    fn print_difference(&self, weights: &Weights, int8: &Weights, folder: &Path) -> Result<()> {
        let pair =
            || Ok([Classifier::new(weights, Precision::F32)?, Classifier::new(int8, Precision::Int8)?]);
        let mut workers: Vec<[Classifier; 2]> = (0..threads()).map(|_| pair()).collect::<Result<_>>()?;
        let top = Selection::top(1);
        let (mut count, mut same, mut sum) = (0, 0, 0.0);
        self.sample.batches(|batch| {
            let differences = distribute(&mut workers, batch, |[float, int8], (index, image)| {
                let Some(pixels) = decoded(*index, image, self.limits, &self.unreadable) else {
                    return Ok(None);
                };
                let float = probabilities(float, &image.name, &pixels)?;
                let int8 = probabilities(int8, &image.name, &pixels)?;
                let difference: f64 = float.iter().zip(int8).map(|(a, b)| f64::from((a - b).abs())).sum();
                let same = top.pick(float)?[0].index == top.pick(int8)?[0].index;
                Ok(Some((same, difference / float.len() as f64)))
            })?;
            for (agrees, difference) in differences.into_iter().flatten() {
                (count, same, sum) = (count + 1, same + usize::from(agrees), sum + difference);
            }
            Ok(())
        })?;
        let mean = sum / count as f64;
        outln!("same top-1 {same} of {count} in {}, mean difference {mean:.2e}", folder.display());
        Ok(())
    }
}
