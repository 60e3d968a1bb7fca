//! safetensors: the native model file, and every other file of that format by its tensors' names.
//!
//! The native file holds `conv1/kernel`, `conv1/bias`, `conv_dw_1/kernel`, … (Keras' layers, batch norm folded),
//! kernels HWIO as float32, float16, or int8 with `…/scale` per output channel. `__metadata__` has one entry,
//! `mobilenet`, whose JSON is the `Header`. One entry, because the order of several would change from write to
//! write, and the same network is to give the same bytes.

use super::json::{Json, SerdeJson};
use super::naming::{self, Scheme};
use super::native::{Header, VERSION};
use super::options::{Origin, resolve};
use super::{Data, Dtype, Format, LoadedModel, ModelOptions, ModelSource, ReadAt, Tensor, Tensors};
use mobilenet::error::{Decimal, Listed};
use mobilenet::{Error, Result, Weights};
use mobilenet::{Kernel, LayerWeights};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

const FORMAT: &str = "safetensors";

/// The entry of `__metadata__` that makes a file native.
const ENTRY: &str = "mobilenet";

/// A header longer than this is no MobileNet's: the parser's memory is a multiple of it. Labels of 1000 classes take
/// 30 KB, of 100,000 classes 3 MB.
const MAX_HEADER: u64 = 4 << 20;

/// How the kernels of a float network are stored. Biases stay float32, int8 kernels stay int8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// Exact.
    #[default]
    F32,
    /// Half the size, 11 significant bits.
    F16,
}

/// Reads a native file exactly as it was written, any other by its names.
///
/// # Errors
/// Where the file is cut off or lies, or its tensors are no MobileNet v1.
pub fn read(source: &ModelSource, options: &ModelOptions) -> Result<LoadedModel> {
    let bytes = source.bytes;
    let data = |dtype, place: Range<usize>| Data::Bytes(dtype, bytes[place].into());
    understand::<SerdeJson>(parse::<SerdeJson>(bytes, bytes.len(), &data)?, options)
}

/// As [`read`], tensor by tensor from a file that lies elsewhere.
///
/// # Errors
/// As [`read`]; where the file is gone before its end is reached.
pub fn read_from(file: &dyn ReadAt, options: &ModelOptions) -> Result<LoadedModel> {
    read_with::<SerdeJson>(file, options)
}

/// Like [`read_from`], with another reader of JSON.
///
/// # Errors
/// Like [`read_from`].
pub fn read_with<J: Json>(file: &dyn ReadAt, options: &ModelOptions) -> Result<LoadedModel> {
    let first = |length: usize| {
        let mut bytes = vec![0; length.min(file.len())];
        if file.read(0, &mut bytes) {
            Ok(bytes)
        } else {
            Err(refuse("its bytes were taken away while it was read"))
        }
    };
    let mut head = first(8)?;
    if let Some(length) = head.first_chunk::<8>() {
        head = first(8 + u64::from_le_bytes(*length).min(MAX_HEADER) as usize)?;
    }
    let found = parse::<J>(&head, file.len(), &|dtype, place| Data::Lazy(dtype, place, file))?;
    understand::<J>(found, options)
}

fn understand<J: Json>(
    (entry, tensors): (Option<String>, Tensors),
    options: &ModelOptions,
) -> Result<LoadedModel> {
    match entry {
        Some(header) => {
            let header = Header::parse::<J>(&header);
            read_native(
                header.map_err(|problem| refuse(format!("metadata entry `{ENTRY}`: {problem}")))?,
                tensors,
                options,
            )
        }
        None => naming::read(tensors, Format::Safetensors, ModelOptions::default(), options),
    }
}

fn refuse(problem: impl AsRef<str>) -> Error {
    Error::format(FORMAT, problem)
}

/// The native entry, if there is one, and every tensor. What the format asks for is checked before any byte of a
/// tensor is touched: their ranges follow each other without gap or overlap and end with the file.
///
/// `head` begins with the whole header of a file of `total` bytes; `data` makes the data of a range of it.
fn parse<'a, J: Json>(
    head: &[u8],
    total: usize,
    data: &dyn Fn(Dtype, Range<usize>) -> Data<'a>,
) -> Result<(Option<String>, Tensors<'a>)> {
    const CUT: &str = "the file is cut off or was only partly downloaded";
    let Some((length, rest)) = head.split_first_chunk::<8>() else {
        return Err(refuse(format!("the file is shorter than its header; {CUT}")));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER && length <= total as u64 {
        return Err(refuse(format!("its header has {length} bytes, a MobileNet's at most {MAX_HEADER}")));
    }
    let Some(text) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Err(refuse(format!("its header would end after the file; {CUT}")));
    };
    let before = 8 + text.len();
    let behind = total - before;
    let text = std::str::from_utf8(text).map_err(|_| refuse("its header is no text"))?;
    let FileHeader { entry, tensors: mut places } =
        J::parse(text).map_err(|problem| refuse(format!("its header is damaged: {problem}")))?;
    places.sort_unstable_by_key(|(_, place)| place.data_offsets);
    let (mut tensors, mut at) = (Tensors::default(), 0);
    for (name, TensorInfo { dtype, shape, data_offsets: [start, end] }) in places {
        let Some(&(_, dtype, size)) = DTYPES.iter().find(|(word, ..)| *word == dtype) else {
            return Err(refuse(format!("tensor `{name}`: unknown dtype `{dtype}`")));
        };
        if start > end {
            return Err(refuse(format!(
                "tensor `{name}`: its bytes end at {end} before they start at {start}"
            )));
        }
        if start != at || end > behind {
            let advice = if end > behind { CUT } else { "tensors must follow each other without gaps" };
            let problem = format!("tensor `{name}`: bytes {start} to {end} cannot be its own; {advice}");
            return Err(refuse(problem));
        }
        let bytes = end - start;
        if shape.iter().try_fold(size, |bytes, &axis| bytes.checked_mul(axis)) != Some(bytes) {
            let shape = Listed(&shape, ", ");
            let problem = format!("tensor `{name}`: {bytes} bytes are not what shape [{shape}] takes");
            return Err(refuse(problem));
        }
        let tensor = Tensor::new(&name, shape, data(dtype, before + start..before + end))?;
        tensors.insert(&name, tensor)?;
        at = end;
    }
    if at != behind {
        return Err(refuse(format!("its tensors end after {at} bytes, the file after {behind}")));
    }
    Ok((entry, tensors))
}

