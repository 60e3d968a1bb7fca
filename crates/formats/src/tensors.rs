//! Named tensors, as a parser hands them to `naming`: shapes checked against the bytes before any byte is read.
//!
//! Goes in: names, shapes and little-endian bytes borrowed from the file (or values that a parser had to unpack).
//! Comes out: `Vec<f32>` in the file's order of axes, decoded straight from its bytes. Next: `naming`.

use mobilenet::error::Listed;
use mobilenet::{Error, Result};
use mobilenet_kernels::layout::zeros;
use std::borrow::Cow;
use std::ops::Range;

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

    /// Whether the file's bytes are floats as this machine holds them.
    const fn is_as_in_memory(self) -> bool {
        matches!(self, Dtype::F32) && cfg!(target_endian = "little")
    }
}

/// A file that lies elsewhere and is read part by part, so that it and the network are never held at once.
pub trait ReadAt {
    /// Its bytes.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `room` with the bytes from `start` on. False where the file has not so many any more.
    fn read(&self, start: usize, room: &mut [u8]) -> bool;
}

impl std::fmt::Debug for dyn ReadAt + '_ {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str("File")
    }
}

/// Elements of a tensor.
#[derive(Clone, Debug)]
pub enum Data<'a> {
    /// Little-endian bytes as they stand in the file.
    Bytes(Dtype, Cow<'a, [u8]>),
    /// The same, not read yet: where they stand.
    Lazy(Dtype, Range<usize>, &'a dyn ReadAt),
    /// Values that the parser has unpacked.
    F32(Vec<f32>),
}

/// The same, in memory.
enum Read<'a> {
    Bytes(Dtype, Cow<'a, [u8]>),
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
    /// [`Error::shape`] where they differ, [`Error::format`] where the product overflows.
    pub fn new(name: &str, shape: Vec<usize>, data: Data<'a>) -> Result<Self> {
        let elements = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        let (dtype, bytes) = match &data {
            Data::F32(values) => (Dtype::F32, values.len() * 4),
            Data::Bytes(dtype, bytes) => (*dtype, bytes.len()),
            Data::Lazy(dtype, place, _) => (*dtype, place.len()),
        };
        if dtype == Dtype::Other {
            return Ok(Self { shape, data });
        }
        if bytes % dtype.size() != 0 {
            let problem = format!("tensor `{name}`: {bytes} bytes are no whole {dtype:?}s");
            return Err(Error::format("tensor", problem));
        }
        let given = bytes / dtype.size();
        match elements {
            Some(elements) if elements == given => Ok(Self { shape, data }),
            Some(_) => Err(Error::shape(name, &shape, &[given])),
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
            Data::Bytes(dtype, _) | Data::Lazy(dtype, ..) => *dtype,
            Data::F32(_) => Dtype::F32,
        }
    }

    /// The elements, read now where they were not yet.
    fn read(self, name: &str) -> Result<Read<'a>> {
        let (dtype, place, file) = match self.data {
            Data::F32(values) => return Ok(Read::F32(values)),
            Data::Bytes(dtype, bytes) => return Ok(Read::Bytes(dtype, bytes)),
            Data::Lazy(dtype, place, file) => (dtype, place, file),
        };
        if dtype.is_as_in_memory() {
            return Ok(Read::F32(fetched(name, file, place)?));
        }
        Ok(Read::Bytes(dtype, fetched(name, file, place)?.into()))
    }

    /// The elements as floats in the file's order; unpacked values are moved, not copied.
    ///
    /// # Errors
    /// Where the elements are no floats.
    pub fn into_f32(self, name: &str) -> Result<Vec<f32>> {
        match self.read(name)? {
            Read::F32(values) => Ok(values),
            Read::Bytes(dtype, bytes) => decode(name, dtype, &bytes).map(Cow::into_owned),
        }
    }

    /// The elements as signed bytes.
    ///
    /// # Errors
    /// Where they are something else.
    pub fn into_i8(self, name: &str) -> Result<Vec<i8>> {
        let found = self.dtype();
        match self.data {
            Data::Bytes(Dtype::I8, bytes) => Ok(bytemuck::cast_slice(&bytes).to_vec()),
            Data::Lazy(Dtype::I8, place, file) => fetched(name, file, place),
            _ => Err(Error::format("tensor", format!("tensor `{name}`: expected int8, found {found:?}"))),
        }
    }
}

