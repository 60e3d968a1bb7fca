//! The network in 8-bit integers: packed weights, memory for maps, and the order in which kernels run.
//!
//! Goes in: [`Weights`] whose kernels are int8 and whose layers know their ranges (`quantise` makes such), then a
//! frame of bytes. Comes out: every map, and the answers. A depthwise convolution and its pointwise one run in bands
//! of rows, so that what lies between them stays in the first-level cache. Next: [`Network`](super::Network) hands
//! the answers out.
//!
//! A map's real values are its bytes times one step, `range / 127`. Everything that turns one layer's steps into the
//! next one's is computed here, once, in 64-bit floats.

use super::network::{Observer, Source};
use super::threads;
use crate::kernels::f32::softmax;
use crate::kernels::int8::{LARGEST, LEVELS, fast, reach, stored};
use crate::kernels::int8::{classifier, depthwise, panel, pointwise, pool, stem};
use crate::model::architecture::ChannelOrder;
use crate::model::{Architecture, Kernel, Layer, LayerKind, LayerWeights, Weights};
use crate::shape::{ConvShape, Map};
use crate::{Error, Result};
use panel::Fast;
use std::ops::Range;

/// Cells of a panel that a band aims at: with the weights of eight outputs they fit the first-level cache.
const BAND: usize = 16 * 1024;

/// Pixels below which a band is not worth reading all weights again.
const FEWEST_PIXELS: usize = 96;

/// A depthwise convolution and the pointwise one after it.
struct Block {
    depthwise: (ConvShape, depthwise::Packed),
    pointwise: (ConvShape, pointwise::Packed),
    /// Output rows in a band.
    rows: usize,
}

impl Block {
    /// Rows `rows` of the block's output, band by band.
    fn run(&self, rows: Range<usize>, input: &[u8], panel: &mut [Fast], output: &mut [u8]) {
        let (shape, weights) = &self.depthwise;
        let width = shape.output.width;
        let line = width * stored(self.pointwise.0.output.channels);
        for (output, first) in output.chunks_mut(self.rows * line).zip(rows.step_by(self.rows)) {
            let rows = first..first + output.len() / line;
            let pixels = rows.len() * width;
            fast::depthwise(shape, weights, rows, input, panel);
            fast::pointwise(&self.pointwise.1, pixels, panel, output);
        }
    }
}

/// All that a run writes, allocated once.
#[derive(Default)]
struct Memory {
    input: Vec<u8>,
    maps: [Vec<u8>; 2],
    panel: Vec<Fast>,
    stem: Vec<i16>,
    embedding: Vec<f32>,
    fine_embedding: Vec<i16>,
    logits: Vec<f32>,
    probabilities: Vec<f32>,
}

/// A network in 8-bit integers. The layers it runs are handed to each call, so that they are kept in one place.
#[derive(Default)]
pub struct Int8Network {
    stem: (ConvShape, stem::Packed),
    blocks: Vec<Block>,
    classifier: classifier::Packed,
    /// Real value of one step of each layer's output, pool and classifier left out.
    steps: Vec<f32>,
    memory: Memory,
    threads: usize,
}

/// Real value of one step of a layer's output: its range in 127, or more where some input could drive its sums
/// further than the kernels round. `worst` is the largest real output.
pub(super) fn step(range: f32, worst: f64) -> f64 {
    (f64::from(range) / f64::from(LEVELS)).max(worst / f64::from(LARGEST))
}

/// The largest real output of a layer before its activation, up or down, whatever the input; `largest` bounds the
/// input, which is never negative where `signed` is false.
pub(super) fn worst(kernel: &[f32], bias: &[f32], largest: f64, signed: bool) -> f64 {
    let (mut worst, outputs) = (0.0_f64, bias.len());
    for (channel, &bias) in bias.iter().enumerate() {
        let (mut up, mut down) = (0.0, 0.0);
        for &weight in kernel[channel..].iter().step_by(outputs) {
            let size = f64::from(weight.abs());
            up += if weight > 0.0 || signed { size } else { 0.0 };
            down += if weight < 0.0 || signed { size } else { 0.0 };
        }
        let bias = f64::from(bias);
        worst = worst.max(up * largest + bias).max(down * largest - bias);
    }
    worst
}

