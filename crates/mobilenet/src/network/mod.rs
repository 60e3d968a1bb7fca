//! The public entry point for inference: weights are packed once, [`Network::run`] does not allocate.
//!
//! Two implementations stand behind [`Network`], one for each [`Precision`]: `float` and `int8`. `plan` lays out the
//! float network's memory, [`threads`] divides the rows of each layer, `warm_up` lets a browser optimize the kernels
//! before the first frame.

mod float;
mod head;
pub(crate) mod int8;
mod plan;
mod run;
mod source;
pub mod threads;
mod warm_up;

pub use run::{Observer, Precision, Values};
pub use warm_up::warm_up;

use crate::{Architecture, Error, Input, Layer, Result, Weights};
use float::FloatNetwork;
use int8::Int8Network;
use mobilenet_kernels::shape::FeatureMap;
use source::WeightSource;
use std::borrow::Cow;

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
    /// Packs the weights for the kernels and allocates all memory that a run needs.
    ///
    /// In [`Precision::F32`] int8 weights are multiplied out, and activations are rounded to the maker's steps where
    /// the file has some (see [`Weights::steps`]).
    ///
    /// # Errors
    /// If memory is short; in [`Precision::Int8`] if the weights are not quantized (see
    /// [`quantize`](crate::quantize::quantize)), or if the network has standard convolutions.
    pub fn new(weights: &Weights, precision: Precision) -> Result<Self> {
        match precision {
            Precision::F32 => Self::from(WeightSource::Lent(weights), precision),
            // Bytes are packed where they are, so an int8 network takes its own.
            Precision::Int8 => Self::from(WeightSource::Given(&mut weights.clone()), precision),
        }
    }

    /// Like [`new`](Self::new), but takes most kernels out of `weights` as soon as they are packed, so that they are
    /// not held twice; [`export_weights`](Self::export_weights) puts them back.
    ///
    /// # Errors
    /// Like [`new`](Self::new).
    pub fn from_weights_mut(weights: &mut Weights, precision: Precision) -> Result<Self> {
        Self::from(WeightSource::Given(weights), precision)
    }

    fn from(source: WeightSource, precision: Precision) -> Result<Self> {
        let weights = source.weights();
        if precision == Precision::Int8 && !weights.is_quantized() {
            return Err(Error::argument(
                "precision int8: the weights are not quantized; quantize them first",
            ));
        }
        let architecture = weights.architecture.clone();
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

    /// Fills in every kernel that [`from_weights_mut`](Self::from_weights_mut) took out of `weights`.
    pub fn export_weights(&self, weights: &mut Weights) {
        match &self.body {
            Body::F32(body) => body.restore(weights),
            Body::Int8(body) => body.restore(weights),
        }
    }

    /// What the logit of `class` takes of each feature of the embedding: the classifier's weights, or where the network has
    /// a head the gradient at the last run. An error where there is no such class.
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

    /// Runs the stem alone where it runs in integers, for [`warm_up()`].
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

    /// One per class, 0 to 1, of the last run; summing to 1 unless the output is
    /// [`Sigmoid`](crate::architecture::Output::Sigmoid).
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
    pub fn features(&self) -> (FeatureMap, Cow<'_, [f32]>) {
        let steps = self.architecture.head.len();
        let pool = &self.layers[self.layers.len() - 2 - steps];
        let values = match &self.body {
            Body::F32(body) => body.features(pool.shape.input).into(),
            Body::Int8(body) => body.features().into(),
        };
        (pool.shape.input, values)
    }
}
