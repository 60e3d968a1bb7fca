//! Batches of images, bounded by number and size.

/// Most images of a batch: enough to keep every thread busy.
const MAX_IMAGES: usize = 64;

/// A batch of at least this many bytes of image files is full.
const FULL_BYTES: usize = 256 << 20;

/// Images that are held at once.
pub struct Batch<T> {
    items: Vec<T>,
    bytes: usize,
}

impl<T> Batch<T> {
    /// An empty batch.
    pub const fn new() -> Self {
        Self { items: Vec::new(), bytes: 0 }
    }

    /// Adds an image whose file has `bytes` bytes. Gives the items if the batch is full now, and starts the next.
    pub fn push(&mut self, item: T, bytes: usize) -> Option<Vec<T>> {
        self.items.push(item);
        self.bytes += bytes;
        (self.items.len() == MAX_IMAGES || self.bytes >= FULL_BYTES).then(|| self.take())
    }

    /// Gives the items so far, and starts the next batch.
    pub fn take(&mut self) -> Vec<T> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_full_by_number_or_by_size() {
        let mut batch = Batch::new();
        assert!((1..MAX_IMAGES).all(|index| batch.push(index, 1000).is_none()));
        assert_eq!(batch.push(0, 1000).map(|items| items.len()), Some(MAX_IMAGES));
        assert!(batch.push(1, FULL_BYTES - 1).is_none());
        assert_eq!(batch.push(2, 1), Some(vec![1, 2]));
        assert!(batch.take().is_empty());
    }
}