/// Types of elements, as a header calls them, and their bytes.
const DTYPES: [(&str, Dtype, usize); 17] = [
    ("F32", Dtype::F32, 4),
    ("F16", Dtype::F16, 2),
    ("BF16", Dtype::Bf16, 2),
    ("F64", Dtype::F64, 8),
    ("I8", Dtype::I8, 1),
    ("U8", Dtype::U8, 1),
    ("BOOL", Dtype::Other, 1),
    ("F8_E4M3", Dtype::Other, 1),
    ("F8_E5M2", Dtype::Other, 1),
    ("F8_E8M0", Dtype::Other, 1),
    ("I16", Dtype::Other, 2),
    ("U16", Dtype::Other, 2),
    ("I32", Dtype::Other, 4),
    ("U32", Dtype::Other, 4),
    ("I64", Dtype::Other, 8),
    ("U64", Dtype::Other, 8),
    ("C64", Dtype::Other, 8),
];

/// The JSON at the start of a safetensors file, in the order of the file.
struct FileHeader {
    /// The native entry of `__metadata__`, if there is one.
    entry: Option<String>,
    tensors: Vec<(String, TensorInfo)>,
}

/// What the JSON says about one tensor.
#[derive(serde::Deserialize, serde::Serialize)]
struct TensorInfo {
    dtype: Cow<'static, str>,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl<'de> Deserialize<'de> for FileHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = FileHeader;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object with one entry per tensor")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FileHeader, A::Error> {
                let mut header = FileHeader { entry: None, tensors: Vec::new() };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.entry = map.next_value::<Option<Metadata>>()?.and_then(|metadata| metadata.0);
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The native entry of `__metadata__`; whatever else other programs keep there is skipped.
struct Metadata(Option<String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Metadata;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object of texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut entry = None;
                while let Some(key) = map.next_key::<String>()? {
                    if key == ENTRY {
                        entry = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Metadata(entry))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|entry| (ENTRY, entry)))
    }
}

impl Serialize for FileHeader {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(entry) = &self.entry {
            map.serialize_entry("__metadata__", &Metadata(Some(entry.clone())))?;
        }
        for (name, tensor) in &self.tensors {
            map.serialize_entry(name, tensor)?;
        }
        map.end()
    }
}

fn read_native(header: Header, tensors: Tensors, options: &ModelOptions) -> Result<LoadedModel> {
    header.architecture.validate()?;
    if let Some((name, range)) = header.ranges.iter().find(|(_, range)| !(range.is_finite() && *range > 0.0))
    {
        let range = Decimal((*range).into());
        return Err(refuse(format!("the range of `{name}` is {range}, and must be above 0")));
    }
    let layers = header.architecture.layers().len();
    let fits = header.steps.is_empty() || header.steps.len() == layers;
    if !fits || !header.steps.iter().all(|step| step.is_finite() && *step >= 0.0) {
        let found = header.steps.len();
        return Err(refuse(format!(
            "its steps must be {layers} numbers of 0 or more, one a layer, and are {found}"
        )));
    }
    if header.input_grid.is_some_and(|grid| !grid.is_valid()) {
        return Err(refuse("its input's grid must have a step above 0 and its ends in order"));
    }
    let said = ModelOptions {
        padding: Some(header.architecture.padding),
        activation: Some(header.architecture.activation),
        epsilon: Some(header.architecture.epsilon),
        normalization: Some(header.architecture.normalization),
        resolution: Some(header.architecture.resolution),
        background: Some(header.architecture.background),
        labels: Some(header.architecture.labels.clone()).filter(|labels| !labels.is_empty()),
    };
    let mut architecture = header.architecture;
    let mut assumed = std::mem::take(&mut architecture.assumed);
    let own = architecture.resolution;
    let mut properties = resolve(&mut architecture, said, options, ModelOptions::default());
    if !architecture.pads.is_empty() && architecture.resolution != own {
        return Err(refuse(format!(
            "its convolutions are padded by no rule, so that only its own resolution, {own}, can be run"
        )));
    }
    // What was a guess when the file was written is one still, unless the caller says it now.
    if options.normalization.is_some() {
        assumed.retain(|name| name != "normalization");
    }
    for property in &mut properties {
        if assumed.iter().any(|name| name == property.name) {
            property.origin = Origin::Default;
        }
    }
    architecture.assumed = assumed;
    let mut layers = naming::assemble(tensors, Scheme::Native, &architecture)?;
    for layer in &mut layers {
        let range = header.ranges.iter().find(|(name, _)| *name == layer.name);
        layer.range = range.map(|(_, range)| *range);
    }
    let mut weights = Weights::from_finite(architecture, layers)?;
    (weights.provenance, weights.steps) = (header.provenance, header.steps);
    weights.input_grid = header.input_grid;
    Ok(LoadedModel { weights, format: Format::Safetensors, properties })
}

