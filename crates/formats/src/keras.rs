//! Keras' files: HDF5 (weights only or the whole model, Keras 2 and 3) and the `.keras` zip of Keras 3.
//!
//! A file with a configuration is read layer by layer, as TF.js' layers models are (`crate::layers`); one of weights alone
//! by its names ([`naming`]), or, where Keras 3 numbered the layers, by their order. Native only; a page reads what
//! `convert` wrote.

use super::graph::{Constant, Element, matcher};
use super::layers::{LayerSource, Place, Reader};
use super::{Data, Format, LoadedModel, ModelOptions, ModelSource, Tensor, Tensors, naming};
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
    finish(datasets, config.as_deref(), Format::KerasH5, source.bytes.len(), options)
}

/// Reads a `.keras` file: the configuration and the HDF5 file of weights inside a zip.
///
/// # Errors
/// As [`read_h5`]; also where the zip lacks one of the two.
pub fn read_zip(source: &ModelSource, options: &ModelOptions) -> Result<LoadedModel> {
    let refuse =
        |error: zip::result::ZipError| Error::format(ZIP, format!("the zip cannot be read: {error}"));
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(source.bytes)).map_err(refuse)?;
    let names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let inside = |end: &str| names.iter().any(|name| name.ends_with(end));
    for (end, what) in [
        ("model.json", "a zip of a TF.js model (Teachable Machine's?); unpack it and load its model.json"),
        (
            "keras_model.h5",
            "a zip of Teachable Machine; unpack it and load its keras_model.h5, with --labels labels.txt",
        ),
        (".tflite", "a zip of a TFLite model; unpack it and load the .tflite file"),
        (
            "saved_model.pb",
            "a zip of a SavedModel; unpack it and convert the folder: python -m tf2onnx.convert \
                            --saved-model FOLDER --output model.onnx",
        ),
        ("Manifest.json", "a Core ML package; convert the model it was made from"),
        (".mlmodel", "a zip of a Core ML model; convert the model it was made from"),
        (
            "data.pkl",
            "a PyTorch pickle, which can run code; save its state_dict as safetensors: \
                      safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")",
        ),
    ] {
        if inside(end) && !inside("model.weights.h5") {
            return Err(Error::format("model file", format!("this is {what}")));
        }
    }
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
    let config = entry("config.json")?;
    let config = model_config(std::str::from_utf8(&config).map_err(|_| no_text(ZIP))?, ZIP)?.to_owned();
    let file = open(entry("model.weights.h5")?, ZIP)?;
    let datasets = Datasets::of(&file, ZIP)?;
    finish(datasets, Some(&config), Format::KerasZip, source.bytes.len(), options)
}

fn open(bytes: Vec<u8>, format: &'static str) -> Result<File> {
    File::from_bytes(bytes)
        .map_err(|error| Error::format(format, format!("the HDF5 file is damaged or cut off: {error}")))
}

/// The configuration that a whole model carries in an attribute; `None` for weights alone.
fn root_config(file: &File) -> Result<Option<String>> {
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
    let text = text.ok_or_else(|| no_text(H5))?;
    model_config(text, H5).map(|config| Some(config.to_owned()))
}

fn no_text(format: &'static str) -> Error {
    Error::format(format, "the model's configuration is no text")
}

/// The layers inside of a model's configuration.
fn model_config<'a>(text: &'a str, format: &'static str) -> Result<&'a str> {
    #[derive(serde::Deserialize)]
    struct Model<'a> {
        #[serde(borrow)]
        config: &'a serde_json::value::RawValue,
    }
    match serde_json::from_str::<Model>(text) {
        Ok(model) => Ok(model.config.get()),
        Err(error) => Err(Error::format(format, format!("the model's configuration: {error}"))),
    }
}

