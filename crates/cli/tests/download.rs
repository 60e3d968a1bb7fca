//! `mobilenet download` against a server on this machine: nothing here reaches out.

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};
use support::server::{Manner, Server};
use support::{Folder, bare, file, gzip, names, prints, read, refuses, rounds, start, tar};

/// The arguments that bring a checkpoint from the server.
fn from<'a>(name: &'a str, server: &'a Server, folder: &'a str) -> [&'a str; 6] {
    ["download", name, "--from", &server.address, "--to", folder]
}

#[test]
fn a_checkpoint_is_fetched_checked_and_converted() {
    let (folder, server) = (Folder::new("download"), Server::new(bare()));
    let to = folder.text("networks");
    let printed = prints(&from("timm-1.0-224", &server, &to));
    assert!(printed.contains("kept in mobilenet.lock.json"), "{printed}");
    // The file does not tell its padding; the table does.
    assert!(printed.contains("padding        same (as given)"), "{printed}");
    let weights = read(&folder.at("networks/timm-1.0-224.safetensors"));
    assert_eq!(weights.layers, support::colors(4, false, &[]).layers);
    assert_eq!(weights.provenance.licence, "Apache-2.0");
    assert!(weights.provenance.description.contains("huggingface.co/timm"), "{:?}", weights.provenance);
    assert_eq!(server.requests().len(), 1);

    // Again: nothing is fetched, and the file is the same as before.
    let printed = prints(&from("timm-1.0-224", &server, &to));
    assert!(printed.contains("was there") && printed.contains("as before"), "{printed}");
    assert_eq!(server.requests().len(), 0);

    // Another file under the same name is refused, and said so.
    std::fs::remove_file(folder.at("networks/timm-1.0-224.original.safetensors")).unwrap();
    server.set(|served| served.bytes = file());
    let sentence = refuses(&from("timm-1.0-224", &server, &to));
    assert!(sentence.contains("came the first time"), "{sentence}");
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (folder, server) = (Folder::new("download-resumes"), Server::new(bare()));
    let (to, length) = (folder.text("."), bare().len());
    server.manner(Manner::Breaks);
    let sentence = refuses(&from("timm-1.0-224", &server, &to));
    assert!(sentence.contains(&format!("{} of {length} bytes", length / 2)), "{sentence}");
    assert!(!folder.at("timm-1.0-224.original.safetensors").exists());
    server.manner(Manner::Whole);
    prints(&from("timm-1.0-224", &server, &to));
    let requests = server.requests();
    assert!(requests[1].contains(&format!("range: bytes={}-", length / 2)), "{requests:?}");
    assert_eq!(std::fs::read(folder.at("timm-1.0-224.original.safetensors")).unwrap(), bare());
    let left: Vec<_> =
        std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains(".part")), "{left:?}");
}

#[test]
fn another_version_is_never_appended_to_the_first() {
    let (folder, server) = (Folder::new("download-changed"), Server::new(file()));
    let to = folder.text(".");
    server.manner(Manner::Breaks);
    refuses(&from("timm-1.0-224", &server, &to));
    server.set(|served| {
        served.manner = Manner::Whole;
        served.tag = "\"two\"";
        served.bytes = bare();
    });
    prints(&from("timm-1.0-224", &server, &to));
    assert_eq!(std::fs::read(folder.at("timm-1.0-224.original.safetensors")).unwrap(), bare());
}

#[test]
fn archives_are_searched_for_the_network() {
    let folder = Folder::new("download-archive");
    let to = folder.text(".");
    // The content tells the format, so that a native file may stand for TFLite's.
    let archive = tar(&[("./info.txt", b"input".to_vec()), ("./net.tflite", bare())]);
    let server = Server::new(gzip(&archive));
    let arguments = from("tensorflow-0.25-128-quant", &server, &to);
    prints(&[&arguments[..], &["--precision", "f16"]].concat());
    let weights = read(&folder.at("tensorflow-0.25-128-quant.safetensors"));
    assert_eq!(weights.layers, support::colors(4, false, &[]).layers);
    let server = Server::new(gzip(&tar(&[("./info.txt", b"input".to_vec())])));
    let sentence = refuses(&from("tensorflow-0.25-160-quant", &server, &to));
    assert!(sentence.contains("must hold a file that ends with `.tflite`"), "{sentence}");
    let server = Server::new(b"<html>moved</html>".to_vec());
    let sentence = refuses(&from("tensorflow-0.25-192-quant", &server, &to));
    assert!(sentence.contains("must be a tar.gz archive"), "{sentence}");
}

