//! Named tensors, as a parser hands them to `naming`: shapes checked against the bytes before any byte is read.
//!
//! Goes in: names, shapes and little-endian bytes borrowed from the file (or values that a parser had to unpack).
//! Comes out: `Vec<f32>` in the order of axes that is asked for, decoded and transposed in one pass, so that no
//! second copy of a tensor ever exists. Next: `naming`.

use crate::error::Listed;
use crate::{Error, Result};
use std::borrow::Cow;

/// Type of a tensor's elements in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// The upper half of an IEEE single.
    Bf16,
    /// IEEE double.
    F64,
    /// Signed byte.
    I8,
    /// Unsigned byte.
    U8,
    /// Anything else: carried along, refused when its values are asked for.
    Other,
}

impl Dtype {
    /// Bytes of one element; 0 where unknown.
    pub const fn size(self) -> usize {
        match self {
            Dtype::F64 => 8,
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::I8 | Dtype::U8 => 1,
            Dtype::Other => 0,
        }
    }
}

/// Elements of a tensor.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// Little-endian bytes as they stand in the file.
    Bytes(Dtype, Cow<'a, [u8]>),
    /// Values that the parser has unpacked.
    F32(Vec<f32>),
}

/// One tensor: its shape, row-major, and its elements.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// Lengths of the axes, the last one innermost.
    pub shape: Vec<usize>,
    data: Data<'a>,
}

impl<'a> Tensor<'a> {
    /// Checks that the shape's product is the number of elements.
    ///
    /// # Errors
    /// [`Error::Shape`] where they differ, [`Error::Format`] where the product overflows.
    pub fn new(name: &str, shape: Vec<usize>, data: Data<'a>) -> Result<Self> {
        let elements = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        let given = match &data {
            Data::F32(values) => values.len(),
            Data::Bytes(Dtype::Other, _) => return Ok(Self { shape, data }),
            Data::Bytes(dtype, bytes) if bytes.len() % dtype.size() == 0 => bytes.len() / dtype.size(),
            Data::Bytes(dtype, bytes) => {
                let problem = format!("tensor `{name}`: {} bytes are no whole {dtype:?}s", bytes.len());
                return Err(Error::format("tensor", problem));
            }
        };
        match elements {
            Some(elements) if elements == given => Ok(Self { shape, data }),
            Some(_) => Err(Error::Shape { name: name.into(), expected: shape, found: vec![given] }),
            None => Err(Error::format(
                "tensor",
                format!("tensor `{name}`: shape [{}] overflows", Listed(&shape, ", ")),
            )),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.shape.contains(&0)
    }

    /// Type of the elements in the file.
    pub fn dtype(&self) -> Dtype {
        match &self.data {
            Data::Bytes(dtype, _) => *dtype,
            Data::F32(_) => Dtype::F32,
        }
    }

    /// The elements as floats in the file's order; unpacked values are moved, not copied.
    ///
    /// # Errors
    /// Where the elements are no floats.
    pub fn into_f32(self, name: &str) -> Result<Vec<f32>> {
        match self.data {
            Data::F32(values) => Ok(values),
            Data::Bytes(dtype, bytes) => decode(name, dtype, &bytes, Order::AsItIs),
        }
    }

    /// A matrix of `rows × columns` turned into `columns × rows`: OIHW with one pixel becomes HWIO, and C1HW with
    /// `rows` channels becomes HWC1.
    ///
    /// # Errors
    /// Where the elements are no floats, or not `rows · columns`.
    pub fn into_transposed_f32(self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>> {
        if rows.checked_mul(columns) != Some(self.len()) {
            return Err(Error::Shape {
                name: name.into(),
                expected: vec![rows, columns],
                found: self.shape.clone(),
            });
        }
        match self.data {
            Data::F32(values) => Ok(transpose(&values, rows, columns, |&value| value)),
            Data::Bytes(dtype, bytes) => decode(name, dtype, &bytes, Order::Transposed(rows, columns)),
        }
    }

    /// The elements as signed bytes.
    ///
    /// # Errors
    /// Where they are something else.
    pub fn into_i8(self, name: &str) -> Result<Vec<i8>> {
        match self.data {
            Data::Bytes(Dtype::I8, bytes) => Ok(bytes.iter().map(|&byte| byte as i8).collect()),
            data => {
                let dtype = match data {
                    Data::Bytes(dtype, _) => dtype,
                    Data::F32(_) => Dtype::F32,
                };
                Err(Error::format("tensor", format!("tensor `{name}`: expected int8, found {dtype:?}")))
            }
        }
    }
}

/// Order in which decoded elements are wanted.
#[derive(Clone, Copy)]
enum Order {
    AsItIs,
    Transposed(usize, usize),
}

fn decode(name: &str, dtype: Dtype, bytes: &[u8], order: Order) -> Result<Vec<f32>> {
    fn run<const N: usize>(bytes: &[u8], order: Order, one: impl Fn(&[u8; N]) -> f32) -> Vec<f32> {
        let (elements, _) = bytes.as_chunks::<N>();
        match order {
            Order::AsItIs => elements.iter().map(one).collect(),
            Order::Transposed(rows, columns) => transpose(elements, rows, columns, one),
        }
    }
    match dtype {
        Dtype::F32 => Ok(run(bytes, order, |&bytes| f32::from_le_bytes(bytes))),
        Dtype::F16 => Ok(run(bytes, order, |&bytes| half::f16::from_le_bytes(bytes).to_f32())),
        Dtype::Bf16 => Ok(run(bytes, order, |&bytes| half::bf16::from_le_bytes(bytes).to_f32())),
        Dtype::F64 => Ok(run(bytes, order, |&bytes| f64::from_le_bytes(bytes) as f32)),
        Dtype::I8 | Dtype::U8 | Dtype::Other => {
            let problem = format!("tensor `{name}`: expected floating point, found {dtype:?}");
            Err(Error::format("tensor", problem))
        }
    }
}

/// Rows that are read together, so that every line of the output is written in runs.
const TILE: usize = 16;

/// `columns × rows` from `rows × columns`, in strips of [`TILE`] rows: a plain double loop would touch a new line of
/// memory for every element.
fn transpose<T>(input: &[T], rows: usize, columns: usize, one: impl Fn(&T) -> f32) -> Vec<f32> {
    let mut output = vec![0.0; rows * columns];
    if columns == 0 {
        return output;
    }
    for (strip, input) in input.chunks(TILE * columns).enumerate() {
        let start = strip * TILE;
        if let Some((first, rest)) = full_strip(input, columns) {
            for (column, output) in output.chunks_exact_mut(rows).enumerate() {
                let output = &mut output[start..start + TILE];
                output[0] = one(&first[column]);
                for (output, row) in output[1..].iter_mut().zip(rest) {
                    *output = one(&row[column]);
                }
            }
        } else {
            for (row, input) in input.chunks_exact(columns).enumerate() {
                for (column, value) in input.iter().enumerate() {
                    output[column * rows + start + row] = one(value);
                }
            }
        }
    }
    output
}

/// The rows of a strip that holds [`TILE`] of them.
fn full_strip<T>(input: &[T], columns: usize) -> Option<(&[T], [&[T]; TILE - 1])> {
    if input.len() != TILE * columns {
        return None;
    }
    let row = |index: usize| &input[index * columns..(index + 1) * columns];
    Some((row(0), std::array::from_fn(|index| row(index + 1))))
}

/// More tensors than this are no MobileNet's, whatever its training left in the file: names are looked up one by one.
const MOST: usize = 4096;

/// Every tensor of a file, by name.
#[derive(Clone, Debug, Default)]
pub struct Tensors<'a> {
    list: Vec<(String, Tensor<'a>)>,
}

impl<'a> Tensors<'a> {
    /// Adds a tensor; a second one of the same name is refused.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor<'a>) -> Result<()> {
        self.add(name.into(), tensor)
    }

    fn add(&mut self, name: String, tensor: Tensor<'a>) -> Result<()> {
        if self.get(&name).is_some() {
            return Err(Error::format("tensor", format!("there are two tensors called `{name}`")));
        }
        if self.list.len() == MOST {
            let problem =
                format!("the file has more than {MOST} tensors, and a MobileNet v1 at most some hundreds");
            return Err(Error::format("tensor", problem));
        }
        self.list.push((name, tensor));
        Ok(())
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|(known, _)| known == name)
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor<'a>> {
        self.place(name).map(|place| &self.list[place].1)
    }

