//! What an object of the class holds: a network, its examples, and the buffers that frames pass through.

use crate::frame::{Frame, Pixels};
use crate::results::{Heatmap, Timings};
use crate::teach::ExampleSet;
use js_sys::Float32Array;
use mobilenet::heatmap::class_activation;
use mobilenet::image::ImageOptions;
use mobilenet::network::threads;
use mobilenet::predictions::class_name;
use mobilenet::{Architecture, Classifier, LayerTiming, Network, Precision, Selection, Weights};
use mobilenet_js::{Error, ErrorCode, Result};
use std::cell::Cell;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Milliseconds, finer than a frame.
    #[wasm_bindgen(js_namespace = performance)]
    pub fn now() -> f64;
}

/// Refuses a call of `method` that needs more bytes than there are. In Rust running out of memory is the module's end.
///
/// # Errors
/// If so many bytes cannot be allocated.
pub fn ensure_memory(method: &str, bytes: usize) -> Result<()> {
    match Vec::<u8>::new().try_reserve_exact(bytes) {
        Ok(()) => Ok(()),
        Err(_) => {
            let message = format!("{method}: no memory is left for {bytes} bytes; dispose of other networks");
            Err(Error::new(ErrorCode::OutOfMemory, message))
        }
    }
}

/// A network, and what belongs to it.
pub struct Engine {
    classifier: Classifier,
    /// The network as it was loaded, for [`loaded`](Self::loaded); without the kernels that the network itself has.
    weights: Weights,
    /// Examples that were shown, and the classifier that was trained on them.
    pub examples: ExampleSet,
    /// Of the last frame.
    pub timings: Timings,
    pixels: Pixels,
}

impl Engine {
    /// Packs the weights. `None` leaves the precision as the file has it and takes all threads.
    ///
    /// # Errors
    /// If memory is short, or the network has no form in this precision.
    pub fn new(mut weights: Weights, precision: Option<Precision>, threads: Option<u32>) -> Result<Self> {
        threads::limit(threads.map_or(usize::MAX, |threads| threads as usize));
        let precision = precision.unwrap_or_else(|| Precision::of(&weights));
        let classifier = Classifier::from_weights_mut(&mut weights, precision)?;
        Ok(Self {
            classifier,
            weights,
            examples: ExampleSet::default(),
            timings: Timings::default(),
            pixels: Pixels::default(),
        })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        self.classifier.network()
    }

    /// What the network is, with the classes that it was taught.
    pub fn architecture(&self) -> &Architecture {
        self.examples.architecture().unwrap_or(self.network().architecture())
    }

    /// One probability per class, of the last frame.
    pub fn probabilities(&self) -> &[f32] {
        self.examples.probabilities().unwrap_or(self.network().probabilities())
    }

    /// The class activation map of `class`, or of the most probable class, for the last frame.
    ///
    /// # Errors
    /// If there is no such class.
    pub fn heatmap(&self, class: Option<usize>) -> Result<Heatmap> {
        let index = match class {
            Some(class) => class,
            None => Selection::top(1).pick(self.probabilities())?.first().map_or(0, |best| best.index),
        };
        let weights = match self.examples.class_weights(index) {
            Some(weights) => weights,
            None => self.network().classifier(index)?,
        };
        let (shape, features) = self.network().features();
        let map = class_activation(&features, shape, &weights)?;
        Ok(Heatmap {
            width: map.width as u32,
            height: map.height as u32,
            values: Float32Array::from(map.values.as_slice()),
            minimum: map.minimum,
            maximum: map.maximum,
            index: index as u32,
            class_name: class_name(self.architecture(), index),
        })
    }

    /// Adds the last frame as an example of a label. Returns how many examples the label has.
    ///
    /// # Errors
    /// Like [`ExampleSet::add`].
    pub fn add_example(&mut self, label: String) -> Result<usize> {
        self.examples.add(label, self.classifier.network().embedding())
    }

    /// A copy of the network as it was loaded.
    pub fn loaded(&self) -> Weights {
        let mut weights = self.weights.clone();
        self.network().export_weights(&mut weights);
        weights
    }

    /// Copies a frame into the network's input.
    fn set_frame(&mut self, frame: &Frame, options: &ImageOptions) -> Result<()> {
        let start = now();
        let whole = self.pixels.take(frame, options)?;
        let grabbed = now();
        let pixels = self.pixels.frame()?;
        match whole {
            None => self.classifier.set_frame(&pixels, options)?,
            Some(size) => self.classifier.set_cut_frame(&pixels, size, options)?,
        }
        self.pixels.let_go();
        self.timings = Timings { grab: grabbed - start, resize: now() - grabbed, network: 0.0 };
        Ok(())
    }

    /// Runs the network on a frame.
    ///
    /// # Errors
    /// If the frame cannot be read, or the region lies outside of it.
    pub fn run(&mut self, frame: &Frame, options: &ImageOptions) -> Result<()> {
        self.set_frame(frame, options)?;
        let start = now();
        self.classifier.run();
        self.examples.answer(self.classifier.network().embedding());
        self.timings.network = now() - start;
        Ok(())
    }

    /// Runs the network on a frame layer by layer.
    ///
    /// # Errors
    /// Like [`run`](Self::run).
    pub fn profile(&mut self, frame: &Frame, options: &ImageOptions) -> Result<Vec<LayerTiming>> {
        self.set_frame(frame, options)?;
        let start = now();
        let layers = self.classifier.profile(&mut now);
        self.timings.network = now() - start;
        Ok(layers)
    }
}

/// Where an [`Engine`] lies between calls.
///
/// A call takes it out and puts it back, so that nothing stays borrowed whatever happens in between: `dispose` marks the
/// slot, and the call that is running lets go of the engine at its end.
#[derive(Default)]
pub struct Slot {
    engine: Cell<Option<Box<Engine>>>,
    disposed: Cell<bool>,
}

impl Slot {
    /// Calls `work` with the engine. No code of the caller's may run inside.
    ///
    /// # Errors
    /// If the network was disposed or is in another call, and those of `work`.
    pub fn with<T>(&self, work: impl FnOnce(&mut Engine) -> Result<T>) -> Result<T> {
        self.check()?;
        let Some(mut engine) = self.engine.take() else {
            let message =
                "MobileNet is busy: methods cannot be called from within a running call; wait for it";
            return Err(Error::new(ErrorCode::Busy, message));
        };
        let result = work(&mut engine);
        if !self.disposed.get() {
            self.engine.set(Some(engine));
        }
        result
    }

    /// Refuses a disposed network.
    ///
    /// # Errors
    /// If it was.
    pub fn check(&self) -> Result<()> {
        match self.disposed.get() {
            true => Err(Error::new(ErrorCode::Disposed, "this MobileNet was disposed; load it again")),
            false => Ok(()),
        }
    }

    /// Puts a new engine in.
    pub fn fill(&self, engine: Engine) {
        self.engine.set(Some(Box::new(engine)));
    }

    /// Whether [`dispose`](Self::dispose) was called.
    pub fn disposed(&self) -> bool {
        self.disposed.get()
    }

    /// Frees the engine, now or at the end of the call that is running.
    pub fn dispose(&self) {
        self.disposed.set(true);
        drop(self.engine.take());
    }
}
