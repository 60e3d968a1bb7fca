//! The part of TFLite's FlatBuffers schema that a MobileNet needs, as views on the file's bytes.
//!
//! Goes in: the file. Comes out: tables by field number, every offset checked by `planus` when it is followed; nothing
//! is copied. The numbers are those of `schema.fbs` and `metadata_schema.fbs`. Next: the reader in `mod.rs`.

use mobilenet::{Error, Result};
use planus::{SliceWithStartOffset, TableRead, errors::ErrorKind};

/// A table of any type.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a>(planus::table_reader::Table<'a>);

impl<'a> TableRead<'a> for Table<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        planus::table_reader::Table::from_buffer(buffer, offset).map(Self)
    }
}

impl<'a> Table<'a> {
    /// The table at the root of a FlatBuffer.
    pub fn root(bytes: &'a [u8]) -> Result<Self> {
        let buffer = SliceWithStartOffset { buffer: bytes, offset_from_start: 0 };
        Self::from_buffer(buffer, 0).map_err(|kind| damaged("Model", &kind.to_string()))
    }

    /// A field that may be absent.
    pub fn get<T: TableRead<'a>>(&self, field: Field) -> Result<Option<T>> {
        let (number, name) = field;
        self.0.access(number, name, "").map_err(|error| damaged(name, &error.error_kind.to_string()))
    }

    /// A number with the schema's default.
    pub fn number<T: TableRead<'a>>(&self, field: Field, default: T) -> Result<T> {
        self.get(field).map(|value| value.unwrap_or(default))
    }

    /// A vector of tables, empty where absent.
    pub fn tables(&self, field: Field) -> Result<Tables<'a>> {
        self.get(field).map(Option::unwrap_or_default)
    }

    /// A short vector of numbers, empty where absent.
    pub fn numbers<T: TableRead<'a> + planus::VectorRead<'a>>(
        &self,
        field: Field,
        most: usize,
    ) -> Result<Vec<T>> {
        match self.get::<planus::Vector<'a, T>>(field)? {
            None => Ok(Vec::new()),
            Some(vector) if vector.len() <= most => Ok(vector.iter().collect()),
            Some(vector) => {
                Err(damaged(field.1, &format!("{} entries, expected at most {most}", vector.len())))
            }
        }
    }
}

/// A vector of tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tables<'a> {
    buffer: Option<SliceWithStartOffset<'a>>,
    first: usize,
    len: usize,
}

impl<'a> TableRead<'a> for Tables<'a> {
    fn from_buffer(buffer: SliceWithStartOffset<'a>, offset: usize) -> Result<Self, ErrorKind> {
        let relative = u32::from_buffer(buffer, offset)? as usize;
        let start = offset.checked_add(relative).ok_or(ErrorKind::InvalidOffset)?;
        let len = u32::from_buffer(buffer, start)? as usize;
        let first = start.checked_add(4).ok_or(ErrorKind::InvalidOffset)?;
        let end = len.checked_mul(4).and_then(|bytes| first.checked_add(bytes));
        if end.is_none_or(|end| end > buffer.len()) {
            return Err(ErrorKind::InvalidLength);
        }
        Ok(Self { buffer: Some(buffer), first, len })
    }
}