/// As [`worst`] of an input that is never negative, for weights in bytes.
fn worst_of_bytes(layer: &LayerWeights, largest: f64) -> Result<f64> {
    let (values, scales) = int8_kernel(layer)?;
    let mut worst = 0.0_f64;
    for (([up, down], &scale), &bias) in reach(values, scales.len()).into_iter().zip(scales).zip(&layer.bias)
    {
        let real = |sum: i32| f64::from(sum) * f64::from(scale) * largest;
        let bias = f64::from(bias);
        worst = worst.max(real(up) + bias).max(real(-down) - bias);
    }
    Ok(worst)
}

/// The largest size of a normalised colour.
pub(super) fn largest_colour(architecture: &Architecture) -> f64 {
    let normalisation = &architecture.normalisation;
    let ends = |c: usize| {
        let (mean, deviation) = (normalisation.mean[c], normalisation.deviation[c]);
        f64::from((mean.max(255.0 - mean) / deviation).abs())
    };
    (0..3).map(ends).fold(0.0, f64::max)
}

impl Int8Network {
    /// Packs the weights of `layers`. An error where the network has full convolutions, a layer without a range or
    /// a map larger than memory.
    pub fn new(mut source: Source, layers: &[Layer]) -> Result<Box<Self>> {
        // Where something is refused, one network is let go of, not the parts that are there by then.
        let mut network = Box::new(Self { threads: threads::count(), ..Self::default() });
        let (mut step, mut before) = (0.0, None);
        let layers = layers.iter().filter(|layer| layer.kind != LayerKind::Pool);
        for (index, layer) in layers.enumerate() {
            let Some(given) = source.weights().layers.get(index) else {
                return Err(Error::argument("a network in int8 needs a stem and a classifier"));
            };
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
                    let pointwise = fast::pack_pointwise(source.bytes(index), &bias, &scale);
                    let pointwise = (layer.shape, pointwise);
                    network.blocks.push(Block { rows: band(depthwise.0.output), depthwise, pointwise });
                }
            }
            network.steps.push(step as f32);
        }
        network.lay_out()?;
        Ok(network)
    }

    /// See [`Network::restore`](super::Network::restore): the pointwise kernels and the classifier's; the others are
    /// small and were left.
    pub fn restore(&self, weights: &mut Weights) {
        let mut layers = weights.layers.iter_mut().map(|layer| &mut layer.kernel).skip(1);
        for Block { pointwise: (shape, packed), .. } in &self.blocks {
            if let Some(Kernel::Int8 { values, .. }) = layers.by_ref().nth(1) {
                *values = fast::unpack_pointwise(packed, shape.input.channels, shape.output.channels);
            }
        }
        if let Some(Kernel::Int8 { values, scales }) = layers.last() {
            *values = classifier::unpack(&self.classifier, self.last_map().0.channels, scales.len());
        }
    }

    /// See [`Network::classifier`](super::Network::classifier).
    pub fn classifier(&self, class: usize) -> Vec<f32> {
        classifier::column(&self.classifier, self.last_map().0.channels, class)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| block.depthwise.1.bytes() + block.pointwise.1.bytes());
        self.stem.1.bytes() + blocks.sum::<usize>() + self.classifier.bytes() + self.memory.bytes()
    }

    /// See [`Network::threads`](super::Network::threads).
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Room for a frame.
    pub fn input(&mut self) -> &mut [u8] {
        &mut self.memory.input
    }

    /// Runs the stem alone.
    pub fn run_stem(&mut self) {
        let Memory { input, maps: [even, _], stem: room, .. } = &mut self.memory;
        run_stem(&self.stem, self.threads, input, room, even);
    }

    /// Runs all layers, in bands.
    pub fn run(&mut self) {
        let threads = self.threads;
        threads::wake(threads);
        let Memory { input, maps: [even, odd], panel, stem: room, .. } = &mut self.memory;
        run_stem(&self.stem, threads, input, room, even);
        let (mut before, mut after) = (even, odd);
        for block in &self.blocks {
            let shape = block.pointwise.0.output;
            let line = shape.width * stored(shape.channels);
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
        let Memory { input, maps: [even, odd], stem: room, .. } = &mut self.memory;
        let mut shown = layers.iter().zip(&self.steps);
        let mut show = |value: &dyn Fn(usize, usize) -> u8| {
            let Some((layer, &step)) = shown.next() else { return };
            let map = layer.shape.output;
            observer(layer, map, &|| reals(map, step, value).into());
        };
        run_stem(&self.stem, self.threads, input, room, even);
        show(&|pixel, channel| even[pixel * stored(self.stem.0.output.channels) + channel]);
        let (mut before, mut after) = (even, odd);
        let panel_len = |map: Map| panel::len(map.pixels(), stored(map.channels), panel::abreast());
        let longest = self.blocks.iter().map(|block| panel_len(block.depthwise.0.output)).max();
        let mut panel = vec![Fast::default(); longest.unwrap_or_default()];
        for block in &self.blocks {
            let (shape, weights) = &block.depthwise;
            let Map { height, channels, .. } = shape.output;
            fast::depthwise(shape, weights, 0..height, before, &mut panel);
            show(&|pixel, channel| panel::get(&panel, pixel, channel, stored(channels), panel::abreast()));
            fast::pointwise(&block.pointwise.1, shape.output.pixels(), &panel, after);
            let channels = block.pointwise.0.output.channels;
            show(&|pixel, channel| after[pixel * stored(channels) + channel]);
            std::mem::swap(&mut before, &mut after);
        }
        let [.., pool, classifier] = layers else { return };
        self.pool();
        observer(pool, pool.shape.output, &|| self.memory.embedding[..].into());
        self.classify();
        observer(classifier, classifier.shape.output, &|| self.memory.logits[..].into());
    }

    /// From the last map to the embedding.
    fn pool(&mut self) {
        let (map, step) = self.last_map();
        let Memory { maps, embedding, .. } = &mut self.memory;
        pool::forward(map.pixels(), &maps[self.blocks.len() % 2], step / map.pixels() as f32, embedding);
    }

    /// From the embedding to the probabilities.
    fn classify(&mut self) {
        let Memory { embedding, fine_embedding, logits, probabilities, .. } = &mut self.memory;
        classifier::forward(&self.classifier, embedding, fine_embedding, logits);
        softmax::forward(logits, probabilities);
    }

    /// Shape of the last map, and its step.
    fn last_map(&self) -> (Map, f32) {
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
        reals(map, step, |pixel, channel| last[pixel * stored(map.channels) + channel])
    }
}

