//! The one error of the crate. Every variant is a sentence that says what is wrong, where, and what to do.

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
    #[error("tensor `{name}`: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// Its name in the file.
        name: String,
        /// The shape that the architecture asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{name}`: value {index} is {value}, and a network needs finite weights")]
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
