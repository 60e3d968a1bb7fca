//! What stands in for `teach` in a build without it: nothing was shown, and nothing learnt.

use crate::model::Architecture;

/// None.
#[derive(Default)]
pub struct Lessons(());

impl Lessons {
    pub fn architecture(&self) -> Option<&Architecture> {
        None
    }

    pub fn probabilities(&self) -> Option<&[f32]> {
        None
    }

    pub fn classifier(&self, _: usize) -> Option<Vec<f32>> {
        None
    }

    pub fn answer(&mut self, _: &[f32]) {}
}
