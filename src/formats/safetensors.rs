//! safetensors: the native model file, and every other file of that format by its tensors' names.
//!
//! The native file holds `conv1/kernel`, `conv1/bias`, `conv_dw_1/kernel`, … (Keras' layers, batch norm folded),
//! kernels HWIO as float32, float16, or int8 with `…/scale` per output channel. `__metadata__` has one entry,
//! `mobilenet`, whose JSON is the [`Header`]. One entry, because the order of several would change from write to
//! write, and the same network is to give the same bytes.

use super::header::Header;
use super::json::Value;
use super::naming::{self, Scheme};
use super::options::settle;
use super::{Data, Dtype, File, Format, Options, Reading, Source, Tensor, Tensors};
use crate::error::{Decimal, Listed};
use crate::model::{Kernel, LayerWeights};
use crate::{Error, Result, Weights};
use std::borrow::Cow;
use std::ops::Range;

const FORMAT: &str = "safetensors";

/// The entry of `__metadata__` that makes a file native.
const ENTRY: &str = "mobilenet";

/// Version of the native file that this code writes; it reads this one and those before.
pub const VERSION: u32 = 1;

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
pub fn read(source: &Source, options: &Options) -> Result<Reading> {
    let bytes = source.bytes;
    let data = |dtype, place: Range<usize>| Data::Bytes(dtype, bytes[place].into());
    understand(parse(bytes, bytes.len(), &data)?, options)
}

/// As [`read`], tensor by tensor from a file that lies elsewhere.
///
/// # Errors
/// As [`read`]; where the file is gone before its end is reached.
pub fn read_from(file: &dyn File, options: &Options) -> Result<Reading> {
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
    understand(parse(&head, file.len(), &|dtype, place| Data::Later(dtype, place, file))?, options)
}

fn understand((entry, tensors): (Option<String>, Tensors), options: &Options) -> Result<Reading> {
    match entry {
        Some(header) => read_native(&header, tensors, options),
        None => naming::read(tensors, Format::Safetensors, Options::default(), options),
    }
}

fn refuse(problem: impl AsRef<str>) -> Error {
    Error::format(FORMAT, problem)
}

/// The native entry, if there is one, and every tensor. What the format asks for is checked before any byte of a
/// tensor is touched: their ranges follow each other without gap or overlap and end with the file.
///
/// `head` begins with the whole header of a file of `total` bytes; `data` makes the data of a range of it.
fn parse<'a>(
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
    let header = Value::parse(text).map_err(|problem| refuse(format!("its header is damaged: {problem}")))?;
    let fields = header.object().ok_or_else(|| refuse("its header is no JSON object"))?;
    let mut entry = None;
    let mut places = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        if name == "__metadata__" {
            entry = value.get(ENTRY).and_then(Value::text).map(String::from);
            continue;
        }
        match Place::read(name, value) {
            Some(place) => places.push(place),
            None => return Err(refuse(format!("tensor `{name}`: its entry in the header is damaged"))),
        }
    }
    places.sort_unstable_by_key(|place| (place.start, place.end));
    let (mut tensors, mut at) = (Tensors::default(), 0);
    for Place { name, dtype, size, shape, start, end } in places {
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
        let tensor = Tensor::new(name, shape, data(dtype, before + start..before + end))?;
        tensors.insert(name, tensor)?;
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

/// Where a tensor lies behind the header, and as what.
struct Place<'a> {
    name: &'a str,
    dtype: Dtype,
    /// Bytes of an element.
    size: usize,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl<'a> Place<'a> {
    /// The header's entry of a tensor.
    fn read(name: &'a str, entry: &Value) -> Option<Self> {
        let word = entry.get("dtype")?.text()?;
        let &(_, dtype, size) = DTYPES.iter().find(|(name, ..)| *name == word)?;
        let shape = entry.counts("shape")?;
        match entry.counts("data_offsets")?[..] {
            [start, end] if start <= end => Some(Self { name, dtype, size, shape, start, end }),
            _ => None,
        }
    }
}

fn read_native(header: &str, tensors: Tensors, options: &Options) -> Result<Reading> {
    let value = Value::parse(header).map_err(Error::argument);
    let header = value
        .and_then(|value| Header::read(&value))
        .map_err(|problem| refuse(format!("metadata entry `{ENTRY}`: {problem}")))?;
    if header.version > VERSION {
        let version = header.version;
        return Err(refuse(format!(
            "the file has version {version} of the native format and this program reads up to {VERSION}; update it"
        )));
    }
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
    let properties = settle(&mut architecture, said, options, Options::default());
    let mut layers = naming::assemble(tensors, Scheme::Native, &architecture)?;
    for layer in &mut layers {
        let range = header.ranges.iter().find(|(name, _)| *name == layer.name);
        layer.range = range.map(|(_, range)| *range);
    }
    let mut weights = Weights::of_finite(architecture, layers)?;
    (weights.provenance, weights.steps) = (header.provenance, header.steps);
    Ok(Reading { weights, format: Format::Safetensors, properties })
}

/// A tensor on its way into the file.
struct Outgoing<'a> {
    name: String,
    dtype: &'static str,
    shape: Value,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Outgoing<'a> {
    fn new(layer: &str, part: &str, dtype: &'static str, shape: &[usize], bytes: Cow<'a, [u8]>) -> Self {
        Self { name: [layer, "/", part].concat(), dtype, shape: Value::numbers(shape), bytes }
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
    let ranges = weights.layers.iter().filter_map(|layer| Some((layer.name.clone(), layer.range?)));
    let header = Header {
        version: VERSION,
        architecture: weights.architecture.clone(),
        ranges: ranges.collect(),
        steps: weights.steps.clone(),
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
    let native = Value::Object(vec![(ENTRY.into(), Value::Text(header.describe().print()))]);
    let mut fields = vec![("__metadata__".into(), native)];
    let (mut bytes, mut end) = (Vec::with_capacity(outgoing.len()), 0);
    // Wide elements first, so that every tensor begins where its elements may begin in memory.
    for wanted in ["F32", "F16", "I8"] {
        for tensor in outgoing.iter().filter(|tensor| tensor.dtype == wanted) {
            let start = end;
            end += tensor.bytes.len();
            let entry = vec![
                ("dtype".into(), Value::Text(wanted.into())),
                ("shape".into(), tensor.shape.clone()),
                ("data_offsets".into(), Value::numbers(&[start, end])),
            ];
            fields.push((tensor.name.clone(), Value::Object(entry)));
            bytes.push(&tensor.bytes);
        }
    }
    let mut text = Value::Object(fields).print();
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
