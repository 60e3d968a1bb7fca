//! `mobilenet train` from the outside: what it learns, what it leaves on disk, how it goes on, what it refuses.

mod support;

use mobilenet::architecture::Convolution;
use support::{Folder, archive, mobilenet, noisy as picture, prints, read, refuses};

/// The command for a run so small that it takes a second, and more options.
fn small<'a>(data: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    in_batches("24", data, output, more)
}

/// The same in batches of another size.
fn in_batches<'a>(batch: &'a str, data: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["train", "--data", data, "--output", output, "--alpha", "0.25", "--resolution", "32"];
    let usual = ["--batch", batch, "--warm-up", "0", "--bn-momentum", "0.9", "--ema-decay", "0.5"];
    fixed.into_iter().chain(usual).chain(more.iter().copied()).collect()
}

#[test]
fn learns_from_archives_and_folders_and_leaves_network_log_and_curve() {
    let folder = Folder::new("train-learns");
    let data = folder.write("data.tar.gz", archive(40, 0));
    for class in 0..3 {
        for index in 0..6 {
            let name = format!("more/{}/{index}.png", ["blue", "green", "red"][class]);
            folder.write(&name, picture(2 - class, 100 + index));
        }
    }
    let (more, validation) = (folder.text("more"), folder.write("validation.tgz", archive(8, 500)));
    let (labels, run) =
        (folder.write("labels.txt", "green\tleaf\nred\tberry\nblue\tsky\n"), folder.text("run"));
    let options = [
        "--validation",
        &validation,
        "--labels",
        &labels,
        "--epochs",
        "16",
        "--workers",
        "1",
        "--resolution-schedule",
        "40@0,32@4",
    ];
    let mut arguments = small(&data, &run, &options);
    arguments.insert(3, &more);
    let printed = prints(&arguments);
    assert!(printed.contains("epoch 16/16 at 32"), "{printed}");
    let log = std::fs::read_to_string(folder.at("run/log.csv")).unwrap();
    let last: Vec<f64> = log.lines().last().unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
    assert_eq!((log.lines().count(), last[0], last[1]), (17, 16.0, 32.0));
    assert!(last[6] > 0.95, "{log}");
    let curve = std::fs::read_to_string(folder.at("run/curve.svg")).unwrap();
    assert!(curve.starts_with("<svg") && curve.trim_end().ends_with("</svg>") && curve.contains("top-1"));
    let weights = read(&folder.at("run/network.safetensors"));
    assert_eq!(weights.architecture.labels, ["sky", "leaf", "berry"]);
    assert_eq!((weights.architecture.resolution, weights.architecture.alpha), (32, 0.25));
}

#[test]
fn goes_on_to_the_same_result_after_an_epoch_and_after_an_interruption() {
    let folder = Folder::new("train-resume");
    let data = folder.write("data.tar", archive(16, 0));
    let network = |run: &str| std::fs::read(folder.at(run).join("network.safetensors")).unwrap();
    let losses = |run: &str| {
        let log = std::fs::read_to_string(folder.at(run).join("log.csv")).unwrap();
        log.lines().map(|line| line.split(',').take(5).collect::<Vec<_>>().join(",")).collect::<Vec<_>>()
    };
    let (whole, parts) = (folder.text("whole"), folder.text("parts"));
    let all = ["--lr-schedule", "constant", "--dropout", "0.2", "--mixup", "0.2", "--epochs"];
    prints(&small(&data, &whole, &[&all[..], &["4"]].concat()));
    prints(&small(&data, &parts, &[&all[..], &["2"]].concat()));
    prints(&small(&data, &parts, &[&all[..], &["4", "--resume"]].concat()));
    assert_eq!(losses("whole"), losses("parts"));
    assert!(network("whole") == network("parts"));

    #[cfg(unix)]
    {
        let (whole, parts) = (folder.text("long"), folder.text("cut"));
        prints(&small(&data, &whole, &["--epochs", "30"]));
        let arguments = small(&data, &parts, &["--epochs", "30"]);
        let [before, rest] = support::interrupted(&arguments, "epoch 1/30");
        assert_eq!(before.len(), 1, "{before:?}");
        assert!(rest.iter().any(|line| line.contains("continue with --resume")), "{rest:?}");
        prints(&[&arguments[..], &["--resume"]].concat());
        assert_eq!(losses("long"), losses("cut"));
        assert!(network("long") == network("cut"));
    }
}

