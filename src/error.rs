//! The one error of the crate. Every variant is a sentence that says what is wrong, where, and what to do.

use std::fmt;

/// What can go wrong, as a sentence for a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no file of the format, or contradict themselves.
    #[error("{format}: {problem}")]
    Format {
        /// Name of the format: `safetensors`, `TFLite`, …
        format: &'static str,
        /// What is wrong, where, and what to do.
        problem: String,
    },
    /// A tensor that the network needs is not in the file.
    #[error("tensor `{name}` is missing; {hint}")]
    MissingTensor {
        /// The name looked for.
        name: String,
        /// What the file has instead, or what to do.
        hint: String,
    },
    /// A tensor has another shape than the network asks for.
    #[error("tensor `{name}`: expected shape [{}], found [{}]", Listed(expected, ", "), Listed(found, ", "))]
    Shape {
        /// Its name in the file.
        name: String,
        /// The shape that the architecture asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{name}`: value {index} is {}, and a network needs finite weights", Decimal((*value).into()))]
    NotFinite {
        /// Its name in the file.
        name: String,
        /// Position of the first bad value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The architecture cannot be built.
    #[error("architecture: {0}")]
    Architecture(String),
    /// The file is a network, but not MobileNet v1.
    #[error("not a MobileNet v1: {0}")]
    NotMobileNet(String),
    /// A frame cannot be read.
    #[error("frame: {0}")]
    Frame(String),
    /// An argument is out of range.
    #[error("{0}")]
    Argument(String),
    /// Training cannot go on.
    #[error("training: {0}")]
    Training(String),
}

/// Result of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Shorthand for [`Error::Format`].
    pub fn format(format: &'static str, problem: impl Into<String>) -> Self {
        Error::Format { format, problem: problem.into() }
    }
}

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