#[test]
fn every_way_to_fail_says_what_to_do() {
    let (folder, server) = (Folder::new("download-fails"), Server::new(bare()));
    let to = folder.text(".");
    server.manner(Manner::Lost);
    let sentence = refuses(&from("timm-1.0-224", &server, &to));
    assert!(sentence.contains("404") && sentence.contains("--from"), "{sentence}");
    let sentence = refuses(&from("mobilenet", &server, &to));
    assert!(sentence.contains("no published checkpoint is called `mobilenet`"), "{sentence}");
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let nobody = format!("http://{nobody}/file");
    let sentence = refuses(&["download", "timm-1.0-224", "--from", &nobody, "--to", &to]);
    assert!(sentence.contains("must be reachable"), "{sentence}");
    server.set(|served| {
        served.manner = Manner::Whole;
        served.bytes = b"<!doctype html>".to_vec();
    });
    let sentence = refuses(&from("timm-1.0-224", &server, &to));
    assert!(sentence.contains("web page"), "{sentence}");
    folder.write("damaged/mobilenet.lock.json", "{");
    let sentence = refuses(&from("timm-1.0-224", &server, &folder.text("damaged")));
    assert!(sentence.contains("mobilenet.lock.json is damaged"), "{sentence}");
    folder.write("file", "");
    let sentence = refuses(&from("timm-1.0-224", &server, &folder.text("file")));
    assert!(sentence.contains("file"), "{sentence}");
}

#[test]
fn the_list_names_address_licence_and_accuracy() {
    let printed = prints(&["download"]);
    let row = printed.lines().find(|line| line.starts_with("tensorflow-0.25-128-quant ")).unwrap();
    for part in ["39.5", "64.4", "Apache-2.0", "mobilenet_v1_0.25_128_quant.tgz"] {
        assert!(row.contains(part), "{row}");
    }
    assert!(printed.contains("read at"), "{printed}");
}

