//! TensorFlow Lite: float32, float16, uint8 per tensor, int8 per channel, and int8 kernels alone (dynamic range).
//!
//! Goes in: the FlatBuffer. Comes out: a chain of nodes with borrowed constants; weights that a `DEQUANTIZE` node
//! unpacks count as constants. The input's quantization says how bytes of color are taken, the outputs' scales say how
//! far activations reach. Next: `graph::matcher`.

mod metadata;
mod schema;

use super::graph::region::{Operand, Scalar, recognize};
use super::graph::{
    Constant, Convolution, Element, Layout, MOST_NODES, Network, Node, Op, Pads, Path, Quantization, Wires,
};
use super::graph::{matcher, path};
use super::{Format, LoadedModel, ModelOptions, ModelSource};
use mobilenet::architecture::{HeadActivation, Normalization};
use mobilenet::{Error, Result};
use schema::{OPERATORS, Table, Tables, damaged, graph, model, options};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Most tensors that one node may read or give.
const MOST_WIRES: usize = 64;

/// Most axes of a tensor.
const MOST_AXES: usize = 8;

/// Most scales of all tensors together: one per channel and class.
const MOST_SCALES: usize = 1_200_000;

/// Bytes of a name that are kept for sentences.
const MOST_NAME: usize = 120;

/// Reads a TFLite file.
///
/// # Errors
/// [`Error::not_mobilenet`] with the first node that differs; [`Error::format`] where the file is damaged.
pub fn read(source: &ModelSource, caller: &ModelOptions) -> Result<LoadedModel> {
    matcher::read(Model::open(source.bytes)?.network()?, caller)
}

/// The tables of a file that everything else refers to.
struct Model<'a> {
    bytes: &'a [u8],
    root: Table<'a>,
    buffers: Tables<'a>,
    tensors: Tables<'a>,
    input: usize,
    operators: Vec<Operator<'a>>,
    /// Tensor that a node without data inputs gives, and the tensor that it unpacks.
    unpacked: BTreeMap<usize, usize>,
    /// Scales that may still be read: many tensors can point at one long list.
    scales_left: Cell<usize>,
}

/// One operator, its number resolved.
struct Operator<'a> {
    code: i32,
    kind: String,
    inputs: Vec<Option<usize>>,
    outputs: Vec<usize>,
    options: Option<Table<'a>>,
}

impl Operator<'_> {
    /// A field of the options, with the schema's default where either is absent.
    fn option<T: for<'b> planus::TableRead<'b>>(&self, field: schema::Field, default: T) -> Result<T> {
        match &self.options {
            Some(options) => options.number(field, default),
            None => Ok(default),
        }
    }

    /// The option of positive numbers (strides, windows), as a size.
    fn size(&self, field: schema::Field, default: i32) -> Result<usize> {
        let value = self.option(field, default)?;
        usize::try_from(value)
            .ok()
            .filter(|value| (1..=4096).contains(value))
            .ok_or_else(|| damaged(field.1, &format!("{value} in a {}, expected 1 to 4096", self.kind)))
    }
}

