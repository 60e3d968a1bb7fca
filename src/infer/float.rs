//! The network in 32-bit floats: packed weights, one arena, and the order in which kernels run.
//!
//! Goes in: [`Weights`], then a normalised frame. Comes out: every map, one after the other in the arena's two
//! turns, and the answers. Next: [`Network`](super::Network) hands them out.

use super::network::Observer;
use super::plan::Arena;
use crate::Result;
use crate::kernels::reference;
use crate::model::{Layer, LayerKind, Weights};
use crate::shape::Map;

/// Kernel and bias of one layer, as the kernels want them.
struct Packed {
    kernel: Vec<f32>,
    bias: Vec<f32>,
}

/// A network in floats. The layers it runs are handed to each call, so that they are kept in one place.
pub struct FloatNetwork {
    packed: Vec<Packed>,
    arena: Arena,
    /// Which of the arena's maps the last feature map ends in.
    last: usize,
}

impl FloatNetwork {
    /// Packs the weights of `layers`.
    pub fn new(weights: &Weights, layers: &[Layer]) -> Result<Self> {
        let arena = Arena::new(weights.architecture.input(), layers, |layer| {
            !matches!(layer.kind, LayerKind::Pool | LayerKind::Classifier)
        })?;
        let pack = |layer: &crate::model::LayerWeights| Packed {
            kernel: layer.kernel.to_f32().into_owned(),
            bias: layer.bias.clone(),
        };
        let packed = weights.layers.iter().map(pack).collect();
        Ok(Self { packed, arena, last: (layers.len() - 3) % 2 })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let weights: usize = self.packed.iter().map(|layer| layer.kernel.len() + layer.bias.len()).sum();
        self.arena.bytes() + weights * size_of::<f32>()
    }

    /// Room for a frame.
    pub fn input(&mut self) -> &mut [f32] {
        self.arena.slices().input
    }

    /// Runs all layers.
    pub fn run(&mut self, layers: &[Layer]) {
        self.run_observed(layers, &mut |_, _, _| {});
    }

    /// Runs all layers and shows each one's output.
    pub fn run_observed(&mut self, layers: &[Layer], observer: &mut Observer) {
        let slices = self.arena.slices();
        let [even, odd] = slices.maps;
        let mut packed = self.packed.iter();
        for (index, layer) in layers.iter().enumerate() {
            let (shape, activation) = (&layer.shape, layer.activation);
            let (before, after) =
                if index % 2 == 0 { (&mut *odd, &mut *even) } else { (&mut *even, &mut *odd) };
            if layer.kind == LayerKind::Pool {
                reference::pool(shape.input, &before[..shape.input.len()], slices.embedding);
                observer(layer, shape.output, slices.embedding);
                continue;
            }
            let (input, output) = match layer.kind {
                LayerKind::Stem => (&slices.input[..], &mut after[..shape.output.len()]),
                LayerKind::Classifier => (&slices.embedding[..], &mut slices.logits[..]),
                _ => (&before[..shape.input.len()], &mut after[..shape.output.len()]),
            };
            let Some(Packed { kernel, bias }) = packed.next() else { continue };
            match layer.kind {
                LayerKind::Depthwise => {
                    reference::depthwise(shape, activation, input, kernel, bias, output);
                }
                _ => reference::convolution(shape, activation, input, kernel, bias, output),
            }
            observer(layer, shape.output, output);
        }
        reference::softmax(slices.logits, slices.probabilities);
    }

    /// See [`Network::probabilities`](super::Network::probabilities).
    pub fn probabilities(&self) -> &[f32] {
        self.arena.probabilities()
    }

    /// See [`Network::logits`](super::Network::logits).
    pub fn logits(&self) -> &[f32] {
        self.arena.logits()
    }

    /// See [`Network::embedding`](super::Network::embedding).
    pub fn embedding(&self) -> &[f32] {
        self.arena.embedding()
    }

    /// See [`Network::features`](super::Network::features).
    pub fn features(&self, map: Map) -> &[f32] {
        &self.arena.map(self.last)[..map.len()]
    }
}
