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
use crate::model::Kernel;
use crate::{Error, Result, Weights};
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
            refuse("its bytes were taken away while it was read")
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

fn refuse<T>(problem: impl AsRef<str>) -> Result<T> {
    Err(Error::format(FORMAT, problem))
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
        return refuse(format!("the file is shorter than its header; {CUT}"));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER && length <= total as u64 {
        return refuse(format!("its header has {length} bytes, a MobileNet's at most {MAX_HEADER}"));
    }
    let Some(text) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return refuse(format!("its header would end after the file; {CUT}"));
    };
    let Ok(text) = std::str::from_utf8(text) else { return refuse("its header is no text") };
    let header = match Value::parse(text) {
        Ok(Value::Object(header)) => header,
        Ok(_) => return refuse("its header is no JSON object"),
        Err(problem) => return refuse(format!("its header is damaged: {problem}")),
    };
    let mut entry = None;
    let mut places = Vec::with_capacity(header.len());
    for (name, value) in header {
        if name == "__metadata__" {
            entry = value.get(ENTRY).and_then(Value::text).map(String::from);
            continue;
        }
        match Place::read(&value) {
            Some(place) => places.push((place.start, place.end, name, place)),
            None => return refuse(format!("tensor `{name}`: its entry in the header is damaged")),
        }
    }
    let before = 8 + text.len();
    let behind = total - before;
    places.sort_unstable_by_key(|&(start, end, ..)| (start, end));
    let (mut tensors, mut at) = (Tensors::default(), 0);
    for (start, end, name, place) in places {
        if start != at || end > behind {
            let advice = if end > behind { CUT } else { "tensors must follow each other without gaps" };
            return refuse(format!("tensor `{name}`: bytes {start} to {end} cannot be its own; {advice}"));
        }
        if place.bytes() != Some(end - start) {
            let Place { shape, .. } = place;
            return refuse(format!(
                "tensor `{name}`: {} bytes are not what shape [{}] takes",
                end - start,
                Listed(&shape, ", ")
            ));
        }
        let data = data(place.dtype, before + start..before + end);
        let tensor = Tensor::new(&name, place.shape, data)?;
        tensors.insert(name, tensor)?;
        at = end;
    }
    if at != behind {
        return refuse(format!("its tensors end after {at} bytes, the file after {behind}"));
    }
    Ok((entry, tensors))
}

