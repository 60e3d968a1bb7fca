//! One file over HTTP: goes on where it was broken off, and is there whole or not at all.
//!
//! What has come so far lies in `FILE.part`, and in `FILE.part.tag` what the server calls this version of the file
//! (ETag or date). The next try asks for the rest of that very version; a server that has another one by now, or that
//! gave no tag, sends it from the start.

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::{Response, header};
use ureq::{Agent, Body};

/// No MobileNet v1 is larger, whatever else its archive holds.
const LARGEST: u64 = 1 << 30;

/// Patience for a connection and for the first bytes of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Brings `address` to `path`.
pub fn fetch(address: &str, path: &Path) -> Result<()> {
    let part = with_ending(path, ".part");
    let tag_path = with_ending(path, ".part.tag");
    let tag = std::fs::read_to_string(&tag_path).ok();
    let have = match &tag {
        Some(_) => std::fs::metadata(&part).map_or(0, |part| part.len()),
        None => 0,
    };
    let response = ask(address, have, tag.as_deref())?;
    let status = response.status().as_u16();
    let start = match status {
        200 => 0,
        206 if starts_at(&response, have) => have,
        // All of it was there already, or more than there is.
        416 => {
            std::fs::remove_file(&tag_path).with_context(|| tag_path.display().to_string())?;
            return fetch(address, path);
        }
        _ => bail!(
            "{address} answered {}: the publisher may have moved it; `--from ADDRESS` takes it from elsewhere",
            response.status()
        ),
    };
    match version(&response) {
        Some(tag) => std::fs::write(&tag_path, tag).with_context(|| tag_path.display().to_string())?,
        None => drop(std::fs::remove_file(&tag_path)),
    }
    let total = header(&response, header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    let total = total.map(|length| start + length);
    let got = store(response, &part, start, total).with_context(|| address.to_owned())?;
    if total.is_some_and(|total| total != got) {
        bail!(
            "{address}: the connection broke after {got} of {} bytes; the same command goes on from there",
            total.unwrap_or_default()
        );
    }
    std::fs::rename(&part, path).with_context(|| path.display().to_string())?;
    drop(std::fs::remove_file(&tag_path));
    Ok(())
}

/// Sends the request, for what is missing of the version `tag`.
fn ask(address: &str, have: u64, tag: Option<&str>) -> Result<Response<Body>> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .user_agent(concat!("mobilenet-cli/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(address);
    if let Some(tag) = tag.filter(|_| have > 0) {
        request = request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, tag);
    }
    request.call().with_context(|| format!("{address} cannot be reached"))
}

fn header(response: &Response<Body>, name: header::HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// What the server calls this version: a strong ETag, else the date.
fn version(response: &Response<Body>) -> Option<&str> {
    let tag = header(response, header::ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or_else(|| header(response, header::LAST_MODIFIED))
}

/// Whether a partial answer begins where it was asked to.
fn starts_at(response: &Response<Body>, have: u64) -> bool {
    header(response, header::CONTENT_RANGE).is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

/// Appends the body to `part` behind `start` bytes. Gives how many there are then.
fn store(response: Response<Body>, part: &Path, start: u64, total: Option<u64>) -> Result<u64> {
    let name = || part.display().to_string();
    let mut file = if start > 0 {
        OpenOptions::new().append(true).open(part).with_context(name)?
    } else {
        File::create(part).with_context(name)?
    };
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_style(ProgressStyle::with_template("{bytes}/{total_bytes} {wide_bar} {bytes_per_sec}")?);
    bar.set_position(start);
    let mut reader = response.into_body().into_reader();
    let mut room = vec![0; 1 << 16];
    let mut got = start;
    loop {
        let length = match reader.read(&mut room) {
            Ok(0) => break,
            Ok(length) => length,
            // What came so far is kept; the caller compares the lengths.
            Err(_) if total.is_some() => break,
            Err(error) => return Err(error.into()),
        };
        got += length as u64;
        if got > LARGEST {
            bail!("it is larger than {LARGEST} bytes, which no MobileNet v1 is");
        }
        file.write_all(&room[..length]).with_context(name)?;
        bar.set_position(got);
    }
    bar.finish_and_clear();
    file.sync_all().with_context(name)?;
    Ok(got)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
