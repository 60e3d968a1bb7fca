//! What both networks (float32 and int8) share: the precision, and what an observer of a run sees.

use crate::{Layer, Weights};
use mobilenet_kernels::shape::FeatureMap;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// In which numbers a network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 8-bit integers with 32-bit sums. A build without the feature `int8` refuses it.
    Int8,
}

impl Precision {
    /// What weights run in where nobody asks for another: int8 where the file holds all that our own int8 takes and was
    /// made for it. A network whose maker's integers divide ranges differently answers more like its maker's program in
    /// floats on the [maker's steps](Weights::steps).
    pub fn of(weights: &Weights) -> Self {
        if weights.is_quantized() && weights.steps.is_empty() { Self::Int8 } else { Self::F32 }
    }
}

/// A layer's output, dense HWC, made when it is asked for.
pub type Values<'a> = dyn Fn() -> Cow<'a, [f32]> + 'a;

/// What a caller may want to see: the layer that has just run, its output's shape, and the output.
pub type Observer<'a> = dyn FnMut(&Layer, FeatureMap, &Values) + 'a;