/// No two of these runs are the same, so it learns on more and larger batches than the others: with batch norm over a
/// dozen values one seed in thirty ends with a class unlearnt, waiting or not; so, none of sixty did.
#[test]
fn workers_that_do_not_wait_learn_too() {
    let folder = Folder::new("train-asynchronous");
    let (data, run) = (folder.write("data.tar.gz", archive(120, 0)), folder.text("run"));
    let validation = folder.write("validation.tgz", archive(8, 500));
    let learn = ["--epochs", "16", "--asynchronous", "--dropout", "0.1", "--validation", &validation];
    prints(&in_batches("48", &data, &run, &learn));
    let log = std::fs::read_to_string(folder.at("run/log.csv")).unwrap();
    let right: f64 = log.lines().last().unwrap().split(',').nth(6).unwrap().parse().unwrap();
    assert!(right > 0.9, "{log}");
    read(&folder.at("run/network.safetensors"));
}

#[test]
fn trains_the_papers_other_networks_from_a_teacher() {
    let folder = Folder::new("train-teacher");
    let (data, teacher) = (folder.write("data.tar.gz", archive(16, 0)), folder.text("teacher"));
    prints(&small(&data, &teacher, &["--epochs", "10"]));
    let file = folder.text("teacher/network.safetensors");
    for (name, option, shallow) in
        [("shallow", &["--shallow"][..], true), ("standard", &["--convolution", "standard"], false)]
    {
        let run = folder.text(name);
        let learn = ["--epochs", "2", "--teacher", &file, "--teacher-resolution", "48", "--optimizer", "sgd"];
        let printed = prints(&small(&data, &run, &[&learn[..], option].concat()));
        assert!(printed.contains("the teacher classifies"), "{printed}");
        assert!(folder.at(name).join("answers.safetensors").exists());
        let architecture = read(&folder.at(name).join("network.safetensors")).architecture;
        assert_eq!(architecture.shallow, shallow);
        assert_eq!(architecture.convolution == Convolution::Standard, !shallow);
    }
    let stranger = folder.write("stranger.safetensors", support::file());
    let run = folder.text("stranger");
    assert!(refuses(&small(&data, &run, &["--teacher", &stranger])).contains("no class `blue`"));
}

#[test]
fn goes_on_from_a_trained_network_and_from_its_classes() {
    let folder = Folder::new("train-from");
    let data = folder.write("data.tar.gz", archive(40, 0));
    let (base, validation) = (folder.text("base"), folder.write("validation.tgz", archive(8, 500)));
    prints(&small(&data, &base, &["--epochs", "16", "--workers", "1", "--validation", &validation]));
    let file = folder.text("base/network.safetensors");
    // Loss and top-1 on the validation set after the last epoch.
    let validated = |run: &str| -> [f64; 2] {
        let log = std::fs::read_to_string(folder.at(run).join("log.csv")).unwrap();
        let last: Vec<&str> = log.lines().last().unwrap().split(',').collect();
        [last[5], last[6]].map(|cell| cell.parse().unwrap())
    };
    let from = |run: &str, more: &[&str]| {
        let start = ["train", "--data", &data, "--output", run, "--from", &file, "--validation", &validation];
        let usual = ["--batch", "24", "--warm-up", "0", "--ema-decay", "0", "--bn-momentum", "0.999"];
        prints(&[&start[..], &usual, more].concat())
    };

    // Hardly moved it answers what the base answers, at the same width and resolution.
    let known = folder.text("known");
    let printed = from(&known, &["--epochs", "1", "--lr", "0.000000001"]);
    assert!(printed.contains("knows 3 of 3 classes by their labels"), "{printed}");
    let ([loss, right], [now, still]) = (validated("base"), validated("known"));
    assert!(
        right > 0.95 && still == right && (now - loss).abs() < 0.02,
        "{loss} {right}, then {now} {still}"
    );
    let architecture = read(&folder.at("known/network.safetensors")).architecture;
    assert_eq!((architecture.alpha, architecture.resolution), (0.25, 32));

    // Other classes begin anew; interrupted and taken up again it comes to the same.
    let labels = folder.write("labels.txt", "green\tleaf\nred\tred\nblue\tsky\n");
    let anew = ["--labels", &labels, "--resolution", "48", "--epochs"];
    let (whole, parts) = (folder.text("whole"), folder.text("parts"));
    let printed = from(&whole, &[&anew[..], &["4", "--lr-schedule", "constant"]].concat());
    assert!(printed.contains("knows 1 of 3 classes by their labels"), "{printed}");
    assert!(validated("whole")[0] > validated("known")[0]);
    from(&parts, &[&anew[..], &["2", "--lr-schedule", "constant"]].concat());
    from(&parts, &[&anew[..], &["4", "--lr-schedule", "constant", "--resume"]].concat());
    let network = |run: &str| std::fs::read(folder.at(run).join("network.safetensors")).unwrap();
    assert!(network("whole") == network("parts"));

    let run = folder.text("refused");
    let refused = |more: &[&str]| {
        let start = ["train", "--data", &data, "--output", &run];
        refuses(&[&start[..], more].concat())
    };
    assert!(refused(&["--from", &file, "--alpha", "0.5"]).contains("--alpha"));
    let absent = folder.text("absent.safetensors");
    assert!(refused(&["--from", &absent]).contains("absent.safetensors"));
    let short = folder.write("short.safetensors", &std::fs::read(&file).unwrap()[..5000]);
    assert!(refused(&["--from", &short]).contains("short.safetensors"));
    assert!(!folder.at("refused").exists());
}