/// Where a tensor lies behind the header, and as what.
struct Place {
    dtype: Dtype,
    /// Bytes of an element.
    size: usize,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl Place {
    /// The header's entry of a tensor.
    fn read(entry: &Value) -> Option<Self> {
        let (dtype, size) = match entry.get("dtype")?.text()? {
            "F32" => (Dtype::F32, 4),
            "F16" => (Dtype::F16, 2),
            "BF16" => (Dtype::Bf16, 2),
            "F64" => (Dtype::F64, 8),
            "I8" => (Dtype::I8, 1),
            "U8" => (Dtype::U8, 1),
            "BOOL" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" => (Dtype::Other, 1),
            "I16" | "U16" => (Dtype::Other, 2),
            "I32" | "U32" => (Dtype::Other, 4),
            "I64" | "U64" | "C64" => (Dtype::Other, 8),
            _ => return None,
        };
        let counts = |key| entry.get(key)?.list()?.iter().map(Value::count).collect::<Option<Vec<usize>>>();
        let shape = counts("shape")?;
        match counts("data_offsets")?[..] {
            [start, end] if start <= end => Some(Self { dtype, size, shape, start, end }),
            _ => None,
        }
    }

    /// Bytes that the shape takes.
    fn bytes(&self) -> Option<usize> {
        self.shape.iter().try_fold(self.size, |bytes, &axis| bytes.checked_mul(axis))
    }
}

fn read_native(header: &str, tensors: Tensors, options: &Options) -> Result<Reading> {
    let header = match Value::parse(header).and_then(|value| Header::read(&value)) {
        Ok(header) => header,
        Err(problem) => return refuse(format!("metadata entry `{ENTRY}`: {problem}")),
    };
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
        let range = header.ranges.iter().find(|(name, _)| *name == layer.name);
        layer.range = range.map(|(_, range)| *range);
        if let Some(range) = layer.range.filter(|range| !(range.is_finite() && *range > 0.0)) {
            let (name, range) = (&layer.name, Decimal(range.into()));
            let problem = format!("the range of `{name}` is {range}, and must be above 0");
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

/// Values on their way into the file.
enum Outgoing<'a> {
    F32(&'a [f32]),
    F16(&'a [f32]),
    I8(&'a [i8]),
}

impl Outgoing<'_> {
    /// Their type's name, and their bytes.
    fn kind(&self) -> (&'static str, usize) {
        match self {
            Outgoing::F32(values) => ("F32", 4 * values.len()),
            Outgoing::F16(values) => ("F16", 2 * values.len()),
            Outgoing::I8(values) => ("I8", values.len()),
        }
    }

    fn append(&self, file: &mut Vec<u8>) {
        match self {
            Outgoing::F32(values) => {
                values.iter().for_each(|value| file.extend_from_slice(&value.to_le_bytes()));
            }
            Outgoing::F16(values) => {
                let half = |value: f32| half::f16::from_f32(value).to_le_bytes();
                values.iter().for_each(|&value| file.extend_from_slice(&half(value)));
            }
            Outgoing::I8(values) => values.iter().for_each(|&value| file.push(value as u8)),
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
    // Wide elements first, so that every tensor begins where its elements may begin in memory.
    let [mut fours, mut twos, mut ones] = [(); 3].map(|()| Vec::new());
    let shapes = weights.architecture.layers().into_iter().filter_map(|layer| layer.kernel_shape());
    for (layer, shape) in weights.layers.iter().zip(shapes) {
        let name = |part: &str| format!("{}/{part}", layer.name);
        let shape = shape.to_vec();
        match &layer.kernel {
            Kernel::Int8 { values, scales } => {
                ones.push((name("kernel"), shape, Outgoing::I8(values)));
                fours.push((name("scale"), vec![scales.len()], Outgoing::F32(scales)));
            }
            Kernel::F32(values) if storage == Storage::F16 => {
                check_fits_f16(&name("kernel"), values)?;
                twos.push((name("kernel"), shape, Outgoing::F16(values)));
            }
            Kernel::F32(values) => fours.push((name("kernel"), shape, Outgoing::F32(values))),
        }
        fours.push((name("bias"), vec![layer.bias.len()], Outgoing::F32(&layer.bias)));
    }
    fours.append(&mut twos);
    fours.append(&mut ones);
    let outgoing = fours;
    let native = (ENTRY.to_owned(), Value::Text(header.describe().print()));
    let mut fields = vec![("__metadata__".to_owned(), Value::Object(vec![native]))];
    let mut end = 0;
    let numbers =
        |counts: &[usize]| Value::List(counts.iter().map(|&count| Value::Number(count as f64)).collect());
    for (name, shape, values) in &outgoing {
        let (kind, bytes) = values.kind();
        let entry = [
            ("dtype", Value::Text(kind.into())),
            ("shape", numbers(shape)),
            ("data_offsets", numbers(&[end, end + bytes])),
        ];
        let entry = entry.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        fields.push((name.clone(), Value::Object(entry)));
        end += bytes;
    }
    let mut text = Value::Object(fields).print();
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    let mut file = Vec::with_capacity(8 + text.len() + end);
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
    outgoing.iter().for_each(|(_, _, values)| values.append(&mut file));
    Ok(file)
}

fn check_fits_f16(name: &str, values: &[f32]) -> Result<()> {
    match values.iter().find(|&&value| !half::f16::from_f32(value).is_finite()) {
        Some(value) => Err(Error::argument(format!(
            "tensor `{name}`: {} is beyond the range of float16; write float32 instead",
            Decimal((*value).into())
        ))),
        None => Ok(()),
    }
}
