//! The network in 32-bit floats: packed weights, one arena, and the order in which kernels run.
//!
//! Goes in: [`Weights`], then a normalized frame. Comes out: every map, one after the other in the arena's two
//! turns, and the answers. A depthwise convolution and its pointwise run as one step, band by band of rows, so that
//! the map between them never leaves the cache; observed, they run one after the other and give the same bits. Every
//! layer's rows are shared out over [`threads`]. Bands go down in one layer and up in the next: the rows that were written
//! last are read first, while they are still in the cache (1.0-224: a 70th of the whole time).
//! Next: [`Network`](super::Network) hands the answers out.

use super::head::{Head, probabilities};
use super::plan::{Arena, EVEN, ODD, Slices};
use super::run::Observer;
use super::source::WeightSource;
use super::threads;
use crate::Result;
use crate::architecture::Output;
use crate::weights::InputGrid;
use crate::{Kernel, Layer, LayerKind, Weights};
use mobilenet_kernels::f32::{depthwise, pointwise, pool, window};
use mobilenet_kernels::shape::{ConvShape, FeatureMap};
use std::ops::Range;

/// Values of a band between depthwise and pointwise: 96 KiB, which leaves the second cache room for weights.
const BAND: usize = 24 * 1024;

/// Pixels below which a band is not worth reading all weights again.
const FEWEST_PIXELS: usize = 96;

/// Real value of the steps that a layer's output is rounded to, 0 where it is not; see [`Weights::steps`].
#[derive(Clone, Copy)]
struct Grid(f32);

impl Grid {
    /// Rounds to the nearest step, of which there are 255 above zero.
    fn snap(self, values: &mut [f32]) {
        // Added to a number far below it, this leaves no bits for a fraction.
        const WHOLE: f32 = 12_582_912.0;
        let Self(step) = self;
        if step > 0.0 {
            for value in values {
                *value = ((*value / step).min(255.0) + WHOLE - WHOLE) * step;
            }
        }
    }
}

/// The weights of one layer, as its kernel wants them, and the steps of what it gives.
enum Packed {
    Window(pointwise::PackedPointwise, Grid),
    Depthwise(depthwise::PackedDepthwise, Grid),
    Pointwise(pointwise::PackedPointwise, Grid),
    Pool(Grid),
}

impl Packed {
    fn new(layer: &Layer, grid: Grid, kernel: Kernel, bias: &[f32]) -> Self {
        let kernel = match kernel {
            Kernel::F32(kernel) => kernel,
            // `Weights` holds rows where kernels are 1×1, and nowhere else.
            Kernel::Rows { values, .. } => {
                return Packed::Pointwise(pointwise::pack_rows_of_inputs(values, bias), grid);
            }
            Kernel::Int8 { .. } => Vec::new(), // is no float, and was multiplied out
        };
        match layer.kind {
            LayerKind::Stem | LayerKind::Standard => Packed::Window(window::pack(kernel, bias), grid),
            LayerKind::Depthwise => Packed::Depthwise(depthwise::pack(&kernel, bias), grid),
            _ => Packed::Pointwise(pointwise::pack(kernel, bias), grid),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Packed::Window(packed, _) | Packed::Pointwise(packed, _) => packed.bytes(),
            Packed::Depthwise(packed, _) => packed.bytes(),
            Packed::Pool(_) => 0,
        }
    }
}

/// Who computes a layer.
#[derive(Clone, Copy)]
struct Crew {
    threads: usize,
    /// Values that each thread needs within a step.
    room: usize,
}

impl Crew {
    /// Has `output`, a map of the shape `shape`, filled.
    fn share(
        self,
        shape: FeatureMap,
        output: &mut [f32],
        scratch: &mut [f32],
        work: impl Fn(Range<usize>, &mut [f32], &mut [f32]) + Sync,
    ) {
        let output = (shape.width * shape.channels, output);
        threads::share(self.threads, (0..shape.height, shape.width), output, (self.room, scratch), work);
    }
}

/// A network in floats. The layers it runs are handed to each call, so that they are kept in one place.
pub struct FloatNetwork {
    packed: Vec<Packed>,
    /// What follows the pool in place of a classifier alone.
    head: Option<Box<Head>>,
    output: Output,
    input_grid: Option<InputGrid>,
    arena: Arena,
    /// Which of the arena's maps the last feature map lies in.
    last: usize,
    crew: Crew,
}