/// Every dataset of a file by its path, the optimizer's left out.
struct Datasets {
    by_path: Vec<Dataset>,
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

/// Reads the layers by the configuration, or weights alone by their names.
fn finish(
    datasets: Datasets,
    config: Option<&str>,
    format: Format,
    bytes: usize,
    options: &ModelOptions,
) -> Result<LoadedModel> {
    if let Some(config) = config {
        let network = Reader::network(format, config, &&datasets, bytes)?;
        return matcher::read(network, options);
    }
    let named = if datasets.numbered() { by_number(datasets, format)? } else { by_name(datasets)? };
    naming::read(named, format, ModelOptions::default(), options)
}

impl<'a> LayerSource<'a> for &'a Datasets {
    /// Older layouts: `…/conv1/…/kernel:0`, with models and scopes around. Keras 3's: `layers/conv1/vars/0`, layers by their
    /// own names or counted by their class.
    fn weight(&self, place: &Place, part: &str, number: usize) -> Result<Option<Constant<'a>>> {
        let datasets: &'a Datasets = self;
        let found = if datasets.numbered() {
            let path = datasets.numbered_path(place);
            let wanted = number.to_string();
            datasets.by_path.iter().find(|(found, ..)| match found.split_last() {
                Some((last, [scopes @ .., vars])) => *last == wanted && vars == "vars" && scopes == path,
                _ => false,
            })
        } else {
            datasets.named(place, part)
        };
        let Some((path, shape, values)) = found else { return Ok(None) };
        let bytes: &'a [u8] = bytemuck::cast_slice(values);
        let element = Element::F32;
        #[cfg(target_endian = "big")]
        compile_error!("values are handed on as little-endian bytes");
        Constant::new(path.join("/"), shape.clone(), element, bytes, None).map(Some)
    }
}

/// A dataset: its path, shape and values.
type Dataset = (Vec<String>, Vec<usize>, Vec<f32>);

impl Datasets {
    /// The variable `part` of a layer by the names in its path: most of the models around it, in the older layouts.
    fn named(&self, place: &Place, part: &str) -> Option<&Dataset> {
        let matches = |(path, ..): &&Dataset| {
            let Some((variable, scopes)) = path.split_last() else { return false };
            variable.strip_suffix(":0").unwrap_or(variable) == part
                && scopes.iter().any(|scope| scope == place.name())
        };
        let around = |(path, ..): &&Dataset| {
            let known = |(name, _): &&(String, String)| path.contains(name);
            // The layer's own name last: a model may be called as a layer inside of it.
            let last = path.iter().rev().nth(1).is_some_and(|scope| scope == place.name());
            (place.names.iter().filter(known).count(), last, std::cmp::Reverse(path.len()))
        };
        self.by_path.iter().filter(matches).max_by_key(around)
    }

    /// The groups above `vars` of a layer.
    fn numbered_path(&self, place: &Place) -> Vec<String> {
        let mut path: Vec<String> = Vec::new();
        let exists = |path: &[String]| self.by_path.iter().any(|(found, ..)| found.starts_with(path));
        for ((name, class), count) in place.names.iter().zip(&place.counts) {
            let class = snake_case(class);
            let counted = if *count == 0 { class } else { format!("{class}_{count}") };
            let with = |last: &str| [&path[..], &["layers".to_owned(), last.to_owned()]].concat();
            let own = with(name);
            path = if exists(&own) && !self.counted(&path) { own } else { with(&counted) };
        }
        path
    }

    /// Whether the layers under `path` are counted by their class: MobileNet's own names would be there else.
    fn counted(&self, path: &[String]) -> bool {
        let group = [path, &["layers".to_owned(), "depthwise_conv2d".to_owned()]].concat();
        self.by_path.iter().any(|(found, ..)| found.starts_with(&group))
    }
}

/// `DepthwiseConv2D` becomes `depthwise_conv2d`, as Keras' `to_snake_case` has it.
fn snake_case(class: &str) -> String {
    let mut name = String::new();
    let letters: Vec<char> = class.chars().filter(|letter| letter.is_alphanumeric()).collect();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| letters[before]);
        let next = letters.get(index + 1);
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || (before.is_uppercase() && next.is_some_and(|next| next.is_lowercase()))
                    || (before.is_ascii_digit() && next.is_some_and(|next| next.is_lowercase()))
            });
        if begins {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The older layout without a configuration: `conv1/conv1/kernel:0`, whatever models and scopes stand in front.
fn by_name(datasets: Datasets) -> Result<Tensors<'static>> {
    let mut tensors = Tensors::default();
    for (path, shape, values) in datasets.by_path {
        let variable = path.last().map_or("", |name| name.strip_suffix(":0").unwrap_or(name));
        let scopes = &path[..path.len().saturating_sub(1)];
        let layer = scopes.last().cloned().unwrap_or_default();
        let name = format!("{layer}/{variable}");
        let tensor = Tensor::new(&name, shape, Data::F32(values))?;
        tensors.insert(name, tensor)?;
    }
    Ok(tensors)
}

