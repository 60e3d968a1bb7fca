//! Keras' files: HDF5 (weights only or the whole model, Keras 2 and 3) and the `.keras` zip of Keras 3.
//!
//! Goes in: the bytes. Comes out: tensors under Keras' layer names for [`naming`], and what the model's
//! configuration says of padding, activation, epsilon and size. Where there is a configuration it is believed, not
//! the names: it tells which layer is which by their order. Native only; a page reads what `convert` wrote.

mod config;

use super::{Data, Format, LoadedModel, ModelOptions, ModelSource, Tensor, Tensors, naming};
use config::{Config, LayerRole};
use hdf5_pure::{AttrValue, File, Group};
use mobilenet::{Error, Result};
use std::collections::HashMap;
use std::io::Read;

const H5: &str = "Keras HDF5";
const ZIP: &str = "Keras 3";

/// Groups within groups, and datasets in all, that a model may have: HDF5's links may run in circles.
const MAX_DEPTH: usize = 10;
const MAX_DATASETS: usize = 4096;

/// Reads an `.h5` file, weights only or a whole model.
///
/// # Errors
/// Where the file is damaged, or its layers are no MobileNet v1.
pub fn read_h5(source: &ModelSource, options: &ModelOptions) -> Result<LoadedModel> {
    let file = open(source.bytes.to_vec(), H5)?;
    let config = root_config(&file)?;
    let datasets = Datasets::of(&file, H5)?;
    finish(datasets, config, Format::KerasH5, options)
}

/// Reads a `.keras` file: the configuration and the HDF5 file of weights inside a zip.
///
/// # Errors
/// As [`read_h5`]; also where the zip lacks one of the two.
pub fn read_zip(source: &ModelSource, options: &ModelOptions) -> Result<LoadedModel> {
    let refuse =
        |error: zip::result::ZipError| Error::format(ZIP, format!("the zip cannot be read: {error}"));
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(source.bytes)).map_err(refuse)?;
    // Deflate packs at most a thousandfold; a network's weights hardly at all.
    let limit = 2 * source.bytes.len() as u64 + (8 << 20);
    let mut entry = |name: &str| -> Result<Vec<u8>> {
        let entry = archive.by_name(name).map_err(|_| {
            Error::format(ZIP, format!("the zip has no `{name}`, so it is no model saved by Keras 3"))
        })?;
        let mut bytes = Vec::new();
        let read = entry.take(limit + 1).read_to_end(&mut bytes);
        match read {
            Ok(length) if length as u64 <= limit => Ok(bytes),
            Ok(_) => Err(Error::format(ZIP, format!("`{name}` unpacks to more than {limit} bytes"))),
            Err(error) => Err(Error::format(ZIP, format!("`{name}` is damaged: {error}"))),
        }
    };
    let config = Config::parse(&entry("config.json")?)?;
    let file = open(entry("model.weights.h5")?, ZIP)?;
    let datasets = Datasets::of(&file, ZIP)?;
    finish(datasets, Some(config), Format::KerasZip, options)
}

fn open(bytes: Vec<u8>, format: &'static str) -> Result<File> {
    File::from_bytes(bytes)
        .map_err(|error| Error::format(format, format!("the HDF5 file is damaged or cut off: {error}")))
}

/// The configuration that a whole model carries in an attribute; `None` for weights alone.
fn root_config(file: &File) -> Result<Option<Config>> {
    let attributes = file.root().attrs().map_err(|error| Error::format(H5, error.to_string()))?;
    let Some(attribute) = attributes.get("model_config") else { return Ok(None) };
    let text = match attribute {
        AttrValue::String(text)
        | AttrValue::AsciiString(text)
        | AttrValue::VarLenString(text)
        | AttrValue::VarLenAsciiString(text) => Some(text),
        AttrValue::StringArray(texts)
        | AttrValue::AsciiStringArray(texts)
        | AttrValue::VarLenAsciiCharArray(texts)
        | AttrValue::VarLenAsciiStringArray(texts)
        | AttrValue::VarLenStringArray(texts) => texts.first(),
        AttrValue::StringSized { value, .. } | AttrValue::AsciiStringSized { value, .. } => Some(value),
        _ => None,
    };
    let text = text.ok_or_else(|| Error::format(H5, "the attribute `model_config` is no text"))?;
    Config::parse(text.as_bytes()).map(Some)
}

/// Every dataset of a file by its path, the optimizer's left out.
struct Datasets {
    by_path: Vec<(Vec<String>, Vec<usize>, Vec<f32>)>,
}

impl Datasets {
    fn of(file: &File, format: &'static str) -> Result<Self> {
        let mut datasets = Self { by_path: Vec::new() };
        // Compressed datasets may be larger than the file, and a lying one must not eat the memory.
        let mut budget = 2 * file.file_size() + (32 << 20);
        datasets.walk(&file.root(), &mut Vec::new(), &mut budget, format)?;
        Ok(datasets)
    }

    fn walk(
        &mut self,
        group: &Group,
        path: &mut Vec<String>,
        budget: &mut u64,
        format: &'static str,
    ) -> Result<()> {
        let at = path.join("/");
        let refuse = |error: hdf5_pure::Error| {
            Error::format(
                format,
                format!("group `/{at}` cannot be read, the file is damaged or cut off: {error}"),
            )
        };
        if path.len() > MAX_DEPTH {
            return Err(Error::format(format, format!("group `/{at}` lies too deep for a Keras model")));
        }
        for name in group.datasets().map_err(refuse)? {
            let full = path.iter().chain([&name]).cloned().collect::<Vec<_>>();
            if self.by_path.len() == MAX_DATASETS {
                return Err(Error::format(
                    format,
                    format!("more than {MAX_DATASETS} datasets are no MobileNet"),
                ));
            }
            let (shape, values) = read_dataset(group, &name, budget).map_err(|problem| {
                Error::format(format, format!("dataset `/{}`: {problem}", full.join("/")))
            })?;
            self.by_path.push((full, shape, values));
        }
        for name in group.groups().map_err(refuse)? {
            if is_bookkeeping(&name) {
                continue;
            }
            let inner = group.group(&name).map_err(refuse)?;
            path.push(name);
            self.walk(&inner, path, budget, format)?;
            path.pop();
        }
        Ok(())
    }