impl<'a> Model<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        let root = Table::root(bytes)?;
        let subgraph = root.tables(model::SUBGRAPHS)?.at(0, "SubGraph")?;
        let inputs: Vec<i32> = subgraph.numbers(graph::INPUTS, MOST_WIRES)?;
        let input = inputs.first().and_then(|&input| usize::try_from(input).ok());
        let input = input.ok_or_else(|| damaged(graph::INPUTS.1, "the network has no input"))?;
        let tables = subgraph.tables(graph::OPERATORS)?;
        if tables.len() > MOST_NODES {
            let problem = format!("{} operators, and a MobileNet has about a hundred", tables.len());
            return Err(Error::not_mobilenet(problem));
        }
        let codes = root.tables(model::OPERATOR_CODES)?;
        let operators: Vec<_> = tables
            .iter("Operator", MOST_NODES)
            .map(|table| operator(table?, codes))
            .collect::<Result<_>>()?;
        let mut file = Self {
            bytes,
            root,
            buffers: root.tables(model::BUFFERS)?,
            tensors: subgraph.tables(graph::TENSORS)?,
            input,
            operators,
            unpacked: BTreeMap::new(),
            scales_left: Cell::new(MOST_SCALES),
        };
        for operator in &file.operators {
            // DEQUANTIZE of a constant, and nothing else, stands between the file's weights and a convolution.
            if let (6, [Some(packed)], [output]) =
                (operator.code, operator.inputs.as_slice(), operator.outputs.as_slice())
                && *packed != input
                && !file.data(*packed)?.is_empty()
            {
                file.unpacked.insert(*output, *packed);
            }
        }
        Ok(file)
    }

    /// The chain and what the file says beside it.
    fn network(&self) -> Result<Network<'a>> {
        let wires: Vec<Wires> = self.operators.iter().map(wires).collect();
        let name = |index: usize| {
            let output = self.operators[index].outputs.first();
            output.and_then(|&tensor| self.name(tensor).ok()).unwrap_or_default()
        };
        let Path { steps, regions, broken } = path(&wires, self.input, name);
        let wide = self.is_wide()?;
        let mut tensor = self.input;
        let mut nodes = Vec::with_capacity(steps.len());
        for step in steps {
            let operator = &self.operators[step];
            let mut node = self.node(operator, tensor)?;
            if let Some(region) = regions.get(&step) {
                let formula = |index: usize| self.formula(&self.operators[index]);
                node.op = recognize(region, tensor, &wires, &formula).map_or(Op::Other, Op::Activation);
            }
            if wide && let Op::Convolution(convolution) = &mut node.op {
                convolution.floats = true;
            }
            if wide && !matches!(node.op, Op::Pass) {
                node.range = None;
            }
            nodes.push(node);
            tensor = operator.outputs.first().copied().unwrap_or(tensor);
        }
        let mut metadata_buffer = None;
        for entry in self.root.tables(model::METADATA)?.iter("Metadata", MOST_WIRES) {
            let entry = entry?;
            if entry.get::<&str>(model::METADATA_NAME)? == Some("TFLITE_METADATA") {
                let number: u32 = entry.number(model::METADATA_BUFFER, 0)?;
                metadata_buffer = Some(self.buffer(number as usize)?);
            }
        }
        let (mut said, mut provenance) = metadata::read(self.bytes, metadata_buffer);
        if provenance.description.is_empty() {
            provenance.description =
                self.root.get::<&str>(model::DESCRIPTION)?.unwrap_or_default().to_owned();
        }
        let (size, normalization, takes_bytes) = self.input()?;
        said.normalization = normalization.or(said.normalization);
        Ok(Network {
            format: Format::Tflite,
            nodes,
            broken,
            size,
            takes_bytes,
            channels_first: false,
            said,
            default: ModelOptions::default(),
            provenance,
            bytes: self.bytes.len(),
        })
    }

    fn tensor(&self, index: usize) -> Result<Table<'a>> {
        self.tensors.at(index, "Tensor")
    }

    fn name(&self, index: usize) -> Result<String> {
        let name = name(self.tensor(index)?, graph::NAME)?;
        // A fused node is called after all that went into it, joined by semicolons; the first is enough.
        Ok(name.split(';').next().unwrap_or_default().to_owned())
    }

    /// The bytes of a buffer, inside the FlatBuffer or behind it.
    fn buffer(&self, number: usize) -> Result<&'a [u8]> {
        if number == 0 {
            return Ok(&[]);
        }
        let buffer = self.buffers.at(number, "Buffer")?;
        let data = buffer.get::<&[u8]>(model::BUFFER_DATA)?.unwrap_or_default();
        let offset: u64 = buffer.number(model::BUFFER_OFFSET, 0)?;
        if !data.is_empty() || offset <= 1 {
            return Ok(data);
        }
        let size: u64 = buffer.number(model::BUFFER_SIZE, 0)?;
        let range = usize::try_from(offset)
            .ok()
            .zip(offset.checked_add(size).and_then(|end| usize::try_from(end).ok()));
        let outside = || damaged("Buffer", &format!("{size} bytes at {offset} are outside the file"));
        range.and_then(|(start, end)| self.bytes.get(start..end)).ok_or_else(outside)
    }

    /// The bytes of a constant tensor, none where it is computed.
    fn data(&self, index: usize) -> Result<&'a [u8]> {
        let number: u32 = self.tensor(index)?.number(graph::BUFFER, 0)?;
        self.buffer(number as usize)
    }

    /// Scales and zero points, where a tensor has them.
    fn quantization(&self, tensor: Table<'a>) -> Result<Option<Quantization>> {
        let Some(table) = tensor.get::<Table>(graph::QUANTISATION)? else { return Ok(None) };
        let scales: Vec<f32> = table.numbers(graph::SCALE, self.scales_left.get())?;
        if scales.is_empty() {
            return Ok(None);
        }
        self.scales_left.set(self.scales_left.get() - scales.len());
        let zeros: Vec<i64> = table.numbers(graph::ZERO_POINT, scales.len())?;
        let axis: i32 = table.number(graph::AXIS, 0)?;
        Ok(Some(Quantization {
            scales: scales.into_iter().map(f64::from).collect(),
            zeros: zeros.into_iter().map(|zero| zero as f64).collect(),
            axis: usize::try_from(axis).unwrap_or(usize::MAX),
        }))
    }

    /// Scale and zero point of an activation, which has one of each.
    fn scale(&self, tensor: Table<'a>) -> Result<Option<(f64, f64)>> {
        let Some(table) = tensor.get::<Table>(graph::QUANTISATION)? else { return Ok(None) };
        let scales = table.get::<planus::Vector<f32>>(graph::SCALE)?.filter(|scales| scales.len() == 1);
        let zero = table.get::<planus::Vector<i64>>(graph::ZERO_POINT)?.and_then(|zeros| zeros.first());
        let scale = scales.and_then(|scales| scales.first());
        Ok(scale.map(|scale| (f64::from(scale), zero.unwrap_or(0) as f64)))
    }

    /// A constant, a `DEQUANTIZE` node looked through; `None` where the tensor is computed.
    fn constant(&self, index: usize) -> Result<Option<Constant<'a>>> {
        let index = self.unpacked.get(&index).copied().unwrap_or(index);
        let bytes = self.data(index)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let tensor = self.tensor(index)?;
        let name = name(tensor, graph::NAME)?;
        let number: i8 = tensor.number(graph::TYPE, 0)?;
        let Some(element) = element(number) else {
            return Err(damaged("Tensor", &format!("`{name}` has type {number}, which no MobileNet has")));
        };
        if tensor.get::<Table>(graph::SPARSITY)?.is_some() {
            let problem = format!("tensor `{name}` is sparse; convert the model without sparsity");
            return Err(Error::format("TFLite", problem));
        }
        let shape: Vec<i32> = tensor.numbers(graph::SHAPE, MOST_AXES)?;
        let shape = shape.into_iter().map(|axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect();
        Constant::new(name, shape, element, bytes, self.quantization(tensor)?).map(Some)
    }

    /// Rows and columns of the input, how a byte of color becomes a number where it is quantized, and whether it takes the
    /// bytes themselves.
    fn input(&self) -> Result<(Option<[usize; 2]>, Option<Normalization>, bool)> {
        let tensor = self.tensor(self.input)?;
        let shape: Vec<i32> = tensor.numbers(graph::SHAPE, MOST_AXES)?;
        let signature: Vec<i32> = tensor.numbers(graph::SIGNATURE, MOST_AXES)?;
        let fixed = |axis: usize| {
            let length = signature.get(axis).or(shape.get(axis)).copied().unwrap_or(-1);
            usize::try_from(length).ok()
        };
        let size = match shape.as_slice() {
            [_, _, _, 3] => fixed(1).zip(fixed(2)),
            [_, 3, _, _] => fixed(2).zip(fixed(3)),
            _ => {
                return Err(Error::not_mobilenet(format!(
                    "the input has shape {shape:?}, expected [1, rows, columns, 3]"
                )));
            }
        };
        let first_byte = match tensor.number(graph::TYPE, 0i8)? {
            3 => 0.0,   // uint8: the byte of color itself
            9 => 128.0, // int8: the byte less 128
            _ => return Ok((size.map(Into::into), None, false)),
        };
        let normalization = self
            .scale(tensor)?
            .map(|(scale, zero)| Normalization::uniform((zero + first_byte) as f32, scale.recip() as f32));
        let takes_bytes = normalization.is_none() && first_byte == 0.0;
        Ok((size.map(Into::into), normalization, takes_bytes))
    }

    /// Whether activations are kept in 16 bits: floats are nearer to such a network than our seven.
    fn is_wide(&self) -> Result<bool> {
        let outputs = self.operators.iter().filter_map(|operator| operator.outputs.first());
        for &output in outputs {
            if self.tensor(output)?.number(graph::TYPE, 0i8)? == 7 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a quantized tensor can hold.
    fn range(&self, index: usize) -> Result<Option<(f32, f32)>> {
        let tensor = self.tensor(index)?;
        let (least, most) = match tensor.number(graph::TYPE, 0i8)? {
            3 => (0.0, 255.0),
            9 => (-128.0, 127.0),
            7 => (-32768.0, 32767.0),
            _ => return Ok(None),
        };
        let at = |value: f64, (scale, zero): (f64, f64)| ((value - zero) * scale) as f32;
        Ok(self.scale(tensor)?.map(|scale| (at(least, scale), at(most, scale))))
    }

    /// Translates an operator that reads `data`.
    fn node(&self, operator: &Operator<'a>, data: usize) -> Result<Node<'a>> {
        let output = operator.outputs.first().copied();
        let name = output.map_or(Ok(String::new()), |output| self.name(output))?;
        let mut node = Node::new(name, operator.kind.clone(), Op::Other);
        node.range = output.map_or(Ok(None), |output| self.range(output))?;
        let input = |place: usize| operator.inputs.get(place).copied().flatten();
        let constant = |place: usize| input(place).map_or(Ok(None), |tensor| self.constant(tensor));
        let first = input(0) == Some(data);
        let mut clip = None;
        node.op = match operator.code {
            0 | 18 | 41 | 42 => {
                clip = Some(operator.option(options::ACTIVATION, 0i8)?);
                let other = constant(usize::from(first))?;
                let (multiplies, inverse, negative) =
                    (operator.code == 18, operator.code == 42, operator.code == 41);
                match other {
                    Some(other) if multiplies || (inverse && first) => {
                        Op::Affine { scale: Some(other), inverse, shift: None, negative: false }
                    }
                    Some(other) if operator.code == 0 || (negative && first) => {
                        Op::Affine { scale: None, inverse: false, shift: Some(other), negative }
                    }
                    // c − x
                    Some(other) if negative => Op::Affine {
                        scale: Some(Constant::of_numbers("-1", Vec::new(), &[-1.0])?),
                        inverse: false,
                        shift: Some(other),
                        negative: false,
                    },
                    _ => Op::Other,
                }
            }
            _ if !first => Op::Other,
            3 | 4 => {
                let depthwise = operator.code == 4;
                let activation =
                    if depthwise { options::DEPTHWISE_ACTIVATION } else { options::CONV_ACTIVATION };
                clip = Some(operator.option(activation, 0i8)?);
                let layout = if depthwise { Layout::OneHwc } else { Layout::Ohwi };
                self.convolution(operator, data, layout)?
            }
            9 => {
                clip = Some(operator.option(options::ACTIVATION, 0i8)?);
                self.convolution(operator, data, Layout::Oi)?
            }
            1 => {
                clip = Some(operator.option(options::POOL_ACTIVATION, 0i8)?);
                let window =
                    [operator.size(options::POOL_HEIGHT, 0)?, operator.size(options::POOL_WIDTH, 0)?];
                let stride = [operator.size(options::STRIDE_H, 0)?, operator.size(options::STRIDE_W, 0)?];
                let valid = operator.option(options::PADDING, 0i8)? == 1;
                // Padded, a window as large as the map sees it all only once when the stride passes it.
                if valid || stride == window { Op::Mean { window: Some(window) } } else { Op::Other }
            }
            40 => match constant(1)?.and_then(|axes| axes.integers()) {
                Some(axes) if axes == [1, 2] || axes == [2, 1] || axes == [-3, -2] => {
                    Op::Mean { window: None }
                }
                _ => Op::Other,
            },
            34 => constant(1)?.map_or(Op::Other, |pads| pad(&pads)),
            60 => match (constant(1)?, constant(2)?.and_then(|value| value.scalar())) {
                (Some(pads), Some(0.0)) => pad(&pads),
                _ => Op::Other,
            },
            39 => match constant(1)?.and_then(|order| order.integers()).as_deref() {
                Some([0, 2, 3, 1] | [0, 3, 1, 2] | [0, 1, 2, 3]) => Op::Pass,
                _ => Op::Other,
            },
            19 => Op::Clip(0.0, f32::INFINITY),
            21 => Op::Clip(0.0, 6.0),
            22 | 43 => Op::Reshape,
            70 => Op::Reshape, // EXPAND_DIMS
            6 | 53 | 114 => Op::Pass,
            25 if operator.option((0, "SoftmaxOptions.beta"), 0.0f32)? == 1.0 => {
                Op::Activation(HeadActivation::Softmax)
            }
            14 => Op::Activation(HeadActivation::Sigmoid),
            28 => Op::Activation(HeadActivation::Tanh),
            98 => Op::Activation(HeadActivation::LeakyRelu(operator.option(options::ALPHA, 0.0f32)?)),
            111 => Op::Activation(HeadActivation::Elu(1.0)),
            117 => Op::Activation(HeadActivation::HardSwish),
            150 if operator.option(options::APPROXIMATE, 0u8)? == 0 => Op::Activation(HeadActivation::Gelu),
            150 => Op::Activation(HeadActivation::GeluTanh),
            105 => match constant(1)?.and_then(|axes| axes.integers()).as_deref() {
                Some([3] | [-1]) => Op::Reverse,
                _ => Op::Other,
            },
            23 => match constant(1)?.and_then(|size| size.integers()).as_deref() {
                Some(&[height, width]) => Op::Resize([
                    usize::try_from(height).unwrap_or(usize::MAX),
                    usize::try_from(width).unwrap_or(usize::MAX),
                ]),
                _ => Op::Other,
            },
            _ => Op::Other,
        };
        match clip {
            None | Some(0) => {}
            Some(1) => node.clip = Some((0.0, f32::INFINITY)),
            Some(2) => node.clip = Some((-1.0, 1.0)),
            Some(3) => node.clip = Some((0.0, 6.0)),
            Some(_) => node.op = Op::Other,
        }
        Ok(node)
    }

    /// What an operator computes of every value, and of what.
    fn formula(&self, operator: &Operator<'a>) -> Option<(Scalar, Vec<Operand>)> {
        let arithmetic = matches!(operator.code, 0 | 18 | 41 | 42);
        if arithmetic && operator.option(options::ACTIVATION, 0i8).ok()? != 0 {
            return None;
        }
        let mut operands = Vec::new();
        for input in &operator.inputs {
            let tensor = (*input)?;
            operands.push(match self.constant(tensor).ok()? {
                Some(constant) => Operand::Number(constant.scalar()?.into()),
                None => Operand::Tensor(tensor),
            });
        }
        Some((scalar(operator.code)?, operands))
    }

    /// A convolution, depthwise or not, or a fully connected layer.
    fn convolution(&self, operator: &Operator<'a>, data: usize, layout: Layout) -> Result<Op<'a>> {
        let constant = |place: usize| match operator.inputs.get(place).copied().flatten() {
            Some(tensor) => self.constant(tensor),
            None => Ok(None),
        };
        let Some(kernel) = constant(1)? else { return Ok(Op::Other) };
        let bias = match (constant(2)?, operator.inputs.get(2).copied().flatten()) {
            (None, Some(_)) => return Ok(Op::Other),
            (bias, _) => bias,
        };
        let input = self.scale(self.tensor(data)?)?.map_or(1.0, |(scale, _)| scale);
        let scales = || Some(kernel.scales()?.iter().map(|scale| scale * input).collect());
        let bias = bias.map(|bias| bias.or_scales(scales));
        let two = |down, across, default| {
            Ok::<_, Error>([operator.size(down, default)?, operator.size(across, default)?])
        };
        let (stride, dilation, pads) = match layout {
            Layout::Oi => ([1, 1], [1, 1], Pads::Explicit([0; 4])),
            _ => {
                let dilation = match layout {
                    Layout::OneHwc => two(options::DEPTHWISE_DILATION_H, options::DEPTHWISE_DILATION_W, 1)?,
                    _ => two(options::CONV_DILATION_H, options::CONV_DILATION_W, 1)?,
                };
                let same = operator.option(options::PADDING, 0i8)? == 0;
                let pads = if same { Pads::Same } else { Pads::Explicit([0; 4]) };
                (two(options::STRIDE_H, options::STRIDE_W, 0)?, dilation, pads)
            }
        };
        Ok(Op::Convolution(Convolution {
            kernel,
            layout,
            groups: 1,
            bias,
            stride,
            dilation,
            pads,
            floats: false,
        }))
    }
}

/// An operator's number, kind, wires and options.
fn operator<'a>(table: Table<'a>, codes: Tables<'a>) -> Result<Operator<'a>> {
    let number: u32 = table.number(graph::OPCODE, 0)?;
    let code = codes.at(number as usize, "OperatorCode")?;
    // Numbers above 127 are in the newer field only; older files have the older field only.
    let number = i32::from(code.number(model::OLD_CODE, 0i8)?).max(code.number(model::CODE, 0)?);
    let kind = match OPERATORS.iter().find(|(known, _)| *known == number) {
        Some((_, kind)) => (*kind).to_owned(),
        None => match name(code, model::CUSTOM_CODE)? {
            custom if custom.is_empty() => format!("operator {number}"),
            custom => custom.into_owned(),
        },
    };
    let inputs: Vec<i32> = table.numbers(graph::OPERATOR_INPUTS, MOST_WIRES)?;
    let outputs: Vec<i32> = table.numbers(graph::OPERATOR_OUTPUTS, MOST_WIRES)?;
    Ok(Operator {
        code: number,
        kind,
        inputs: inputs.into_iter().map(|tensor| usize::try_from(tensor).ok()).collect(),
        outputs: outputs.into_iter().filter_map(|tensor| usize::try_from(tensor).ok()).collect(),
        options: table.get(graph::OPTIONS)?,
    })
}

/// What an operator of this number computes of every value.
fn scalar(code: i32) -> Option<Scalar> {
    Some(match code {
        0 => Scalar::Add,
        14 => Scalar::Sigmoid,
        18 => Scalar::Mul,
        19 => Scalar::Clip(0.0, f64::INFINITY),
        21 => Scalar::Clip(0.0, 6.0),
        28 => Scalar::Tanh,
        41 => Scalar::Sub,
        42 => Scalar::Div,
        47 => Scalar::Exp,
        55 => Scalar::Max,
        57 => Scalar::Min,
        59 => Scalar::Negative,
        78 => Scalar::Pow,
        92 => Scalar::Square,
        _ => return None,
    })
}

/// The beginning of a name: it is only for sentences, and a hostile one may be as long as the file.
fn name(table: Table<'_>, field: schema::Field) -> Result<Cow<'_, str>> {
    let bytes = table.get::<&[u8]>(field)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_NAME)]))
}

fn wires(operator: &Operator) -> Wires {
    Wires {
        inputs: operator.inputs.iter().flatten().copied().collect(),
        outputs: operator.outputs.clone(),
        shape_only: operator.code == 77,
        scalar: scalar(operator.code).is_some(),
    }
}

/// Rows of `[before, after]` for batch, rows, columns and channels.
fn pad<'a>(pads: &Constant) -> Op<'a> {
    let size = |value: i64| usize::try_from(value).ok().filter(|value| *value <= 4096);
    match pads.integers().as_deref() {
        Some(&[0, 0, top, bottom, left, right, 0, 0]) => {
            let sides = [size(top), size(bottom), size(left), size(right)];
            match sides {
                [Some(top), Some(bottom), Some(left), Some(right)] => Op::Pad([top, bottom, left, right]),
                _ => Op::Other,
            }
        }
        _ => Op::Other,
    }
}

/// Numbers of `TensorType`.
fn element(number: i8) -> Option<Element> {
    Some(match number {
        0 => Element::F32,
        1 => Element::F16,
        2 => Element::I32,
        3 => Element::U8,
        4 => Element::I64,
        7 => Element::I16,
        9 => Element::I8,
        10 => Element::F64,
        _ => return None,
    })
}
