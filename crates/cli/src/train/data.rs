//! Pictures by class: tar and tar.gz files (`<class>/<file>` inside) and folders with a folder a class; several make one
//! set.
//!
//! Goes in: paths. Comes out: a [`Set`] that holds every file's bytes and decodes a picture when it is asked for. What
//! was decoded is kept while there is room, so that a small set is decoded once and a large one again every epoch.
//! Pictures that cannot be decoded are named, counted and left out. Next: `feed` makes batches of them.

use crate::pictures::{self, Source, is_picture, upright};
use anyhow::{Context, bail, ensure};
use mobilenet::image::Frame;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// No picture's file in an archive is larger: a set is held in memory whole.
const MAX_FILE: usize = 64 << 20;

/// Decoded pixels, four bytes each.
pub struct Pixels {
    bytes: Vec<u8>,
    width: usize,
    height: usize,
}

impl Pixels {
    /// The picture as the library takes it.
    pub fn frame(&self) -> mobilenet::Result<Frame<'_>> {
        Frame::new(&self.bytes, self.width, self.height)
    }
}

/// One labelled file.
struct Picture {
    name: String,
    class: usize,
    encoded: Vec<u8>,
    decoded: OnceLock<Arc<Pixels>>,
}

/// Which classes a set has.
pub enum Classes<'a> {
    /// Those that are there.
    Found,
    /// These, and any other is a mistake.
    These(&'a [String]),
    /// These, and pictures of others are passed over.
    Only(&'a [String]),
}

/// All pictures of a set.
pub struct Set {
    pictures: Vec<Picture>,
    /// Names of the classes as the set has them, sorted.
    pub classes: Vec<String>,
    /// Bytes that may still be spent on keeping decoded pictures.
    room: AtomicUsize,
    unreadable: Mutex<BTreeSet<usize>>,
}

impl Set {
    /// Reads all of `paths`. `keep` is how many bytes of decoded pictures to hold.
    pub fn read(paths: &[impl AsRef<Path>], classes: Classes, keep: usize) -> anyhow::Result<Self> {
        let mut found: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for path in paths {
            let path = path.as_ref();
            if path.is_dir() {
                folder(path, &mut found).with_context(|| path.display().to_string())?;
            } else {
                archive(path, &mut found)?;
            }
        }
        let all = paths.iter().map(|path| path.as_ref().display().to_string()).collect::<Vec<_>>().join(", ");
        if let Some((empty, _)) = found.iter().find(|(_, files)| files.is_empty()) {
            bail!("{all}: the folder of class `{empty}` is empty; put pictures there or remove it");
        }
        ensure!(
            !found.is_empty(),
            "{all}: there are no pictures (a folder of JPEG or PNG files for each class)"
        );
        let (classes, others) = match classes {
            Classes::Found => (found.keys().cloned().collect(), false),
            Classes::These(names) => (names.to_vec(), false),
            Classes::Only(names) => (names.to_vec(), true),
        };
        let mut pictures = Vec::new();
        for (name, files) in found {
            let Some(class) = classes.iter().position(|class| *class == name) else {
                if others {
                    continue;
                }
                bail!(
                    "{all}: class `{name}` is not one of the {} classes of the training set",
                    classes.len()
                );
            };
            let picture = |(name, encoded)| Picture { name, class, encoded, decoded: OnceLock::new() };
            pictures.extend(files.into_iter().map(picture));
        }
        Ok(Self { pictures, classes, room: AtomicUsize::new(keep), unreadable: Mutex::default() })
    }

    /// Pictures, unreadable ones included.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Class of a picture.
    pub fn class(&self, index: usize) -> usize {
        self.pictures[index].class
    }

    /// Leaves out all but the first `count` classes, and all but the first `pictures` of each. Comes out: the other
    /// pictures of those classes.
    pub fn restrict(&mut self, count: usize, pictures: usize) -> Self {
        self.classes.truncate(count);
        let mut seen = vec![0usize; count];
        self.pictures.retain(|picture| picture.class < count);
        let first = |picture: &Picture| {
            seen[picture.class] += 1;
            seen[picture.class] <= pictures
        };
        let (first, rest) = std::mem::take(&mut self.pictures).into_iter().partition(first);
        self.pictures = first;
        let classes = self.classes.clone();
        Self { pictures: rest, classes, room: AtomicUsize::new(0), unreadable: Mutex::default() }
    }

    /// Takes the pictures of another set with the same classes.
    pub fn append(&mut self, other: Self) {
        self.pictures.extend(other.pictures);
    }

    /// The picture, or `None` where it cannot be decoded; the first time that happens it is named.
    pub fn decode(&self, index: usize) -> Option<Arc<Pixels>> {
        let picture = &self.pictures[index];
        if let Some(pixels) = picture.decoded.get() {
            return Some(Arc::clone(pixels));
        }
        let decoded = match upright(&picture.encoded) {
            Ok(decoded) => decoded,
            Err(error) => {
                let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                if unreadable.insert(index) {
                    eprintln!("{} cannot be read and is left out: {error:#}", picture.name);
                }
                return None;
            }
        };
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        let pixels = Arc::new(Pixels { bytes: decoded.into_raw(), width, height });
        let size = pixels.bytes.len();
        let spend = |room: usize| room.checked_sub(size);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok() {
            let _ = picture.decoded.set(Arc::clone(&pixels));
        }
        Some(pixels)
    }

    /// Refuses a set of which more than one picture in a hundred could not be read.
    pub fn check(&self) -> anyhow::Result<()> {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unreadable.len();
        if count * 100 > self.len() {
            let first = unreadable.iter().next().map_or("", |&index| &self.pictures[index].name);
            bail!(
                "{count} of {} pictures cannot be read, more than one in a hundred; the first is {first}. Repair \
                 the set and start again; `train` goes on with --resume",
                self.len()
            );
        }
        Ok(())
    }

    /// A number that changes with the pictures, their order and their classes.
    pub fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for picture in &self.pictures {
            (picture.class, &picture.encoded).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn folder(path: &Path, found: &mut BTreeMap<String, Vec<(String, Vec<u8>)>>) -> anyhow::Result<()> {
    let sorted = |path: &Path| -> anyhow::Result<Vec<_>> {
        let mut entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
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
            if path.is_file() && is_picture(&path) {
                let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
                files.push((path.display().to_string(), bytes));
            }
        }
    }
    Ok(())
}

fn archive(path: &Path, found: &mut BTreeMap<String, Vec<(String, Vec<u8>)>>) -> anyhow::Result<()> {
    Source::open(path)?.each(&mut |_| true, &mut |pictures::Picture { name, bytes }| {
        let class = Path::new(&name).parent().and_then(Path::file_name);
        let class = class.map(|class| class.to_string_lossy().into_owned());
        if let Some(class) = class.filter(|class| !class.starts_with('.')) {
            let size = bytes.len();
            ensure!(
                size <= MAX_FILE,
                "{}: {name} has {size} bytes, a picture at most {MAX_FILE}",
                path.display()
            );
            found.entry(class).or_default().push((format!("{}:{name}", path.display()), bytes));
        }
        Ok(())
    })
}