/// The layers of a MobileNet v1 in `keras.applications`' order, with the class that Keras 3 counts them by.
fn usual_layers() -> Vec<(String, &'static str, &'static [&'static str])> {
    const NORM: &[&str] = &["gamma", "beta", "moving_mean", "moving_variance"];
    let mut layers =
        vec![("conv1".into(), "conv2d", &["kernel"][..]), ("conv1_bn".into(), "batch_normalization", NORM)];
    for number in 1..=mobilenet::architecture::BLOCKS.len() {
        layers.push((format!("conv_dw_{number}"), "depthwise_conv2d", &["depthwise_kernel"]));
        layers.push((format!("conv_dw_{number}_bn"), "batch_normalization", NORM));
        layers.push((format!("conv_pw_{number}"), "conv2d", &["kernel"]));
        layers.push((format!("conv_pw_{number}_bn"), "batch_normalization", NORM));
    }
    layers
}

/// Shape and values of the variables of a layer, by their number.
type Variables = HashMap<usize, (Vec<usize>, Vec<f32>)>;

/// The layout of Keras 3 without a configuration: `layers/functional/layers/conv2d_1/vars/0`, layers counted by their class
/// in each model. The model with the most depthwise convolutions is the MobileNet; what else has weights is its head, named
/// by its class and number for [`naming`].
fn by_number(datasets: Datasets, format: Format) -> Result<Tensors<'static>> {
    // By the path of the model and the layer's group.
    let mut groups: HashMap<(Vec<String>, String), Variables> = HashMap::new();
    for (path, shape, values) in datasets.by_path {
        let [model @ .., group, vars, number] = path.as_slice() else { continue };
        if let (true, Ok(number)) = (vars == "vars", number.parse()) {
            groups.entry((model.to_vec(), group.clone())).or_default().insert(number, (shape, values));
        }
    }
    let body = |(model, group): &(Vec<String>, String)| {
        (group.starts_with("depthwise_conv2d") || group.starts_with("conv_dw_")).then(|| model.clone())
    };
    let model = groups.keys().find_map(body).ok_or_else(|| {
        let name = format.name();
        Error::not_mobilenet(format!(
            "{name}: it has no depthwise convolution, which half of a MobileNet v1's are"
        ))
    })?;
    let counted = groups.contains_key(&(model.clone(), "depthwise_conv2d".to_owned()));
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut tensors = Tensors::default();
    for (layer, class, parts) in usual_layers() {
        let count = counts.entry(class).or_default();
        let group = match (counted, *count) {
            (false, _) => layer.clone(),
            (true, 0) => class.to_owned(),
            (true, count) => format!("{class}_{count}"),
        };
        *count += 1;
        let mut variables = groups.remove(&(model.clone(), group.clone())).unwrap_or_default();
        for (number, part) in parts.iter().enumerate() {
            let name = format!("{layer}/{part}");
            let (shape, values) = variables.remove(&number).ok_or_else(|| {
                let hint =
                    format!("the file has no `{group}/vars/{number}`, where a MobileNet v1 of Keras has it");
                Error::missing_tensor(&name, &hint)
            })?;
            tensors.insert(name.clone(), Tensor::new(&name, shape, Data::F32(values))?)?;
        }
        if let Some(number) = variables.keys().min() {
            let problem = format!("{}: `{group}/vars/{number}` belongs to no layer of it", format.name());
            return Err(Error::not_mobilenet(problem));
        }
    }
    // What is left: the head, in the order of its names.
    let mut rest: Vec<_> = groups.into_iter().collect();
    rest.sort_by_key(|((model, group), _)| (model.len(), group.len(), group.clone()));
    for ((model, group), variables) in rest {
        // Seeds of dropout and of random layers, and their counters.
        let small =
            |(shape, _): &(Vec<usize>, Vec<f32>)| shape.len() <= 1 && shape.iter().product::<usize>() <= 2;
        let dense = variables.get(&0).is_some_and(|(shape, _)| shape.len() >= 2);
        if !dense && variables.values().all(small) {
            continue;
        }
        let parts: &[&str] = match (dense, variables.len()) {
            (true, 1 | 2) => &["kernel", "bias"],
            (false, 4) => &["gamma", "beta", "moving_mean", "moving_variance"],
            _ => &[],
        };
        for (number, (shape, values)) in variables {
            let Some(part) = parts.get(number) else {
                let path = model.join("/");
                let problem =
                    format!("{}: `{path}/{group}/vars/{number}` belongs to no layer of it", format.name());
                return Err(Error::not_mobilenet(problem));
            };
            let name = format!("{group}/{part}");
            tensors.insert(name.clone(), Tensor::new(&name, shape, Data::F32(values))?)?;
        }
    }
    Ok(tensors)
}