#[test]
fn files_that_a_network_refers_to_come_from_beside_it() {
    let folder = Folder::new("download-beside");
    let to = folder.text(".");
    let model = |path: &str| {
        let manifest = serde_json::json!([{ "paths": [path], "weights": [] }]);
        let topology = serde_json::json!({
            "model_config": { "class_name": "Functional", "config": { "layers": [] } }
        });
        let json = serde_json::json!({
            "format": "layers-model", "modelTopology": topology, "weightsManifest": manifest
        });
        serde_json::to_vec(&json).unwrap()
    };
    let server = Server::new(model("group1-shard1of1.bin"));
    let sentence = refuses(&from("tfjs-0.25-224", &server, &to));
    assert!(sentence.contains("not a MobileNet v1"), "{sentence}");
    let requests = server.requests();
    assert!(requests[1].starts_with("get /group1-shard1of1.bin "), "{requests:?}");
    // What is no MobileNet is neither kept nor locked.
    assert_eq!(names(&folder.0), [""; 0]);

    let server = Server::new(model("../outside.bin"));
    let sentence = refuses(&from("tfjs-0.25-224", &server, &folder.text("second")));
    assert!(sentence.contains("outside its folder"), "{sentence}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_is_not_understood_is_neither_kept_nor_locked() {
    let (folder, server) = (Folder::new("download-bad"), Server::new(bare()));
    let to = folder.text(".");
    let page = b"<!doctype html><title>Log in</title>".to_vec();
    for (bytes, manner, said) in [
        (page, Manner::Whole, "web page"),
        (Vec::new(), Manner::Whole, "the file is empty"),
        (gzip(&bare()), Manner::Whole, "compressed by gzip"),
        (bare()[..bare().len() / 2].to_vec(), Manner::Whole, "cut off"),
        (bare(), Manner::Partial, "must answer 200, got 206"),
        (bare(), Manner::Unsatisfiable, "must answer 200, got 416"),
        (bare(), Manner::Huge, "bytes for this checkpoint, got more"),
        (bare(), Manner::Endless, "bytes for this checkpoint, got more"),
    ] {
        server.set(|served| (served.bytes, served.manner) = (bytes, manner));
        let sentence = refuses(&from("timm-1.0-224", &server, &to));
        assert!(sentence.contains(said), "{manner:?}: {sentence}");
        assert_eq!(names(&folder.0), [""; 0], "{manner:?}");
    }
    server.set(|served| (served.bytes, served.manner) = (bare(), Manner::Whole));
    prints(&from("timm-1.0-224", &server, &to));
    // A bad file that an earlier build has kept and locked is named, with the cure.
    folder.write("old/timm-1.0-224.original.safetensors", "<html>");
    let sentence = refuses(&from("timm-1.0-224", &server, &folder.text("old")));
    assert!(sentence.contains("remove it and its line in mobilenet.lock.json"), "{sentence}");
}

#[test]
fn a_server_that_stalls_is_left_after_the_timeout() {
    let (folder, server) = (Folder::new("download-stall"), Server::new(bare()));
    let (to, length) = (folder.text("."), bare().len());
    let arguments = [&from("timm-1.0-224", &server, &to)[..], &["--timeout", "1"]].concat();
    for (manner, said) in
        [(Manner::Silent, "must be reachable"), (Manner::Stalls, "nothing arrived for 1 seconds")]
    {
        server.manner(manner);
        let began = Instant::now();
        let sentence = refuses(&arguments);
        assert!(sentence.contains(said), "{sentence}");
        assert!(began.elapsed() < Duration::from_secs(20), "{manner:?}: {:?}", began.elapsed());
    }
    server.requests();
    server.manner(Manner::Whole);
    prints(&arguments);
    assert!(server.requests()[0].contains(&format!("range: bytes={}-", length / 2)));
}

#[test]
fn a_part_that_is_whole_already_is_fetched_anew() {
    let (folder, server) = (Folder::new("download-whole-part"), Server::new(bare()));
    for part in [bare(), [bare(), vec![0; 100]].concat()] {
        folder.write("to/timm-1.0-224.original.safetensors.part", part);
        folder.write("to/timm-1.0-224.original.safetensors.part.tag", "\"one\"");
        prints(&from("timm-1.0-224", &server, &folder.text("to")));
        let path = folder.at("to/timm-1.0-224.original.safetensors");
        assert_eq!(std::fs::read(&path).unwrap(), bare());
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn two_downloads_at_once_end_with_one_whole_file_and_the_right_hash() {
    let server = Server::new(bare());
    server.manner(Manner::Slow);
    for round in 0..rounds("MOBILENET_DOWNLOADS", 3) {
        let folder = Folder::new("download-race");
        let to = folder.text("to");
        // The second network is another file, into the same folder and lock file.
        let runs = ["timm-1.0-224", "timm-1.0-224", "timm-1.25-224"];
        let children: Vec<_> = runs.iter().map(|name| start(&from(name, &server, &to))).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let lock = std::fs::read_to_string(folder.at("to/mobilenet.lock.json")).unwrap();
        let lock: std::collections::BTreeMap<String, String> = serde_json::from_str(&lock).unwrap();
        assert_eq!(lock.len(), 2, "round {round}: {lock:?}");
        for name in lock.keys() {
            assert_eq!(std::fs::read(folder.at("to").join(name)).unwrap(), bare(), "round {round}");
        }
        let left = names(&folder.at("to"));
        assert_eq!(left.len(), 5, "round {round}: {left:?}");
        for name in ["timm-1.0-224", "timm-1.25-224"] {
            read(&folder.at("to").join(format!("{name}.safetensors")));
            // The hash is that of the file.
            assert!(prints(&from(name, &server, &to)).contains("as before"), "round {round}");
        }
    }
}

#[test]
fn a_killed_download_goes_on_and_leaves_nothing_behind() {
    let server = Server::new(bare());
    server.manner(Manner::Slow);
    let (mut state, mut killed) = (3u64, 0);
    for round in 0..rounds("MOBILENET_KILLS", 9).div_ceil(3) {
        let folder = Folder::new("download-kill");
        let to = folder.text("to");
        for _ in 0..2 {
            let mut child = start(&from("timm-1.0-224", &server, &to));
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_micros((state >> 33) % 150_000));
            killed += u64::from(child.try_wait().unwrap().is_none());
            let _ = child.kill();
            child.wait().unwrap();
            // Another version in between must not be mixed with the first.
            server.set(|served| served.tag = if served.tag == "\"one\"" { "\"two\"" } else { "\"one\"" });
        }
        prints(&from("timm-1.0-224", &server, &to));
        assert_eq!(std::fs::read(folder.at("to/timm-1.0-224.original.safetensors")).unwrap(), bare());
        let left = ["mobilenet.lock.json", "timm-1.0-224.original.safetensors", "timm-1.0-224.safetensors"];
        assert_eq!(names(&folder.at("to")), left, "round {round}");
    }
    eprintln!("download: {killed} kills");
}