impl FloatNetwork {
    /// Packs the weights of `layers`.
    pub fn new(mut source: WeightSource, layers: &[Layer]) -> Result<Self> {
        let (mut packed, mut next) = (Vec::with_capacity(layers.len()), 0);
        let head = Head::new(&mut source, layers).map(Box::new);
        let output = source.weights().architecture.output;
        let input_grid = source.weights().input_grid;
        for (index, layer) in layers.iter().enumerate() {
            if head.is_some() && layer.is_head() {
                break;
            }
            let grid = Grid(source.weights().steps.get(index).copied().unwrap_or_default());
            // `Weights` holds one entry per layer with parameters, in order.
            let kernel = if layer.kind == LayerKind::Pool { None } else { source.floats(next) };
            let Some(kernel) = kernel else {
                packed.push(Packed::Pool(grid));
                continue;
            };
            packed.push(Packed::new(layer, grid, kernel, &source.weights().layers[next].bias));
            next += 1;
        }
        // After the weights, which leave room for it where they were given.
        let scratch = layers.iter().map(|layer| scratch_len(layer.kind, &layer.shape)).max();
        let crew = Crew { threads: threads::count(), room: scratch.unwrap_or(0) };
        let scratch = crew.room.saturating_mul(crew.threads);
        let arena = Arena::new(source.weights().architecture.input(), layers, scratch)?;
        Ok(Self { packed, head, output, input_grid, arena, last: 0, crew })
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.bytes());
        self.arena.bytes() + self.packed.iter().map(Packed::bytes).sum::<usize>() + head
    }

    /// See [`Network::export_weights`](super::Network::export_weights).
    pub fn restore(&self, weights: &mut Weights) {
        let kernel = |packed: &Packed| match packed {
            Packed::Window(packed, _) | Packed::Pointwise(packed, _) => Some(pointwise::unpack(packed)),
            Packed::Depthwise(packed, _) => Some(depthwise::unpack(packed)),
            Packed::Pool(_) => None,
        };
        for (layer, kernel) in weights.layers.iter_mut().zip(self.packed.iter().filter_map(kernel)) {
            layer.kernel = Kernel::F32(kernel);
        }
        if let Some(head) = &self.head {
            head.restore(weights);
        }
    }

    /// See [`Network::classifier`](super::Network::classifier).
    pub fn classifier(&self, class: usize) -> Vec<f32> {
        if let Some(head) = &self.head {
            return head.gradient(class);
        }
        match self.packed.last() {
            Some(Packed::Pointwise(packed, _)) => pointwise::column(packed, class),
            _ => Vec::new(),
        }
    }

    /// See [`Network::threads`](super::Network::threads).
    pub fn threads(&self) -> usize {
        self.crew.threads
    }

    /// Room for a frame.
    pub fn input(&mut self) -> &mut [f32] {
        self.arena.slices().input
    }

    /// Runs all layers, a depthwise convolution and its pointwise at once.
    pub fn run(&mut self, layers: &[Layer]) {
        let crew = self.crew;
        threads::wake(crew.threads);
        let mut slices = self.arena.slices();
        if let Some(grid) = &self.input_grid {
            grid.snap(slices.input);
        }
        let mut turn = EVEN;
        let mut steps = layers.iter().zip(&self.packed);
        while let Some((layer, packed)) = steps.next() {
            if let Packed::Depthwise(depthwise, between) = packed {
                let Some((pointwise, Packed::Pointwise(packed, after))) = steps.next() else { break };
                let (first, second) = ((layer, depthwise, *between), (pointwise, packed, *after));
                let (input, output) = turns(&mut slices.maps, turn);
                let output = &mut output[..pointwise.shape.output.len()];
                crew.share(pointwise.shape.output, output, slices.scratch, |rows, output, room| {
                    separable(first, second, rows, !turn.is_multiple_of(2), input, room, output);
                });
            } else {
                step(crew, layer, packed, &mut slices, turn);
            }
            turn += 1;
        }
        if let Some(head) = &mut self.head {
            head.forward(slices.embedding, slices.logits);
            turn += 1; // in place of the classifier
        }
        probabilities(self.output, slices.logits, slices.probabilities);
        self.last = turn - 3;
    }

    /// Runs all layers one by one and shows each one's output.
    pub fn run_observed(&mut self, layers: &[Layer], observer: &mut Observer) {
        let mut slices = self.arena.slices();
        if let Some(grid) = &self.input_grid {
            grid.snap(slices.input);
        }
        for (index, (layer, packed)) in layers.iter().zip(&self.packed).enumerate() {
            let output = step(self.crew, layer, packed, &mut slices, ODD + index);
            observer(layer, layer.shape.output, &|| output.into());
        }
        let mut steps = 0;
        if let Some(head) = &mut self.head {
            head.forward(slices.embedding, slices.logits);
            let mut layers = layers.iter().skip(self.packed.len());
            for (values, layer) in head.values().chain([&*slices.logits]).zip(&mut layers) {
                observer(layer, layer.shape.output, &|| values.into());
                steps += 1;
            }
            steps -= 1; // the classifier is one of the three below
        }
        probabilities(self.output, slices.logits, slices.probabilities);
        self.last = ODD + layers.len() - steps - 3;
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
    pub fn features(&self, map: FeatureMap) -> &[f32] {
        &self.arena.map(self.last)[..map.len()]
    }
}

