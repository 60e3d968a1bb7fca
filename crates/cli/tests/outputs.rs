//! What a command writes: whole or not at all, whatever lies at the path, whoever writes beside it, whenever it is killed.

#![cfg(unix)]

mod support;

use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{
    COLOURS, Folder, archive, command, file, limited, names, prints, read, refuses, rounds, sentence, start,
};

/// The network's native file in both float formats, by the same program.
fn converted(folder: &Folder) -> (String, [Vec<u8>; 2]) {
    let input = folder.write("in.safetensors", file());
    let bytes = ["f32", "f16"].map(|precision| {
        let output = folder.text(precision);
        prints(&["convert", &input, &output, "--precision", precision]);
        std::fs::read(output).unwrap()
    });
    (input, bytes)
}

#[test]
fn links_are_followed() {
    let folder = Folder::new("outputs-links");
    let (input, [floats, _]) = converted(&folder);
    folder.write("real/old", "old");
    for (link, target, at) in [
        ("link", "real/old", "real/old"),
        ("chain", "link", "real/old"),
        ("dangling", "real/new", "real/new"),
    ] {
        symlink(target, folder.at(link)).unwrap();
        prints(&["convert", &input, &folder.text(link)]);
        assert!(folder.at(link).is_symlink(), "{link}");
        assert_eq!(std::fs::read(folder.at(at)).unwrap(), floats, "{link}");
        folder.write("real/old", "old");
    }
    symlink("round", folder.at("round")).unwrap();
    refuses(&["convert", &input, &folder.text("round")]);
    assert_eq!(names(&folder.at("real")), ["new", "old"]);
}

#[test]
fn what_is_no_file_is_not_replaced() {
    let folder = Folder::new("outputs-special");
    let (input, _) = converted(&folder);
    let make = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).stderr(Stdio::null()).status().is_ok_and(|made| made.success())
    };
    let (pipe, device) = (folder.text("pipe"), folder.text("device"));
    assert!(make("mkfifo", &[&pipe]));
    std::fs::create_dir(folder.at("folder")).unwrap();
    symlink("pipe", folder.at("link")).unwrap();
    let mut paths =
        vec![(pipe.clone(), "a pipe"), (folder.text("link"), "a pipe"), (folder.text("folder"), "a folder")];
    // Only root may make a device.
    if make("mknod", &[&device, "c", "1", "3"]) {
        paths.push((device, "a device"));
    }
    folder.picture("images/a.png", COLOURS[0]);
    let images = folder.text("images");
    for (path, kind) in &paths {
        for arguments in
            [vec!["convert", &input, path], vec!["quantize", &input, path, "--calibrate", &images]]
        {
            let said = refuses(&arguments);
            assert!(said.contains(&format!("must be a file or not exist, got {kind}")), "{said}");
        }
    }
    assert!(std::fs::metadata(pipe).unwrap().file_type().is_fifo());
}

