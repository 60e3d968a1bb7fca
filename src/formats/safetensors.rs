//! safetensors: the native model file, and every other file of that format by its tensors' names.
//!
//! The native file holds `conv1/kernel`, `conv1/bias`, `conv_dw_1/kernel`, … (Keras' layers, batch norm folded),
//! kernels HWIO as float32, float16, or int8 with `…/scale` per output channel. `__metadata__` has one entry,
//! `mobilenet`, whose JSON is the [`Header`]. One entry, because the order of several would change from write to
//! write, and the same network is to give the same bytes.

use super::naming::{self, Scheme};
use super::options::settle;
use super::{Data, Dtype, Format, Options, Reading, Source, Tensor, Tensors};
use crate::model::Kernel;
use crate::model::weights::Provenance;
use crate::{Architecture, Error, Result, Weights};
use ::safetensors::tensor::{SafeTensorError, SafeTensors, View};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

const FORMAT: &str = "safetensors";

/// The entry of `__metadata__` that makes a file native.
const ENTRY: &str = "mobilenet";

/// Version of the native file that this code writes; it reads this one and those before.
pub const VERSION: u32 = 1;

/// A header longer than this is no MobileNet's: the parser's memory is a multiple of it. Labels of 1000 classes take
/// 30 KB, of 100,000 classes 3 MB.
const MAX_HEADER: u64 = 4 << 20;

/// What the native file says of its tensors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`] of the code that wrote it.
    pub version: u32,
    /// The network, its labels included.
    pub architecture: Architecture,
    /// Largest activation of a layer, by its name, where somebody calibrated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranges: BTreeMap<String, f32>,
    /// Real value of a step of every layer's output, where another program keeps them in bytes; see
    /// [`Weights::steps`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<f32>,
    /// Where the network comes from.
    #[serde(default)]
    pub provenance: Provenance,
}

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
pub fn read(source: &Source, options: &Options) -> Result<Reading> {
    let (entries, tensors) = parse(source.bytes)?;
    match entries.as_ref().and_then(|entries| entries.get(ENTRY)) {
        Some(header) => read_native(header, tensors, options),
        None => naming::read(tensors, Format::Safetensors, Options::default(), options),
    }
}

/// Entries of `__metadata__`.
type Entries = BTreeMap<String, String>;