#[test]
fn validates_on_the_chosen_classes_of_a_set_that_has_more() {
    let folder = Folder::new("train-chosen");
    for (class, name) in ["blue", "green"].into_iter().enumerate() {
        for index in 0..8 {
            folder.write(&format!("two/{name}/{index}.png"), picture(2 - class, index));
        }
    }
    let (two, three) = (folder.text("two"), folder.write("three.tgz", archive(4, 500)));
    let output = folder.text("run");
    let run = in_batches("8", &two, &output, &["--epochs", "2", "--validation", &three]);
    assert!(refuses(&run).contains("training set's 2 classes, got class `red`"));
    let printed = prints(&[&run[..], &["--classes", "2"]].concat());
    assert!(printed.contains("epoch 2/2") && printed.contains("validation: loss"), "{printed}");
    // Eight pictures are left: a share of them is a whole number of eighths.
    let log = std::fs::read_to_string(folder.at("run/log.csv")).unwrap();
    let top1: f64 = log.lines().last().unwrap().split(',').nth(6).unwrap().parse().unwrap();
    assert_eq!((8.0 * top1).fract(), 0.0, "{log}");
}

#[test]
fn measures_itself_and_writes_nothing() {
    let folder = Folder::new("train-benchmark");
    let (data, run) = (folder.write("data.tar.gz", archive(8, 0)), folder.text("run"));
    assert!(prints(&small(&data, &run, &["--benchmark"])).contains("images/s"));
    assert!(!folder.at("run").exists());
}

#[test]
fn pictures_that_cannot_be_read_are_named_and_left_out_unless_they_are_many() {
    let folder = Folder::new("train-unreadable");
    for index in 0..120 {
        folder.write(
            &format!("set/{}/{index}.png", ["a", "b"][index as usize % 2]),
            picture(index as usize % 2, index),
        );
    }
    let bad = folder.write("set/a/bad.png", b"no picture");
    let (set, run) = (folder.text("set"), folder.text("run"));
    let output = mobilenet(&small(&set, &run, &["--epochs", "2"]));
    let named = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{named}");
    assert_eq!(named.matches(&bad).count(), 1, "{named}");
    folder.write("set/b/worse.png", b"");
    let many = refuses(&small(&set, &folder.text("other"), &["--epochs", "2"]));
    assert!(many.contains("at most one in a hundred may be unreadable, got 2 of 122"), "{many}");
}

