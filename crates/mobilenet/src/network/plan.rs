//! The memory plan: config → sizes → one allocation → named slices.
//!
//! Goes in: the layers. Comes out: an [`Arena`] with room for the input, two maps that the layers take turns with,
//! what passes between two kernels, and the three answers. Next: `float` splits it into slices at every run, and allocates nothing more.

use crate::{Error, Result};
use crate::{Layer, LayerKind};
use mobilenet_kernels::aligned::{Aligned, line};
use mobilenet_kernels::shape::FeatureMap;

/// Values between two cache lines of 64 bytes.
const LINE: usize = line::<f32>();

/// The map that the stem writes where a depthwise convolution and its pointwise are one step, and where every layer is one by
/// itself: either way the maps of separable blocks lie in the odd one, of which the first is the largest of all.
pub const EVEN: usize = 0;
pub const ODD: usize = 1;

/// One allocation and where each slice of it lies. Every slice starts on a cache line.
pub struct Arena {
    memory: Aligned<f32>,
    lengths: Lengths,
}

/// Sizes in values, each as asked for (the layout rounds them up to whole cache lines).
#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    input: usize,
    maps: [usize; 2],
    scratch: usize,
    embedding: usize,
    classes: usize,
}

/// The arena as named slices.
pub struct Slices<'a> {
    /// What the stem reads: resolution² × 3.
    pub input: &'a mut [f32],
    /// Two maps, each as large as the largest that lies in it: a page of memory that nobody asks for costs nothing.
    pub maps: [&'a mut [f32]; 2],
    /// What lives within one step.
    pub scratch: &'a mut [f32],
    /// The pooled features.
    pub embedding: &'a mut [f32],
    /// The classifier's output.
    pub logits: &'a mut [f32],
    /// Softmax of the logits.
    pub probabilities: &'a mut [f32],
}

/// `height · width · channels` where that is a possible size of memory here.
fn size(map: FeatureMap) -> Option<usize> {
    let values = map.height.checked_mul(map.width)?.checked_mul(map.channels)?;
    (values <= isize::MAX as usize / 16).then_some(values)
}

impl Arena {
    /// Room for `input` and everything that `layers` (the pool and the classifier last) give, and for `scratch`
    /// values within a step. An error where this machine has not so much memory.
    pub fn new(input: FeatureMap, layers: &[Layer], scratch: usize) -> Result<Self> {
        let side = input.height;
        let refuse = || {
            Error::out_of_memory(format!(
                "a network for {side} × {side} pixels needs more memory than there is: take a lower resolution"
            ))
        };
        let input = size(input).ok_or_else(refuse)?;
        let mut lengths = Lengths { input, scratch, ..Lengths::default() };
        let mut step = EVEN;
        for (index, layer) in layers.iter().enumerate() {
            let size = size(layer.shape.output).ok_or_else(refuse)?;
            let mut hold = |turn: usize| lengths.maps[turn % 2] = lengths.maps[turn % 2].max(size);
            hold(ODD + index);
            // In steps a depthwise convolution's map lies within its pointwise's.
            if layer.kind != LayerKind::Depthwise {
                hold(step);
                step += 1;
            }
        }
        if let Some(pool) = layers.iter().find(|layer| layer.kind == LayerKind::Pool) {
            lengths.embedding = pool.shape.output.channels;
        }
        if let Some(classifier) = layers.last() {
            lengths.classes = classifier.shape.output.channels;
        }
        let total: usize = lengths.in_order().iter().map(|length| length.next_multiple_of(LINE)).sum();
        Ok(Self { memory: Aligned::try_zeros(total).ok_or_else(refuse)?, lengths })
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        self.memory.len() * size_of::<f32>()
    }

    /// The whole arena as slices.
    pub fn slices(&mut self) -> Slices<'_> {
        let mut rest = &mut self.memory[..];
        let [input, even, odd, scratch, embedding, logits, probabilities] =
            self.lengths.in_order().map(|length| {
                let (slice, after) = std::mem::take(&mut rest).split_at_mut(length.next_multiple_of(LINE));
                rest = after;
                &mut slice[..length]
            });
        Slices { input, maps: [even, odd], scratch, embedding, logits, probabilities }
    }

    fn slice(&self, index: usize) -> &[f32] {
        let lengths = self.lengths.in_order();
        let before: usize = lengths[..index].iter().map(|length| length.next_multiple_of(LINE)).sum();
        &self.memory[before..][..lengths[index]]
    }

    /// One of the two maps.
    pub fn map(&self, parity: usize) -> &[f32] {
        self.slice(1 + parity % 2)
    }

    /// The pooled features.
    pub fn embedding(&self) -> &[f32] {
        self.slice(4)
    }

    /// The classifier's output.
    pub fn logits(&self) -> &[f32] {
        self.slice(5)
    }

    /// Softmax of the logits.
    pub fn probabilities(&self) -> &[f32] {
        self.slice(6)
    }
}

impl Lengths {
    fn in_order(self) -> [usize; 7] {
        let [even, odd] = self.maps;
        [self.input, even, odd, self.scratch, self.embedding, self.classes, self.classes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;

    #[test]
    fn slices_are_apart_aligned_and_large_enough() {
        let architecture = Architecture { resolution: 97, alpha: 0.3, classes: 7, ..Architecture::default() };
        let layers = architecture.layers();
        let mut arena = Arena::new(architecture.input(), &layers, 5).unwrap();
        let slices = arena.slices();
        let [even, odd] = slices.maps;
        let all =
            [slices.input, even, odd, slices.scratch, slices.embedding, slices.logits, slices.probabilities];
        let mut end = 0;
        for slice in &all {
            assert_eq!(slice.as_ptr().align_offset(64), 0);
            assert!(slice.as_ptr().addr() >= end);
            end = slice.as_ptr_range().end.addr();
        }
        assert_eq!(all[0].len(), 97 * 97 * 3);
        let largest = |kind| {
            let layers = layers.iter().filter(|layer| layer.kind == kind);
            layers.map(|layer| layer.shape.output.len()).max().unwrap()
        };
        let (stem, [depthwise, pointwise]) =
            (layers[0].shape.output.len(), [LayerKind::Depthwise, LayerKind::Pointwise].map(largest));
        assert!(all[1].len() >= stem.max(depthwise) && all[1].len() < pointwise);
        assert_eq!(all[2].len(), pointwise);
        assert_eq!([all[3].len(), all[4].len(), all[5].len(), all[6].len()], [5, 307, 7, 7]);
    }

    #[test]
    fn what_no_machine_can_hold_is_refused() {
        let layers = Architecture::default().layers();
        let error = Arena::new(FeatureMap::new(1 << 30, 1 << 30, 3), &layers, 5).err().unwrap();
        assert!(error.to_string().contains("take a lower resolution"), "{error}");
    }
}
