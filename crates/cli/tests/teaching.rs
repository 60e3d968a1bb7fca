//! A head learnt on a real network's embeddings of real photographs: fruit and vegetables in shops, as someone would
//! teach them. Softmax regression fitted to convergence elsewhere names 82.3 % of the test pictures.

use flate2::read::GzDecoder;
use mobilenet::image::{Frame, ImageOptions, Resizer};
use mobilenet::{Input, Network, Precision};
use mobilenet_formats::{self as formats, ModelOptions};
use mobilenet_train::head::{HeadSettings, train};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Examples of each kind that are learnt.
const SHOWN: usize = 20;

/// A file of `../shared`, or `None`, and then says so.
fn shared(path: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("MOBILENET_SHARED").map_or(beside, PathBuf::from);
    let found = root.join(path);
    if !found.exists() {
        eprintln!("skipped: {path} of the reference data is not here");
        return None;
    }
    Some(found)
}

/// Every picture of an archive `part/kind/file`: (part, kind, picture), in the archive's order of names.
fn pictures(path: &Path) -> Vec<(String, String, image::RgbaImage)> {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        let parts: Vec<&str> = name.split('/').collect();
        if let [part, kind, file] = parts[..]
            && file.ends_with(".jpg")
        {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let picture = image::load_from_memory(&bytes).unwrap().to_rgba8();
            found.push((name.clone(), part.to_owned(), kind.to_owned(), picture));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, part, kind, picture)| (part, kind, picture)).collect()
}

fn embedding(network: &mut Network, resizer: &mut Resizer, picture: &image::RgbaImage) -> Vec<f32> {
    let architecture = network.architecture().clone();
    let (width, height) = picture.dimensions();
    let frame = Frame::new(picture.as_raw(), width as usize, height as usize).unwrap();
    let (side, normalization) = (architecture.resolution, &architecture.normalization);
    let target = network.input();
    resizer.resize(&frame, &ImageOptions::default(), side, normalization, target).unwrap();
    network.run();
    network.embedding().to_vec()
}

#[test]
fn a_head_learns_fruit_and_vegetables_in_seconds() {
    let Some(weights) = shared("weights/keras/mobilenet_v1_0.25_224.h5") else { return };
    let Some(archive) = shared("datasets/grocery-8.tar.gz") else { return };
    let weights = formats::read(&std::fs::read(weights).unwrap(), &ModelOptions::default()).unwrap();
    let pictures = pictures(&archive);
    let kinds: Vec<&String> =
        pictures.iter().map(|(_, kind, _)| kind).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(kinds.len(), 8);
    for precision in [Precision::F32, Precision::Int8] {
        let (mut network, mut resizer) = (Network::new(&weights, precision).unwrap(), Resizer::new());
        let (mut learn, mut test) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        let mut shown = [0; 8];
        for (part, kind, picture) in &pictures {
            let class = kinds.binary_search(&kind).unwrap();
            let learns = part == "train";
            shown[class] += usize::from(learns);
            if learns && shown[class] > SHOWN {
                continue;
            }
            let (embeddings, classes) = if learns { &mut learn } else { &mut test };
            embeddings.extend(embedding(&mut network, &mut resizer, picture));
            classes.push(class);
        }
        let features = learn.0.len() / learn.1.len();
        let head = train(&learn.0, features, &learn.1, kinds.len(), HeadSettings::default()).unwrap();
        let (loss, accuracy) = head.test(&test.0, &test.1);
        eprintln!(
            "{precision:?}: {:.1} % of {} test pictures, loss {loss:.3}",
            100.0 * accuracy,
            test.1.len()
        );
        assert!(accuracy > 0.79, "{precision:?}: {accuracy}");
    }
}
