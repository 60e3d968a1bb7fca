//! A server of one file on 127.0.0.1 that behaves well or badly.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// Sends all of the file, or the part that is asked for.
    Whole,
    /// Sends it in small pieces with pauses.
    Slow,
    /// Closes the connection half way.
    Breaks,
    /// Sends half, then nothing more.
    Stalls,
    /// Accepts the request, then nothing more.
    Silent,
    /// Sends zeros without an end.
    Endless,
    /// Declares a length of 2^53.
    Huge,
    /// Sends the first 100 bytes as a part that nobody asked for.
    Partial,
    /// Answers 404.
    Lost,
    /// Answers 416, whatever is asked for.
    Unsatisfiable,
}

/// The file, how it is served, and what was asked for.
pub struct Served {
    pub bytes: Vec<u8>,
    pub tag: &'static str,
    pub manner: Manner,
    requests: Vec<String>,
}

/// The server. Each connection has its own thread.
pub struct Server {
    pub address: String,
    served: Arc<Mutex<Served>>,
}

impl Server {
    pub fn new(bytes: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/file", listener.local_addr().unwrap());
        let served = Served { bytes, tag: "\"one\"", manner: Manner::Whole, requests: Vec::new() };
        let served = Arc::new(Mutex::new(served));
        let shared = Arc::clone(&served);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { address, served }
    }

    pub fn set(&self, change: impl FnOnce(&mut Served)) {
        change(&mut self.served.lock().unwrap());
    }

    pub fn manner(&self, manner: Manner) {
        self.set(|served| served.manner = manner);
    }

    /// The requests since the last call, in lower case.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.served.lock().unwrap().requests)
    }
}

fn answer(mut stream: TcpStream, served: &Mutex<Served>) {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while reader.read_line(&mut request).is_ok_and(|length| length > 2) {}
    let request = request.to_lowercase();
    let (bytes, tag, manner) = {
        let mut served = served.lock().unwrap();
        served.requests.push(request.clone());
        (served.bytes.clone(), served.tag, served.manner)
    };
    let value = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let start = value("range: bytes=")
        .filter(|_| value("if-range:") == Some(tag))
        .and_then(|range| range.strip_suffix('-')?.parse::<usize>().ok());
    let total = bytes.len();
    let (status, body) = match (manner, start) {
        (Manner::Silent, _) => return std::thread::sleep(Duration::from_secs(60)),
        (Manner::Lost, _) => ("404 Not Found".to_string(), &b"gone"[..]),
        (Manner::Unsatisfiable, _) => ("416 Range Not Satisfiable".to_string(), &b""[..]),
        (Manner::Partial, _) => {
            (format!("206 Partial Content\r\nContent-Range: bytes 0-99/{total}"), &bytes[..100])
        }
        (_, Some(start)) if start >= total => ("416 Range Not Satisfiable".to_string(), &b""[..]),
        (_, Some(start)) => (
            format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}", total - 1),
            &bytes[start..],
        ),
        _ => ("200 OK".to_string(), &bytes[..]),
    };
    let length = match manner {
        Manner::Endless => String::new(),
        Manner::Huge => format!("Content-Length: {}\r\n", 1u64 << 53),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {status}\r\nETag: {tag}\r\n{length}Connection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).and_then(|()| send(&mut stream, body, manner));
}

fn send(stream: &mut TcpStream, body: &[u8], manner: Manner) -> std::io::Result<()> {
    match manner {
        Manner::Breaks => stream.write_all(&body[..body.len() / 2]),
        Manner::Stalls => {
            stream.write_all(&body[..body.len() / 2])?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Manner::Slow => body.chunks(body.len().div_ceil(20).max(1)).try_for_each(|piece| {
            stream.write_all(piece)?;
            std::thread::sleep(Duration::from_millis(2));
            Ok(())
        }),
        Manner::Endless => loop {
            stream.write_all(&[0; 1 << 16])?;
        },
        _ => stream.write_all(body),
    }
}
