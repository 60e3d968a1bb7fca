//! `mobilenet download NAME`: fetches a published checkpoint, checks it and converts it.

mod fetch;
mod lock;
mod table;

use crate::convert::{self, Precision};
use crate::network::{self, Known};
use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use lock::Lock;
use mobilenet_formats as formats;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use table::{CHECKPOINTS, Checkpoint};

/// A file inside an archive that is larger is no MobileNet v1.
const LARGEST: u64 = 256 << 20;

/// Arguments of `download`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Which checkpoint; without a name all are listed.
    name: Option<String>,
    /// Where the files go: what the publisher offers, the native file, and mobilenet.lock.json.
    #[arg(long, default_value = ".")]
    to: PathBuf,
    /// Another address of the same file, where its publisher's is gone.
    #[arg(long, value_name = "ADDRESS", requires = "name")]
    from: Option<String>,
    /// In which numbers the native file keeps the kernels.
    #[arg(long)]
    precision: Option<Precision>,
    #[command(flatten)]
    known: Known,
}

/// Downloads and converts, or lists.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Some(name) = &arguments.name else {
        list();
        return Ok(());
    };
    let Some(checkpoint) = CHECKPOINTS.iter().find(|checkpoint| checkpoint.name == name) else {
        bail!("no published checkpoint is called `{name}`; `mobilenet download` lists them");
    };
    std::fs::create_dir_all(&arguments.to).with_context(|| arguments.to.display().to_string())?;
    let address = arguments.from.clone().unwrap_or_else(|| checkpoint.address());
    let mut lock = Lock::open(&arguments.to)?;
    let path = bring(checkpoint, &address, &arguments.to, &mut lock)?;
    let bytes = match checkpoint.publisher.inside {
        Some(ending) => unpack(&path, ending)?,
        None => std::fs::read(&path).with_context(|| path.display().to_string())?,
    };
    let beside = beside(checkpoint, &address, &path, &bytes, &mut lock)?;
    let options = arguments.known.options_with(checkpoint.options())?;
    let mut reading = network::read_bytes(&bytes, &beside, &options)
        .with_context(|| format!("{} from {address}", path.display()))?;
    let provenance = &mut reading.weights.provenance;
    if provenance.licence.is_empty() {
        provenance.licence = checkpoint.publisher.licence.into();
    }
    if provenance.description.is_empty() {
        provenance.description = format!("{} from {}", checkpoint.name, checkpoint.address());
    }
    convert::finish(reading, arguments.precision, &arguments.to.join(format!("{name}.safetensors")))
}

fn list() {
    println!("{:<28} {:>6} {:>6}  licence, address", "name", "top-1", "top-5");
    for checkpoint in CHECKPOINTS {
        let (one, five) = match checkpoint.accuracy {
            Some((one, five)) => (format!("{one:.1}"), format!("{five:.1}")),
            None => ("-".into(), "-".into()),
        };
        let Checkpoint { name, publisher, .. } = checkpoint;
        println!("{name:<28} {one:>6} {five:>6}  {}, {}", publisher.licence, checkpoint.address());
    }
    println!("\nAccuracies are what the publishers state, in per cent of ImageNet's validation set, read at");
    let mut read_at: Vec<&str> = CHECKPOINTS.iter().map(|checkpoint| checkpoint.publisher.read_at).collect();
    read_at.dedup();
    read_at.iter().for_each(|place| println!("  {place}"));
}

/// The publisher's file, fetched where it is not there yet, and checked either way.
fn bring(checkpoint: &Checkpoint, address: &str, folder: &Path, lock: &mut Lock) -> Result<PathBuf> {
    let ending = checkpoint.file.rsplit('.').next().unwrap_or_default();
    let name = format!("{}.original.{ending}", checkpoint.name);
    let path = folder.join(&name);
    let there = path.exists();
    if !there {
        println!("{address} ({})", checkpoint.publisher.licence);
        fetch::fetch(address, &path)?;
    }
    let (hash, known) = lock.check(&path, &name, checkpoint.sha256)?;
    let how = if known { "as before" } else { "kept in mobilenet.lock.json" };
    let came = if there { "was there" } else { "came" };
    println!("{name} {came}: SHA-256 {hash}, {how}");
    Ok(path)
}

/// Files that the network's file refers to, each in a folder of the checkpoint's own.
fn beside(
    checkpoint: &Checkpoint,
    address: &str,
    path: &Path,
    bytes: &[u8],
    lock: &mut Lock,
) -> Result<Vec<(String, Vec<u8>)>> {
    let names =
        formats::companion_files(bytes).with_context(|| format!("{} from {address}", path.display()))?;
    let base = address.rsplit_once('/').map_or(address, |(base, _)| base);
    let mut files = Vec::new();
    for name in names {
        network::check_beside(path, &name)?;
        let own = format!("{}.original.{}", checkpoint.name, name.replace('/', "."));
        let file = path.with_file_name(&own);
        if !file.exists() {
            fetch::fetch(&format!("{base}/{name}"), &file)?;
        }
        lock.check(&file, &own, None)?;
        files.push((name, std::fs::read(&file).with_context(|| file.display().to_string())?));
    }
    Ok(files)
}

/// The one file of a packed archive whose name ends with `ending`.
fn unpack(path: &Path, ending: &str) -> Result<Vec<u8>> {
    let damaged = || format!("{} is no archive, or damaged: remove it and download it again", path.display());
    let file = BufReader::new(File::open(path).with_context(|| path.display().to_string())?);
    for entry in tar::Archive::new(GzDecoder::new(file)).entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let name = entry.path().with_context(damaged)?.to_string_lossy().into_owned();
        if !name.ends_with(ending) {
            continue;
        }
        if entry.size() > LARGEST {
            bail!("{}: `{name}` has {} bytes, too many for a MobileNet v1", path.display(), entry.size());
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(damaged)?;
        return Ok(bytes);
    }
    bail!("{} holds no file that ends with `{ending}`", path.display())
}
