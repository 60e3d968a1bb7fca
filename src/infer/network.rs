//! The door to a network: pack once, run many times without allocating.
//!
//! Goes in: [`Weights`] and a [`Precision`]; then frames, written into [`Network::input`]. Comes out: probabilities,
//! logits, embedding and features of the last run, and every layer's map for whoever observes. Behind the door
//! stands one body a precision. Next: `js`, the CLI and the tests.

use super::float::FloatNetwork;
use super::int8::Int8Network;
#[cfg(not(feature = "int8"))]
use super::int8::{calibrate, is_quantised};
#[cfg(feature = "int8")]
use super::quantise::{calibrate, is_quantised};
use crate::model::{Architecture, Kernel, Layer, Weights};
use crate::shape::Map;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// In which numbers a network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
        if is_quantised(weights) && weights.steps.is_empty() { Self::Int8 } else { Self::F32 }
    }
}

/// Where a frame goes: `resolution × resolution × 3`, dense HWC.
#[derive(Debug)]
pub enum Input<'a> {
    /// Normalised, in the network's channel order.
    F32(&'a mut [f32]),
    /// Bytes of colour as they are, red first: the stem normalises.
    U8(&'a mut [u8]),
}

/// A layer's output, dense HWC, made when it is asked for.
pub type Values<'a> = dyn Fn() -> Cow<'a, [f32]> + 'a;

/// What a caller may want to see: the layer that has just run, its output's shape, and the output.
pub type Observer<'a> = dyn FnMut(&Layer, Map, &Values) + 'a;

/// Weights on their way into a network.
pub(super) enum Source<'a> {
    /// Their owner keeps them.
    Lent(&'a Weights),
    /// What was packed is taken out.
    Given(&'a mut Weights),
}

impl Source<'_> {
    /// All of them.
    pub fn weights(&self) -> &Weights {
        match self {
            Source::Lent(weights) => weights,
            Source::Given(weights) => weights,
        }
    }

    /// The kernel of layer `index` in floats, its owner's or taken out.
    pub fn floats(&mut self, index: usize) -> Option<Kernel> {
        if let Source::Given(weights) = self {
            let kernel = &mut weights.layers.get_mut(index)?.kernel;
            if !matches!(kernel, Kernel::Int8 { .. }) {
                return Some(std::mem::replace(kernel, Kernel::F32(Vec::new())));
            }
        }
        let floats = self.weights().layers.get(index)?.kernel.to_f32().into_owned();
        drop(self.bytes(index)); // multiplied out, they are not held twice
        Some(Kernel::F32(floats))
    }

    /// The kernel of layer `index` in bytes, taken out; none where it is lent, or has floats.
    #[inline(never)]
    pub fn bytes(&mut self, index: usize) -> Vec<i8> {
        if let Source::Given(weights) = self
            && let Some(Kernel::Int8 { values, .. }) =
                weights.layers.get_mut(index).map(|layer| &mut layer.kernel)
        {
            return std::mem::take(values);
        }
        Vec::new()
    }
}

/// A MobileNet ready to run.
pub struct Network {
    architecture: Architecture,
    layers: Vec<Layer>,
    body: Body,
}

/// One network a precision.
enum Body {
    F32(FloatNetwork),
    Int8(Box<Int8Network>),
}

impl Network {
    /// Packs the weights for the kernels and lays out the memory. Int8 weights are multiplied out where floats are
    /// asked for (and activations rounded to the maker's steps where there were some, see [`Weights::steps`]), float
    /// weights [quantised](super::quantise::quantise) where integers are. An error where memory is short, or
    /// where a network of full convolutions is asked for in int8.
    pub fn new(weights: &Weights, precision: Precision) -> Result<Self> {
        if precision == Precision::F32 {
            return Self::from(Source::Lent(weights), precision);
        }
        // Bytes are packed where they are, so a network in int8 takes its own.
        let mut own = if is_quantised(weights) { weights.clone() } else { calibrate(weights)? };
        Self::from(Source::Given(&mut own), precision)
    }

    /// As [`new`](Self::new), and takes most kernels out of `weights` as soon as they are packed, so that they are not
    /// held twice; [`restore`](Self::restore) puts them back. Weights in floats are quantised in place where integers
    /// are asked for.
    pub fn taking(weights: &mut Weights, precision: Precision) -> Result<Self> {
        if precision == Precision::Int8 && !is_quantised(weights) {
            *weights = calibrate(weights)?;
        }
        Self::from(Source::Given(weights), precision)
    }

    fn from(source: Source, precision: Precision) -> Result<Self> {
        let architecture = source.weights().architecture.clone();
        let layers = architecture.layers();
        let body = match precision {
            Precision::F32 => Body::F32(FloatNetwork::new(source, &layers)?),
            Precision::Int8 => Body::Int8(Int8Network::new(source, &layers)?),
        };
        Ok(Self { architecture, layers, body })
    }

    /// What the network is.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Every layer in the order the data flows, as observers see them.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// In which numbers it computes.
    pub fn precision(&self) -> Precision {
        match self.body {
            Body::F32(_) => Precision::F32,
            Body::Int8(_) => Precision::Int8,
        }
    }

    /// Fills in every kernel that [`taking`](Self::taking) took out of `weights`.
    pub fn restore(&self, weights: &mut Weights) {
        match &self.body {
            Body::F32(body) => body.restore(weights),
            Body::Int8(body) => body.restore(weights),
        }
    }

    /// What the logit of `class` takes of each feature of the embedding. An error where there is no such class.
    pub fn classifier(&self, class: usize) -> Result<Vec<f32>> {
        let classes = self.architecture.classes;
        if class >= classes {
            return Err(Error::argument(format!("class {class} does not exist; there are {classes}")));
        }
        Ok(match &self.body {
            Body::F32(body) => body.classifier(class),
            Body::Int8(body) => body.classifier(class),
        })
    }

    /// Threads that share its layers' rows; 1 in builds without them.
    pub fn threads(&self) -> usize {
        match &self.body {
            Body::F32(body) => body.threads(),
            Body::Int8(body) => body.threads(),
        }
    }

    /// Bytes held: packed weights and maps.
    pub fn bytes(&self) -> usize {
        match &self.body {
            Body::F32(body) => body.bytes(),
            Body::Int8(body) => body.bytes(),
        }
    }

    /// Room for a frame. It keeps its values until they are overwritten, whatever runs.
    pub fn input(&mut self) -> Input<'_> {
        match &mut self.body {
            Body::F32(body) => Input::F32(body.input()),
            Body::Int8(body) => Input::U8(body.input()),
        }
    }

    /// Runs on [`input`](Self::input) and gives the probabilities. Allocates nothing.
    pub fn run(&mut self) -> &[f32] {
        match &mut self.body {
            Body::F32(body) => body.run(&self.layers),
            Body::Int8(body) => body.run(),
        }
        self.probabilities()
    }

    /// Runs the stem alone where it runs in integers, for [`warm`](super::warm).
    pub(super) fn run_stem_of_bytes(&mut self) {
        if let Body::Int8(body) = &mut self.body {
            body.run_stem();
        }
    }

    /// As [`run`](Self::run), layer by layer without fusing, and shows `observer` each layer's output. The answer
    /// is the same to the bit. Allocates, and takes longer.
    pub fn run_observed(&mut self, observer: &mut Observer) -> &[f32] {
        match &mut self.body {
            Body::F32(body) => body.run_observed(&self.layers, observer),
            Body::Int8(body) => body.run_observed(&self.layers, observer),
        }
        self.probabilities()
    }

    /// One per class, 0 to 1, summing to 1, of the last run.
    pub fn probabilities(&self) -> &[f32] {
        match &self.body {
            Body::F32(body) => body.probabilities(),
            Body::Int8(body) => body.probabilities(),
        }
    }

    /// One per class, before softmax, of the last run.
    pub fn logits(&self) -> &[f32] {
        match &self.body {
            Body::F32(body) => body.logits(),
            Body::Int8(body) => body.logits(),
        }
    }

    /// The pooled features of the last run: 1024·alpha numbers that tell pictures apart.
    pub fn embedding(&self) -> &[f32] {
        match &self.body {
            Body::F32(body) => body.embedding(),
            Body::Int8(body) => body.embedding(),
        }
    }

    /// The last feature map of the last run, before pooling: its shape and its values, dense HWC.
    pub fn features(&self) -> (Map, Cow<'_, [f32]>) {
        let pool = &self.layers[self.layers.len() - 2];
        let values = match &self.body {
            Body::F32(body) => body.features(pool.shape.input).into(),
            Body::Int8(body) => body.features().into(),
        };
        (pool.shape.input, values)
    }
}
