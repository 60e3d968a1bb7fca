//! `mobilenet eval` on a network that knows colors and pictures of one color each.

mod support;

use mobilenet_formats::safetensors::{Storage, write};
use serde_json::{Value, json};
use support::{COLOURS, Folder, LABELS, colors, file, gzip, png, prints, refuses, tar};

const RED: [u8; 3] = COLOURS[0];
const GREEN: [u8; 3] = COLOURS[1];
const BLUE: [u8; 3] = COLOURS[2];

fn first_line(printed: &str) -> &str {
    printed.lines().next().unwrap()
}

/// Four pictures of which one is called by a wrong name; five classes and more would all be among the first five, so
/// that top-5 counts only where there are more.
fn pictures(folder: &Folder, names: [&str; 3]) -> String {
    let [red, green, blue] = names;
    folder.picture(&format!("pictures/{red}/one.png"), RED);
    folder.picture(&format!("pictures/{red}/two.png"), GREEN);
    folder.picture(&format!("pictures/{green}/one.PNG"), GREEN);
    folder.picture(&format!("pictures/{blue}/images/one.png"), BLUE);
    folder.write(&format!("pictures/{blue}/boxes.txt"), "0 0 1 1");
    folder.write(&format!("pictures/{blue}/.hidden.png"), "hidden");
    folder.text("pictures")
}

#[test]
fn classes_json_gives_the_one_line() {
    let folder = Folder::new("eval-json");
    let weights = folder.write("net.safetensors", file());
    let names = ["r.png", "g.png", "b.png"];
    for (name, color) in names.iter().zip(COLOURS) {
        folder.picture(&format!("pictures/{name}"), color);
    }
    folder.write("pictures/classes.json", r#"{"b.png": 2, "g.png": 3, "r.png": 0}"#);
    let printed = prints(&["eval", "--weights", &weights, "--images", &folder.text("pictures")]);
    assert_eq!(printed, "top-1 0.667 top-5 1.000 n 3\n");
}

#[test]
fn a_labels_file_may_name_the_folders() {
    let folder = Folder::new("eval-folders");
    let weights = folder.write("net.safetensors", write(&colors(4, false, &[]), Storage::F32).unwrap());
    let images = pictures(&folder, ["n00000007", "second", "c"]);
    let labels = folder.write("labels.txt", "n00000007\tred\nsecond\tgreen\nc\tblue\nd\tgrey\n");
    let eval = |labels: &str| {
        ["eval", "--weights", &weights, "--images", &images, "--labels", labels].map(String::from)
    };
    let printed = prints(&eval(&labels).each_ref().map(String::as_str));
    assert_eq!(first_line(&printed), "top-1 0.750 top-5 1.000 n 4");
    let short = folder.write("short.txt", "n00000007\tred\nsecond\tgreen\n");
    let sentence = refuses(&eval(&short).each_ref().map(String::as_str));
    assert!(sentence.contains("must be 4, one per class"), "{sentence}");
}

#[test]
fn folders_may_be_numbers_labels_or_wordnet_ids() {
    let folder = Folder::new("eval-names");
    for (background, labels) in [(false, &[][..]), (true, &["background"][..])] {
        let mut labels = labels.to_vec();
        labels.extend(LABELS);
        let four = write(&colors(4, background, &labels), Storage::F32).unwrap();
        let thousand = write(&colors(1000, background, &[]), Storage::F32).unwrap();
        for (bytes, names) in [
            (&four, ["0", "1", "2"]),
            (&four, ["red thing, scarlet", "green_thing", "Blue Thing"]),
            (&four, ["scarlet", "001", "blue thing"]),
            (&thousand, ["n01440764", "n01443537", "n01484850"]),
            (&thousand, ["n01440764", "1", "0002"]),
        ] {
            let weights = folder.write("net.safetensors", bytes);
            let _ = std::fs::remove_dir_all(folder.at("pictures"));
            let images = pictures(&folder, names);
            let printed = prints(&["eval", "--weights", &weights, "--images", &images]);
            assert_eq!(printed, "top-1 0.750 top-5 1.000 n 4\n", "{names:?}");
        }
    }
}

#[test]
fn archives_are_read_packed_or_not() {
    let folder = Folder::new("eval-tar");
    let weights = folder.write("net.safetensors", file());
    let archive = tar(&[
        ("./set/scarlet/a.png", png(RED)),
        ("./set/scarlet/notes.txt", b"red".to_vec()),
        ("./set/2/b.png", png(RED)),
    ]);
    for (name, bytes) in
        [("a.tar", archive.clone()), ("a.tar.gz", gzip(&archive)), ("no-ending", gzip(&archive))]
    {
        let images = folder.write(name, bytes);
        let printed = prints(&["eval", "--weights", &weights, "--images", &images]);
        assert_eq!(printed, "top-1 0.500 top-5 1.000 n 2\n", "{name}");
    }
    for (name, bytes, sentence) in [
        ("cut.tar", archive[..1024 + 20].to_vec(), "cut off"),
        ("cut.tar.gz", gzip(&archive)[..200].to_vec(), "cut off"),
        ("empty.tar", tar(&[("a/notes.txt", b"nothing".to_vec())]), "must hold images"),
        ("flat.tar", tar(&[("a.png", png(RED))]), "must lie in a folder"),
    ] {
        let images = folder.write(name, bytes);
        let printed = refuses(&["eval", "--weights", &weights, "--images", &images]);
        assert!(printed.contains(sentence), "{name}: {printed}");
    }
}

#[test]
fn per_class_and_confusion_as_lines_and_json() {
    let folder = Folder::new("eval-tables");
    let weights = folder.write("net.safetensors", file());
    let images = pictures(&folder, ["0", "1", "2"]);
    let base = ["eval", "--weights", &weights, "--images", &images];
    let printed = prints(&[&base[..], &["--per-class", "--confusion"]].concat());
    assert_eq!(first_line(&printed), "top-1 0.750 top-5 1.000 n 4");
    let has = |line: &str| printed.lines().any(|found| found.split_whitespace().eq(line.split_whitespace()));
    assert!(has("0 0.500 1.000 2 red thing, scarlet"), "{printed}");
    assert!(has("1 red thing, scarlet -> green thing"), "{printed}");
    let printed = prints(&[&base[..], &["--per-class", "--confusion", "--json"]].concat());
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&json["top1"], &json["n"], &json["precision"]), (&json!(0.75), &json!(4), &json!("f32")));
    assert_eq!(json["classes"].as_array().unwrap().len(), 3);
    assert_eq!(json["classes"][0]["top1"], 0.5);
    let wrong = json!([{
        "class": 0, "taken_for": 1, "n": 1, "name": "red thing, scarlet", "taken_for_name": "green thing"
    }]);
    assert_eq!(json["confusion"], wrong);
}

