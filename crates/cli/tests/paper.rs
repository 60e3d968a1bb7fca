//! `mobilenet paper` from the outside: what its report holds, that nothing is trained twice, what it refuses.

mod support;

use support::{Folder, archive, interrupted, prints, refuses};

/// The command for a family so small that it takes seconds, and more options.
fn small<'a>(data: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed =
        ["paper", "--data", data, "--output", output, "--images-per-class", "16", "--base-alpha", "0.25"];
    let family = ["--alphas", "0.125,0.25", "--resolutions", "32,40", "--base-resolution", "32"];
    fixed.into_iter().chain(family).chain(more.iter().copied()).collect()
}

/// The tables' first cells that name networks of the family.
fn rows(report: &str) -> Vec<&str> {
    let cells = report.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells.filter(|name| name.contains("MobileNet")).collect()
}

#[test]
fn one_report_has_every_table_and_nothing_is_trained_twice() {
    let folder = Folder::new("paper-report");
    let (data, output) = (folder.write("data.tar.gz", archive(24, 0)), folder.text("paper"));
    let arguments = small(&data, &output, &["--epochs", "2"]);
    let printed = prints(&arguments);
    assert_eq!(printed.matches("epoch 2/2").count(), 7, "{printed}");
    let read = |name: &str| std::fs::read_to_string(folder.at("paper").join(name)).unwrap();
    let report = read("report.md");
    let tables =
        ["0.25 Conv MobileNet-32", "0.25 MobileNet-32", "0.1875 MobileNet-32", "0.25 Shallow MobileNet-32"];
    let widths = ["0.25 MobileNet-40", "0.125 MobileNet-40"];
    let sides = ["0.25 MobileNet-40", "0.25 MobileNet-32"];
    let grid = ["0.25 MobileNet-40", "0.25 MobileNet-32", "0.125 MobileNet-40", "0.125 MobileNet-32"];
    let counted = ["1.0 MobileNet-224", "0.50 MobileNet-160"];
    assert_eq!(rows(&report), [&tables[..], &widths, &sides, &grid, &counted].concat());
    assert!(!report.contains("not trained yet"), "{report}");
    assert!(report.contains("48 training images and 24 validation images"), "{report}");
    assert!(report.contains("--alphas 0.125,0.25") && report.contains("seed 1"), "{report}");
    let claims =
        ["Separable convolutions within 3 points", "Narrow ahead of shallow", "Accuracy falls smoothly"];
    for claim in claims {
        let line = report.lines().find(|line| line.starts_with(&format!("- **{claim}"))).unwrap();
        let verdicts = ["holds.**", "does not hold.**", "not decided.**"];
        assert!(verdicts.iter().any(|verdict| line.contains(verdict)), "{line}");
    }
    for name in ["accuracy-mult-adds.svg", "accuracy-parameters.svg"] {
        let svg = read(name);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && report.contains(name));
        assert!(svg.contains("40 × 40") && svg.contains("160 × 160"), "{svg}");
    }

    let again = prints(&arguments);
    assert!(!again.contains("epoch") && again.contains("7 networks are trained"), "{again}");
    assert_eq!(read("report.md"), report);
    // Only what a part needs, and anew where a setting differs.
    let other = prints(&small(&data, &output, &["--epochs", "2", "--seed", "2", "--only", "table5"]));
    assert_eq!(other.matches("epoch 2/2").count(), 2, "{other}");
    let part = read("report.md");
    assert_eq!(rows(&part), [&tables[2..], &counted].concat());
    assert!(!part.contains("svg"), "{part}");
}

#[test]
fn networks_that_are_only_compared_may_be_trained_longer() {
    let folder = Folder::new("paper-longer");
    let (data, output) = (folder.write("data.tar.gz", archive(24, 0)), folder.text("paper"));
    let family =
        ["paper", "--data", &data, "--output", &output, "--images-per-class", "16", "--alphas", "0.125"];
    let with = |side, longer| {
        let base = ["--base-alpha", "0.125", "--base-resolution", side, "--base-epochs", longer];
        let rest = ["--resolutions", "32", "--epochs", "1", "--only", "table5,table6"];
        [&family[..], &base, &rest].concat()
    };
    let printed = prints(&with("40", "3"));
    assert_eq!(
        [printed.matches("epoch 3/3").count(), printed.matches("epoch 1/1").count()],
        [2, 1],
        "{printed}"
    );
    let report = std::fs::read_to_string(folder.at("paper/report.md")).unwrap();
    assert!(report.contains("1 epochs (3 in Tables 4 and 5) of RMSprop"), "{report}");
    // The base is one of Table 7's too: of two lengths, which would it be trained for?
    let twice = refuses(&with("32", "3"));
    assert!(
        twice.contains("got 0.125 MobileNet-32, which is in other tables too")
            && twice.contains("--base-epochs")
    );
    assert!(refuses(&with("40", "0")).contains("--base-epochs: must be at least 1, got 0"));
    // Each table its own: what Table 5 needed is trained already.
    let all = [&with("40", "2,3")[..], &["--only", "table4"]].concat();
    let printed = prints(&all);
    assert_eq!(
        [printed.matches("epoch 2/2").count(), printed.matches("epoch 3/3").count()],
        [2, 0],
        "{printed}"
    );
    let report = std::fs::read_to_string(folder.at("paper/report.md")).unwrap();
    assert!(report.contains("1 epochs (2 in Table 4, 3 in Table 5) of RMSprop"), "{report}");
    assert!(refuses(&with("40", "1,2,3")).contains("for Table 5, got 3"));
}

