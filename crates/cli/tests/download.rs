//! `mobilenet download` against a server on this machine: nothing here reaches out.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use support::{Folder, bare, file, gzip, prints, read, refuses, tar};

/// What the server does with the next request.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// All of it, or the part that is asked for.
    Whole,
    /// Breaks the connection half way.
    Breaks,
    /// Says 404.
    Lost,
}

/// A file, how it is served, and what was asked for.
struct Served {
    bytes: Vec<u8>,
    tag: &'static str,
    manner: Manner,
    requests: Vec<String>,
}

/// A server of one file on 127.0.0.1.
struct Server {
    address: String,
    served: Arc<Mutex<Served>>,
}

impl Server {
    fn new(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        let served = Served { bytes, tag: "\"one\"", manner: Manner::Whole, requests: Vec::new() };
        let served = Arc::new(Mutex::new(served));
        let shared = Arc::clone(&served);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &shared);
            }
        });
        Self { address, served }
    }

    fn set(&self, change: impl FnOnce(&mut Served)) {
        change(&mut self.served.lock().unwrap());
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.served.lock().unwrap().requests)
    }
}

fn answer(mut stream: TcpStream, served: &Mutex<Served>) {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while reader.read_line(&mut request).is_ok_and(|length| length > 2) {}
    let mut served = served.lock().unwrap();
    served.requests.push(request.to_lowercase());
    let request = request.to_lowercase();
    let value = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let (bytes, total) = (&served.bytes, served.bytes.len());
    let start = value("range: bytes=")
        .filter(|_| value("if-range:") == Some(served.tag))
        .and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    let tag = served.tag;
    let (head, body) = match (served.manner, start) {
        (Manner::Lost, _) => ("404 Not Found".to_string(), &b"gone"[..]),
        (_, Some(start)) => (
            format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}", total - 1),
            &bytes[start..],
        ),
        _ => ("200 OK".to_string(), &bytes[..]),
    };
    let sent = if served.manner == Manner::Breaks { &body[..body.len() / 2] } else { body };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {head}\r\nETag: {tag}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
}

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
    assert!(printed.contains("padding        same (as asked)"), "{printed}");
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
    server.set(|served| served.manner = Manner::Breaks);
    let sentence = refuses(&from("timm-1.0-224", &server, &to));
    assert!(sentence.contains(&format!("{} of {length} bytes", length / 2)), "{sentence}");
    assert!(!folder.at("timm-1.0-224.original.safetensors").exists());
    server.set(|served| served.manner = Manner::Whole);
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
    server.set(|served| served.manner = Manner::Breaks);
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
    assert!(sentence.contains("no file that ends with `.tflite`"), "{sentence}");
    let server = Server::new(b"<html>moved</html>".to_vec());
    let sentence = refuses(&from("tensorflow-0.25-192-quant", &server, &to));
    assert!(sentence.contains("no archive"), "{sentence}");
}

#[test]
fn every_way_to_fail_says_what_to_do() {
    let (folder, server) = (Folder::new("download-fails"), Server::new(bare()));
    let to = folder.text(".");
    server.set(|served| served.manner = Manner::Lost);
    let sentence = refuses(&from("timm-1.0-224", &server, &to));
    assert!(sentence.contains("404") && sentence.contains("--from"), "{sentence}");
    let sentence = refuses(&from("mobilenet", &server, &to));
    assert!(sentence.contains("no published checkpoint is called `mobilenet`"), "{sentence}");
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let nobody = format!("http://{nobody}/file");
    let sentence = refuses(&["download", "timm-1.0-224", "--from", &nobody, "--to", &to]);
    assert!(sentence.contains("cannot be reached"), "{sentence}");
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
    assert!(folder.at("tfjs-0.25-224.original.group1-shard1of1.bin").exists());
    let lock = std::fs::read_to_string(folder.at("mobilenet.lock.json")).unwrap();
    assert!(lock.contains("tfjs-0.25-224.original.json") && lock.contains("shard1of1.bin"), "{lock}");

    let server = Server::new(model("../outside.bin"));
    let sentence = refuses(&from("tfjs-0.25-224", &server, &folder.text("second")));
    assert!(sentence.contains("outside its folder"), "{sentence}");
    assert_eq!(server.requests().len(), 1);
}
