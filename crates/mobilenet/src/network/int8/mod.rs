//! The network in 8-bit integers: packed weights, memory for maps, and the order in which kernels run.
//!
//! Goes in: [`Weights`] whose kernels are int8 and whose layers know their ranges (`quantize` makes such), then a
//! frame of bytes. Comes out: every map, and the answers. A depthwise convolution and its pointwise one run in bands
//! of rows, so that what lies between them stays in the first-level cache. Next: [`Network`](super::Network) hands
//! the answers out.
//!
//! A map's real values are its bytes times one step, `range / 127`, which `pack` follows from layer to layer.

mod pack;

use super::head::{Head, probabilities};
use super::run::Observer;
use super::source::WeightSource;
use super::threads;
use crate::architecture::Output;
use crate::{Error, Result};
use crate::{Kernel, Layer, LayerKind, Weights};
use mobilenet_kernels::int8::{classifier, depthwise, native, padded_channels, panel, pointwise, pool, stem};
use mobilenet_kernels::shape::{ConvShape, FeatureMap};
use pack::{int8_kernel, pack_depthwise, pack_stem, pointwise_terms};
pub(crate) use pack::{largest_color, step, worst};
use panel::{NativeElement, NativePanel};
use std::ops::Range;

/// Cells of a panel that a band aims at: with the weights of eight outputs they fit the first-level cache.
const BAND: usize = 16 * 1024;

/// Pixels below which a band is not worth reading all weights again.
const FEWEST_PIXELS: usize = 96;

/// Rows that the stem computes at a time.
const STEM_ROWS: usize = 4;

/// A depthwise convolution and the pointwise one after it.
struct Block {
    depthwise: (ConvShape, depthwise::PackedDepthwise),
    pointwise: (ConvShape, pointwise::PackedPointwise),
    /// Output rows in a band.
    rows: usize,
}

impl Block {
    /// Rows `rows` of the block's output, band by band.
    fn run(&self, rows: Range<usize>, input: &[u8], panel: &mut NativePanel, output: &mut [u8]) {
        let (shape, weights) = &self.depthwise;
        let width = shape.output.width;
        let line = width * padded_channels(self.pointwise.0.output.channels);
        for (output, first) in output.chunks_mut(self.rows * line).zip(rows.step_by(self.rows)) {
            let rows = first..first + output.len() / line;
            let pixels = rows.len() * width;
            native::depthwise(shape, weights, rows, input, panel);
            native::pointwise(&self.pointwise.1, pixels, panel, output);
        }
    }
}

/// All that a run writes, allocated once.
#[derive(Default)]
struct Memory {
    input: Vec<u8>,
    maps: [Vec<u8>; 2],
    panel: Vec<NativeElement>,
    stem: Vec<i16>,
    embedding: Vec<f32>,
    fine_embedding: Vec<i16>,
    logits: Vec<f32>,
    probabilities: Vec<f32>,
}

/// A network in 8-bit integers. The layers it runs are handed to each call, so that they are kept in one place.
#[derive(Default)]
pub struct Int8Network {
    stem: (ConvShape, stem::PackedStem),
    blocks: Vec<Block>,
    classifier: classifier::PackedClassifier,
    /// What follows the pool in place of the classifier, in floats.
    head: Option<Box<Head>>,
    output: Output,
    /// Real value of one step of each layer's output, pool and classifier left out.
    steps: Vec<f32>,
    memory: Memory,
    threads: usize,
}