/// Of two maps, the one that step `turn` reads and the one that it writes.
fn turns<'a>([even, odd]: &'a mut [&mut [f32]; 2], turn: usize) -> (&'a [f32], &'a mut [f32]) {
    if turn.is_multiple_of(2) { (odd, even) } else { (even, odd) }
}

/// One layer by itself. Gives its output.
fn step<'a>(crew: Crew, layer: &Layer, packed: &Packed, slices: &'a mut Slices, turn: usize) -> &'a [f32] {
    let Layer { shape, activation, kind, .. } = layer;
    let (map, next) = turns(&mut slices.maps, turn);
    let map = if *kind == LayerKind::Stem { &slices.input[..] } else { map };
    let next = match packed {
        Packed::Pool(grid) => {
            pool::forward(&map[..shape.input.len()], slices.embedding);
            grid.snap(slices.embedding);
            return slices.embedding;
        }
        Packed::Pointwise(packed, grid) if *kind == LayerKind::Classifier => {
            pointwise::forward(packed, *activation, slices.embedding, slices.logits);
            grid.snap(slices.logits);
            return slices.logits;
        }
        _ => &mut next[..shape.output.len()],
    };
    let line = shape.input.width * shape.input.channels;
    crew.share(shape.output, next, slices.scratch, |rows, next, room| match packed {
        Packed::Window(packed, grid) => {
            window::forward(shape, packed, *activation, rows, map, room, next);
            grid.snap(next);
        }
        Packed::Depthwise(packed, grid) => {
            depthwise::forward(shape, packed, *activation, rows, map, next);
            grid.snap(next);
        }
        Packed::Pointwise(packed, grid) => {
            pointwise::forward(packed, *activation, &map[rows.start * line..rows.end * line], next);
            grid.snap(next);
        }
        Packed::Pool(_) => {}
    });
    next
}

/// Rows that a band of the depthwise convolution `shape` has.
fn band_rows(shape: &ConvShape) -> usize {
    let FeatureMap { height, width, channels } = shape.output;
    let fit = BAND / (width * channels).max(1);
    fit.max(FEWEST_PIXELS.div_ceil(width.max(1))).clamp(1, height.max(1))
}

/// Values that a layer needs within its step.
fn scratch_len(kind: LayerKind, shape: &ConvShape) -> usize {
    match kind {
        LayerKind::Stem | LayerKind::Standard => window::scratch_len(shape),
        LayerKind::Depthwise => band_rows(shape) * shape.output.width * shape.output.channels,
        _ => 0,
    }
}

/// Rows `rows` of a depthwise convolution and its pointwise, band by band, the last first where `backwards`.
fn separable(
    (first, depthwise, between_grid): (&Layer, &depthwise::PackedDepthwise, Grid),
    (second, pointwise, grid): (&Layer, &pointwise::PackedPointwise, Grid),
    rows: Range<usize>,
    backwards: bool,
    input: &[f32],
    band: &mut [f32],
    output: &mut [f32],
) {
    let between = first.shape.output;
    let line = between.width * second.shape.output.channels;
    let together = band_rows(&first.shape);
    let bands = rows.len().div_ceil(together);
    for index in 0..bands {
        let index = if backwards { bands - 1 - index } else { index };
        let Some(output) = output.chunks_mut(together * line).nth(index) else { break };
        let start = rows.start + index * together;
        let rows = start..start + output.len() / line;
        let band = &mut band[..rows.len() * between.width * between.channels];
        depthwise::forward(&first.shape, depthwise, first.activation, rows, input, band);
        between_grid.snap(band);
        pointwise::forward(pointwise, second.activation, band, output);
        grid.snap(output);
    }
}
