//! The part of ONNX' protobuf messages that a MobileNet needs, as views on the file's bytes.
//!
//! Goes in: the file. Comes out: the graph's nodes, initialisers and attributes; names and data stay borrowed. Keys and
//! variable-length numbers are decoded by `prost`; its derived messages would copy every kernel and let a small file of
//! empty messages grow a hundredfold. The field numbers are those of `onnx.proto`. Next: the reader in `mod.rs`.

use crate::graph::MOST_NODES;
use mobilenet::{Error, Result};
use prost::encoding::{WireType, decode_key, decode_varint};

/// Most entries of a list that belongs to one node or tensor.
const MOST_ENTRIES: usize = 64;

/// Most attributes of a node.
const MOST_ATTRIBUTES: usize = 16;

/// One field of a message.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Fixed32([u8; 4]),
    Fixed64,
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(damaged("a message or string is expected and a number found")),
        }
    }

    fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| damaged("a name is not UTF-8"))
    }

    fn number(self) -> Result<i64> {
        match self {
            Value::Number(number) => Ok(number.cast_signed()),
            _ => Err(damaged("a number is expected and something else found")),
        }
    }
}

/// A sentence about a file that contradicts itself.
pub fn damaged(problem: &str) -> Error {
    Error::format("ONNX", format!("{problem}; the file is damaged or cut off"))
}

/// Calls `each` with every field of a message.
fn fields<'a>(mut bytes: &'a [u8], mut each: impl FnMut(u32, Value<'a>) -> Result<()>) -> Result<()> {
    let cut = || damaged("a field ends after its message");
    let length = |bytes: &mut &[u8]| decode_varint(bytes).map_err(|error| damaged(&error.to_string()));
    while !bytes.is_empty() {
        let (number, wire) = decode_key(&mut bytes).map_err(|error| damaged(&error.to_string()))?;
        let value = match wire {
            WireType::Varint => Value::Number(length(&mut bytes)?),
            WireType::ThirtyTwoBit => {
                let (value, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
                bytes = rest;
                Value::Fixed32(*value)
            }
            WireType::SixtyFourBit => {
                let (_, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut)?;
                bytes = rest;
                Value::Fixed64
            }
            WireType::LengthDelimited => {
                let length = usize::try_from(length(&mut bytes)?).map_err(|_| cut())?;
                let (value, rest) = bytes.split_at_checked(length).ok_or_else(cut)?;
                bytes = rest;
                Value::Bytes(value)
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(damaged("a group, which ONNX has none of"));
            }
        };
        each(number, value)?;
    }
    Ok(())
}

/// Adds to a list of limited length.
fn push<T>(list: &mut Vec<T>, value: T, most: usize) -> Result<()> {
    if list.len() >= most {
        return Err(Error::not_mobilenet(format!("a list has more than {most} entries")));
    }
    list.push(value);
    Ok(())
}

/// Adds the numbers of a repeated field, packed or not.
fn push_numbers(list: &mut Vec<i64>, value: Value, most: usize) -> Result<()> {
    match value {
        Value::Bytes(mut packed) => {
            while !packed.is_empty() {
                let number = decode_varint(&mut packed).map_err(|error| damaged(&error.to_string()))?;
                push(list, number.cast_signed(), most)?;
            }
            Ok(())
        }
        value => push(list, value.number()?, most),
    }
}

/// `ModelProto`.
#[derive(Debug, Default)]
pub struct Model<'a> {
    pub graph: Graph<'a>,
    /// Number of the default operator set.
    pub opset: i64,
    pub producer: &'a str,
}

/// `GraphProto`.
#[derive(Debug, Default)]
pub struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    pub initialisers: Vec<Tensor<'a>>,
    pub inputs: Vec<Input<'a>>,
}

/// `NodeProto`.
#[derive(Debug, Default)]
pub struct Node<'a> {
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    pub name: &'a str,
    pub kind: &'a str,
    pub attributes: Vec<Attribute<'a>>,
}

/// `AttributeProto`.
#[derive(Debug, Default)]
pub struct Attribute<'a> {
    pub name: &'a str,
    pub float: f32,
    pub integer: i64,
    pub text: &'a [u8],
    pub integers: Vec<i64>,
    pub tensor: Option<Tensor<'a>>,
}

/// `TensorProto`.
#[derive(Clone, Debug, Default)]
pub struct Tensor<'a> {
    pub name: &'a str,
    pub shape: Vec<i64>,
    pub kind: i64,
    /// Little-endian elements.
    pub raw: Option<&'a [u8]>,
    /// Packed floats, which are little-endian elements too.
    pub floats: Option<&'a [u8]>,
    /// A short list of numbers, for shapes and paddings.
    pub numbers: Vec<i64>,
    /// Packed numbers of `int32_data`, which hold smaller types as well.
    pub packed: Option<&'a [u8]>,
    /// Where the data are, when they are in a file beside.
    pub location: Option<&'a str>,
    pub offset: usize,
    pub length: Option<usize>,
}

/// `ValueInfoProto` of an input: its name, type and lengths, `None` where a length is open.
#[derive(Debug, Default)]
pub struct Input<'a> {
    pub name: &'a str,
    pub shape: Vec<Option<usize>>,
    /// Type of its elements.
    pub kind: i64,
}