#[test]
#[cfg(unix)]
fn goes_on_where_it_was_interrupted() {
    let folder = Folder::new("paper-interrupted");
    let data = folder.write("data.tar.gz", archive(24, 0));
    let (whole, parts) = (folder.text("whole"), folder.text("parts"));
    let options = ["--epochs", "30", "--only", "table5"];
    prints(&small(&data, &whole, &options));
    let arguments = small(&data, &parts, &options);
    let [_, rest] = interrupted(&arguments, "epoch 1/30");
    assert_eq!(rest.last().map(String::as_str), Some("stopped; the same command continues"), "{rest:?}");
    let printed = prints(&arguments);
    assert!(!printed.contains("epoch 1/30 at") || printed.matches("epoch 1/30 at").count() == 1, "{printed}");
    let table = |run: &str| {
        let report = std::fs::read_to_string(folder.at(run).join("report.md")).unwrap();
        let (_, table) = report.split_once("## Table 5").unwrap();
        table.to_owned()
    };
    assert_eq!(table("whole"), table("parts"));
}

#[test]
fn without_pictures_it_counts_the_other_networks() {
    let printed = prints(&["paper"]);
    let squeezenet = printed.lines().find(|line| line.contains("SqueezeNet |")).unwrap();
    assert_eq!(squeezenet, "| SqueezeNet | 57.5 % | 833 M | 1700 M | 1.25 M | 1.25 M |");
    assert_eq!(rows(&printed), ["1.0 MobileNet-224", "0.50 MobileNet-160"]);
}

#[test]
fn refuses_what_makes_no_report_with_a_sentence() {
    let folder = Folder::new("paper-refuses");
    let (data, output) = (folder.write("data.tar.gz", archive(20, 0)), folder.text("paper"));
    let refused = |more: &[&str]| refuses(&small(&data, &output, more));
    assert!(refused(&["--epochs", "0"]).contains("--epochs: must be at least 1, got 0"));
    assert!(refused(&["--batch", "1"]).contains("must be at least 2, an image for every worker"));
    assert!(refused(&["--workers", "0"]).contains("--workers: must be between 1 and 256, got 0"));
    assert!(refused(&["--lr", "nan"]).contains("--lr: must be positive and finite, got NaN"));
    assert!(
        refused(&["--classes", "9"])
            .contains("--classes: must be between 2 and 3, the number of classes in --data, got 9")
    );
    assert!(refused(&["--only", "table3"]).contains("table3"));
    let odd = |alphas: &str, resolutions: &str| {
        let more = ["--data", &data, "--output", &output, "--alphas", alphas, "--resolutions", resolutions];
        refuses(&[&["paper"][..], &more].concat())
    };
    assert!(odd("0", "32").contains("alpha: must be above 0 and at most 16, got 0"));
    assert!(odd("0.25", "16").contains("resolution: must be from 32 to 4096, got 16"));
    assert!(odd("nan", "32").contains("alpha: must be above 0 and at most 16, got NaN"));
    let all = refuses(&["paper", "--data", &data, "--output", &output]);
    assert!(all.contains("nothing to validate on") && all.contains("--images-per-class"), "{all}");
    assert!(!folder.at("paper").exists());
    // A result that something else has written over.
    prints(&small(&data, &output, &["--epochs", "1", "--only", "table5"]));
    for entry in std::fs::read_dir(folder.at("paper/work")).unwrap() {
        std::fs::write(entry.unwrap().path().join("result.json"), "{}").unwrap();
    }
    let broken = refused(&["--epochs", "1", "--only", "table5"]);
    assert!(broken.contains("must be a result, got another file; remove it"), "{broken}");
}