/// Rows of `output` in a band: few enough for the first-level cache, a whole number of tiles where that
/// is possible, and never so few that the weights are read again for nothing.
fn band(output: Map) -> usize {
    let fit = BAND / (output.width * stored(output.channels)).max(1);
    let enough = FEWEST_PIXELS.div_ceil(output.width.max(1));
    let rows = fit.max(enough).clamp(1, output.height.max(1));
    let abreast = panel::abreast();
    if rows == output.height || !(rows * output.width).is_multiple_of(abreast) {
        rows.next_multiple_of(abreast).min(output.height.max(1))
    } else {
        rows
    }
}

/// A map of `step` times what `value` says of each pixel's channels.
fn reals(map: Map, step: f32, value: impl Fn(usize, usize) -> u8) -> Vec<f32> {
    let at = |index| value(index / map.channels, index % map.channels);
    (0..map.len()).map(|index| f32::from(at(index)) * step).collect()
}

fn run_stem(
    (shape, packed): &(ConvShape, stem::Packed),
    threads: usize,
    input: &[u8],
    room: &mut [i16],
    output: &mut [u8],
) {
    let Map { height, width, channels } = shape.output;
    let line = width * stored(channels);
    let (output, each) = ((line, &mut output[..height * line]), room.len() / threads);
    threads::share(threads, (0..height, width), output, (each, room), |rows, output, room| {
        for (output, first) in output.chunks_mut(STEM_ROWS * line).zip(rows.step_by(STEM_ROWS)) {
            stem::forward(shape, packed, first..first + output.len() / line, input, room, output);
        }
    });
}