/// A tensor on its way into the file.
struct Outgoing<'a> {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Outgoing<'a> {
    fn new(layer: &str, part: &str, dtype: &'static str, shape: &[usize], bytes: Cow<'a, [u8]>) -> Self {
        Self { name: [layer, "/", part].concat(), dtype, shape: shape.to_vec(), bytes }
    }

    fn floats(layer: &str, part: &str, shape: &[usize], values: Cow<'a, [f32]>) -> Self {
        let bytes = match values {
            Cow::Borrowed(values) if cfg!(target_endian = "little") => bytemuck::cast_slice(values).into(),
            values => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        };
        Self::new(layer, part, "F32", shape, bytes)
    }
}

/// The native file of a network; the same network gives the same bytes.
///
/// # Errors
/// Where a weight does not fit a float16 (beyond ± 65504).
pub fn write(weights: &Weights, storage: Storage) -> Result<Vec<u8>> {
    write_with::<SerdeJson>(weights, storage)
}

/// Like [`write()`], with another writer of JSON.
///
/// # Errors
/// Like [`write()`].
pub fn write_with<J: Json>(weights: &Weights, storage: Storage) -> Result<Vec<u8>> {
    let ranges = weights.layers.iter().filter_map(|layer| Some((layer.name.clone(), layer.range?)));
    let header = Header {
        version: VERSION,
        architecture: weights.architecture.clone(),
        ranges: ranges.collect(),
        steps: weights.steps.clone(),
        input_grid: weights.input_grid,
        provenance: weights.provenance.clone(),
    };
    let mut outgoing = Vec::new();
    let layers = weights.architecture.layers_with_weights();
    for (LayerWeights { name, kernel, bias, .. }, layer) in weights.layers.iter().zip(layers) {
        let shape = layer.kernel_shape().unwrap_or_default();
        match kernel {
            Kernel::Int8 { values, scales } => {
                let bytes = bytemuck::cast_slice(values).into();
                outgoing.push(Outgoing::new(name, "kernel", "I8", &shape, bytes));
                outgoing.push(Outgoing::floats(name, "scale", &[scales.len()], scales.into()));
            }
            floats if storage == Storage::F16 => {
                let bytes = halved(name, &floats.to_f32())?.into();
                outgoing.push(Outgoing::new(name, "kernel", "F16", &shape, bytes));
            }
            floats => outgoing.push(Outgoing::floats(name, "kernel", &shape, floats.to_f32())),
        }
        outgoing.push(Outgoing::floats(name, "bias", &[bias.len()], bias.into()));
    }
    let mut file_header = FileHeader { entry: Some(header.to_json::<J>()?), tensors: Vec::new() };
    let (mut bytes, mut end) = (Vec::with_capacity(outgoing.len()), 0);
    // Wide elements first, so that every tensor begins where its elements may begin in memory.
    for wanted in ["F32", "F16", "I8"] {
        for tensor in outgoing.iter().filter(|tensor| tensor.dtype == wanted) {
            let start = end;
            end += tensor.bytes.len();
            let info =
                TensorInfo { dtype: wanted.into(), shape: tensor.shape.clone(), data_offsets: [start, end] };
            file_header.tensors.push((tensor.name.clone(), info));
            bytes.push(&tensor.bytes);
        }
    }
    let mut text = J::print(&file_header).map_err(refuse)?;
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    let mut file = Vec::with_capacity(8 + text.len() + end);
    file.extend_from_slice(&(text.len() as u64).to_le_bytes());
    file.extend_from_slice(text.as_bytes());
    for bytes in bytes {
        file.extend_from_slice(bytes);
    }
    Ok(file)
}

/// The values as float16.
fn halved(layer: &str, values: &[f32]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(2 * values.len());
    for &value in values {
        let half = half::f16::from_f32(value);
        if !half.is_finite() {
            return Err(Error::argument(format!(
                "tensor `{layer}/kernel`: {} is beyond the range of float16; write float32 instead",
                Decimal(value.into())
            )));
        }
        bytes.extend_from_slice(&half.to_le_bytes());
    }
    Ok(bytes)
}