#[test]
fn refuses_what_cannot_be_trained_with_a_sentence() {
    let folder = Folder::new("train-refuses");
    let (data, run) = (folder.write("data.tar.gz", archive(4, 0)), folder.text("run"));
    let refused = |more: &[&str]| refuses(&small(&data, &run, more));
    std::fs::create_dir_all(folder.at("empty/nothing")).unwrap();
    folder.write("empty/some/1.png", picture(0, 1));
    let empty = refuses(&small(&folder.text("empty"), &run, &[]));
    assert!(empty.contains("the folder of class `nothing` must hold images"), "{empty}");
    std::fs::create_dir_all(folder.at("bare")).unwrap();
    assert!(refuses(&small(&folder.text("bare"), &run, &[])).contains("must hold images (a folder"));
    let cut = folder.write("cut.tar.gz", &archive(4, 0)[..300]);
    assert!(refuses(&small(&cut, &run, &[])).contains("cut off"));
    assert!(refuses(&small(&folder.text("absent.tar"), &run, &[])).contains("absent.tar"));
    let text = folder.write("text.tar", "no archive at all");
    assert!(refuses(&small(&text, &run, &[])).contains("text.tar: must be a folder or a tar archive"));
    assert!(refused(&["--resume"]).contains("no checkpoint to resume from"));
    assert!(refused(&["--classes", "1"]).contains("--classes: must be between 2 and 3"));
    assert!(refused(&["--epochs", "0"]).contains("--epochs: must be at least 1, got 0"));
    assert!(refused(&["--lr", "0"]).contains("--lr: must be positive and finite, got 0"));
    for wrong in [["--epsilon", "0"], ["--momentum", "1"]] {
        assert!(
            refused(&wrong).contains("decay and momentum must be at least 0 and below 1, epsilon positive")
        );
    }
    assert!(refused(&["--crop", "0"]).contains("crop: must be above 0 and at most 1, got 0"));
    assert!(refused(&["--dropout", "1"]).contains("dropout: must be at least 0 and below 1, got 1"));
    assert!(
        refused(&["--label-smoothing", "2"]).contains("--label-smoothing: must be between 0 and 1, got 2")
    );
    assert!(refused(&["--workers", "40"]).contains("must be at least 40, an image for every worker"));
    assert!(refused(&["--resolution-schedule", "64@3"]).contains("the first at epoch 0"));
    assert!(
        refused(&["--resolution-schedule", "8@0"]).contains("resolution: must be from 32 to 4096, got 8")
    );
    let other = folder.write("labels.txt", "blue\tsky\n");
    assert!(refused(&["--labels", &other]).contains("no line for class `green`"));
    folder.write("strange/purple/1.png", picture(0, 1));
    let strange = folder.text("strange");
    assert!(refused(&["--validation", &strange]).contains("training set's 3 classes, got class `purple`"));
    assert!(!folder.at("run/checkpoint.safetensors").exists());
}

#[test]
fn the_last_good_checkpoint_survives_whatever_happens_next() {
    let folder = Folder::new("train-survives");
    let (data, run) = (folder.write("data.tar.gz", archive(24, 0)), folder.text("run"));
    prints(&small(&data, &run, &["--epochs", "1"]));
    let checkpoint = || std::fs::read(folder.at("run/checkpoint.safetensors")).unwrap();
    let good = checkpoint();
    assert!(refuses(&small(&data, &run, &["--epochs", "2"])).contains("must not hold a run"));
    let wider = refuses(&small(&data, &run, &["--epochs", "2", "--resume", "--shallow"]));
    assert!(wider.contains("its shallow is false, and true was asked for"), "{wider}");
    let diverged = refuses(&small(&data, &run, &["--epochs", "3", "--resume", "--lr", "1e30"]));
    assert!(
        diverged.contains("not finite at step") && diverged.contains("smaller learning rate"),
        "{diverged}"
    );
    assert!(good == checkpoint());
    #[cfg(target_os = "linux")]
    {
        // No file may grow to the size of a checkpoint.
        let full = support::limited("ulimit -f 64", &small(&data, &run, &["--epochs", "2", "--resume"]));
        let full = String::from_utf8(full.stderr).unwrap();
        assert!(full.contains("free some space and run again; the old file is unchanged"), "{full}");
        assert!(full.contains("continue with --resume"), "{full}");
        assert!(good == checkpoint());
    }
    folder.write("run/checkpoint.safetensors", &good[..good.len() / 2]);
    assert!(refuses(&small(&data, &run, &["--epochs", "2", "--resume"])).contains("cut off"));
    folder.write("run/checkpoint.safetensors", &good);
    prints(&small(&data, &run, &["--epochs", "2", "--resume"]));
}