#[test]
fn two_networks_are_compared_class_by_class() {
    let folder = Folder::new("eval-compare");
    let weights = folder.write("net.safetensors", file());
    let images = pictures(&folder, ["0", "1", "2"]);
    let base = ["eval", "--weights", &weights, "--images", &images, "--json", "--compare"];
    let compare = |more: &[&str]| -> Value {
        serde_json::from_str::<Value>(&prints(&[&base[..], more].concat())).unwrap()["compare"].clone()
    };
    let same = compare(&[&weights]);
    assert_eq!((&same["agree"], &same["mean_difference"]), (&json!(4), &json!(0.0)));

    // The same classes behind a background class: its share of the probability is all that differs.
    let shifted = write(&colors(4, true, &[]), Storage::F32).unwrap();
    let shifted = compare(&[&folder.write("shifted.safetensors", shifted)]);
    assert_eq!(shifted["agree"], 4);
    let mean = shifted["mean_difference"].as_f64().unwrap();
    assert!(mean > 0.0 && mean < 0.02, "{shifted}");

    // Blue and red exchanged: two of four pictures (a red one and a blue one) are named differently.
    let mut other = colors(4, false, &LABELS);
    let mobilenet::Kernel::F32(kernel) = &mut other.layers.last_mut().unwrap().kernel else { panic!() };
    kernel.swap(0, 2);
    kernel.swap(2 * 4 + 2, 2 * 4);
    let other = compare(&[&folder.write("other.safetensors", write(&other, Storage::F32).unwrap())]);
    assert_eq!((&other["agree"], &other["same_top1"]), (&json!(2), &json!(0.5)));
    assert!(other["largest_difference"].as_f64().unwrap() > 0.9);

    let int8 = compare(&[&weights, "--compare-precision", "int8"]);
    assert_eq!(int8["agree"], 4);
    let mean = int8["mean_difference"].as_f64().unwrap();
    assert!(mean > 0.0 && mean < 0.01, "{int8}");
    let lines = prints(&["eval", "--weights", &weights, "--images", &images, "--compare", &weights]);
    assert_eq!(
        lines.lines().nth(1).unwrap(),
        "same top-1 1.000 (4 of 4) mean difference 0.00e0 largest 0.00e0"
    );
}

#[test]
fn eval_refuses_in_sentences() {
    let folder = Folder::new("eval-refuses");
    let weights = folder.write("net.safetensors", file());
    let three = write(&colors(5, false, &[]), Storage::F32).unwrap();
    let three = folder.write("three.safetensors", three);
    let good = pictures(&folder, ["0", "1", "2"]);
    folder.picture("beyond/4/a.png", RED);
    folder.picture("unknown/dog/a.png", RED);
    folder.picture("wordnet/n01440764/a.png", RED);
    folder.write("broken/0/a.png", "\u{89}PNG no more");
    folder.write("list/classes.json", "[1, 2]");
    folder.write("words/classes.json", r#"{"a.png": "red"}"#);
    folder.write("lost/classes.json", r#"{"a.png": 1}"#);
    folder.write("none/classes.json", "{}");
    folder.picture("high/a.png", RED);
    folder.write("high/classes.json", r#"{"a.png": 4}"#);
    std::fs::create_dir(folder.at("empty")).unwrap();
    for (images, sentence) in [
        ("beyond", "folder `4`"),
        ("unknown", "folder `dog`"),
        ("wordnet", "WordNet"),
        ("broken", "image `0/a.png`"),
        ("list", "must be a JSON object of file names"),
        ("words", "`a.png`"),
        ("lost", "a.png"),
        ("none", "must name an image"),
        ("high", "image `a.png`"),
        ("empty", "must hold images"),
        ("absent", "absent"),
    ] {
        let printed = refuses(&["eval", "--weights", &weights, "--images", &folder.text(images)]);
        assert!(printed.contains(sentence), "{images}: {printed}");
    }
    let absent = folder.text("absent");
    for (arguments, sentence) in [
        (vec!["--weights", &absent, "--images", &good], "absent"),
        (vec!["--weights", &weights, "--images", &good, "--compare", &absent], "absent"),
        (vec!["--weights", &weights, "--images", &good, "--compare", &three], "got 4 classes and 5"),
        (vec!["--weights", &weights, "--images", &good, "--compare-precision", "int8"], "--compare"),
        (vec!["--images", &good], "--weights"),
        (vec!["--weights", &weights], "--images"),
    ] {
        let printed = refuses(&[&["eval"], &arguments[..]].concat());
        assert!(printed.contains(sentence), "{arguments:?}: {printed}");
    }
}
