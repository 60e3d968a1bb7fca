//! What MobileNet is: the architecture, what it costs, and the form its weights take. No arithmetic on
//! activations happens here and no bytes are read.

pub mod architecture;
pub mod cost;
pub mod weights;
pub mod width;

pub use architecture::{Architecture, Layer, LayerKind};
pub use weights::{Kernel, LayerWeights, Weights};
