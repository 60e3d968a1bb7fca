//! The one error of the crate: a sentence that says what is wrong, where, and what to do.

use std::fmt;

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The bytes are no file of the format, or contradict themselves.
    Format,
    /// The file is of a format that is not read here, or of none that is known.
    UnsupportedFormat,
    /// A tensor that the network needs is not in the file.
    MissingTensor,
    /// A tensor has another shape than the network asks for.
    Shape,
    /// A tensor holds NaN or infinity.
    NotFinite,
    /// The architecture cannot be built.
    Architecture,
    /// The file is a network, but not MobileNet v1.
    NotMobileNet,
    /// A frame cannot be read.
    Frame,
    /// An argument is out of range.
    Argument,
    /// There is no memory left.
    OutOfMemory,
    /// Training cannot go on.
    Training,
}

/// What can go wrong, as a sentence for a person. As large as a pointer: every `?` passes it on, and what that takes is
/// in the class's file a hundred times.
pub struct Error(Box<(Kind, String)>);

/// Result of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    #[cold]
    #[inline(never)]
    fn new(kind: Kind, before: &str, sentence: &str) -> Self {
        Self(Box::new((kind, [before, sentence].concat())))
    }

    /// What it is about.
    pub fn kind(&self) -> Kind {
        self.0.0
    }

    /// [`Kind::Format`]: name of the format (`safetensors`, `TFLite`, …), and what is wrong, where, and what to do.
    #[cold]
    pub fn format(format: &'static str, problem: impl AsRef<str>) -> Self {
        Self::new(Kind::Format, &[format, ": "].concat(), problem.as_ref())
    }

    /// [`Kind::UnsupportedFormat`]: what the file is instead, and what to do.
    #[cold]
    pub fn unsupported_format(format: &str, problem: impl AsRef<str>) -> Self {
        Self::new(Kind::UnsupportedFormat, &[format, ": "].concat(), problem.as_ref())
    }

    /// [`Kind::MissingTensor`]: the name looked for, and what the file has instead, or what to do.
    #[cold]
    #[inline(never)]
    pub fn missing_tensor(name: &str, hint: &str) -> Self {
        Self::new(Kind::MissingTensor, "tensor `", &[name, "` is missing; ", hint].concat())
    }

    /// [`Kind::Shape`]: its name in the file, the shape that the architecture asks for, the one in the file.
    #[cold]
    #[inline(never)]
    pub fn shape(name: &str, expected: &[usize], found: &[usize]) -> Self {
        let (expected, found) = (Listed(expected, ", "), Listed(found, ", "));
        let sentence = format!("{name}`: expected shape [{expected}], found [{found}]");
        Self::new(Kind::Shape, "tensor `", &sentence)
    }

    /// [`Kind::NotFinite`]: the layer whose output is NaN or infinite.
    #[cold]
    #[inline(never)]
    pub fn not_finite_output(layer: &str) -> Self {
        let rule = "`: its output must be finite numbers, got NaN or infinity; the weights are damaged or of another model";
        Self::new(Kind::NotFinite, "layer `", &[layer, rule].concat())
    }

    /// [`Kind::NotFinite`]: its name in the file, position of the first bad value, the value.
    #[cold]
    #[inline(never)]
    pub fn not_finite(name: &str, index: usize, value: f32) -> Self {
        let value = Decimal(value.into());
        let sentence = format!("{name}`: value {index} is {value}, and a network needs finite weights");
        Self::new(Kind::NotFinite, "tensor `", &sentence)
    }

    /// [`Kind::Architecture`].
    #[cold]
    pub fn architecture(sentence: impl AsRef<str>) -> Self {
        Self::new(Kind::Architecture, "architecture: ", sentence.as_ref())
    }

    /// [`Kind::NotMobileNet`].
    #[cold]
    pub fn not_mobilenet(sentence: impl AsRef<str>) -> Self {
        Self::new(Kind::NotMobileNet, "not a MobileNet v1: ", sentence.as_ref())
    }

    /// [`Kind::Frame`].
    #[cold]
    pub fn frame(sentence: impl AsRef<str>) -> Self {
        Self::new(Kind::Frame, "frame: ", sentence.as_ref())
    }

    /// [`Kind::Argument`].
    #[cold]
    pub fn argument(sentence: impl AsRef<str>) -> Self {
        Self::new(Kind::Argument, "", sentence.as_ref())
    }

    /// [`Kind::OutOfMemory`].
    #[cold]
    pub fn out_of_memory(sentence: impl AsRef<str>) -> Self {
        Self::new(Kind::OutOfMemory, "", sentence.as_ref())
    }

    /// [`Kind::Training`].
    #[cold]
    pub fn training(sentence: impl AsRef<str>) -> Self {
        Self::new(Kind::Training, "training: ", sentence.as_ref())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0.1)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{:?}: {self}", self.kind())
    }
}

impl std::error::Error for Error {}

/// A number as a sentence shows it: nine digits after the point at most. The standard library's exact printing is a
/// tenth of the class's file.
#[derive(Clone, Copy, Debug)]
pub struct Decimal(pub f64);

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Decimal(value) = *self;
        if value.is_nan() {
            return out.write_str("NaN");
        }
        if value < 0.0 {
            out.write_str("-")?;
        }
        let (mut size, mut exponent) = (value.abs(), 0);
        if size.is_infinite() {
            return out.write_str("inf");
        }
        if size >= 1e15 || (size > 0.0 && size < 1e-4) {
            while size >= 10.0 {
                (size, exponent) = (size / 10.0, exponent + 1);
            }
            while size < 1.0 {
                (size, exponent) = (size * 10.0, exponent - 1);
            }
        }
        let (mut digits, mut scale) = (0, 1u32);
        let shown = |scale: u32| (size * f64::from(scale)).round();
        while digits < 9 && (shown(scale) / f64::from(scale) - size).abs() > 1e-9 * size {
            (digits, scale) = (digits + 1, scale * 10);
        }
        let (shown, scale) = (shown(scale) as u64, u64::from(scale));
        write!(out, "{}", shown / scale)?;
        if digits > 0 {
            write!(out, ".{:0digits$}", shown % scale)?;
        }
        if exponent == 0 { Ok(()) } else { write!(out, "e{exponent}") }
    }
}

/// Items as a sentence shows them, with a text between each two. The standard library's `join` and `Debug` are a
/// hundredth of the class's file.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a, T>(pub &'a [T], pub &'a str);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            out.write_str(if index > 0 { self.1 } else { "" })?;
            item.fmt(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_shown_with_a_text_between() {
        assert_eq!(format!("[{}]", Listed(&[2, 30], ", ")), format!("{:?}", [2, 30]));
        assert_eq!(Listed(&["a", "b", "c"], " or ").to_string(), "a or b or c");
        assert_eq!(Listed::<usize>(&[], ", ").to_string(), "");
    }

    #[test]
    fn numbers_are_shown_as_rust_shows_them() {
        let values =
            [0.0, 1.0, -1.5, 0.75, 127.5, 1e-3, 0.001, 123456.789, 4294967296.0, 0.1, -0.000_25, 1e14];
        for value in values {
            assert_eq!(Decimal(value).to_string(), value.to_string());
        }
        assert_eq!(Decimal(f64::from(0.1f32)).to_string(), "0.100000001");
        assert_eq!(Decimal(1e-7).to_string(), "1e-7");
        assert_eq!(Decimal(-2.5e300).to_string(), "-2.5e300");
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Decimal(value).to_string(), value.to_string());
        }
    }
}