impl Int8Network {
    /// Packs the weights of `layers`. An error where the network has full convolutions, a layer without a range or
    /// a map larger than memory.
    pub fn new(mut source: WeightSource, layers: &[Layer]) -> Result<Box<Self>> {
        // Where something is refused, one network is let go of, not the parts that are there by then.
        let mut network = Box::new(Self { threads: threads::count(), ..Self::default() });
        let (mut step, mut before) = (0.0, None);
        network.head = Head::new(&mut source, layers).map(Box::new);
        network.output = source.weights().architecture.output;
        let layers = layers.iter().filter(|layer| layer.kind != LayerKind::Pool);
        for (index, layer) in layers.enumerate() {
            let Some(given) = source.weights().layers.get(index) else {
                return Err(Error::argument("a network in int8 needs a stem and a classifier"));
            };
            if network.head.is_some() && layer.is_head() {
                network.memory.logits = room(source.weights().architecture.classes)?;
                break;
            }
            match layer.kind {
                LayerKind::Stem => {
                    let packed = pack_stem(&source.weights().architecture, given, &mut step)?;
                    network.stem = (layer.shape, packed);
                }
                LayerKind::Depthwise => before = Some((layer.shape, pack_depthwise(given, &mut step)?)),
                LayerKind::Classifier => {
                    network.memory.logits = room(given.bias.len())?;
                    let kernel = source.bytes(index);
                    let given = &source.weights().layers[index];
                    network.classifier = classifier::pack(kernel, int8_kernel(given)?.1, &given.bias);
                    break;
                }
                _ => {
                    let Some(depthwise) = before.take() else {
                        let name = &layer.name;
                        return Err(Error::argument(format!(
                            "layer `{name}` is a full convolution, which int8 does not serve: run this network in f32"
                        )));
                    };
                    let (bias, scale) = pointwise_terms(given, &mut step)?;
                    let pointwise = native::pack_pointwise(source.bytes(index), &bias, &scale);
                    let pointwise = (layer.shape, pointwise);
                    network.blocks.push(Block { rows: band(depthwise.0.output), depthwise, pointwise });
                }
            }
            network.steps.push(step as f32);
        }
        network.lay_out()?;
        Ok(network)
    }

    /// See [`Network::export_weights`](super::Network::export_weights): the pointwise kernels and the classifier's; the others are
    /// small and were left.
    pub fn restore(&self, weights: &mut Weights) {
        let mut layers = weights.layers.iter_mut().map(|layer| &mut layer.kernel).skip(1);
        for Block { pointwise: (shape, packed), .. } in &self.blocks {
            if let Some(Kernel::Int8 { values, .. }) = layers.by_ref().nth(1) {
                *values = native::unpack_pointwise(packed, shape.input.channels, shape.output.channels);
            }
        }
        if let Some(head) = &self.head {
            return head.restore(weights);
        }
        if let Some(Kernel::Int8 { values, scales }) = layers.last() {
            *values = classifier::unpack(&self.classifier, self.last_map().0.channels, scales.len());
        }
    }

