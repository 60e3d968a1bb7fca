//! The network in 32-bit floats: packed weights, one arena, and the order in which kernels run.
//!
//! Goes in: [`Weights`], then a normalised frame. Comes out: every map, one after the other in the arena's two
//! turns, and the answers. A depthwise convolution and its pointwise run as one step, band by band of rows, so that
//! the map between them never leaves the cache; observed, they run one after the other and give the same bits.
//! Next: [`Network`](super::Network) hands the answers out.

use super::network::Observer;
use super::plan::{Arena, Slices};
use crate::Result;
use crate::kernels::f32::{depthwise, pointwise, pool, softmax, window};
use crate::model::{Layer, LayerKind, LayerWeights, Weights};
use crate::shape::{ConvShape, Map};

/// Values of a band between depthwise and pointwise: 96 KiB, which leaves the second cache room for weights.
const BAND: usize = 24 * 1024;

/// The weights of one layer, as its kernel wants them.
enum Packed {
    Window(pointwise::Packed),
    Depthwise(depthwise::Packed),
    Pointwise(pointwise::Packed),
    Pool,
}

impl Packed {
    fn new(layer: &Layer, weights: &mut std::slice::Iter<LayerWeights>) -> Self {
        if layer.kind == LayerKind::Pool {
            return Packed::Pool;
        }
        // `Weights` holds one entry per layer with parameters, in order.
        let Some(LayerWeights { kernel, bias, .. }) = weights.next() else { return Packed::Pool };
        let kernel = kernel.to_f32();
        match layer.kind {
            LayerKind::Stem | LayerKind::Standard => Packed::Window(window::pack(&kernel, bias)),
            LayerKind::Depthwise => Packed::Depthwise(depthwise::pack(&kernel, bias)),
            _ => Packed::Pointwise(pointwise::pack(&kernel, bias)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Packed::Window(packed) | Packed::Pointwise(packed) => packed.bytes(),
            Packed::Depthwise(packed) => packed.bytes(),
            Packed::Pool => 0,
        }
    }
}

/// A network in floats. The layers it runs are handed to each call, so that they are kept in one place.
pub struct FloatNetwork {
    packed: Vec<Packed>,
    arena: Arena,
    /// Which of the arena's maps the last feature map lies in.
    last: usize,
}

impl FloatNetwork {
    /// Packs the weights of `layers`.
    pub fn new(weights: &Weights, layers: &[Layer]) -> Result<Self> {
        let scratch = layers.iter().map(|layer| scratch_len(layer.kind, &layer.shape)).max();
        let arena = Arena::new(weights.architecture.input(), layers, scratch.unwrap_or(0))?;
        let mut with_parameters = weights.layers.iter();
        let packed = layers.iter().map(|layer| Packed::new(layer, &mut with_parameters)).collect();
        Ok(Self { packed, arena, last: 0 })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.arena.bytes() + self.packed.iter().map(Packed::bytes).sum::<usize>()
    }

    /// Room for a frame.
    pub fn input(&mut self) -> &mut [f32] {
        self.arena.slices().input
    }

    /// Runs all layers, a depthwise convolution and its pointwise at once.
    pub fn run(&mut self, layers: &[Layer]) {
        let mut slices = self.arena.slices();
        let mut turn = 0;
        let mut steps = layers.iter().zip(&self.packed);
        while let Some((layer, packed)) = steps.next() {
            if let Packed::Depthwise(depthwise) = packed {
                let Some((pointwise, Packed::Pointwise(packed))) = steps.next() else { break };
                let (input, output) = turns(&mut slices.maps, turn);
                separable([layer, pointwise], depthwise, packed, input, slices.scratch, output);
            } else {
                step(layer, packed, &mut slices, turn);
            }
            turn += 1;
        }
        softmax::forward(slices.logits, slices.probabilities);
        self.last = turn - 3;
    }

    /// Runs all layers one by one and shows each one's output.
    pub fn run_observed(&mut self, layers: &[Layer], observer: &mut Observer) {
        let mut slices = self.arena.slices();
        for (turn, (layer, packed)) in layers.iter().zip(&self.packed).enumerate() {
            let output = step(layer, packed, &mut slices, turn);
            observer(layer, layer.shape.output, output);
        }
        softmax::forward(slices.logits, slices.probabilities);
        self.last = layers.len() - 3;
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

/// Of two maps, the one that step `turn` reads and the one that it writes.
fn turns<'a>([even, odd]: &'a mut [&mut [f32]; 2], turn: usize) -> (&'a [f32], &'a mut [f32]) {
    if turn.is_multiple_of(2) { (odd, even) } else { (even, odd) }
}

/// One layer by itself. Gives its output.
fn step<'a>(layer: &Layer, packed: &Packed, slices: &'a mut Slices, turn: usize) -> &'a [f32] {
    let Layer { shape, activation, kind, .. } = layer;
    let (map, next) = turns(&mut slices.maps, turn);
    let map = if *kind == LayerKind::Stem { &slices.input[..] } else { map };
    let next = match packed {
        Packed::Pool => {
            pool::forward(&map[..shape.input.len()], slices.embedding);
            return slices.embedding;
        }
        Packed::Pointwise(packed) if *kind == LayerKind::Classifier => {
            pointwise::forward(packed, *activation, slices.embedding, slices.logits);
            return slices.logits;
        }
        _ => &mut next[..shape.output.len()],
    };
    let rows = 0..shape.output.height;
    match packed {
        Packed::Window(packed) => {
            window::forward(shape, packed, *activation, rows, map, slices.scratch, next);
        }
        Packed::Depthwise(packed) => depthwise::forward(shape, packed, *activation, rows, map, next),
        Packed::Pointwise(packed) => {
            pointwise::forward(packed, *activation, &map[..shape.input.len()], next);
        }
        Packed::Pool => {}
    }
    next
}

/// Rows that a band of the depthwise convolution `shape` has.
fn band_rows(shape: &ConvShape) -> usize {
    let Map { height, width, channels } = shape.output;
    (BAND / (width * channels)).clamp(1, height)
}

/// Values that a layer needs within its step.
fn scratch_len(kind: LayerKind, shape: &ConvShape) -> usize {
    match kind {
        LayerKind::Stem | LayerKind::Standard => window::gathered_len(shape),
        LayerKind::Depthwise => band_rows(shape) * shape.output.width * shape.output.channels,
        _ => 0,
    }
}

/// A depthwise convolution and its pointwise, band by band.
fn separable(
    [first, second]: [&Layer; 2],
    depthwise: &depthwise::Packed,
    pointwise: &pointwise::Packed,
    input: &[f32],
    band: &mut [f32],
    output: &mut [f32],
) {
    let between = first.shape.output;
    let line = between.width * second.shape.output.channels;
    let rows = band_rows(&first.shape);
    let output = &mut output[..second.shape.output.len()];
    for (index, output) in output.chunks_mut(rows * line).enumerate() {
        let rows = index * rows..(index * rows + output.len() / line);
        let band = &mut band[..rows.len() * between.width * between.channels];
        depthwise::forward(&first.shape, depthwise, first.activation, rows, input, band);
        pointwise::forward(pointwise, second.activation, band, output);
    }
}
