//! Model files: reading them with what the caller knows, printing what was found, writing them.

use crate::console::outln;
use crate::files::{self, MODEL_LIMIT};
use crate::words::words;
use anyhow::{Context, Result, bail};
use clap::Args;
use mobilenet::architecture::Normalization;
use mobilenet_formats::{self as formats, LoadedModel, ModelOptions, ModelSource, Origin, Property};
use mobilenet_kernels::shape::{Activation, Padding};
use std::path::{Path, PathBuf};

/// A class of a labels file.
pub struct LabelLine {
    /// The folder with the class's images, if the file names one.
    pub folder: Option<String>,
    /// Name of the class.
    pub label: String,
}

/// Reads a labels file in any form of [`formats::labels`].
pub fn label_lines(path: &Path) -> Result<Vec<LabelLine>> {
    let bytes = files::read(path, files::TEXT_LIMIT)?;
    let labels = formats::labels::parse(&bytes).with_context(|| path.display().to_string())?;
    Ok(labels.into_iter().map(|label| LabelLine { folder: label.folder, label: label.name }).collect())
}

/// Properties of a network that its file may lack. Normalization, resolution and labels override the file, the others
/// complete it.
#[derive(Args, Default)]
pub struct ModelArgs {
    /// Padding of the convolutions, if the file does not say: TensorFlow's `same`, PyTorch's `symmetric` or Keras' own,
    /// `keras`, which differs from `same` at resolutions that are no multiple of 32.
    #[arg(long, value_parser = words::<Padding>(|_| true))]
    padding: Option<Padding>,
    /// Activation after each convolution, if the file does not say.
    #[arg(long, value_parser = words::<Activation>(|value| *value != Activation::None))]
    activation: Option<Activation>,
    /// Batch normalization's epsilon, if the file does not say.
    #[arg(long)]
    epsilon: Option<f64>,
    /// Input normalization in units of a byte, instead of the file's: 127.5,127.5 is x/127.5 - 1.
    #[arg(long, alias = "normalisation", value_name = "MEAN,DEVIATION", value_parser = normalization)]
    normalization: Option<Normalization>,
    /// Input resolution in pixels, instead of the file's.
    #[arg(long)]
    resolution: Option<usize>,
    /// Whether class 0 is the background, if the file does not say.
    #[arg(long)]
    background: Option<bool>,
    /// File of labels instead of the network's: a label per line, numbered or not, JSON, or CSV with a header;
    /// `folder<tab>label` also names the folders of images.
    #[arg(long)]
    labels: Option<PathBuf>,
}

impl ModelArgs {
    /// Only a resolution other than the file's.
    pub fn at(resolution: Option<usize>) -> Self {
        Self { resolution, ..Self::default() }
    }

    /// These properties, and `others` where these are absent.
    pub fn options_with(&self, others: ModelOptions) -> Result<ModelOptions> {
        let own = self.options()?;
        Ok(ModelOptions {
            padding: own.padding.or(others.padding),
            activation: own.activation.or(others.activation),
            epsilon: own.epsilon.or(others.epsilon),
            normalization: own.normalization.or(others.normalization),
            resolution: own.resolution.or(others.resolution),
            background: own.background.or(others.background),
            labels: own.labels.or(others.labels),
        })
    }

    /// The folder of each class, in order, if each line of the labels file names one.
    pub fn folders(&self) -> Result<Vec<String>> {
        let lines = self.lines()?.unwrap_or_default();
        Ok(lines.into_iter().map(|line| line.folder).collect::<Option<_>>().unwrap_or_default())
    }

    fn lines(&self) -> Result<Option<Vec<LabelLine>>> {
        self.labels.as_deref().map(label_lines).transpose()
    }

    fn options(&self) -> Result<ModelOptions> {
        let labels = self.lines()?.map(|lines| lines.into_iter().map(|line| line.label).collect());
        Ok(ModelOptions {
            padding: self.padding,
            activation: self.activation,
            epsilon: self.epsilon,
            normalization: self.normalization,
            resolution: self.resolution,
            background: self.background,
            labels,
        })
    }
}

fn normalization(text: &str) -> Result<Normalization, &'static str> {
    match text.split_once(',').map(|(mean, deviation)| (mean.trim().parse(), deviation.trim().parse())) {
        Some((Ok(mean), Ok(deviation))) => Ok(Normalization::uniform(mean, deviation)),
        _ => Err("must be MEAN,DEVIATION, as in 127.5,127.5"),
    }
}

/// Reads the network at `path`, and the files in its folder that it refers to.
pub fn read(path: &Path, args: &ModelArgs) -> Result<LoadedModel> {
    let name = || path.display().to_string();
    let bytes = files::read(path, MODEL_LIMIT)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut companions = Vec::new();
    for companion in formats::companion_files(&bytes).with_context(name)? {
        check_companion(path, &companion)?;
        let bytes = files::read(&folder.join(&companion), MODEL_LIMIT)?;
        companions.push((companion, bytes));
    }
    read_bytes(&bytes, &companions, &args.options()?).with_context(name)
}

/// Reads a network from its bytes and those of the files that it refers to.
pub fn read_bytes(
    bytes: &[u8],
    companions: &[(String, Vec<u8>)],
    options: &ModelOptions,
) -> Result<LoadedModel> {
    let companions: Vec<(&str, &[u8])> =
        companions.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    Ok(formats::read_source(&ModelSource { bytes, companions: &companions }, options)?)
}

/// Refuses a file that refers to another outside of its folder.
pub fn check_companion(path: &Path, companion: &str) -> Result<()> {
    if Path::new(companion).components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
        let path = path.display();
        bail!(
            "{path}: must refer to files in its own folder, got `{companion}`, which is outside its folder"
        );
    }
    Ok(())
}

/// Where a property comes from, in words.
pub fn describe(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "from the file",
        Origin::Caller => "as given",
        Origin::Default => "the format's default, assumed",
    }
}

/// Prints what was read, and where each property comes from.
pub fn print(model: &LoadedModel) {
    let architecture = &model.weights.architecture;
    outln!("{}: width {}, {} classes", model.format.name(), architecture.alpha, architecture.classes);
    for Property { name, value, origin } in &model.properties {
        outln!("  {name:<14} {value} ({})", describe(*origin));
    }
}

/// Writes a model file and prints its size.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace(path, bytes)?;
    outln!("{}: {} bytes", path.display(), bytes.len());
    Ok(())
}
