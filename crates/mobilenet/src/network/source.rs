//! How a network gets its weights: borrowed, or taken out of their owner as they are packed.

use crate::{Kernel, Weights};

/// Weights on their way into a network.
pub enum WeightSource<'a> {
    /// Their owner keeps them.
    Lent(&'a Weights),
    /// What was packed is taken out.
    Given(&'a mut Weights),
}

impl WeightSource<'_> {
    /// All of them.
    pub fn weights(&self) -> &Weights {
        match self {
            WeightSource::Lent(weights) => weights,
            WeightSource::Given(weights) => weights,
        }
    }

    /// The kernel of layer `index` in floats, its owner's or taken out.
    pub fn floats(&mut self, index: usize) -> Option<Kernel> {
        if let WeightSource::Given(weights) = self {
            let kernel = &mut weights.layers.get_mut(index)?.kernel;
            if !matches!(kernel, Kernel::Int8 { .. }) {
                return Some(std::mem::replace(kernel, Kernel::F32(Vec::new())));
            }
        }
        let floats = self.weights().layers.get(index)?.kernel.to_f32().into_owned();
        drop(self.bytes(index)); // multiplied out, they are not held twice
        Some(Kernel::F32(floats))
    }

    /// The kernel of layer `index` in bytes, taken out; none where it is lent, or has floats.
    #[inline(never)]
    pub fn bytes(&mut self, index: usize) -> Vec<i8> {
        if let WeightSource::Given(weights) = self
            && let Some(Kernel::Int8 { values, .. }) =
                weights.layers.get_mut(index).map(|layer| &mut layer.kernel)
        {
            return std::mem::take(values);
        }
        Vec::new()
    }
}
