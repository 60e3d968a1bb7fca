//! Labeled images: tar and tar.gz files (`<class>/<file>` inside) and folders with one folder per class; several make one
//! set.
//!
//! A [`Dataset`] holds the bytes of all files and decodes an image when it is asked for. Decoded pixels are kept up to a
//! number of bytes, so that a small set is decoded once and a large one in every epoch.

use crate::files::{self, explain};
use crate::images::{EncodedImage, ImageLimits, ImageSource, Unreadable, decode, is_image};
use anyhow::{Result, anyhow, bail, ensure};
use mobilenet::image::Frame;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Largest image file in bytes: a set is held in memory whole.
const MAX_FILE: u64 = 64 << 20;

/// Decoded pixels, four bytes each.
pub struct Pixels {
    bytes: Vec<u8>,
    width: usize,
    height: usize,
}

impl Pixels {
    /// The pixels as a frame.
    pub fn frame(&self) -> mobilenet::Result<Frame<'_>> {
        Frame::new(&self.bytes, self.width, self.height)
    }
}

/// A labeled image file.
struct Sample {
    name: String,
    class: usize,
    encoded: Vec<u8>,
    decoded: OnceLock<Arc<Pixels>>,
}

/// The classes of a set.
pub enum Classes<'a> {
    /// Those of its images.
    Found,
    /// These; images of others are an error.
    Exactly(&'a [String]),
    /// These; images of others are skipped.
    Only(&'a [String]),
}

/// All images of a set.
pub struct Dataset {
    samples: Vec<Sample>,
    /// Names of the classes, sorted.
    pub classes: Vec<String>,
    limits: ImageLimits,
    /// Bytes left for keeping decoded pixels.
    cache: AtomicUsize,
    unreadable: Unreadable,
}

impl Dataset {
    /// Reads all of `paths`. At most `cache` bytes of decoded pixels are kept.
    pub fn read(
        paths: &[impl AsRef<Path>],
        classes: Classes,
        limits: ImageLimits,
        cache: usize,
    ) -> Result<Self> {
        let mut found: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for path in paths {
            let path = path.as_ref();
            if path.is_dir() {
                folder(path, &mut found)?;
            } else {
                archive(path, &mut found)?;
            }
        }
        let all = paths.iter().map(|path| path.as_ref().display().to_string()).collect::<Vec<_>>().join(", ");
        if let Some((empty, _)) = found.iter().find(|(_, files)| files.is_empty()) {
            bail!("{all}: the folder of class `{empty}` must hold images, got none; add some or remove it");
        }
        ensure!(
            !found.is_empty(),
            "{all}: must hold images (a folder of JPEG or PNG files for each class), got none"
        );
        let (classes, others) = match classes {
            Classes::Found => (found.keys().cloned().collect(), false),
            Classes::Exactly(names) => (names.to_vec(), false),
            Classes::Only(names) => (names.to_vec(), true),
        };
        let mut samples = Vec::new();
        for (name, files) in found {
            let Some(class) = classes.iter().position(|class| *class == name) else {
                if others {
                    continue;
                }
                let count = classes.len();
                bail!("{all}: must have the training set's {count} classes, got class `{name}`; remove it");
            };
            let sample = |(name, encoded)| Sample { name, class, encoded, decoded: OnceLock::new() };
            samples.extend(files.into_iter().map(sample));
        }
        Ok(Self {
            samples,
            classes,
            limits,
            cache: AtomicUsize::new(cache),
            unreadable: Unreadable::default(),
        })
    }

    /// Number of images, with those that cannot be decoded.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Class of an image.
    pub fn class(&self, index: usize) -> usize {
        self.samples[index].class
    }

    /// Keeps the first `count` classes, and the first `images` images of each. Gives the other images of those classes.
    pub fn restrict(&mut self, count: usize, images: usize) -> Self {
        self.classes.truncate(count);
        let mut seen = vec![0usize; count];
        self.samples.retain(|sample| sample.class < count);
        let first = |sample: &Sample| {
            seen[sample.class] += 1;
            seen[sample.class] <= images
        };
        let (first, rest) = std::mem::take(&mut self.samples).into_iter().partition(first);
        self.samples = first;
        let classes = self.classes.clone();
        Self {
            samples: rest,
            classes,
            cache: AtomicUsize::new(0),
            unreadable: Unreadable::default(),
            ..*self
        }
    }

    /// Appends the images of another set with the same classes.
    pub fn append(&mut self, other: Self) {
        self.samples.extend(other.samples);
    }

    /// The pixels of an image, or `None` if it cannot be decoded; the first time, its name is printed.
    pub fn decode(&self, index: usize) -> Option<Arc<Pixels>> {
        let sample = &self.samples[index];
        if let Some(pixels) = sample.decoded.get() {
            return Some(Arc::clone(pixels));
        }
        let decoded = decode(&sample.encoded, self.limits);
        let decoded = decoded.inspect_err(|error| self.unreadable.add(index, &sample.name, error)).ok()?;
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        let pixels = Arc::new(Pixels { bytes: decoded.into_raw(), width, height });
        let size = pixels.bytes.len();
        let spend = |left: usize| left.checked_sub(size);
        if self.cache.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok() {
            let _ = sample.decoded.set(Arc::clone(&pixels));
        }
        Some(pixels)
    }

    /// Refuses a set of which more than one image in a hundred could not be decoded.
    pub fn check(&self) -> Result<()> {
        self.unreadable.check(self.len(), "repair or remove them and run again, with --resume to continue")
    }

    /// A number that changes with the images, their order and their classes.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for sample in &self.samples {
            (sample.class, &sample.encoded).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Image files (name and bytes) by class.
type Found = BTreeMap<String, Vec<(String, Vec<u8>)>>;

fn folder(path: &Path, found: &mut Found) -> Result<()> {
    let sorted = |path: &Path| -> Result<Vec<_>> {
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut entries = entries.map_err(|error| anyhow!(explain(path, "must be readable", &error)))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        Ok(entries)
    };
    for class in sorted(path)?.into_iter().filter(|entry| entry.path().is_dir()) {
        let name = class.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let files = found.entry(name).or_default();
        for file in sorted(&class.path())? {
            let path = file.path();
            if path.is_file() && is_image(&path) {
                files.push((path.display().to_string(), files::read(&path, MAX_FILE)?));
            }
        }
    }
    Ok(())
}

fn archive(path: &Path, found: &mut Found) -> Result<()> {
    ImageSource::open(path)?.each(&mut |_| true, &mut |EncodedImage { name, bytes }| {
        let class = Path::new(&name).parent().and_then(Path::file_name);
        let class = class.map(|class| class.to_string_lossy().into_owned());
        if let Some(class) = class.filter(|class| !class.starts_with('.')) {
            let (path, size) = (path.display(), bytes.len() as u64);
            ensure!(size <= MAX_FILE, "{path}: `{name}` must have at most {MAX_FILE} bytes, got {size}");
            found.entry(class).or_default().push((format!("{path}:{name}"), bytes));
        }
        Ok(())
    })
}