/// The elements of tensor `name`, whose bytes stand at `place`.
fn fetched<T: bytemuck::Pod + Default>(name: &str, file: &dyn ReadAt, place: Range<usize>) -> Result<Vec<T>> {
    let mut values = zeros::<T>(place.len() / size_of::<T>());
    fetch(name, file, place.start, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

/// Fills `room` with the bytes of tensor `name` from `start` on.
fn fetch(name: &str, file: &dyn ReadAt, start: usize, room: &mut [u8]) -> Result<()> {
    if file.read(start, room) {
        return Ok(());
    }
    let problem = format!("tensor `{name}`: the file's bytes were taken away while it was read");
    Err(Error::format("tensor", problem))
}

/// The elements as floats; borrowed where they are that already.
fn decode<'a>(name: &str, dtype: Dtype, bytes: &'a [u8]) -> Result<Cow<'a, [f32]>> {
    fn run<const N: usize>(bytes: &[u8], one: impl Fn([u8; N]) -> f32) -> Cow<'_, [f32]> {
        bytes.as_chunks::<N>().0.iter().map(|&bytes| one(bytes)).collect()
    }
    Ok(match dtype {
        Dtype::F32 if dtype.is_as_in_memory() => match bytemuck::try_cast_slice(bytes) {
            Ok(values) => values.into(),
            Err(_) => run(bytes, f32::from_le_bytes), // where the file's tensors begin anywhere
        },
        Dtype::F32 => run(bytes, f32::from_le_bytes),
        Dtype::F16 => run(bytes, |bytes| half::f16::from_le_bytes(bytes).to_f32()),
        Dtype::Bf16 => run(bytes, |bytes| half::bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => run(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        Dtype::I8 | Dtype::U8 | Dtype::Other => {
            let problem = format!("tensor `{name}`: expected floating point, found {dtype:?}");
            return Err(Error::format("tensor", problem));
        }
    })
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
    fn floats_are_read_wherever_they_begin() {
        let values: Vec<f32> = (0..33 * 17).map(|value| value as f32).collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        for start in 0..5 {
            let mut shifted = vec![0; start];
            shifted.extend(&bytes);
            let data = || Data::Bytes(Dtype::F32, shifted[start..].into());
            let tensor = || Tensor::new("t", vec![33, 17], data()).unwrap();
            assert_eq!(tensor().into_f32("t").unwrap(), values);
        }
    }

    /// A file whose end may be gone.
    struct Elsewhere(Vec<u8>, usize);

    impl ReadAt for Elsewhere {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn read(&self, start: usize, room: &mut [u8]) -> bool {
            room.copy_from_slice(&self.0[start..][..room.len()]);
            start + room.len() <= self.1
        }
    }

    #[test]
    fn what_is_read_later_is_the_same() {
        let bytes: Vec<u8> = (0..96).map(|byte| byte % 60).collect();
        for (dtype, size) in [(Dtype::F32, 4), (Dtype::F16, 2), (Dtype::Bf16, 2), (Dtype::F64, 8)] {
            let shape = vec![3, 28 / size];
            let place = 4..4 + shape[0] * shape[1] * size;
            let (whole, cut) = (Elsewhere(bytes.clone(), 96), Elsewhere(bytes.clone(), place.end - 1));
            let tensor = |data| Tensor::new("t", shape.clone(), data).unwrap();
            let now = || tensor(Data::Bytes(dtype, bytes[place.clone()].into()));
            let later = |file| tensor(Data::Lazy(dtype, place.clone(), file));
            assert_eq!(later(&whole).into_f32("t").unwrap(), now().into_f32("t").unwrap());
            assert!(later(&cut).into_f32("t").unwrap_err().to_string().contains("taken away"));
        }
        let file = Elsewhere(bytes.clone(), 96);
        let tensor = Tensor::new("t", vec![5], Data::Lazy(Dtype::I8, 7..12, &file)).unwrap();
        assert_eq!(tensor.into_i8("t").unwrap(), [7, 8, 9, 10, 11]);
        assert!(Tensor::new("t", vec![5], Data::Lazy(Dtype::I8, 7..11, &file)).is_err());
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