    /// Takes the tensor called `name` out.
    pub fn take(&mut self, name: &str) -> Option<Tensor<'a>> {
        self.place(name).map(|place| self.list.swap_remove(place).1)
    }

    /// The names, in the order in which they came as long as none was taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(name, _)| name.as_str())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The same tensors under other names.
    ///
    /// # Errors
    /// Where two of them would get the same name.
    pub fn renamed(self, rename: &dyn Fn(&str) -> String) -> Result<Self> {
        let mut renamed = Self::default();
        for (name, tensor) in self.list {
            renamed.add(rename(&name), tensor)?;
        }
        Ok(renamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_is_what_the_definition_says_for_every_small_size() {
        for rows in 1..40 {
            for columns in [1, 2, 9, 16, 33] {
                let values: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                let data = Data::Bytes(Dtype::F32, bytes.into());
                let tensor = Tensor::new("t", vec![rows, columns], data).unwrap();
                let transposed = tensor.into_transposed_f32("t", rows, columns).unwrap();
                for (index, value) in transposed.iter().enumerate() {
                    let (column, row) = (index / rows, index % rows);
                    assert_eq!(*value, (row * columns + column) as f32, "{rows} × {columns} at {index}");
                }
            }
        }
    }

    #[test]
    fn a_shape_that_lies_is_refused() {
        let refused =
            |shape: Vec<usize>| Tensor::new("t", shape, Data::F32(vec![0.0; 6])).unwrap_err().to_string();
        assert_eq!(refused(vec![2, 2]), "tensor `t`: expected shape [2, 2], found [6]");
        assert!(refused(vec![usize::MAX, 2]).contains("overflows"));
        let odd = Tensor::new("t", vec![1], Data::Bytes(Dtype::F32, vec![0; 5].into())).unwrap_err();
        assert!(odd.to_string().contains("5 bytes"), "{odd}");
        let bytes = Tensor::new("t", vec![2], Data::Bytes(Dtype::U8, vec![0; 2].into())).unwrap();
        assert!(bytes.into_f32("t").unwrap_err().to_string().contains("expected floating point, found U8"));
    }
}