#[test]
fn an_epoch_outlives_a_validation_that_fails() {
    let folder = Folder::new("train-validation-fails");
    let (data, run) = (folder.write("data.tar.gz", archive(16, 0)), folder.text("run"));
    for (index, name) in ["blue", "green", "red"].into_iter().enumerate() {
        folder.write(&format!("held/{name}/1.png"), picture(2 - index, 900));
    }
    let bad = folder.write("held/red/2.png", b"no picture");
    let held = folder.text("held");
    let arguments = small(&data, &run, &["--epochs", "2", "--validation", &held]);
    assert!(refuses(&arguments).contains("got 1 of 4"));
    std::fs::remove_file(bad).unwrap();
    let printed = prints(&[&arguments[..], &["--resume"]].concat());
    assert!(printed.contains("epoch 1/2") && printed.contains("epoch 2/2"), "{printed}");
    let log = std::fs::read_to_string(folder.at("run/log.csv")).unwrap();
    let whole = folder.text("whole");
    prints(&small(&data, &whole, &["--epochs", "2", "--validation", &held]));
    let other = std::fs::read_to_string(folder.at("whole/log.csv")).unwrap();
    let results =
        |log: &str| log.lines().map(|line| line.split(',').take(8).collect()).collect::<Vec<String>>();
    assert_eq!(results(&log), results(&other));
}

#[test]
fn hidden_files_are_no_pictures_and_hidden_folders_no_classes() {
    let folder = Folder::new("train-hidden");
    for class in 0..2 {
        for index in 0..6 {
            folder.write(&format!("set/{}/{index}.png", ["a", "b"][class]), picture(class, index));
        }
        folder.write(&format!("set/{}/._1.png", ["a", "b"][class]), b"a shadow of the file");
    }
    std::fs::create_dir_all(folder.at("set/.cache")).unwrap();
    let shadow = ("b/._1.png", b"a shadow of the file".to_vec());
    let more = folder.write("more.tar", support::tar(&[("a/7.png", picture(0, 7)), shadow]));
    let (set, run) = (folder.text("set"), folder.text("run"));
    let mut arguments = in_batches("13", &set, &run, &["--epochs", "1"]);
    arguments.insert(3, &more);
    let output = mobilenet(&arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
#[cfg(unix)]
fn an_epoch_that_was_begun_is_not_divided_anew() {
    let folder = Folder::new("train-divided");
    let (data, run) = (folder.write("data.tar", archive(64, 0)), folder.text("run"));
    let begun = |batch| in_batches(batch, &data, &run, &["--epochs", "200"]);
    // It stops inside an epoch, for where it is asked at the end of one the next begins with a step.
    support::interrupted(&begun("4"), "epoch 1/200");
    let said = refuses(&[&begun("8")[..], &["--resume"]].concat());
    assert!(said.contains("inside an epoch of 192 images, 4 per step, got 192 and 8"), "{said}");
}

/// The options and checkpoints of 0.1.0.
#[test]
fn old_names_of_options_and_checkpoints_are_accepted() {
    let folder = Folder::new("train-old-names");
    let data = folder.write("data.tar", archive(16, 0));
    let train = |run: &str, options: &str| {
        let fixed = ["train", "--data", &data, "--output", run, "--alpha", "0.25", "--resolution", "32"];
        prints(&fixed.into_iter().chain(options.split(' ')).collect::<Vec<_>>())
    };
    let (old, new) = (folder.text("old"), folder.text("new"));
    let network = |run: &str| std::fs::read(folder.at(run).join("network.safetensors")).unwrap();
    train(
        &old,
        "--epochs 1 --rule sgd --rate 0.01 --fall step --moving 0.9 --average 0.5 --smoothing 0.1 --pictures 12",
    );
    train(
        &new,
        "--epochs 1 --optimizer sgd --lr 0.01 --lr-schedule step --bn-momentum 0.9 --ema-decay 0.5 --label-smoothing 0.1 \
         --images-per-class 12",
    );
    assert!(network("old") == network("new"));

    let checkpoint = folder.at("old/checkpoint.safetensors");
    let text = std::fs::read(&checkpoint).unwrap();
    let length = u64::from_le_bytes(*text.first_chunk().unwrap()) as usize;
    let (header, data) = text.split_at(8 + length);
    let header = String::from_utf8_lossy(&header[8..]).into_owned();
    // Both have the length of today's names.
    let header = header.replace("optimizer", "optimiser").replace("normalization", "normalisation");
    assert!(header.contains("optimiser") && header.contains("normalisation"));
    assert!(header.contains("pictures") && header.contains("lines") && header.contains("rate"));
    let text = [&(length as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
    std::fs::write(checkpoint, text).unwrap();
    let more = "--epochs 2 --rule sgd --rate 0.01 --fall step --moving 0.9 --average 0.5 --resume";
    assert!(train(&old, more).contains("epoch 2/2"));
}
