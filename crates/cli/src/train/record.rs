//! What a run writes: the checkpoint, the log as CSV, the curves as SVG, and the network, in one folder.

use crate::files::{self, FileLock, MODEL_LIMIT, explain, replace};
use anyhow::{Result, anyhow, ensure};
use mobilenet::Weights;
use mobilenet_formats::safetensors::{Storage, write};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Results of an epoch. The names in checkpoints are those of 0.1.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    pub epoch: u64,
    pub resolution: usize,
    /// Learning rate at its start.
    #[serde(rename = "rate")]
    pub lr: f64,
    pub loss: f64,
    pub accuracy: f64,
    /// Loss, top-1 and top-5 on the validation set, if it was validated.
    pub validation: Option<[f64; 3]>,
    pub images_per_second: f64,
    pub seconds: f64,
}

/// The folder of a run. One run at a time writes to it.
pub struct Record {
    folder: PathBuf,
    resume: bool,
    _lock: FileLock,
}

const HEAD: &str = "epoch,resolution,rate,loss,accuracy,validation_loss,validation_top1,validation_top5,images_per_second,seconds";

/// A checkpoint is the network and five times as much beside it.
const CHECKPOINT_LIMIT: u64 = 6 * MODEL_LIMIT;

const CHECKPOINT: &str = "checkpoint.safetensors";

impl Record {
    /// Creates the folder. A run that is there is only changed if it is to `resume`.
    pub fn open(folder: &Path, resume: bool) -> Result<Self> {
        Self::check(folder, resume)?;
        let lock = Self::lock(folder)?;
        // The run that held the lock may have begun in between.
        Self::check(folder, resume)?;
        Ok(Self { folder: folder.into(), resume, _lock: lock })
    }

    /// Resumes the run in the folder, or starts one if there is none.
    pub fn proceed(folder: &Path) -> Result<Self> {
        let lock = Self::lock(folder)?;
        let resume = folder.join(CHECKPOINT).exists();
        Ok(Self { folder: folder.into(), resume, _lock: lock })
    }

    fn check(folder: &Path, resume: bool) -> Result<()> {
        let there = folder.join(CHECKPOINT).exists();
        let folder = folder.display();
        ensure!(
            resume || !there,
            "{folder}: must not hold a run, got one; continue with --resume or choose another --output"
        );
        ensure!(there || !resume, "{folder}: must hold a run, got no checkpoint to resume from");
        Ok(())
    }

    fn lock(folder: &Path) -> Result<FileLock> {
        std::fs::create_dir_all(folder)
            .map_err(|error| anyhow!(explain(folder, "must be a folder or not exist", &error)))?;
        FileLock::acquire(
            folder.join(".train.lock"),
            "trains there",
            "wait for it or choose another --output",
        )
    }

    /// The checkpoint to resume from, and its path.
    pub fn checkpoint(&self) -> Result<Option<(PathBuf, Vec<u8>)>> {
        if !self.resume {
            return Ok(None);
        }
        let path = self.folder.join(CHECKPOINT);
        let bytes = files::read(&path, CHECKPOINT_LIMIT)?;
        Ok(Some((path, bytes)))
    }

    /// Replaces a file of the run. If that fails, the error says that the last checkpoint can be resumed.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let resumable = self.folder.join(CHECKPOINT).exists();
        let cure = if resumable { "; continue with --resume" } else { "" };
        replace(&self.folder.join(name), bytes).map_err(|error| anyhow!("{error:#}{cure}"))
    }

    /// Replaces the checkpoint.
    pub fn keep(&self, checkpoint: &[u8]) -> Result<()> {
        self.replace(CHECKPOINT, checkpoint)
    }

    /// Writes the network.
    pub fn network(&self, weights: &Weights) -> Result<()> {
        self.replace("network.safetensors", &write(weights, Storage::F32)?)
    }

    /// Writes log and curves.
    pub fn log(&self, epochs: &[EpochMetrics]) -> Result<()> {
        let mut text = format!("{HEAD}\n");
        for metrics in epochs {
            let validation = match metrics.validation {
                Some([loss, first, five]) => format!("{loss:.4},{first:.4},{five:.4}"),
                None => ",,".into(),
            };
            let EpochMetrics { epoch, resolution, lr, loss, accuracy, images_per_second, seconds, .. } =
                metrics;
            text += &format!(
                "{epoch},{resolution},{lr:.6},{loss:.4},{accuracy:.4},{validation},{images_per_second:.0},{seconds:.1}\n"
            );
        }
        self.replace("log.csv", text.as_bytes())?;
        let curve = curve(epochs).map_err(|error| anyhow!("curve.svg: cannot be drawn: {error}"))?;
        self.replace("curve.svg", curve.as_bytes())
    }
}

/// Loss on the left, accuracy on the right, over the epochs.
fn curve(epochs: &[EpochMetrics]) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (960, 360)).into_drawing_area();
        root.fill(&WHITE)?;
        let halves = root.split_evenly((1, 2));
        let last = epochs.last().map_or(1.0, |metrics| metrics.epoch as f64);
        let validated =
            || epochs.iter().filter_map(|metrics| Some((metrics.epoch as f64, metrics.validation?)));
        let trained = |value: fn(&EpochMetrics) -> f64| {
            epochs.iter().map(|metrics| (metrics.epoch as f64, value(metrics))).collect::<Vec<_>>()
        };
        let losses = epochs.iter().map(|metrics| metrics.loss).chain(validated().map(|(_, v)| v[0]));
        let top = losses.fold(0.1, f64::max);
        type Series = (&'static str, RGBColor, Vec<(f64, f64)>);
        let losses: Vec<Series> = vec![
            ("training", BLUE, trained(|metrics| metrics.loss)),
            ("validation", RED, validated().map(|(epoch, v)| (epoch, v[0])).collect()),
        ];
        let percents: Vec<Series> = vec![
            ("training", BLUE, trained(|metrics| 100.0 * metrics.accuracy)),
            ("validation top-1", RED, validated().map(|(epoch, v)| (epoch, 100.0 * v[1])).collect()),
            ("validation top-5", GREEN, validated().map(|(epoch, v)| (epoch, 100.0 * v[2])).collect()),
        ];
        let charts = [("loss (nats)", 1.05 * top, losses), ("accuracy (%)", 100.0, percents)];
        for (area, (title, top, series)) in halves.iter().zip(charts) {
            let mut chart = ChartBuilder::on(area)
                .caption(title, ("sans-serif", 18))
                .margin(10)
                .x_label_area_size(30)
                .y_label_area_size(40)
                .build_cartesian_2d(0.0..last.max(1.0), 0.0..top)?;
            chart.configure_mesh().x_desc("epoch").light_line_style(WHITE).draw()?;
            for (name, color, points) in series {
                let line = LineSeries::new(points, &color);
                let legend = move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color);
                chart.draw_series(line)?.label(name).legend(legend);
            }
            chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
        }
        root.present()?;
    }
    Ok(svg)
}
