//! `mobilenet download NAME`: fetches a published checkpoint, checks it and converts it.
//!
//! What arrives lies in `….part` files ([`fetch`]) until it is understood as a MobileNet; only then it takes its name, and its
//! hash is locked ([`hashes`]). One run per checkpoint and folder at a time; another waits.

mod fetch;
mod hashes;
mod table;

use crate::console::outln;
use crate::convert::{self, StoredPrecision};
use crate::files::{FileLock, MODEL_LIMIT, archive, explain, read};
use crate::model::{self, ModelArgs};
use anyhow::{Context, Result, anyhow, bail, ensure};
use fetch::Request;
use hashes::Hashes;
use mobilenet_formats::{self as formats, LoadedModel};
use std::path::{Path, PathBuf};
use std::time::Duration;
use table::{CHECKPOINTS, Checkpoint};

/// Largest file in bytes inside of an archive. MobileNet v1 at width 1 has 17 MB.
const MAX_UNPACKED: u64 = 256 << 20;

/// Arguments of `download`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Checkpoint to download; without a name all are listed.
    name: Option<String>,
    /// Folder for the published file, the native file and mobilenet.lock.json.
    #[arg(long, default_value = ".")]
    to: PathBuf,
    /// Another address of the same file, if the publisher's is gone.
    #[arg(long, value_name = "ADDRESS", requires = "name")]
    from: Option<String>,
    /// Seconds without a byte from the server after which to stop.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Number format of the kernels in the native file.
    #[arg(long)]
    precision: Option<StoredPrecision>,
    #[command(flatten)]
    model: ModelArgs,
}

impl Arguments {
    /// Whether the checkpoints are only to be listed.
    pub fn only_lists(&self) -> bool {
        self.name.is_none()
    }
}

/// Downloads and converts, or lists.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Some(name) = &arguments.name else {
        list();
        return Ok(());
    };
    let checkpoint = CHECKPOINTS.iter().find(|checkpoint| checkpoint.name == name);
    let checkpoint = checkpoint.with_context(|| {
        format!("no published checkpoint is called `{name}`; `mobilenet download` lists them")
    })?;
    let folder = &arguments.to;
    std::fs::create_dir_all(folder)
        .map_err(|error| anyhow!(explain(folder, "must be a folder or not exist", &error)))?;
    let _lock = FileLock::wait(folder.join(format!(".{name}.lock")), "downloads the same checkpoint")?;
    let mut download = Download {
        checkpoint,
        address: arguments.from.clone().unwrap_or_else(|| checkpoint.address()),
        folder,
        timeout: Duration::from_secs(arguments.timeout),
        hashes: Hashes::open(folder)?,
        files: Vec::new(),
    };
    let model = download.model(&arguments.model);
    if model.is_err() {
        download.discard();
    }
    let mut model = model?;
    download.keep()?;
    let provenance = &mut model.weights.provenance;
    if provenance.licence.is_empty() {
        provenance.licence = checkpoint.publisher.licence.into();
    }
    if provenance.description.is_empty() {
        provenance.description = format!("{} from {}", checkpoint.name, checkpoint.address());
    }
    convert::finish(model, arguments.precision, &folder.join(format!("{name}.safetensors")))
}

fn list() {
    outln!("{:<28} {:>6} {:>6}  license, address", "name", "top-1", "top-5");
    for checkpoint in CHECKPOINTS {
        let (one, five) = match checkpoint.accuracy {
            Some((one, five)) => (format!("{one:.1}"), format!("{five:.1}")),
            None => ("-".into(), "-".into()),
        };
        let Checkpoint { name, publisher, .. } = checkpoint;
        outln!("{name:<28} {one:>6} {five:>6}  {}, {}", publisher.licence, checkpoint.address());
    }
    outln!("\nAccuracy as published, in percent of ImageNet's validation set, read at");
    let mut read_at: Vec<&str> = CHECKPOINTS.iter().map(|checkpoint| checkpoint.publisher.read_at).collect();
    read_at.dedup();
    read_at.iter().for_each(|place| outln!("  {place}"));
}

/// The files of a checkpoint, on their way to a folder.
struct Download<'a> {
    checkpoint: &'static Checkpoint,
    address: String,
    folder: &'a Path,
    timeout: Duration,
    hashes: Hashes,
    files: Vec<OriginalFile>,
}

/// A file as its publisher offers it.
struct OriginalFile {
    /// Its name in the folder.
    name: String,
    /// Where it belongs.
    path: PathBuf,
    /// Where it lies.
    at: PathBuf,
    /// SHA-256 in hexadecimal.
    sha256: String,
    /// Whether the hash was known before.
    known: bool,
}

