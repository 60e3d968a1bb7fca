//! Images that cannot be decoded.

use crate::console::errln;
use anyhow::{Error, Result, bail};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The images of a set that could not be decoded. Each is printed once and skipped; more than one in a hundred is an error.
#[derive(Default)]
pub struct Unreadable(Mutex<BTreeMap<usize, String>>);

impl Unreadable {
    /// Adds the image at `index` of its set.
    pub fn add(&self, index: usize, name: &str, error: &Error) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.insert(index, name.into()).is_none() {
            errln!("image `{name}`: skipped, it cannot be decoded: {error:#}");
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Refuses a set of `total` images with too many of them; `cure` says what to do then.
    pub fn check(&self, total: usize, cure: &str) -> Result<()> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = names.values().next().filter(|_| names.len() * 100 > total) {
            let count = names.len();
            bail!(
                "images: at most one in a hundred may be unreadable, got {count} of {total}, first `{first}`; {cure}"
            );
        }
        Ok(())
    }
}
