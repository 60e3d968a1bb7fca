//! A network together with everything between a frame and an answer.

use crate::architecture::Normalization;
use crate::cost;
use crate::heatmap::{Heatmap, class_activation};
use crate::image::{Frame, ImageOptions, Resizer};
use crate::quantize::for_precision;
use crate::{Error, Input, LayerKind, Network, Precision, Prediction, Result, Selection, Weights};
use std::borrow::Cow;

/// One layer of a profiled run.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTiming {
    /// The layer's name, as Keras has it: `conv1`, `conv_dw_1`, …
    pub name: String,
    /// What it computes.
    pub kind: LayerKind,
    /// Time that it took, in the unit of the clock.
    pub time: f64,
    /// Its multiply-adds.
    pub mult_adds: u64,
}

/// A network that takes frames of any size: [`Network`], [`Resizer`] and normalization behind one type.
///
/// ```
/// use mobilenet::image::{Frame, ImageOptions};
/// use mobilenet::{Classifier, Precision, Selection};
/// # let weights = mobilenet_testing::small(1);
/// # let pixels = vec![127; 640 * 480 * 4];
///
/// let mut classifier = Classifier::new(&weights, Precision::F32)?;
/// let frame = Frame::new(&pixels, 640, 480)?; // RGBA, four bytes per pixel
/// let best = classifier.classify(&frame, &ImageOptions::default(), &Selection::top(1))?[0];
/// println!("{}: {:.0} %", classifier.class_name(best.index), best.probability * 100.0);
/// # Ok::<(), mobilenet::Error>(())
/// ```
pub struct Classifier {
    network: Network,
    resizer: Resizer,
    normalization: Normalization,
    side: usize,
}

impl Classifier {
    /// Packs `weights` for `precision`; float weights are [quantized](crate::quantize::quantize) for int8.
    ///
    /// # Errors
    /// Like [`Network::new`] and [`quantize`](crate::quantize::quantize); and if the answers for an image of zeros and one
    /// of noise are not finite, with the name of the layer.
    pub fn new(weights: &Weights, precision: Precision) -> Result<Self> {
        let mut network = match for_precision(weights, precision)? {
            Cow::Borrowed(weights) => Network::new(weights, precision)?,
            Cow::Owned(mut weights) => Network::from_weights_mut(&mut weights, precision)?,
        };
        check(&mut network)?;
        Ok(Self::from_network(network))
    }

    /// Like [`new`](Self::new), but moves the kernels out of `weights` instead of copying them, and quantizes in place;
    /// [`Network::export_weights`] puts them back.
    ///
    /// # Errors
    /// Like [`new`](Self::new).
    pub fn from_weights_mut(weights: &mut Weights, precision: Precision) -> Result<Self> {
        if let Cow::Owned(quantized) = for_precision(weights, precision)? {
            *weights = quantized;
        }
        let mut network = Network::from_weights_mut(weights, precision)?;
        check(&mut network)?;
        Ok(Self::from_network(network))
    }

    /// Wraps a packed network.
    pub fn from_network(network: Network) -> Self {
        let architecture = network.architecture();
        let (side, normalization) = (architecture.resolution, architecture.normalization);
        Self { network, resizer: Resizer::new(), normalization, side }
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The label of class `index`, or `class 17` if the network has no labels.
    pub fn class_name(&self, index: usize) -> String {
        crate::predictions::class_name(self.network.architecture(), index)
    }

    /// Resizes and normalizes `frame` into the network's input, for a [`run`](Self::run) that follows.
    ///
    /// # Errors
    /// Like [`Resizer::resize`].
    pub fn set_frame(&mut self, frame: &Frame, options: &ImageOptions) -> Result<()> {
        self.resizer.resize(frame, options, self.side, &self.normalization, self.network.input())
    }

    /// Like [`set_frame`](Self::set_frame) where only the [pixels of the window](crate::image::Window::pixels) were
    /// read from a frame of `size` (width, height).
    ///
    /// # Errors
    /// Like [`Resizer::resize_cut`].
    pub fn set_cut_frame(&mut self, cut: &Frame, size: (usize, usize), options: &ImageOptions) -> Result<()> {
        self.resizer.resize_cut(cut, size, options, self.side, &self.normalization, self.network.input())
    }

    /// Runs the network on the frame that was set and returns one probability per class. Does not allocate.
    pub fn run(&mut self) -> &[f32] {
        self.network.run()
    }

    /// The most probable classes of `frame`, best first.
    ///
    /// # Errors
    /// If the frame, the region or the selection is invalid.
    pub fn classify(
        &mut self,
        frame: &Frame,
        options: &ImageOptions,
        selection: &Selection,
    ) -> Result<Vec<Prediction>> {
        selection.validate(self.network.architecture().classes)?;
        self.set_frame(frame, options)?;
        selection.pick(self.run())
    }

    /// The embedding of `frame`: the pooled features, `1024 · alpha` values that are similar for similar images.
    ///
    /// # Errors
    /// If the frame or the region is invalid.
    pub fn embed(&mut self, frame: &Frame, options: &ImageOptions) -> Result<&[f32]> {
        self.set_frame(frame, options)?;
        self.run();
        Ok(self.network.embedding())
    }

    /// The class activation map of `class` for the last run.
    ///
    /// # Errors
    /// If there is no such class.
    pub fn heatmap(&self, class: usize) -> Result<Heatmap> {
        let (shape, features) = self.network.features();
        class_activation(&features, shape, &self.network.classifier(class)?)
    }

    /// Runs the network layer by layer on the frame that was set and returns the time of each, by `clock`. Slower than
    /// [`run`](Self::run), which fuses layers; the answers are the same to the bit.
    pub fn profile(&mut self, clock: &mut dyn FnMut() -> f64) -> Vec<LayerTiming> {
        let mut layers = Vec::with_capacity(self.network.layers().len());
        let mut before = clock();
        self.network.run_observed(&mut |layer, _, _| {
            let time = clock() - before;
            let mult_adds = cost::of_layer(layer).mult_adds;
            layers.push(LayerTiming { name: layer.name.clone(), kind: layer.kind, time, mult_adds });
            before = clock();
        });
        layers
    }
}
/// Refuses a network whose answers are no numbers, for an image of zeros and for one of noise: weights that are finite
/// and absurd are in files that were damaged.
fn check(network: &mut Network) -> Result<()> {
    let Normalization { mean, deviation, .. } = network.architecture().normalization;
    for noise in [false, true] {
        // Marsaglia's xorshift.
        let mut state = 2_463_534_242_u32;
        let mut byte = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            if noise { state.to_le_bytes()[3] } else { 0 }
        };
        match network.input() {
            Input::U8(values) => values.fill_with(byte),
            Input::F32(values) => {
                for (index, value) in values.iter_mut().enumerate() {
                    *value = (f32::from(byte()) - mean[index % 3]) / deviation[index % 3];
                }
            }
        }
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !finite(network.run()) || !finite(network.embedding()) {
            let mut layer_name = None;
            network.run_observed(&mut |layer, _, values| {
                if layer_name.is_none() && !finite(&values()) {
                    layer_name = Some(layer.name.clone());
                }
            });
            return Err(Error::not_finite_output(&layer_name.unwrap_or_else(|| "softmax".into())));
        }
    }
    match network.input() {
        Input::U8(values) => values.fill(0),
        Input::F32(values) => values.fill(0.0),
    }
    Ok(())
}
