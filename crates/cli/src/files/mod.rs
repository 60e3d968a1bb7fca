//! Files that a command reads and writes: bounded input, atomic output, locks between runs.

pub mod archive;
mod cause;
mod input;
mod lock;
mod output;

pub use cause::explain;
pub use input::{MODEL_LIMIT, TEXT_LIMIT, read, read_text};
pub use lock::FileLock;
pub use output::{check_target, replace};