/// Rows that the stem computes at a time.
const STEM_ROWS: usize = 4;

impl Int8Network {
    /// Takes the memory that a run wants.
    fn lay_out(&mut self) -> Result<()> {
        let Self { stem: (stem, _), blocks, threads, memory, .. } = self;
        let (mut last, mut panel) = (stem.output, 0);
        // Each of the two as large as the largest map that lies in it: the stem's is the first of one, the first block's of
        // the other.
        let mut largest = [map_len(last)?, 0];
        for (index, block) in blocks.iter().enumerate() {
            let Map { width, channels, .. } = block.depthwise.0.output;
            panel = panel.max(panel::len(block.rows * width, stored(channels), panel::abreast()));
            last = block.pointwise.0.output;
            let map = &mut largest[(index + 1) % 2];
            *map = map_len(last)?.max(*map);
        }
        memory.input = room(stem.input.len())?;
        memory.maps = [room(largest[0])?, room(largest[1])?];
        memory.panel = room(threads.saturating_mul(panel))?;
        memory.stem = room(threads.saturating_mul(stem::room_len(stem, STEM_ROWS)))?;
        memory.embedding = room(last.channels)?;
        memory.fine_embedding = room(stored(last.channels))?;
        memory.probabilities = room(memory.logits.len())?;
        Ok(())
    }
}

impl Memory {
    fn bytes(&self) -> usize {
        let bytes = self.input.len() + self.maps[0].len() + self.maps[1].len();
        let shorts = self.stem.len() + self.fine_embedding.len();
        let floats = self.embedding.len() + 2 * self.logits.len();
        bytes + self.panel.len() * size_of::<Fast>() + shorts * 2 + floats * 4
    }
}

fn short_of_memory() -> Error {
    Error::argument("the network needs more memory than there is: take a lower resolution")
}

/// Bytes of a map as stored.
fn map_len(map: Map) -> Result<usize> {
    let pixels =
        map.height.checked_mul(map.width).and_then(|pixels| pixels.checked_mul(stored(map.channels)));
    pixels.ok_or_else(short_of_memory)
}

/// Zeros, or an error where there is no memory for them.
fn room<T: Default + Clone>(length: usize) -> Result<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(length).map_err(|_| short_of_memory())?;
    room.resize(length, T::default());
    Ok(room)
}

/// A layer's bytes and scales.
fn int8_kernel(layer: &LayerWeights) -> Result<(&[i8], &[f32])> {
    match &layer.kernel {
        Kernel::Int8 { values, scales } => Ok((values, scales)),
        Kernel::F32(_) | Kernel::Rows { .. } => {
            let name = &layer.name;
            Err(Error::argument(format!("layer `{name}` has no int8 kernel: quantise the network first")))
        }
    }
}

/// A layer's range, above zero.
fn range(layer: &LayerWeights) -> Result<f32> {
    layer.range.filter(|&range| range > 0.0 && range.is_finite()).ok_or_else(|| {
        let name = &layer.name;
        Error::argument(format!("layer `{name}` has no range of activations: calibrate the network first"))
    })
}

