//! Training of MobileNet v1.
//!
//! - [`augment`] turns labeled images into batches of normalized inputs and target distributions;
//! - [`parameters`] keeps all trainable values in one list: new ones, or those of a trained network
//!   ([`Parameters::from_weights`]);
//! - a [`Replica`] runs its share of a batch forward and backward, in memory that is planned once;
//! - the [`Trainer`] sums the replicas' gradients in a fixed order and takes the [`optimizer`]'s step;
//! - [`checkpoint`] saves and resumes a trainer; [`Parameters`] become [`Weights`](mobilenet::Weights) with batch
//!   normalization folded in;
//! - [`head`] trains a classifier alone on embeddings.
//!
//! The crate reads no files, starts no threads and prints nothing: that is up to the caller.

#![forbid(unsafe_code)]

pub mod augment;
pub mod checkpoint;
pub mod head;
pub mod optimizer;
pub mod parameters;
pub mod random;
pub mod replica;
pub mod schedule;
pub mod shared;
mod start;
pub mod trainer;

pub use augment::Augmentation;
pub use optimizer::Optimizer;
pub use parameters::{Layout, Parameters};
pub use replica::Replica;
pub use schedule::Schedule;
pub use shared::Shared;
pub use trainer::{Settings, Trainer};
