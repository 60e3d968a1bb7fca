//! Labelled pictures become weights.
//!
//! Goes in: batches of normalized pictures with a target distribution each. Comes out: [`Weights`](mobilenet::Weights), batch
//! norm folded in. On the way: [`parameters`] lays all trainable numbers out in one list (new ones, or a trained network's,
//! see [`Parameters::from_weights`]), a [`Replica`] runs its share of a batch forward and backward in memory planned
//! once, the [`Trainer`] joins the replicas' gradients in a fixed order and takes the [`optimizer`]'s step.
//! [`head`] trains a classifier alone on embeddings. Threads, files and progress bars are the caller's.

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