impl<'a> Tables<'a> {
    /// How many tables.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The table at `index`; `what` names it in the sentence where there is none.
    pub fn at(&self, index: usize, what: &'static str) -> Result<Table<'a>> {
        let buffer = self.buffer.filter(|_| index < self.len);
        let buffer = buffer.ok_or_else(|| {
            damaged(what, &format!("number {index} is asked for and there are {}", self.len))
        })?;
        Table::from_buffer(buffer, self.first + 4 * index).map_err(|kind| damaged(what, &kind.to_string()))
    }

    /// Every table in order, up to `most` of them.
    pub fn iter(&self, what: &'static str, most: usize) -> impl Iterator<Item = Result<Table<'a>>> {
        let this = *self;
        (0..self.len.min(most)).map(move |index| this.at(index, what))
    }
}

/// A sentence about a file that contradicts itself.
pub fn damaged(place: &str, problem: &str) -> Error {
    Error::format("TFLite", format!("{place}: {problem}; the file is damaged or cut off"))
}

/// Number and name of a table's field.
pub type Field = (usize, &'static str);

/// `Model`.
pub mod model {
    use super::Field;
    pub const OPERATOR_CODES: Field = (1, "Model.operator_codes");
    pub const SUBGRAPHS: Field = (2, "Model.subgraphs");
    pub const DESCRIPTION: Field = (3, "Model.description");
    pub const BUFFERS: Field = (4, "Model.buffers");
    pub const METADATA: Field = (6, "Model.metadata");
    pub const METADATA_NAME: Field = (0, "Metadata.name");
    pub const METADATA_BUFFER: Field = (1, "Metadata.buffer");
    pub const BUFFER_DATA: Field = (0, "Buffer.data");
    pub const BUFFER_OFFSET: Field = (1, "Buffer.offset");
    pub const BUFFER_SIZE: Field = (2, "Buffer.size");
    pub const OLD_CODE: Field = (0, "OperatorCode.deprecated_builtin_code");
    pub const CUSTOM_CODE: Field = (1, "OperatorCode.custom_code");
    pub const CODE: Field = (3, "OperatorCode.builtin_code");
}

/// `SubGraph`, `Tensor`, `QuantizationParameters` and `Operator`.
pub mod graph {
    use super::Field;
    pub const TENSORS: Field = (0, "SubGraph.tensors");
    pub const INPUTS: Field = (1, "SubGraph.inputs");
    pub const OPERATORS: Field = (3, "SubGraph.operators");
    pub const SHAPE: Field = (0, "Tensor.shape");
    pub const TYPE: Field = (1, "Tensor.type");
    pub const BUFFER: Field = (2, "Tensor.buffer");
    pub const NAME: Field = (3, "Tensor.name");
    pub const QUANTISATION: Field = (4, "Tensor.quantization");
    pub const SPARSITY: Field = (6, "Tensor.sparsity");
    pub const SIGNATURE: Field = (7, "Tensor.shape_signature");
    pub const SCALE: Field = (2, "QuantizationParameters.scale");
    pub const ZERO_POINT: Field = (3, "QuantizationParameters.zero_point");
    pub const AXIS: Field = (6, "QuantizationParameters.quantized_dimension");
    pub const OPCODE: Field = (0, "Operator.opcode_index");
    pub const OPERATOR_INPUTS: Field = (1, "Operator.inputs");
    pub const OPERATOR_OUTPUTS: Field = (2, "Operator.outputs");
    pub const OPTIONS: Field = (4, "Operator.builtin_options");
}

/// The option tables of operators: the fields that change what a node does.
pub mod options {
    use super::Field;
    /// `Conv2DOptions`, `DepthwiseConv2DOptions` and `Pool2DOptions` begin alike.
    pub const PADDING: Field = (0, "padding");
    pub const STRIDE_W: Field = (1, "stride_w");
    pub const STRIDE_H: Field = (2, "stride_h");
    pub const CONV_ACTIVATION: Field = (3, "Conv2DOptions.fused_activation_function");
    pub const CONV_DILATION_W: Field = (4, "Conv2DOptions.dilation_w_factor");
    pub const CONV_DILATION_H: Field = (5, "Conv2DOptions.dilation_h_factor");
    pub const DEPTHWISE_ACTIVATION: Field = (4, "DepthwiseConv2DOptions.fused_activation_function");
    pub const DEPTHWISE_DILATION_W: Field = (5, "DepthwiseConv2DOptions.dilation_w_factor");
    pub const DEPTHWISE_DILATION_H: Field = (6, "DepthwiseConv2DOptions.dilation_h_factor");
    pub const POOL_WIDTH: Field = (3, "Pool2DOptions.filter_width");
    pub const POOL_HEIGHT: Field = (4, "Pool2DOptions.filter_height");
    pub const POOL_ACTIVATION: Field = (5, "Pool2DOptions.fused_activation_function");
    /// The first field of the options of ADD, SUB, MUL, DIV and FULLY_CONNECTED.
    pub const ACTIVATION: Field = (0, "fused_activation_function");
    pub const ALPHA: Field = (0, "LeakyReluOptions.alpha");
    pub const APPROXIMATE: Field = (0, "GeluOptions.approximate");
}

/// TFLite's metadata, a FlatBuffer of its own inside the file.
pub mod metadata {
    use super::Field;
    pub const DESCRIPTION: Field = (1, "ModelMetadata.description");
    pub const SUBGRAPHS: Field = (3, "ModelMetadata.subgraph_metadata");
    pub const LICENCE: Field = (5, "ModelMetadata.license");
    pub const INPUTS: Field = (2, "SubGraphMetadata.input_tensor_metadata");
    pub const OUTPUTS: Field = (3, "SubGraphMetadata.output_tensor_metadata");
    pub const PROCESS: Field = (4, "TensorMetadata.process_units");
    pub const FILES: Field = (6, "TensorMetadata.associated_files");
    pub const PROCESS_TYPE: Field = (0, "ProcessUnit.options_type");
    pub const PROCESS_OPTIONS: Field = (1, "ProcessUnit.options");
    pub const MEAN: Field = (0, "NormalizationOptions.mean");
    pub const DEVIATION: Field = (1, "NormalizationOptions.std");
    pub const FILE_NAME: Field = (0, "AssociatedFile.name");
    pub const FILE_TYPE: Field = (2, "AssociatedFile.type");
}

/// Numbers of `BuiltinOperator`, with their names.
pub const OPERATORS: [(i32, &str); 34] = [
    (0, "ADD"),
    (1, "AVERAGE_POOL_2D"),
    (2, "CONCATENATION"),
    (3, "CONV_2D"),
    (4, "DEPTHWISE_CONV_2D"),
    (6, "DEQUANTIZE"),
    (9, "FULLY_CONNECTED"),
    (14, "LOGISTIC"),
    (17, "MAX_POOL_2D"),
    (18, "MUL"),
    (19, "RELU"),
    (21, "RELU6"),
    (22, "RESHAPE"),
    (25, "SOFTMAX"),
    (34, "PAD"),
    (39, "TRANSPOSE"),
    (40, "MEAN"),
    (41, "SUB"),
    (42, "DIV"),
    (43, "SQUEEZE"),
    (77, "SHAPE"),
    (114, "QUANTIZE"),
    (117, "HARD_SWISH"),
    (60, "PADV2"),
    (23, "RESIZE_BILINEAR"),
    (28, "TANH"),
    (45, "STRIDED_SLICE"),
    (53, "CAST"),
    (70, "EXPAND_DIMS"),
    (97, "RESIZE_NEAREST_NEIGHBOR"),
    (98, "LEAKY_RELU"),
    (105, "REVERSE_V2"),
    (111, "ELU"),
    (150, "GELU"),
];