impl OriginalFile {
    /// Whether it was there before this run.
    fn was_there(&self) -> bool {
        self.at == self.path
    }
}

impl Download<'_> {
    /// Fetches what is missing and reads the network.
    fn model(&mut self, args: &ModelArgs) -> Result<LoadedModel> {
        let extension = self.checkpoint.file.rsplit('.').next().unwrap_or_default();
        let name = format!("{}.original.{extension}", self.checkpoint.name);
        let address = self.address.clone();
        let (path, was_there) = self.bring(&address, name, self.checkpoint.sha256)?;
        let mut understand = || -> Result<LoadedModel> {
            let bytes = match self.checkpoint.publisher.inside {
                Some(ending) => unpack(&path, ending)?,
                None => read(&path, MODEL_LIMIT)?,
            };
            let companions = self.companions(&address, &path, &bytes)?;
            let options = args.options_with(self.checkpoint.options())?;
            model::read_bytes(&bytes, &companions, &options)
        };
        understand().with_context(|| {
            let cure = "; remove it and its line in mobilenet.lock.json and run again";
            format!("{} from {address}{}", path.display(), if was_there { cure } else { "" })
        })
    }

    /// Brings a file into the folder, or its `.part`, and checks its hash. Gives where it lies, and whether it was there.
    fn bring(&mut self, address: &str, name: String, stated: Option<&str>) -> Result<(PathBuf, bool)> {
        let path = self.folder.join(&name);
        let mut at = path.clone();
        if !path.exists() {
            outln!("{address} ({})", self.checkpoint.publisher.licence);
            let request = Request { address, limit: self.checkpoint.size_limit(), timeout: self.timeout };
            at = fetch::fetch(&request, &path)?;
        }
        let was_there = at == path;
        let file = OriginalFile { name, path, at: at.clone(), sha256: hashes::sha256(&at)?, known: false };
        let known = self.hashes.check(&file.name, &file.sha256, stated);
        self.files.push(OriginalFile { known: *known.as_ref().unwrap_or(&false), ..file });
        known.map(|_| (at, was_there))
    }

    /// The files that the network's file refers to, each under a name of the checkpoint's own.
    fn companions(&mut self, address: &str, path: &Path, bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let base = address.rsplit_once('/').map_or(address, |(base, _)| base);
        let mut companions = Vec::new();
        for name in formats::companion_files(bytes)? {
            model::check_companion(path, &name)?;
            let own = format!("{}.original.{}", self.checkpoint.name, name.replace('/', "."));
            let (at, _) = self.bring(&format!("{base}/{name}"), own, None)?;
            companions.push((name, read(&at, MODEL_LIMIT)?));
        }
        Ok(companions)
    }

    /// Gives the files that came their names, and locks their hashes.
    fn keep(&mut self) -> Result<()> {
        for file in self.files.iter().filter(|file| !file.was_there()) {
            std::fs::rename(&file.at, &file.path)
                .map_err(|error| anyhow!(explain(&file.path, "must be writable", &error)))?;
            fetch::forget(&file.path);
        }
        let hashes = self.files.iter().map(|file| (file.name.clone(), file.sha256.clone()));
        self.hashes.add(hashes.collect())?;
        for file in &self.files {
            let came = if file.was_there() { "was there" } else { "downloaded" };
            let how = if file.known { "as before" } else { "kept in mobilenet.lock.json" };
            outln!("{} {came}: SHA-256 {}, {how}", file.name, file.sha256);
        }
        Ok(())
    }

    /// Removes what came and is not a MobileNet, or not the right one.
    fn discard(&self) {
        for file in self.files.iter().filter(|file| !file.was_there()) {
            let _ = std::fs::remove_file(&file.at);
            fetch::forget(&file.path);
        }
    }
}

/// The file of an archive whose name ends with `ending`.
fn unpack(path: &Path, ending: &str) -> Result<Vec<u8>> {
    ensure!(
        archive::compressed(path)? == Some(true),
        "{}: must be a tar.gz archive, got another file; check the address",
        path.display()
    );
    let mut found = None;
    archive::entries(path, true, &mut |entry| {
        let name = entry.name.to_string_lossy();
        if !name.ends_with(ending) {
            return Ok(true);
        }
        if entry.size > MAX_UNPACKED {
            let (path, size) = (path.display(), entry.size);
            bail!("{path}: `{name}` must have at most {MAX_UNPACKED} bytes, got {size}");
        }
        let name = name.into_owned();
        found = Some(entry.read().with_context(|| format!("{}: `{name}` is damaged", path.display()))?);
        Ok(false)
    })?;
    found.with_context(|| format!("{}: must hold a file that ends with `{ending}`, got none", path.display()))
}
