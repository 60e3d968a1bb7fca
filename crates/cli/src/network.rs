//! Networks on disk: reading them with what the caller knows, saying what was found, writing them.

use crate::disk::replace;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use mobilenet::architecture::Normalization;
use mobilenet_formats::{self as formats, LoadedModel, ModelOptions, ModelSource, Origin, Property};
use mobilenet_kernels::shape::{Activation, Padding};
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, ValueEnum)]
enum PaddingName {
    Same,
    Symmetric,
}

#[derive(Clone, Copy, ValueEnum)]
enum ActivationName {
    Relu,
    Relu6,
}

/// A line of a labels' file: `label`, or the folder that a class has before it, `folder<tab>label`.
pub struct LabelLine {
    /// The class's folder, where the line says one.
    pub folder: Option<String>,
    /// What the class is called.
    pub label: String,
}

/// A labels' file, line by line.
pub fn label_lines(path: &Path) -> anyhow::Result<Vec<LabelLine>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let split = |line: &str| match line.split_once('\t') {
        Some((folder, label)) => LabelLine { folder: Some(folder.trim().into()), label: label.trim().into() },
        None => LabelLine { folder: None, label: line.into() },
    };
    Ok(lines.map(split).collect())
}

/// What the caller knows of a network, used where its file is silent; a resolution and labels are chosen, and count before
/// the file's own.
#[derive(Args, Default)]
pub struct Known {
    /// How convolutions meet the border, where the file does not say: same (TensorFlow) or symmetric (PyTorch).
    #[arg(long)]
    padding: Option<PaddingName>,
    /// What follows every convolution, where the file does not say.
    #[arg(long)]
    activation: Option<ActivationName>,
    /// Batch norm's epsilon, where the file does not say.
    #[arg(long)]
    epsilon: Option<f64>,
    /// MEAN,DEVIATION in units of a byte, where the file does not say: 127.5,127.5 is x/127.5 - 1.
    #[arg(long)]
    normalization: Option<String>,
    /// Side of the input in pixels, instead of the file's own.
    #[arg(long)]
    resolution: Option<usize>,
    /// Whether class 0 means "none of them", where the file does not say.
    #[arg(long)]
    background: Option<bool>,
    /// A file with one label a line instead of the network's own, or `folder<tab>label` for pictures in folders of other names.
    #[arg(long)]
    labels: Option<PathBuf>,
}

impl Known {
    /// Nothing but a resolution other than the file's own.
    pub fn at(resolution: Option<usize>) -> Self {
        Self { resolution, ..Self::default() }
    }

    /// These, and where they are silent `others`.
    pub fn options_with(&self, others: ModelOptions) -> anyhow::Result<ModelOptions> {
        let mine = self.options()?;
        Ok(ModelOptions {
            padding: mine.padding.or(others.padding),
            activation: mine.activation.or(others.activation),
            epsilon: mine.epsilon.or(others.epsilon),
            normalization: mine.normalization.or(others.normalization),
            resolution: mine.resolution.or(others.resolution),
            background: mine.background.or(others.background),
            labels: mine.labels.or(others.labels),
        })
    }

    /// Every class's folder, in their order, where each line of the labels' file says one.
    pub fn folders(&self) -> anyhow::Result<Vec<String>> {
        let lines = self.lines()?.unwrap_or_default();
        Ok(lines.into_iter().map(|line| line.folder).collect::<Option<_>>().unwrap_or_default())
    }

    /// What the labels' file says, if there is one.
    fn lines(&self) -> anyhow::Result<Option<Vec<LabelLine>>> {
        self.labels.as_deref().map(label_lines).transpose()
    }

    fn options(&self) -> anyhow::Result<ModelOptions> {
        let labels = self.lines()?.map(|lines| lines.into_iter().map(|line| line.label).collect());
        Ok(ModelOptions {
            padding: self.padding.map(|name| match name {
                PaddingName::Same => Padding::Same,
                PaddingName::Symmetric => Padding::Symmetric,
            }),
            activation: self.activation.map(|name| match name {
                ActivationName::Relu => Activation::Relu,
                ActivationName::Relu6 => Activation::Relu6,
            }),
            epsilon: self.epsilon,
            normalization: self.normalization.as_deref().map(normalization).transpose()?,
            resolution: self.resolution,
            background: self.background,
            labels,
        })
    }
}

fn normalization(text: &str) -> anyhow::Result<Normalization> {
    match text.split_once(',').map(|(mean, deviation)| (mean.trim().parse(), deviation.trim().parse())) {
        Some((Ok(mean), Ok(deviation))) => Ok(Normalization::uniform(mean, deviation)),
        _ => bail!("--normalization is `{text}`, and must be MEAN,DEVIATION, as in 127.5,127.5"),
    }
}

/// Reads the network in `path` and the files beside it that it refers to.
pub fn read(path: &Path, known: &Known) -> anyhow::Result<LoadedModel> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).with_context(name)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut beside = Vec::new();
    for part in formats::companion_files(&bytes).with_context(name)? {
        check_beside(path, &part)?;
        let bytes = std::fs::read(folder.join(&part)).with_context(|| part.clone())?;
        beside.push((part, bytes));
    }
    read_bytes(&bytes, &beside, &known.options()?).with_context(name)
}

/// Reads a network whose bytes, and those of the files that it refers to, are there already.
pub fn read_bytes(
    bytes: &[u8],
    beside: &[(String, Vec<u8>)],
    options: &ModelOptions,
) -> anyhow::Result<LoadedModel> {
    let beside: Vec<(&str, &[u8])> =
        beside.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    Ok(formats::read_source(&ModelSource { bytes, companions: &beside }, options)?)
}

/// A file may only refer to its own folder.
pub fn check_beside(path: &Path, part: &str) -> anyhow::Result<()> {
    if Path::new(part).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        bail!("{} refers to `{part}`, which is outside its folder", path.display());
    }
    Ok(())
}

/// Who said so, as a person reads it.
pub fn describe(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "the file says so",
        Origin::Caller => "as asked",
        Origin::Default => "the format's habit, for nobody said",
    }
}

/// What was read, and who said what of it.
pub fn print(reading: &LoadedModel) {
    let architecture = &reading.weights.architecture;
    println!("{}: width {}, {} classes", reading.format.name(), architecture.alpha, architecture.classes);
    for Property { name, value, origin } in &reading.properties {
        println!("  {name:<14} {value} ({})", describe(*origin));
    }
}

/// Writes a network's file and says how large it is.
pub fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    replace(path, bytes)?;
    println!("{}: {} bytes", path.display(), bytes.len());
    Ok(())
}