    /// See [`Network::classifier`](super::Network::classifier).
    pub fn classifier(&self, class: usize) -> Vec<f32> {
        if let Some(head) = &self.head {
            return head.gradient(class);
        }
        classifier::column(&self.classifier, self.last_map().0.channels, class)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| block.depthwise.1.bytes() + block.pointwise.1.bytes());
        let head = self.head.as_ref().map_or(0, |head| head.bytes());
        self.stem.1.bytes() + blocks.sum::<usize>() + self.classifier.bytes() + self.memory.bytes() + head
    }

    /// See [`Network::threads`](super::Network::threads).
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Room for a frame.
    pub fn input(&mut self) -> &mut [u8] {
        &mut self.memory.input
    }

    /// Runs the stem, a few rows at a time.
    pub fn run_stem(&mut self) {
        let (shape, packed) = &self.stem;
        let Memory { input, maps: [even, _], stem: room, .. } = &mut self.memory;
        let FeatureMap { height, width, channels } = shape.output;
        let (line, each) = (width * padded_channels(channels), room.len() / self.threads);
        let output = (line, &mut even[..height * line]);
        threads::share(self.threads, (0..height, width), output, (each, room), |rows, output, room| {
            for (output, first) in output.chunks_mut(STEM_ROWS * line).zip(rows.step_by(STEM_ROWS)) {
                stem::forward(shape, packed, first..first + output.len() / line, input, room, output);
            }
        });
    }

    /// Runs all layers, in bands.
    pub fn run(&mut self) {
        let threads = self.threads;
        threads::wake(threads);
        self.run_stem();
        let Memory { maps: [even, odd], panel, .. } = &mut self.memory;
        let (mut before, mut after) = (even, odd);
        for block in &self.blocks {
            let shape = block.pointwise.0.output;
            let line = shape.width * padded_channels(shape.channels);
            let output = &mut after[..shape.height * line];
            let each = panel.len() / threads;
            let rows = (0..shape.height, shape.width);
            threads::share(threads, rows, (line, output), (each, panel), |rows, output, panel| {
                block.run(rows, before, panel, output);
            });
            std::mem::swap(&mut before, &mut after);
        }
        self.pool();
        self.classify();
    }

    /// Runs all layers one by one and shows each one's output.
    pub fn run_observed(&mut self, layers: &[Layer], observer: &mut Observer) {
        self.run_stem();
        let Memory { maps: [even, odd], .. } = &mut self.memory;
        let mut shown = layers.iter().zip(&self.steps);
        let mut show = |value: &dyn Fn(usize, usize) -> u8| {
            let Some((layer, &step)) = shown.next() else { return };
            let map = layer.shape.output;
            observer(layer, map, &|| reals(map, step, value).into());
        };
        show(&|pixel, channel| even[pixel * padded_channels(self.stem.0.output.channels) + channel]);
        let (mut before, mut after) = (even, odd);
        let panel_len =
            |map: FeatureMap| panel::len(map.pixels(), padded_channels(map.channels), panel::tile_pixels());
        let longest = self.blocks.iter().map(|block| panel_len(block.depthwise.0.output)).max();
        let mut panel = vec![NativeElement::default(); longest.unwrap_or_default()];
        for block in &self.blocks {
            let (shape, weights) = &block.depthwise;
            let FeatureMap { height, channels, .. } = shape.output;
            native::depthwise(shape, weights, 0..height, before, &mut panel);
            show(&|pixel, channel| {
                panel::get(&panel, pixel, channel, padded_channels(channels), panel::tile_pixels())
            });
            native::pointwise(&block.pointwise.1, shape.output.pixels(), &panel, after);
            let channels = block.pointwise.0.output.channels;
            show(&|pixel, channel| after[pixel * padded_channels(channels) + channel]);
            std::mem::swap(&mut before, &mut after);
        }
        let Some(pool) = layers.iter().position(|layer| layer.kind == LayerKind::Pool) else { return };
        self.pool();
        observer(&layers[pool], layers[pool].shape.output, &|| self.memory.embedding[..].into());
        self.classify();
        let steps = self.head.iter().flat_map(|head| head.values());
        for (values, layer) in steps.chain([&self.memory.logits[..]]).zip(&layers[pool + 1..]) {
            observer(layer, layer.shape.output, &|| values.into());
        }
    }

    /// From the last map to the embedding.
    fn pool(&mut self) {
        let (map, step) = self.last_map();
        let Memory { maps, embedding, .. } = &mut self.memory;
        pool::forward(map.pixels(), &maps[self.blocks.len() % 2], step / map.pixels() as f32, embedding);
    }

    /// From the embedding to the probabilities.
    fn classify(&mut self) {
        let Memory { embedding, fine_embedding, logits, probabilities: answer, .. } = &mut self.memory;
        match &mut self.head {
            Some(head) => head.forward(embedding, logits),
            None => classifier::forward(&self.classifier, embedding, fine_embedding, logits),
        }
        probabilities(self.output, logits, answer);
    }

    /// Shape of the last map, and its step.
    fn last_map(&self) -> (FeatureMap, f32) {
        let map = self.blocks.last().map_or(self.stem.0.output, |block| block.pointwise.0.output);
        (map, self.steps.last().copied().unwrap_or_default())
    }

    /// See [`Network::probabilities`](super::Network::probabilities).
    pub fn probabilities(&self) -> &[f32] {
        &self.memory.probabilities
    }

    /// See [`Network::logits`](super::Network::logits).
    pub fn logits(&self) -> &[f32] {
        &self.memory.logits
    }

    /// See [`Network::embedding`](super::Network::embedding).
    pub fn embedding(&self) -> &[f32] {
        &self.memory.embedding
    }

    /// See [`Network::features`](super::Network::features).
    pub fn features(&self) -> Vec<f32> {
        let ((map, step), last) = (self.last_map(), &self.memory.maps[self.blocks.len() % 2]);
        reals(map, step, |pixel, channel| last[pixel * padded_channels(map.channels) + channel])
    }
}