#[test]
fn errors_name_the_cause_and_the_cure() {
    let folder = Folder::new("outputs-causes");
    let (input, [floats, _]) = converted(&folder);
    let old = folder.write("out.safetensors", &floats);
    let said = sentence(&limited("ulimit -f 2", &["convert", &input, &old]));
    assert!(said.contains("free some space and run again; the old file is unchanged"), "{said}");
    assert_eq!(std::fs::read(&old).unwrap(), floats);
    let said = sentence(&limited("ulimit -f 2", &["convert", &input, &folder.text("new")]));
    assert!(said.contains("free some space and run again") && !said.contains("unchanged"), "{said}");
    for (path, cure) in [
        (folder.text("no/such/folder"), "its folder must exist"),
        (folder.text("in.safetensors/out"), "choose another path"),
        // Root may write anywhere but there.
        ("/sys/mobilenet-test".into(), "choose "),
    ] {
        let said = refuses(&["convert", &input, &path]);
        assert!(said.contains(&format!("{path}: must be writable, got `")) && said.contains(cure), "{said}");
        let said = refuses(&[
            "download",
            "timm-1.0-224",
            "--from",
            "http://127.0.0.1:9/",
            "--to",
            &format!("{path}/x"),
        ]);
        assert!(
            said.contains("must be a folder or not exist, got `") || said.contains("reachable"),
            "{said}"
        );
    }
    assert_eq!(names(&folder.0), ["f16", "f32", "in.safetensors", "no", "out.safetensors"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_closed_standard_output_is_a_sentence_and_an_exit_code() {
    let folder = Folder::new("outputs-stdout");
    let (input, [floats, _]) = converted(&folder);
    let (data, run) = (folder.write("data.tar", archive(8, 0)), folder.text("run"));
    folder.picture("images/a.png", COLOURS[0]);
    let (images, out) = (folder.text("images"), folder.text("out.safetensors"));
    let train = [
        "train",
        "--data",
        &data,
        "--output",
        &run,
        "--alpha",
        "0.25",
        "--resolution",
        "32",
        "--epochs",
        "1",
    ];
    for arguments in [
        &["convert", &input, &out][..],
        &["quantize", &input, &out, "--calibrate", &images],
        &train,
        &["inspect", &input],
        &["download"],
        &["paper"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stdout(full).output().unwrap();
        assert!(
            sentence(&output).contains("standard output: must be writable, got `No space"),
            "{arguments:?}"
        );
        let only_prints = ["inspect", "download", "paper"].contains(&arguments[0]);
        if only_prints {
            continue;
        }
        let _ = std::fs::remove_dir_all(folder.at("run"));
        let mut child = start(arguments);
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(
            sentence(&output).contains("standard output: must be writable, got `Broken pipe"),
            "{arguments:?}"
        );
    }
    // The work was done all the same.
    assert!(read(&folder.at("out.safetensors")).is_int8());
    read(&folder.at("run/network.safetensors"));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert!(!command(&["convert", &input, &out]).stdout(full).status().unwrap().success());
    assert_eq!(std::fs::read(&out).unwrap(), floats);
    // Nor does a full standard error matter.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let failed = command(&["inspect", "absent"]).stderr(full).status().unwrap();
    assert_eq!(failed.code(), Some(1));
}

#[test]
fn several_runs_to_one_output_leave_one_of_them_whole() {
    let folder = Folder::new("outputs-race");
    let (input, expected) = converted(&folder);
    std::fs::create_dir(folder.at("out")).unwrap();
    let output = folder.text("out/net.safetensors");
    for round in 0..rounds("MOBILENET_RACES", 3) {
        let children: Vec<_> = ["f32", "f16", "f32", "f16"]
            .iter()
            .map(|precision| start(&["convert", &input, &output, "--precision", precision]))
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        }
        assert!(expected.contains(&std::fs::read(&output).unwrap()), "round {round}: a mixture");
        assert_eq!(names(&folder.at("out")), ["net.safetensors"], "round {round}");
    }
}

#[test]
fn one_run_at_a_time_trains_in_a_folder() {
    let folder = Folder::new("outputs-train");
    let (data, run) = (folder.write("data.tar", archive(16, 0)), folder.text("run"));
    let long = [
        "train",
        "--data",
        &data,
        "--output",
        &run,
        "--alpha",
        "0.25",
        "--resolution",
        "32",
        "--epochs",
        "500",
    ];
    let mut first = start(&long);
    let end = Instant::now() + Duration::from_secs(60);
    while !folder.at("run/checkpoint.safetensors").exists() {
        assert!(Instant::now() < end, "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = refuses(&[&long[..], &["--resume"]].concat());
    assert!(said.contains("must not be in use, got another run that trains there"), "{said}");
    first.kill().unwrap();
    first.wait().unwrap();
    // A run that was killed does not lock.
    prints(&[
        "train",
        "--data",
        &data,
        "--output",
        &run,
        "--alpha",
        "0.25",
        "--resolution",
        "32",
        "--epochs",
        "1",
        "--resume",
    ]);
}

/// Random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

/// Starts the command and kills it at random moments of its run until that has happened `count` times. Calls `check` each time.
fn kill(arguments: &[&str], count: u64, check: &mut dyn FnMut()) {
    let run = || {
        let began = Instant::now();
        assert!(start(arguments).wait_with_output().unwrap().status.success(), "{arguments:?}");
        began.elapsed().as_micros() as u64
    };
    // A busy machine makes single runs longer.
    let length = (0..3).map(|_| run()).min().unwrap();
    let (mut random, mut killed, mut tries) = (Random(7), 0, 0);
    while killed < count && tries < 20 * count {
        tries += 1;
        let mut child = start(arguments);
        std::thread::sleep(Duration::from_micros(random.below(length)));
        killed += u64::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        check();
    }
    eprintln!("{}: {killed} kills in {tries} runs", arguments[0]);
    assert!(killed > 0);
}

fn is_one_of(path: &Path, expected: &[Vec<u8>]) {
    assert!(expected.contains(&std::fs::read(path).unwrap()), "{} is damaged", path.display());
}

#[test]
fn a_killed_run_leaves_the_old_file_or_the_new_one_and_the_next_run_cleans_up() {
    let folder = Folder::new("outputs-kill");
    let (input, expected) = converted(&folder);
    let count = rounds("MOBILENET_KILLS", 9).div_ceil(3);
    folder.picture("images/a.png", COLOURS[0]);
    let images = folder.text("images");
    let output = folder.text("out/net.safetensors");
    std::fs::create_dir(folder.at("out")).unwrap();
    prints(&["convert", &input, &output]);
    let path = folder.at("out/net.safetensors");
    for precision in ["f16", "f32"] {
        let convert = ["convert", &input, &output, "--precision", precision];
        kill(&convert, count.div_ceil(2), &mut || is_one_of(&path, &expected));
    }
    let quantized = folder.text("quantized");
    let quantize = ["quantize", &input, &quantized, "--calibrate", &images];
    prints(&quantize);
    let expected = [std::fs::read(folder.at("quantized")).unwrap()];
    let quantize = ["quantize", &input, &output, "--calibrate", &images];
    kill(&quantize, count, &mut || {
        assert!(
            std::fs::read(&path)
                .is_ok_and(|bytes| mobilenet_formats::read(&bytes, &Default::default()).is_ok())
        );
    });
    prints(&quantize);
    is_one_of(&path, &expected);
    assert_eq!(names(&folder.at("out")), ["net.safetensors"]);
}

#[test]
fn a_killed_training_resumes_to_the_same_network() {
    let folder = Folder::new("outputs-kill-train");
    let data = folder.write("data.tar", archive(16, 0));
    let (whole, parts) = (folder.text("whole"), folder.text("parts"));
    let train = |run| {
        let fixed = ["train", "--data", &data, "--output", run, "--alpha", "0.25", "--resolution", "32"];
        [&fixed[..], &["--epochs", "12", "--batch", "24"]].concat()
    };
    let began = Instant::now();
    prints(&train(&whole));
    let length = began.elapsed().as_micros() as u64;
    let (mut random, mut killed) = (Random(11), 0);
    let count = rounds("MOBILENET_KILLS", 9).div_ceil(3);
    for _ in 0..count {
        let there = folder.at("parts/checkpoint.safetensors").exists();
        let resume = if there { &["--resume"][..] } else { &[] };
        let mut child = start(&[&train(&parts)[..], resume].concat());
        std::thread::sleep(Duration::from_micros(random.below(length)));
        killed += u64::from(child.try_wait().unwrap().is_none());
        let _ = child.kill();
        child.wait().unwrap();
        if folder.at("parts/network.safetensors").exists() {
            // It came to its end: again from the start.
            std::fs::remove_dir_all(folder.at("parts")).unwrap();
        }
    }
    eprintln!("train: {killed} kills in {count} runs");
    let there = folder.at("parts/checkpoint.safetensors").exists();
    prints(&[&train(&parts)[..], if there { &["--resume"] } else { &[] }].concat());
    let network = |run: &str| std::fs::read(folder.at(run).join("network.safetensors")).unwrap();
    assert!(network("whole") == network("parts"));
    assert_eq!(names(&folder.at("whole")), names(&folder.at("parts")));
}
