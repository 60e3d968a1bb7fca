//! What stands behind an object of the class: a network, and what carries frames into it.
//!
//! Goes in: weights, then frames as JavaScript has them. Comes out: answers of `infer`. Next: `mod` hands them over.

use super::frame::Grabber;
use super::teach::Lessons;
use super::value::Outcome;
use crate::Result;
use crate::image::{Options, Resizer, Target};
use crate::infer::{Input, Network, Precision, threads};
use crate::model::architecture::Normalisation;
use crate::model::{Architecture, LayerKind, Weights};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Milliseconds, finer than a frame.
    #[wasm_bindgen(js_namespace = performance)]
    pub fn now() -> f64;
}

/// Milliseconds of the last frame.
#[derive(Clone, Copy, Default)]
pub struct Timings {
    pub grab: f64,
    pub resize: f64,
    pub network: f64,
}

/// One layer of a profiled run.
pub struct LayerTiming {
    pub name: String,
    pub kind: LayerKind,
    pub milliseconds: f64,
    pub mult_adds: u64,
}

/// A network, and the buffers that frames pass through.
pub struct Engine {
    pub network: Network,
    /// The network as it was loaded, to save it with what was taught; without the kernels that the network itself has.
    #[cfg(feature = "teach")]
    weights: Weights,
    /// What was shown and learnt.
    pub lessons: Lessons,
    pub timings: Timings,
    grabber: Grabber,
    resizer: Resizer,
    normalisation: Normalisation,
    side: usize,
}

impl Engine {
    /// Packs the weights; `None` leaves the precision as the file has it, and takes all threads.
    pub fn new(mut weights: Weights, precision: Option<Precision>, threads: Option<usize>) -> Result<Self> {
        threads::limit(threads.unwrap_or(usize::MAX));
        let precision = precision.unwrap_or_else(|| Precision::of(&weights));
        let network = Network::taking(&mut weights, precision)?;
        let architecture = network.architecture();
        let (side, normalisation) = (architecture.resolution, architecture.normalisation);
        Ok(Self {
            network,
            #[cfg(feature = "teach")]
            weights,
            lessons: Lessons::default(),
            timings: Timings::default(),
            grabber: Grabber::default(),
            resizer: Resizer::new(),
            normalisation,
            side,
        })
    }

    /// Carries a frame into the network's input.
    fn enter(&mut self, frame: &JsValue, options: &Options) -> Outcome<()> {
        let start = now();
        let picture = self.grabber.grab(frame, options)?;
        let grabbed = now();
        let target = match self.network.input() {
            Input::F32(values) => Target::F32(values),
            Input::U8(values) => Target::U8(values),
        };
        let (side, normal) = (self.side, &self.normalisation);
        match picture.cut_from {
            None => self.resizer.resize(&picture.frame, options, side, normal, target)?,
            Some(size) => {
                self.resizer.resize_cut(&picture.frame, size, options, side, normal, target)?;
            }
        }
        self.timings = Timings { grab: grabbed - start, resize: now() - grabbed, network: 0.0 };
        Ok(())
    }

    /// Runs the network on a frame.
    pub fn look(&mut self, frame: &JsValue, options: &Options) -> Outcome<()> {
        self.enter(frame, options)?;
        let start = now();
        self.network.run();
        self.lessons.answer(self.network.embedding());
        self.timings.network = now() - start;
        Ok(())
    }

    /// The network as it was loaded.
    #[cfg(feature = "teach")]
    pub fn loaded(&self) -> Weights {
        let mut weights = self.weights.clone();
        self.network.restore(&mut weights);
        weights
    }

    /// What the logit of `class` takes of each feature, as it was taught if it was.
    pub fn classifier(&self, class: usize) -> Result<Vec<f32>> {
        self.lessons.classifier(class).map_or_else(|| self.network.classifier(class), Ok)
    }

    /// What the network is, with the classes that it was taught.
    pub fn architecture(&self) -> &Architecture {
        self.lessons.architecture().unwrap_or(self.network.architecture())
    }

    /// Of the last frame, one per class.
    pub fn probabilities(&self) -> &[f32] {
        self.lessons.probabilities().unwrap_or(self.network.probabilities())
    }

    /// Runs the network on a frame layer by layer and takes each one's time.
    pub fn profile(&mut self, frame: &JsValue, options: &Options) -> Outcome<Vec<LayerTiming>> {
        self.enter(frame, options)?;
        let mut layers = Vec::with_capacity(self.network.layers().len());
        let start = now();
        let mut before = start;
        self.network.run_observed(&mut |layer, _, _| {
            let after = now();
            layers.push(LayerTiming {
                name: layer.name.clone(),
                kind: layer.kind,
                milliseconds: after - before,
                mult_adds: crate::model::cost::of_layer(layer).mult_adds,
            });
            before = now();
        });
        self.timings.network = now() - start;
        Ok(layers)
    }
}