/// Rows of `output` in a band: few enough for the first-level cache, a whole number of tiles where that
/// is possible, and never so few that the weights are read again for nothing.
fn band(output: FeatureMap) -> usize {
    let fit = BAND / (output.width * padded_channels(output.channels)).max(1);
    let enough = FEWEST_PIXELS.div_ceil(output.width.max(1));
    let rows = fit.max(enough).clamp(1, output.height.max(1));
    let tile_pixels = panel::tile_pixels();
    if rows == output.height || !(rows * output.width).is_multiple_of(tile_pixels) {
        rows.next_multiple_of(tile_pixels).min(output.height.max(1))
    } else {
        rows
    }
}

/// A map of `step` times what `value` says of each pixel's channels.
fn reals(map: FeatureMap, step: f32, value: impl Fn(usize, usize) -> u8) -> Vec<f32> {
    let at = |index| value(index / map.channels, index % map.channels);
    (0..map.len()).map(|index| f32::from(at(index)) * step).collect()
}

impl Int8Network {
    /// Takes the memory that a run wants.
    fn lay_out(&mut self) -> Result<()> {
        let Self { stem: (stem, _), blocks, threads, memory, .. } = self;
        let (mut last, mut panel) = (stem.output, 0);
        // Each of the two as large as the largest map that lies in it: the stem's is the first of one, the first block's of
        // the other.
        let mut largest = [map_len(last)?, 0];
        for (index, block) in blocks.iter().enumerate() {
            let FeatureMap { width, channels, .. } = block.depthwise.0.output;
            panel =
                panel.max(panel::len(block.rows * width, padded_channels(channels), panel::tile_pixels()));
            last = block.pointwise.0.output;
            let map = &mut largest[(index + 1) % 2];
            *map = map_len(last)?.max(*map);
        }
        memory.input = room(stem.input.len())?;
        memory.maps = [room(largest[0])?, room(largest[1])?];
        memory.panel = room(threads.saturating_mul(panel))?;
        memory.stem = room(threads.saturating_mul(stem::scratch_len(stem, STEM_ROWS)))?;
        memory.embedding = room(last.channels)?;
        memory.fine_embedding = room(padded_channels(last.channels))?;
        memory.probabilities = room(memory.logits.len())?;
        Ok(())
    }
}

impl Memory {
    fn bytes(&self) -> usize {
        let bytes = self.input.len() + self.maps[0].len() + self.maps[1].len();
        let shorts = self.stem.len() + self.fine_embedding.len();
        let floats = self.embedding.len() + 2 * self.logits.len();
        bytes + self.panel.len() * size_of::<NativeElement>() + shorts * 2 + floats * 4
    }
}

fn short_of_memory() -> Error {
    Error::out_of_memory("the network needs more memory than there is: take a lower resolution")
}

/// Bytes of a map as stored.
fn map_len(map: FeatureMap) -> Result<usize> {
    let pixels = map
        .height
        .checked_mul(map.width)
        .and_then(|pixels| pixels.checked_mul(padded_channels(map.channels)));
    pixels.ok_or_else(short_of_memory)
}

/// Zeros, or an error where there is no memory for them.
fn room<T: Default + Clone>(length: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(length).map_err(|_| short_of_memory())?;
    room.resize(length, T::default());
    Ok(room)
}