    /// Whether this is the layout of Keras 3: variables numbered in a group `vars`.
    fn numbered(&self) -> bool {
        self.by_path.iter().any(|(path, _, _)| path.iter().rev().nth(1).is_some_and(|group| group == "vars"))
    }
}

/// What belongs to training, not to the network.
fn is_bookkeeping(group: &str) -> bool {
    group.starts_with("optimizer") || group == "top_level_model_weights" || group == "metrics"
}

/// Shape and values of one dataset, its size checked before it is read.
fn read_dataset(
    group: &Group,
    name: &str,
    budget: &mut u64,
) -> std::result::Result<(Vec<usize>, Vec<f32>), String> {
    let text = |error: hdf5_pure::Error| error.to_string();
    let dataset = group.dataset(name).map_err(text)?;
    let shape = dataset.shape().map_err(text)?;
    let size = dataset.element_size().map_err(text)?.max(4);
    let bytes = shape.iter().try_fold(size, |product, &axis| product.checked_mul(axis));
    match bytes.and_then(|bytes| budget.checked_sub(bytes)) {
        Some(left) => *budget = left,
        None => return Err(format!("its shape {shape:?} holds more than the file can")),
    }
    let values = dataset.read_f32().map_err(text)?;
    Ok((shape.into_iter().map(|axis| axis as usize).collect(), values))
}

/// Names the tensors by what their layers do and hands them to `naming`.
fn finish(
    datasets: Datasets,
    config: Option<Config>,
    format: Format,
    options: &ModelOptions,
) -> Result<LoadedModel> {
    let said = config.as_ref().map(|config| config.options.clone()).unwrap_or_default();
    let named = if datasets.numbered() {
        by_number(datasets, config.as_ref().map(|config| config.roles.clone()), format)?
    } else {
        by_name(datasets, config.as_ref())?
    };
    if let Some(config) = &config {
        config.check_against(options)?;
    }
    naming::read(named, format, said, options)
}

/// The older layout: `conv1/conv1/kernel:0`, whatever models and scopes stand in front.
fn by_name(datasets: Datasets, config: Option<&Config>) -> Result<Tensors<'static>> {
    let mut names: HashMap<&str, String> = HashMap::new();
    for role in config.iter().flat_map(|config| &config.roles) {
        names.insert(&role.name, role.canonical.clone());
    }
    let mut tensors = Tensors::default();
    for (path, shape, values) in datasets.by_path {
        let variable = path.last().map_or("", |name| name.strip_suffix(":0").unwrap_or(name));
        let scopes = &path[..path.len().saturating_sub(1)];
        // The configuration's name is somewhere among the scopes; without one the last scope is the layer.
        let known = scopes.iter().rev().find_map(|scope| names.get(scope.as_str()).cloned());
        let layer = known.or_else(|| scopes.last().cloned()).unwrap_or_default();
        let name = format!("{layer}/{variable}");
        let tensor = Tensor::new(&name, shape, Data::F32(values))?;
        tensors.insert(name, tensor)?;
    }
    Ok(tensors)
}

/// The layout of Keras 3: `layers/conv2d_1/vars/0`, layers named by themselves or counted by their class.
fn by_number(datasets: Datasets, roles: Option<Vec<LayerRole>>, format: Format) -> Result<Tensors<'static>> {
    let roles = roles.unwrap_or_else(config::usual_roles);
    // `…/GROUP/vars/N`: by the layer's group and the variable's number.
    let mut variables: HashMap<(String, usize), (Vec<usize>, Vec<f32>)> = HashMap::new();
    for (path, shape, values) in datasets.by_path {
        let [.., group, vars, number] = path.as_slice() else { continue };
        if let (true, Ok(number)) = (vars == "vars", number.parse()) {
            variables.insert((group.clone(), number), (shape, values));
        }
    }
    let by_own_name = roles.iter().all(|role| variables.contains_key(&(role.name.clone(), 0)));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut tensors = Tensors::default();
    for role in &roles {
        let count = counts.entry(&role.class).or_default();
        let group = match (by_own_name, *count) {
            (true, _) => role.name.clone(),
            (false, 0) => role.class.clone(),
            (false, count) => format!("{}_{count}", role.class),
        };
        *count += 1;
        for (number, part) in role.parts.iter().enumerate() {
            let name = format!("{}/{part}", role.canonical);
            let (shape, values) = variables.remove(&(group.clone(), number)).ok_or_else(|| {
                let hint = format!("the file has no `{group}/vars/{number}` for layer `{}`", role.name);
                Error::missing_tensor(&name, &hint)
            })?;
            let tensor = Tensor::new(&name, shape, Data::F32(values))?;
            tensors.insert(name, tensor)?;
        }
    }
    match variables.keys().min() {
        Some((group, number)) => {
            let problem = format!("{}: `{group}/vars/{number}` belongs to no layer of it", format.name());
            Err(Error::not_mobilenet(problem))
        }
        None => Ok(tensors),
    }
}
