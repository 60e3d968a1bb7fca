//! What the tests of the program share: a folder of one's own, a network that knows colors, pictures of one color.
//!
//! The network is built by hand: its first layer passes red, green and blue on, every other layer leaves them as they
//! are, and the classifier names the strongest. So a test knows the right answer without any file from elsewhere.
#![allow(dead_code, reason = "no test uses everything")]

pub mod server;

use mobilenet::{Architecture, Weights};
use mobilenet::{Kernel, LayerKind, LayerWeights};
use mobilenet_formats::safetensors::{Storage, write};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Labels of [`colors`].
pub const LABELS: [&str; 4] = ["red thing, scarlet", "green thing", "blue thing", "grey thing"];

/// A folder that is gone when the test is.
pub struct Folder(pub PathBuf);

impl Folder {
    /// An empty folder for the test called `name`.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mobilenet-cli-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Where `name` lies in it.
    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a picture.
    pub fn picture(&self, name: &str, color: [u8; 3]) -> String {
        self.write(name, png(color))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program; `MOBILENET_PROGRAM` names another build of it.
pub fn program() -> String {
    std::env::var("MOBILENET_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mobilenet").into())
}

/// A command that runs the program.
pub fn command(arguments: &[&str]) -> Command {
    // A proxy of this machine has no part in what a test asks of this machine.
    let mut command = Command::new(program());
    for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(proxy).env_remove(proxy.to_uppercase());
    }
    command.args(arguments);
    command
}

/// Runs the program.
pub fn mobilenet(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// Starts the program with its output captured.
pub fn start(arguments: &[&str]) -> Child {
    command(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs the program and gives the most memory in MiB that it held.
#[cfg(target_os = "linux")]
pub fn measured(arguments: &[&str]) -> (Output, usize) {
    let child = start(arguments);
    let status = format!("/proc/{}/status", child.id());
    let done = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while !stop.load(Ordering::Relaxed) {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<usize>().ok());
            most = most.max(peak.unwrap_or(0));
            std::thread::sleep(Duration::from_millis(2));
        }
        most >> 10
    });
    let output = child.wait_with_output().unwrap();
    done.store(true, Ordering::Relaxed);
    (output, watch.join().unwrap())
}

/// How often a test repeats what chance decides; the environment variable `name` asks for more.
pub fn rounds(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Fails unless the program failed with a sentence, which it gives.
pub fn sentence(output: &Output) -> String {
    let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{sentence}");
    assert!(!sentence.contains("panicked") && sentence.contains("error: "), "{sentence}");
    sentence
}

/// Runs the program in a shell behind the command `limit`, or as the reader of `limit |`. A file that grows beyond the limit
/// of `ulimit -f` is an error there.
#[cfg(unix)]
pub fn limited(limit: &str, arguments: &[&str]) -> Output {
    let end = if limit.ends_with('|') { "" } else { ";" };
    let script = format!(r#"trap "" XFSZ; {limit}{end} "$0" "$@""#);
    Command::new("sh").args(["-c", &script, &program()]).args(arguments).output().unwrap()
}

/// Runs the program, which has to succeed, and gives what it printed.
pub fn prints(arguments: &[&str]) -> String {
    let output = mobilenet(arguments);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {err}");
    out
}

/// Runs the program, which has to fail without a panic and without a result, and gives its sentence.
pub fn refuses(arguments: &[&str]) -> String {
    let output = mobilenet(arguments);
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(!sentence.contains("panicked") && output.status.code().is_some(), "{arguments:?}: {sentence}");
    sentence
}

/// Runs the program and interrupts it, as Ctrl-C does, once it prints a line with `text`. It has to end well. Gives the
/// lines up to that one, and those after it.
#[cfg(unix)]
pub fn interrupted(arguments: &[&str], text: &str) -> [Vec<String>; 2] {
    let mut run =
        Command::new(program()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut before: Vec<String> = Vec::new();
    while !before.last().is_some_and(|line| line.contains(text)) {
        before
            .push(lines.next().unwrap_or_else(|| panic!("{arguments:?} never printed `{text}`: {before:?}")));
    }
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
    let rest = lines.collect();
    assert!(run.wait().unwrap().success());
    [before, rest]
}

/// A picture of one color.
pub fn png(color: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(40, 36, image::Rgb(color));
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A tar archive of files.
pub fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// The same, packed.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A picture of class 0, 1 or 2: mostly red, green or blue, with noise from `seed`.
pub fn noisy(class: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(class as u32);
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 / 2
    };
    let pixel =
        |_, _| image::Rgb(std::array::from_fn(|color| noise() + if color == class { 127 } else { 0 }));
    let mut pixel = pixel;
    let picture = image::RgbImage::from_fn(36, 32, &mut pixel);
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// `count` such pictures of each class as a tar.gz, made from the seeds from `first` on.
pub fn archive(count: u32, first: u32) -> Vec<u8> {
    let name = |class: usize, index: u32| format!("set/{}/{index}.png", ["blue", "green", "red"][class]);
    let files = (0..3).flat_map(|class| (first..first + count).map(move |index| (class, index)));
    let files: Vec<(String, Vec<u8>)> =
        files.map(|(class, index)| (name(class, index), noisy(2 - class, index))).collect();
    let files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    gzip(&tar(&files))
}

/// The network that knows colors, with so many classes, the first of them (behind a background class, where there is
/// one) red, green, blue and grey.
pub fn colors(classes: usize, background: bool, labels: &[&str]) -> Weights {
    let shift = usize::from(background);
    let labels = labels.iter().map(|label| label.to_string()).collect();
    let architecture = Architecture {
        alpha: 0.005,
        resolution: 32,
        classes: classes + shift,
        background,
        labels,
        ..Architecture::default()
    };
    let layers = architecture.layers_with_weights().into_iter().map(|layer| {
        let shape = layer.kernel_shape().unwrap();
        let outputs = layer.shape.output.channels;
        let mut kernel = vec![0.0; shape.iter().product()];
        let mut bias = vec![0.0; outputs];
        for color in 0..3 {
            match layer.kind {
                LayerKind::Stem => {
                    kernel[(4 * 3 + color) * outputs + color] = 1.0;
                    bias[color] = 1.0; // -1 … 1 becomes 0 … 2
                }
                LayerKind::Depthwise => kernel[4 * outputs + color] = 1.0,
                LayerKind::Classifier => kernel[color * outputs + shift + color] = 4.0,
                _ => kernel[color * outputs + color] = 1.0,
            }
        }
        if layer.kind == LayerKind::Classifier {
            bias[shift + 3] = 4.0 * 1.2;
        }
        LayerWeights { name: layer.name.clone(), kernel: Kernel::F32(kernel), bias, range: None }
    });
    Weights::new(architecture.clone(), layers.collect()).unwrap()
}

/// The native file of the network that knows four colors.
pub fn file() -> Vec<u8> {
    write(&colors(4, false, &LABELS), Storage::F32).unwrap()
}

/// The same file without what it says of itself, as another program would write it.
pub fn bare() -> Vec<u8> {
    let file = file();
    let (length, rest) = file.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).unwrap();
    header.remove("__metadata__").unwrap();
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
}

/// Reads a native file back.
pub fn read(path: &Path) -> Weights {
    mobilenet_formats::read(&std::fs::read(path).unwrap(), &Default::default()).unwrap()
}

/// Colors that the network names: by class.
pub const COLOURS: [[u8; 3]; 4] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [120, 120, 120]];