fn parse(bytes: &[u8]) -> Result<(Option<Entries>, Tensors<'_>)> {
    let refuse = |error: SafeTensorError| {
        let advice = match error {
            SafeTensorError::HeaderTooSmall
            | SafeTensorError::InvalidHeaderLength
            | SafeTensorError::MetadataIncompleteBuffer => {
                "; the file is cut off or was only partly downloaded"
            }
            _ => "",
        };
        Error::format(FORMAT, format!("{error}{advice}"))
    };
    if let Some(&length) = bytes.first_chunk::<8>() {
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER && length <= bytes.len() as u64 {
            let problem = format!("its header has {length} bytes, a MobileNet's at most {MAX_HEADER}");
            return Err(Error::format(FORMAT, problem));
        }
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(refuse)?;
    let entries = metadata.metadata().as_ref();
    let entries =
        entries.map(|entries| entries.iter().map(|(key, text)| (key.clone(), text.clone())).collect());
    let file = SafeTensors::deserialize(bytes).map_err(refuse)?;
    let mut tensors = Tensors::default();
    for (name, view) in file.tensors() {
        use ::safetensors::Dtype as Theirs;
        let dtype = match view.dtype() {
            Theirs::F32 => Dtype::F32,
            Theirs::F16 => Dtype::F16,
            Theirs::BF16 => Dtype::Bf16,
            Theirs::F64 => Dtype::F64,
            Theirs::I8 => Dtype::I8,
            Theirs::U8 => Dtype::U8,
            _ => Dtype::Other,
        };
        let data = Data::Bytes(dtype, Cow::Borrowed(view.data()));
        let tensor = Tensor::new(&name, view.shape().to_vec(), data)?;
        tensors.insert(name, tensor)?;
    }
    Ok((entries, tensors))
}

fn read_native(header: &str, tensors: Tensors, options: &Options) -> Result<Reading> {
    let header: Header = serde_json::from_str(header)
        .map_err(|error| Error::format(FORMAT, format!("metadata entry `{ENTRY}`: {error}")))?;
    if header.version > VERSION {
        let problem = format!(
            "the file has version {} of the native format and this program reads up to {VERSION}; update it",
            header.version
        );
        return Err(Error::format(FORMAT, problem));
    }
    let said = Options {
        padding: Some(header.architecture.padding),
        activation: Some(header.architecture.activation),
        epsilon: Some(header.architecture.epsilon),
        normalisation: Some(header.architecture.normalisation),
        resolution: Some(header.architecture.resolution),
        background: Some(header.architecture.background),
        labels: Some(header.architecture.labels.clone()).filter(|labels| !labels.is_empty()),
    };
    let mut architecture = header.architecture;
    architecture.validate()?;
    let properties = settle(&mut architecture, said, options, Options::default());
    let mut layers = naming::assemble(tensors, Scheme::Native, &architecture)?;
    for layer in &mut layers {
        layer.range = header.ranges.get(&layer.name).copied();
        if let Some(range) = layer.range.filter(|range| !(range.is_finite() && *range > 0.0)) {
            let problem = format!("the range of `{}` is {range}, and must be above 0", layer.name);
            return Err(Error::format(FORMAT, problem));
        }
    }
    let mut weights = Weights::new(architecture, layers)?;
    weights.provenance = header.provenance;
    let layers = weights.architecture.layers().len();
    let fits = header.steps.is_empty() || header.steps.len() == layers;
    if !fits || !header.steps.iter().all(|step| step.is_finite() && *step > 0.0) {
        let found = header.steps.len();
        let problem = format!("its steps must be {layers} numbers above 0, one a layer, and are {found}");
        return Err(Error::format(FORMAT, problem));
    }
    weights.steps = header.steps;
    Ok(Reading { weights, format: Format::Safetensors, properties })
}

/// One tensor on its way into the file: its bytes are made when they are asked for, so that only one tensor is ever
/// held twice.
enum Outgoing<'a> {
    F32(Vec<usize>, &'a [f32]),
    F16(Vec<usize>, &'a [f32]),
    I8(Vec<usize>, &'a [i8]),
}

impl View for Outgoing<'_> {
    fn dtype(&self) -> ::safetensors::Dtype {
        match self {
            Outgoing::F32(..) => ::safetensors::Dtype::F32,
            Outgoing::F16(..) => ::safetensors::Dtype::F16,
            Outgoing::I8(..) => ::safetensors::Dtype::I8,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Outgoing::F32(shape, _) | Outgoing::F16(shape, _) | Outgoing::I8(shape, _) => shape,
        }
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self {
            Outgoing::F32(_, values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Outgoing::F16(_, values) => {
                values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect()
            }
            Outgoing::I8(_, values) => values.iter().map(|&value| value as u8).collect(),
        }
    }

    fn data_len(&self) -> usize {
        match self {
            Outgoing::F32(_, values) => 4 * values.len(),
            Outgoing::F16(_, values) => 2 * values.len(),
            Outgoing::I8(_, values) => values.len(),
        }
    }
}

/// The native file of a network; the same network gives the same bytes.
///
/// # Errors
/// Where a weight does not fit a float16 (beyond ± 65504).
pub fn write(weights: &Weights, storage: Storage) -> Result<Vec<u8>> {
    let ranges = weights.layers.iter().filter_map(|layer| Some((layer.name.clone(), layer.range?)));
    let header = Header {
        version: VERSION,
        architecture: weights.architecture.clone(),
        ranges: ranges.collect(),
        steps: weights.steps.clone(),
        provenance: weights.provenance.clone(),
    };
    let header = serde_json::to_string(&header).map_err(|error| Error::format(FORMAT, error.to_string()))?;
    let mut outgoing = Vec::with_capacity(3 * weights.layers.len());
    let shapes = weights.architecture.layers().into_iter().filter_map(|layer| layer.kernel_shape());
    for (layer, shape) in weights.layers.iter().zip(shapes) {
        let name = |part: &str| format!("{}/{part}", layer.name);
        let shape = shape.to_vec();
        match &layer.kernel {
            Kernel::Int8 { values, scales } => {
                outgoing.push((name("kernel"), Outgoing::I8(shape, values)));
                outgoing.push((name("scale"), Outgoing::F32(vec![scales.len()], scales)));
            }
            Kernel::F32(values) if storage == Storage::F16 => {
                check_fits_f16(&name("kernel"), values)?;
                outgoing.push((name("kernel"), Outgoing::F16(shape, values)));
            }
            Kernel::F32(values) => outgoing.push((name("kernel"), Outgoing::F32(shape, values))),
        }
        outgoing.push((name("bias"), Outgoing::F32(vec![layer.bias.len()], &layer.bias)));
    }
    let entries = [(ENTRY.to_string(), header)].into_iter().collect();
    ::safetensors::serialize(outgoing, Some(entries))
        .map_err(|error| Error::format(FORMAT, error.to_string()))
}

fn check_fits_f16(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().find(|&&value| !half::f16::from_f32(value).is_finite()) {
        Some(value) => Err(Error::Argument(format!(
            "tensor `{name}`: {value} is beyond the range of float16; write float32 instead"
        ))),
        None => Ok(()),
    }
}
