//! A head trained on a real network's embeddings of real photographs of fruit and vegetables in shops. Softmax regression
//! fitted to convergence elsewhere reaches 82.3 % on the test images.

use flate2::read::GzDecoder;
use mobilenet::image::{Frame, ImageOptions};
use mobilenet::{Classifier, Precision};
use mobilenet_formats::{self as formats, ModelOptions};
use mobilenet_testing::shared_path;
use mobilenet_train::head::{HeadSettings, train};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// Training examples of each class.
const SHOWN: usize = 20;

/// Every image of an archive `part/class/file`: (part, class, image), in the order of names.
fn images(path: &Path) -> Vec<(String, String, image::RgbaImage)> {
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
            let image = image::load_from_memory(&bytes).unwrap().to_rgba8();
            found.push((name.clone(), part.to_owned(), kind.to_owned(), image));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.into_iter().map(|(_, part, kind, image)| (part, kind, image)).collect()
}

fn embedding(classifier: &mut Classifier, image: &image::RgbaImage) -> Vec<f32> {
    let (width, height) = image.dimensions();
    let frame = Frame::new(image.as_raw(), width as usize, height as usize).unwrap();
    classifier.embed(&frame, &ImageOptions::default()).unwrap().to_vec()
}

#[test]
fn a_head_learns_fruit_and_vegetables_in_seconds() {
    let Some(weights) = shared_path("weights/keras/mobilenet_v1_0.25_224.h5") else { return };
    let Some(archive) = shared_path("datasets/grocery-8.tar.gz") else { return };
    let weights = formats::read(&std::fs::read(weights).unwrap(), &ModelOptions::default()).unwrap();
    let images = images(&archive);
    let kinds: Vec<&String> =
        images.iter().map(|(_, kind, _)| kind).collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(kinds.len(), 8);
    for precision in [Precision::F32, Precision::Int8] {
        let mut classifier = Classifier::new(&weights, precision).unwrap();
        let (mut learn, mut test) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
        let mut shown = [0; 8];
        for (part, kind, image) in &images {
            let class = kinds.binary_search(&kind).unwrap();
            let learns = part == "train";
            shown[class] += usize::from(learns);
            if learns && shown[class] > SHOWN {
                continue;
            }
            let (embeddings, classes) = if learns { &mut learn } else { &mut test };
            embeddings.extend(embedding(&mut classifier, image));
            classes.push(class);
        }
        let features = learn.0.len() / learn.1.len();
        let head = train(&learn.0, features, &learn.1, kinds.len(), HeadSettings::default()).unwrap();
        let (loss, accuracy) = head.test(&test.0, &test.1);
        eprintln!("{precision:?}: {:.1} % of {} test images, loss {loss:.3}", 100.0 * accuracy, test.1.len());
        assert!(accuracy > 0.79, "{precision:?}: {accuracy}");
    }
}
