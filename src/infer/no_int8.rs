//! What stands in for `int8` and `quantise` in a build of floats alone: a network that cannot be made.

use super::network::{Observer, Source};
use crate::model::{Layer, Weights};
use crate::{Error, Result};

/// There is none.
pub enum Int8Network {}

fn refuse<T>() -> Result<T> {
    Err(Error::argument("this build computes in f32 only; int8 takes one with the feature `int8`"))
}

/// Nothing is ready to run in a precision that there is not.
pub fn is_quantised(_: &Weights) -> bool {
    false
}

/// Refuses.
pub fn calibrate(_: &Weights) -> Result<Weights> {
    refuse()
}

impl Int8Network {
    pub fn new(_: Source, _: &[Layer]) -> Result<Box<Self>> {
        refuse()
    }

    pub fn restore(&self, _: &mut Weights) {
        match *self {}
    }

    pub fn classifier(&self, _: usize) -> Vec<f32> {
        match *self {}
    }

    pub fn threads(&self) -> usize {
        match *self {}
    }

    pub fn bytes(&self) -> usize {
        match *self {}
    }

    pub fn input(&mut self) -> &mut [u8] {
        match *self {}
    }

    pub fn run_stem(&mut self) {
        match *self {}
    }

    pub fn run(&mut self) {
        match *self {}
    }

    pub fn run_observed(&mut self, _: &[Layer], _: &mut Observer) {
        match *self {}
    }

    pub fn probabilities(&self) -> &[f32] {
        match *self {}
    }

    pub fn logits(&self) -> &[f32] {
        match *self {}
    }

    pub fn embedding(&self) -> &[f32] {
        match *self {}
    }

    pub fn features(&self) -> Vec<f32> {
        match *self {}
    }
}