/// The stem. `after` becomes the step of its output. Its weights gain bits where bytes of colour want them: normalisation and
/// the order of the colours are folded in.
fn pack_stem(architecture: &Architecture, given: &LayerWeights, after: &mut f64) -> Result<stem::Packed> {
    let outputs = given.bias.len();
    let normalisation = &architecture.normalisation;
    let reals = given.kernel.to_f32();
    let step = step(range(given)?, worst(&reals, &given.bias, largest_colour(architecture), true));
    // Position of a colour, red first, in the network's order.
    let position = |colour: usize| match normalisation.order {
        ChannelOrder::Rgb => colour,
        ChannelOrder::Bgr => 2 - colour,
    };
    let folded = |tap: usize, output: usize| {
        let channel = position(tap % 3);
        let weight = reals[(tap / 3 * 3 + channel) * outputs + output];
        f64::from(weight) / f64::from(normalisation.deviation[channel])
    };
    let (mut kernel, mut bias, mut scale) = (vec![0; 27 * outputs], vec![0; outputs], vec![0.0; outputs]);
    for output in 0..outputs {
        let sizes = (0..27).map(|tap| folded(tap, output).abs());
        let sum: f64 = sizes.clone().sum();
        let by_sum = sum / f64::from(stem::LARGEST_WEIGHTS - 27);
        let by_bias = f64::from(given.bias[output].abs()) * f64::from(stem::FINE) / f64::from(1 << 29);
        let unit = sizes.fold(by_sum.max(by_bias), |unit, size| unit.max(size / f64::from(i16::MAX)));
        let unit = unit.max(f64::from(f32::MIN_POSITIVE));
        for tap in 0..27 {
            kernel[tap * outputs + output] = (folded(tap, output) / unit).round_ties_even() as i16;
        }
        let fine = unit / f64::from(stem::FINE);
        bias[output] = (f64::from(given.bias[output]) / fine).round_ties_even() as i32;
        scale[output] = (fine / step) as f32;
    }
    let mean = [0, 1, 2].map(|colour| normalisation.mean[position(colour)]);
    *after = step;
    Ok(stem::pack(&kernel, &bias, &scale, mean))
}

/// A depthwise convolution after a map of steps `steps`, which become those of its output.
fn pack_depthwise(given: &LayerWeights, steps: &mut f64) -> Result<depthwise::Packed> {
    let before = *steps;
    let (values, scales) = int8_kernel(given)?;
    let channels = given.bias.len();
    let largest = before * f64::from(LEVELS);
    let after = step(range(given)?, worst_of_bytes(given, largest)?);
    let mut kernel = values.to_vec();
    let (mut bias, mut factor) = (vec![0; channels], vec![0; channels]);
    for channel in 0..channels {
        let weights = std::array::from_fn(|tap| values[tap * channels + channel]);
        let fitted = fit(weights, f64::from(scales[channel]), f64::from(given.bias[channel]), before);
        for (tap, &weight) in fitted.weights.iter().enumerate() {
            kernel[tap * channels + channel] = weight;
        }
        bias[channel] = fitted.bias;
        let exact = (fitted.scale * before / after * f64::from(1 << 15)).round_ties_even();
        factor[channel] = exact.clamp(0.0, i16::MAX.into()) as i16;
    }
    *steps = after;
    Ok(depthwise::pack(&kernel, &bias, &factor))
}

/// A channel's depthwise weights whose sums fit 16 bits.
struct Fitted {
    weights: [i8; 9],
    bias: i16,
    scale: f64,
}

/// Coarsens the weights until no input can drive their sum out of 16 bits. Weights that `quantise` made fit as
/// they are.
fn fit(weights: [i8; 9], scale: f64, bias: f64, before: f64) -> Fitted {
    let mut coarser = scale;
    loop {
        let fitted = weights.map(|weight| (f64::from(weight) * scale / coarser).round_ties_even() as i8);
        let units = (bias / (coarser * before)).round_ties_even();
        if units.abs() < f64::from(i16::MAX) && depthwise::fits(fitted, units as i16) {
            return Fitted { weights: fitted, bias: units as i16, scale: coarser };
        }
        coarser *= 1.0625_f64.max(units.abs() / f64::from(i16::MAX));
    }
}

/// Bias and scale of a pointwise convolution after a panel of steps `steps`, which become those of its output.
fn pointwise_terms(given: &LayerWeights, steps: &mut f64) -> Result<(Vec<i32>, Vec<f32>)> {
    let (_, scales) = int8_kernel(given)?;
    let before = *steps;
    let after = step(range(given)?, worst_of_bytes(given, before * f64::from(LEVELS))?);
    let (mut bias, mut scale) = (Vec::with_capacity(scales.len()), Vec::with_capacity(scales.len()));
    for (&unit, &given) in scales.iter().zip(&given.bias) {
        let unit = f64::from(unit) * before;
        bias.push((f64::from(given) / unit).round_ties_even().clamp(-1e9, 1e9) as i32);
        scale.push((unit / after) as f32);
    }
    *steps = after;
    Ok((bias, scale))
}
