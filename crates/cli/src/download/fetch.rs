//! One file over HTTP, which continues where it stopped.
//!
//! What has arrived lies in `FILE.part`, and in `FILE.part.tag` the server's name for this version of the file (ETag or
//! date). The next run asks for the rest of that version. A server that has another version, or gave no name, sends it
//! from the start.

use crate::files::explain;
use anyhow::{Context, Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

/// A file to fetch.
pub struct Request<'a> {
    /// Its address.
    pub address: &'a str,
    /// Its most bytes.
    pub limit: u64,
    /// Longest time without a byte from the server.
    pub timeout: Duration,
}

/// Fetches the file that belongs to `path` and gives its part file, which is complete then.
pub fn fetch(request: &Request, path: &Path) -> Result<PathBuf> {
    let (part, tag_path) = (part(path), tag(path));
    // Without the version's name there is no telling whether the rest would fit.
    let tag = std::fs::read_to_string(&tag_path).ok();
    let have = tag.as_ref().map_or(0, |_| std::fs::metadata(&part).map_or(0, |part| part.len()));
    let mut range = Some((have, tag)).and_then(|(have, tag)| Some((have, tag.filter(|_| have > 0)?)));
    let mut response = request.send(range.as_ref())?;
    if range.is_some() && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
        // All of it was there, or more than there is.
        range = None;
        response = request.send(None)?;
    }
    let status = response.status();
    let start = match (status, range) {
        (StatusCode::OK, _) => 0,
        (StatusCode::PARTIAL_CONTENT, Some((have, _))) if is_rest(&response, have) => have,
        _ => bail!(
            "{}: must answer 200, got {status}; the publisher may have moved the file, `--from ADDRESS` takes it from \
             elsewhere",
            request.address
        ),
    };
    if start == 0 {
        // In this order a killed run never leaves a tag beside bytes of another version.
        forget(path);
        File::create(&part).map_err(|error| anyhow!(explain(&part, "must be writable", &error)))?;
        if let Some(version) = version(&response) {
            std::fs::write(&tag_path, version)
                .map_err(|error| anyhow!(explain(&tag_path, "must be writable", &error)))?;
        }
    }
    let stored = request.store(response, &part, start);
    if stored.as_ref().is_err_and(|error| error.is::<TooLarge>()) {
        let _ = std::fs::remove_file(&part);
        forget(path);
    }
    stored?;
    Ok(part)
}

/// Removes the name of the version whose part belongs to `path`.
pub fn forget(path: &Path) {
    let _ = std::fs::remove_file(tag(path));
}

fn part(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

fn tag(path: &Path) -> PathBuf {
    with_suffix(path, ".part.tag")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// More bytes than the request's limit.
#[derive(Debug)]
struct TooLarge(String);

impl std::fmt::Display for TooLarge {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for TooLarge {}

impl Request<'_> {
    /// Asks for the file, or for the rest of a version of it.
    fn send(&self, rest: Option<&(u64, String)>) -> Result<Response<Body>> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(self.timeout))
            .timeout_recv_response(Some(self.timeout))
            .timeout_per_read(Some(self.timeout))
            .user_agent(concat!("mobilenet-cli/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut request = agent.get(self.address);
        if let Some((have, tag)) = rest {
            request = request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, tag);
        }
        request.call().with_context(|| format!("{}: must be reachable, got an error", self.address))
    }

    /// Appends the body to the part file, behind its first `start` bytes.
    fn store(&self, response: Response<Body>, part: &Path, start: u64) -> Result<()> {
        let failed = |error| anyhow!(explain(part, "must be writable", &error));
        let total = header(&response, header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        let total = total.map(|length| start.saturating_add(length));
        self.check_size(total.unwrap_or(0))?;
        let mut file = OpenOptions::new().append(true).open(part).map_err(failed)?;
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        bar.set_style(ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {bytes_per_sec}")?);
        let mut reader = response.into_body().into_reader();
        let (mut buffer, mut got) = (vec![0; 1 << 16], start);
        let ended = loop {
            bar.set_position(got);
            match reader.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(length) => {
                    got += length as u64;
                    self.check_size(got)?;
                    file.write_all(&buffer[..length]).map_err(failed)?;
                }
                Err(error) => break Err(error),
            }
        };
        bar.finish_and_clear();
        file.sync_all().map_err(failed)?;
        let cause = match &ended {
            Ok(()) if total.is_none_or(|total| total == got) => return Ok(()),
            Ok(()) => "it ended early".into(),
            Err(error) if is_timeout(error) => {
                format!("nothing arrived for {} seconds", self.timeout.as_secs())
            }
            Err(error) => error.to_string(),
        };
        let size = total.map_or("an unknown number of".into(), |total| total.to_string());
        bail!(
            "{}: must arrive whole, got {got} of {size} bytes ({cause}); the same command continues from there",
            self.address
        )
    }

    fn check_size(&self, size: u64) -> Result<()> {
        let (address, limit) = (self.address, self.limit);
        let sentence = format!("{address}: must have at most {limit} bytes for this checkpoint, got more");
        ensure!(size <= limit, TooLarge(sentence));
        Ok(())
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(_))) || error.kind() == std::io::ErrorKind::TimedOut
}

fn header(response: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// The server's name for this version: a strong ETag, else the date.
fn version(response: &Response<Body>) -> Option<&str> {
    let tag = header(response, header::ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or_else(|| header(response, header::LAST_MODIFIED))
}

/// Whether a partial answer is all from `have` on: `bytes HAVE-LAST/TOTAL`.
fn is_rest(response: &Response<Body>, have: u64) -> bool {
    let parse = |range: &str| -> Option<(u64, u64, u64)> {
        let (first, rest) = range.strip_prefix("bytes ")?.split_once('-')?;
        let (last, total) = rest.split_once('/')?;
        Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
    };
    let range = header(response, header::CONTENT_RANGE).and_then(parse);
    range.is_some_and(|(first, last, total)| first == have && last.checked_add(1) == Some(total))
}
