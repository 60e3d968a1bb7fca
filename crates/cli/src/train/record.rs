//! What a run leaves on disk: the checkpoint (written aside, then renamed), the log as CSV, the curves as SVG, and the
//! network. All in one folder.

use crate::disk::replace;
use anyhow::{Context, bail};
use mobilenet::Weights;
use mobilenet_formats::safetensors::{Storage, write};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub epoch: u64,
    pub resolution: usize,
    pub rate: f64,
    pub loss: f64,
    pub accuracy: f64,
    /// Loss, top-1 and top-5 on the validation set, where it was asked.
    pub validation: Option<[f64; 3]>,
    pub images_per_second: f64,
    pub seconds: f64,
}

/// The folder.
pub struct Record {
    folder: PathBuf,
    resume: bool,
}

const HEAD: &str = "epoch,resolution,rate,loss,accuracy,validation_loss,validation_top1,validation_top5,images_per_second,seconds";

impl Record {
    /// Makes the folder. A run that is there already is only touched where it is to go on.
    pub fn open(folder: &Path, resume: bool) -> anyhow::Result<Self> {
        let record = Self { folder: folder.into(), resume };
        let there = record.path("checkpoint").exists();
        if there && !resume {
            bail!("{} holds a run already; go on with --resume, or take another --output", folder.display());
        }
        if !there && resume {
            bail!("{} holds no checkpoint to resume from", folder.display());
        }
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(record)
    }

    /// Goes on where the folder holds a run, and begins one where it does not.
    pub fn proceed(folder: &Path) -> anyhow::Result<Self> {
        let record = Self { folder: folder.into(), resume: false };
        Self::open(folder, record.path("checkpoint").exists())
    }

    fn path(&self, what: &str) -> PathBuf {
        self.folder.join(match what {
            "checkpoint" => "checkpoint.safetensors",
            "network" => "network.safetensors",
            "log" => "log.csv",
            _ => "curve.svg",
        })
    }

    /// The checkpoint to go on from, if that was asked for.
    pub fn checkpoint(&self) -> anyhow::Result<Option<(PathBuf, Vec<u8>)>> {
        if !self.resume {
            return Ok(None);
        }
        let path = self.path("checkpoint");
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(Some((path, bytes)))
    }

    /// Replaces a file of the run; where that fails, the last checkpoint is what to go on from.
    fn replace(&self, what: &str, bytes: &[u8]) -> anyhow::Result<()> {
        replace(&self.path(what), bytes).map_err(|error| match self.path("checkpoint").exists() {
            true => anyhow::anyhow!("{error:#}, with --resume"),
            false => error,
        })
    }

    /// Replaces the checkpoint.
    pub fn keep(&self, checkpoint: &[u8]) -> anyhow::Result<()> {
        self.replace("checkpoint", checkpoint)
    }

    /// Writes the network for `convert`, `eval` and the class.
    pub fn network(&self, weights: &Weights) -> anyhow::Result<()> {
        self.replace("network", &write(weights, Storage::F32)?)
    }

    /// Writes log and curves anew.
    pub fn lines(&self, lines: &[Line]) -> anyhow::Result<()> {
        let mut text = format!("{HEAD}\n");
        for line in lines {
            let validation = match line.validation {
                Some([loss, first, five]) => format!("{loss:.4},{first:.4},{five:.4}"),
                None => ",,".into(),
            };
            let Line { epoch, resolution, rate, loss, accuracy, images_per_second, seconds, .. } = line;
            text += &format!(
                "{epoch},{resolution},{rate:.6},{loss:.4},{accuracy:.4},{validation},{images_per_second:.0},{seconds:.1}\n"
            );
        }
        self.replace("log", text.as_bytes())?;
        let curve = curve(lines).map_err(|error| anyhow::anyhow!("the curve cannot be drawn: {error}"))?;
        self.replace("curve", curve.as_bytes())
    }
}

/// Loss on the left, accuracy on the right, over the epochs.
fn curve(lines: &[Line]) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (960, 360)).into_drawing_area();
        root.fill(&WHITE)?;
        let halves = root.split_evenly((1, 2));
        let last = lines.last().map_or(1.0, |line| line.epoch as f64);
        let validated = || lines.iter().filter_map(|line| Some((line.epoch as f64, line.validation?)));
        let top =
            lines.iter().map(|line| line.loss).chain(validated().map(|(_, v)| v[0])).fold(0.1, f64::max);
        type Series = (&'static str, RGBColor, Vec<(f64, f64)>);
        let losses: Vec<Series> = vec![
            ("training", BLUE, lines.iter().map(|line| (line.epoch as f64, line.loss)).collect()),
            ("validation", RED, validated().map(|(epoch, v)| (epoch, v[0])).collect()),
        ];
        let percents: Vec<Series> = vec![
            ("training", BLUE, lines.iter().map(|line| (line.epoch as f64, 100.0 * line.accuracy)).collect()),
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
