//! What TFLite's metadata says of a model: normalization, labels, licence.
//!
//! Goes in: the metadata FlatBuffer inside the file, and the zip that is appended to the file with the label list.
//! Comes out: the options that the file states. Metadata that cannot be read is left out, as TFLite itself does: the
//! network runs without it.

use super::schema::{Table, metadata};
use crate::ModelOptions;
use mobilenet::Result;
use mobilenet::architecture::{ChannelOrder, Normalization};
use mobilenet::weights::Provenance;
use std::borrow::Cow;

/// Entries of the appended zip that are looked at.
const MOST_FILES: usize = 64;

/// Lines that a list of labels may have.
const MOST_LABELS: usize = 100_000;

/// Bytes that a packed list of labels may come to.
const MOST_TEXT: u64 = 16 << 20;

/// What `buffer` (the metadata FlatBuffer, where there is one) and the zip behind `file` say.
pub fn read(file: &[u8], buffer: Option<&[u8]>) -> (ModelOptions, Provenance) {
    let root = buffer.and_then(|bytes| Table::root(bytes).ok());
    let text =
        |field| root.and_then(|root| root.get::<&str>(field).ok().flatten()).unwrap_or_default().to_owned();
    let provenance =
        Provenance { description: text(metadata::DESCRIPTION), licence: text(metadata::LICENCE) };
    let subgraph = root.and_then(|root| root.tables(metadata::SUBGRAPHS).ok()?.at(0, "").ok());
    let normalization = subgraph.and_then(|subgraph| normalization(subgraph).ok().flatten());
    let named = subgraph.and_then(|subgraph| label_file(subgraph).ok().flatten());
    let labels = labels(file, named);
    (ModelOptions { normalization, labels, ..ModelOptions::default() }, provenance)
}

/// Mean and deviation of the first input, in units of a byte.
fn normalization(subgraph: Table) -> Result<Option<Normalization>> {
    let input = subgraph.tables(metadata::INPUTS)?.at(0, "TensorMetadata")?;
    for unit in input.tables(metadata::PROCESS)?.iter("ProcessUnit", 16) {
        let unit = unit?;
        if unit.number(metadata::PROCESS_TYPE, 0u8)? != 1 {
            continue;
        }
        let Some(options) = unit.get::<Table>(metadata::PROCESS_OPTIONS)? else { continue };
        let three = |values: Vec<f32>| match values.as_slice() {
            [one] => Some([*one; 3]),
            [red, green, blue] => Some([*red, *green, *blue]),
            _ => None,
        };
        let mean = three(options.numbers(metadata::MEAN, 3)?);
        let deviation = three(options.numbers(metadata::DEVIATION, 3)?);
        if let (Some(mean), Some(deviation)) = (mean, deviation) {
            return Ok(Some(Normalization { mean, deviation, order: ChannelOrder::Rgb }));
        }
    }
    Ok(None)
}

/// Name of the list of labels of the first output.
fn label_file(subgraph: Table<'_>) -> Result<Option<&str>> {
    const AXIS_LABELS: i8 = 2;
    let output = subgraph.tables(metadata::OUTPUTS)?.at(0, "TensorMetadata")?;
    for file in output.tables(metadata::FILES)?.iter("AssociatedFile", MOST_FILES) {
        let file = file?;
        if file.number(metadata::FILE_TYPE, 0i8)? == AXIS_LABELS {
            return file.get(metadata::FILE_NAME);
        }
    }
    Ok(None)
}

/// One label a line from the zip's file called `named`, else from its only text file.
fn labels(file: &[u8], named: Option<&str>) -> Option<Vec<String>> {
    let archive = rawzip::ZipArchive::from_slice(file).ok()?;
    let mut entries = archive.entries();
    let mut found = None;
    for _ in 0..MOST_FILES {
        let Some(entry) = entries.next_entry().ok()? else { break };
        let path = entry.file_path();
        let path = std::str::from_utf8(path.as_ref()).ok()?;
        let wanted = named.map_or(path.ends_with(".txt"), |named| path == named);
        if !wanted {
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some((entry.wayfinder(), entry.compression_method(), entry.crc32()));
    }
    let (place, method, crc) = found?;
    let entry = archive.get_entry(place).ok()?;
    let text = match method {
        rawzip::CompressionMethod::STORE => Cow::Borrowed(entry.data()),
        rawzip::CompressionMethod::DEFLATE => inflate(entry.data())?,
        _ => return None,
    };
    if rawzip::crc32(&text) != crc {
        return None;
    }
    let text = std::str::from_utf8(&text).ok().filter(|text| text.lines().nth(MOST_LABELS).is_none())?;
    // A blank line at the end would be one label too many.
    Some(text.trim_end().lines().map(|line| line.trim().to_owned()).collect())
}

/// Unpacks what is no longer than any list of labels.
fn inflate(packed: &[u8]) -> Option<Cow<'static, [u8]>> {
    use std::io::Read;
    let mut text = Vec::new();
    let length = flate2::read::DeflateDecoder::new(packed).take(MOST_TEXT).read_to_end(&mut text).ok()?;
    (length < MOST_TEXT as usize).then_some(text.into())
}