impl<'a> Model<'a> {
    /// Views on the messages of a file.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut model = Self::default();
        fields(bytes, |number, value| {
            match number {
                2 => model.producer = value.text()?,
                7 => model.graph = Graph::parse(value.bytes()?)?,
                8 => {
                    let (mut domain, mut version) = ("", 0);
                    fields(value.bytes()?, |number, value| {
                        match number {
                            1 => domain = value.text()?,
                            2 => version = value.number()?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    if domain.is_empty() || domain == "ai.onnx" {
                        model.opset = version;
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(model)
    }
}

impl<'a> Graph<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut graph = Self::default();
        fields(bytes, |number, value| match number {
            1 => push(&mut graph.nodes, Node::parse(value.bytes()?)?, MOST_NODES),
            5 => push(&mut graph.initialisers, Tensor::parse(value.bytes()?)?, MOST_NODES),
            11 => push(&mut graph.inputs, Input::parse(value.bytes()?)?, MOST_NODES),
            _ => Ok(()),
        })?;
        Ok(graph)
    }
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut node = Self::default();
        fields(bytes, |number, value| {
            match number {
                1 => push(&mut node.inputs, value.text()?, MOST_ENTRIES)?,
                2 => push(&mut node.outputs, value.text()?, MOST_ENTRIES)?,
                3 => node.name = value.text()?,
                4 => node.kind = value.text()?,
                5 => push(&mut node.attributes, Attribute::parse(value.bytes()?)?, MOST_ATTRIBUTES)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }

    /// The attribute called `name`.
    pub fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// A number.
    pub fn integer(&self, name: &str, absent: i64) -> i64 {
        self.attribute(name).map_or(absent, |attribute| attribute.integer)
    }

    /// A list of numbers, empty where absent.
    pub fn integers(&self, name: &str) -> &[i64] {
        self.attribute(name).map_or(&[], |attribute| &attribute.integers)
    }
}

impl<'a> Attribute<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut attribute = Self::default();
        fields(bytes, |number, value| {
            match number {
                1 => attribute.name = value.text()?,
                2 => {
                    if let Value::Fixed32(value) = value {
                        attribute.float = f32::from_le_bytes(value);
                    }
                }
                3 => attribute.integer = value.number()?,
                4 => attribute.text = value.bytes()?,
                5 => attribute.tensor = Some(Tensor::parse(value.bytes()?)?),
                8 => push_numbers(&mut attribute.integers, value, MOST_ENTRIES)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut tensor = Self::default();
        fields(bytes, |number, value| {
            match (number, value) {
                (1, value) => push_numbers(&mut tensor.shape, value, 8)?,
                (2, value) => tensor.kind = value.number()?,
                (4, Value::Bytes(packed)) => tensor.floats = Some(packed),
                (5, Value::Bytes(packed)) => tensor.packed = Some(packed),
                (7, value) => push_numbers(&mut tensor.numbers, value, MOST_ENTRIES)?,
                (8, value) => tensor.name = value.text()?,
                (9, value) => tensor.raw = Some(value.bytes()?),
                (4 | 5, _) => return Err(damaged("the numbers of a tensor are not packed")),
                (13, value) => tensor.external(value.bytes()?)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tensor)
    }

    /// One entry of `external_data`.
    fn external(&mut self, bytes: &'a [u8]) -> Result<()> {
        let (mut key, mut text) = ("", "");
        fields(bytes, |number, value| {
            match number {
                1 => key = value.text()?,
                2 => text = value.text()?,
                _ => {}
            }
            Ok(())
        })?;
        let number =
            || text.parse().map_err(|_| damaged(&format!("external data: {key} `{text}` is no number")));
        match key {
            "location" => self.location = Some(text),
            "offset" => self.offset = number()?,
            "length" => self.length = Some(number()?),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Input<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut input = Self::default();
        fields(bytes, |number, value| {
            match number {
                1 => input.name = value.text()?,
                // TypeProto.tensor_type: elem_type, and shape.dim.dim_value
                2 => {
                    descend(value.bytes()?, &[1], &mut |tensor| {
                        fields(tensor, |number, value| {
                            if number == 1 {
                                input.kind = value.number()?;
                            }
                            Ok(())
                        })
                    })?;
                    descend(value.bytes()?, &[1, 2], &mut |shape| {
                        fields(shape, |number, value| {
                            if number == 1 {
                                let mut length = None;
                                fields(value.bytes()?, |number, value| {
                                    if number == 1 {
                                        length = usize::try_from(value.number()?)
                                            .ok()
                                            .filter(|length| *length > 0);
                                    }
                                    Ok(())
                                })?;
                                push(&mut input.shape, length, 8)?;
                            }
                            Ok(())
                        })
                    })?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(input)
    }
}

/// Follows one field number after the other into nested messages.
fn descend<'a>(bytes: &'a [u8], way: &[u32], each: &mut impl FnMut(&'a [u8]) -> Result<()>) -> Result<()> {
    let Some((&next, rest)) = way.split_first() else { return each(bytes) };
    let mut inside = None;
    fields(bytes, |number, value| {
        if number == next {
            inside = Some(value.bytes()?);
        }
        Ok(())
    })?;
    inside.map_or(Ok(()), |inside| descend(inside, rest, each))
}
