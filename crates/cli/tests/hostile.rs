//! Images, archives and paths that are made to do harm, or are only broken: bounded memory, a sentence, no abort.

mod support;

use mobilenet_formats::safetensors::{Storage, write};
use std::io::Write;
use support::{COLOURS, Folder, LABELS, colors, file, gzip, mobilenet, png, prints, refuses, sentence, tar};

/// The head of a PNG that declares a size and has no pixels.
fn declared(width: u32, height: u32) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let content = [kind, data].concat();
        let checksum = crc32(&content).to_be_bytes();
        [&(data.len() as u32).to_be_bytes()[..], &content, &checksum].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    let mut pixels = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    pixels.write_all(&[0; 100]).unwrap();
    let pixels = pixels.finish().unwrap();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..], &chunk(b"IDAT", &pixels), &chunk(b"IEND", b"")]
        .concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A JPEG that declares a size other than its own.
fn declared_jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_pixel(16, 16, image::Rgb([9, 99, 9]));
    image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    let mut bytes = bytes.into_inner();
    let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[height.to_be_bytes(), width.to_be_bytes()].concat());
    bytes
}

#[test]
fn images_that_declare_huge_sizes_take_no_memory() {
    let folder = Folder::new("hostile-images");
    let weights = folder.write("net.safetensors", file());
    for (name, bytes, size) in [
        ("png", declared(60_000, 60_000), "60000 x 60000"),
        ("jpg", declared_jpeg(65_500, 65_500), "65500 x 65500"),
    ] {
        folder.write(&format!("{name}/0/a.{name}"), bytes);
        let images = folder.text(name);
        let out = folder.text("int8.safetensors");
        for arguments in [
            vec!["eval", "--weights", &weights, "--images", &images],
            vec!["quantize", &weights, &out, "--calibrate", &images],
        ] {
            let output = mobilenet(&arguments);
            let said = sentence(&output);
            assert!(said.contains(&format!("at most 100 megapixels, got {size}")), "{said}");
            assert!(said.contains("raise --max-megapixels"), "{said}");
            #[cfg(target_os = "linux")]
            assert!(support::measured(&arguments).1 < 300);
        }
    }
}

#[test]
fn the_limit_of_megapixels_may_be_raised() {
    let folder = Folder::new("hostile-megapixels");
    let weights = folder.write("net.safetensors", file());
    let mut bytes = std::io::Cursor::new(Vec::new());
    let red = image::RgbImage::from_pixel(1500, 1000, image::Rgb(COLOURS[0]));
    red.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    folder.write("images/0/a.png", bytes.into_inner());
    let images = folder.text("images");
    let eval = |most| ["eval", "--weights", &weights, "--images", &images, "--max-megapixels", most];
    assert!(refuses(&eval("1")).contains("at most 1 megapixels, got 1500 x 1000"));
    assert_eq!(prints(&eval("2")), "top-1 1.000 top-5 1.000 n 1\n");
    assert!(refuses(&eval("0")).contains("--max-megapixels"));
}

/// A header of an extension whose content is as long as `size` says.
fn extension(kind: tar::EntryType, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("././@LongLink").unwrap();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    [header.as_bytes().as_slice(), &vec![b'a'; size as usize]].concat()
}

#[test]
fn headers_of_archives_are_bounded() {
    let folder = Folder::new("hostile-headers");
    let weights = folder.write("net.safetensors", file());
    let image = tar(&[("0/a.png", png(COLOURS[0]))]);
    for (name, kind) in [("name", tar::EntryType::GNULongName), ("pax", tar::EntryType::XHeader)] {
        let bomb = [extension(kind, 32 << 20), image.clone()].concat();
        for (name, bytes) in [(format!("{name}.tar"), bomb.clone()), (format!("{name}.tar.gz"), gzip(&bomb))]
        {
            let archive = folder.write(&name, bytes);
            for arguments in [
                vec!["eval", "--weights", &weights, "--images", &archive],
                vec!["train", "--data", &archive, "--output", &folder.text("run")],
            ] {
                let said = refuses(&arguments);
                assert!(said.contains("header must have at most 1048576 bytes"), "{name}: {said}");
            }
        }
    }
    // Usual long names are read, wherever they stand.
    let long = format!("{}/0/a.png", "folder".repeat(40));
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [("0/notes.txt", vec![0; 70_000]), (&long, png(COLOURS[0])), (&long, png(COLOURS[0]))]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let archive = folder.write("long.tar", builder.into_inner().unwrap());
    let printed = prints(&["eval", "--weights", &weights, "--images", &archive]);
    assert_eq!(printed, "top-1 1.000 top-5 1.000 n 2\n");
}

/// Entries that are holes of a sparse file: large without taking room on disk.
#[cfg(target_os = "linux")]
#[test]
fn a_batch_of_images_is_bounded_by_its_bytes() {
    use std::io::{Seek, SeekFrom};
    const SIZE: u64 = 100 << 20;
    let folder = Folder::new("hostile-batch");
    let weights = folder.write("net.safetensors", file());
    let archive = folder.write("zeros.tar", tar(&[("0/a.png", png(COLOURS[0]))]));
    let mut output = std::fs::File::options().write(true).open(&archive).unwrap();
    output.seek(SeekFrom::End(-1024)).unwrap();
    for index in 0..12 {
        let mut header = tar::Header::new_gnu();
        header.set_path(format!("0/{index}.png")).unwrap();
        header.set_size(SIZE);
        header.set_cksum();
        output.write_all(header.as_bytes()).unwrap();
        output.seek(SeekFrom::Current(SIZE as i64)).unwrap();
    }
    output.write_all(&[0; 1024]).unwrap();
    let out = folder.text("int8.safetensors");
    for arguments in [
        vec!["eval", "--weights", &weights, "--images", &archive],
        vec!["quantize", &weights, &out, "--calibrate", &archive],
    ] {
        let (output, peak) = support::measured(&arguments);
        assert!(sentence(&output).contains("got 12 of 13, first `0/0.png`"));
        assert!(peak < 700, "{arguments:?} took {peak} MiB");
    }
}

#[test]
fn a_bad_image_among_many_is_named_counted_and_skipped() {
    let folder = Folder::new("hostile-skip");
    let weights = folder.write("net.safetensors", write(&colors(4, false, &LABELS), Storage::F32).unwrap());
    for index in 0..120 {
        folder.picture(&format!("images/{}/{index:03}.png", index % 3), COLOURS[index % 3]);
    }
    let bad = declared(60_000, 60_000);
    folder.write("images/1/bad.png", &bad);
    let (images, out) = (folder.text("images"), folder.text("int8.safetensors"));
    let eval = ["eval", "--weights", &weights, "--images", &images];
    let output = mobilenet(&eval);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "top-1 1.000 top-5 1.000 n 120\n", "{said}");
    assert!(
        said.contains("image `1/bad.png`: skipped") && said.contains("1 of 121 images skipped"),
        "{said}"
    );
    let json: serde_json::Value = serde_json::from_str(&prints(&[&eval[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json["n"], &json["skipped"]), (&120.into(), &1.into()));

    let quantize = ["quantize", &weights, &out, "--calibrate", &images];
    let output = mobilenet(&quantize);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("image `1/bad.png`: skipped").count(), 1, "{said}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("ranges of 120 images") && printed.contains("same top-1 120 of 120"),
        "{printed}"
    );

    // More than one in a hundred are no accident.
    folder.write("images/2/cut.png", &png(COLOURS[2])[..60]);
    for arguments in [&eval[..], &quantize] {
        let said = refuses(arguments);
        assert!(said.contains("at most one in a hundred may be unreadable, got 2 of 122"), "{said}");
        assert!(said.contains("`2/cut.png`") && said.contains("repair or remove them"), "{said}");
    }
}

#[cfg(unix)]
#[test]
fn devices_folders_and_pipes_are_no_files() {
    let folder = Folder::new("hostile-devices");
    let weights = folder.write("net.safetensors", file());
    let out = folder.text("out.safetensors");
    let here = folder.text(".");
    for (arguments, said) in [
        (vec!["inspect", "/dev/zero"], "/dev/zero: must be a file, got a device"),
        (vec!["convert", "/dev/zero", &out], "/dev/zero: must be a file, got a device"),
        (vec!["inspect", &here], "must be a file, got a folder"),
        (vec!["inspect", &weights, "--labels", "/dev/zero"], "/dev/zero: must be a file, got a device"),
        (
            vec!["eval", "--weights", &weights, "--images", "/dev/zero"],
            "/dev/zero: must be a folder or a tar",
        ),
        (vec!["train", "--data", "/dev/zero", "--output", &out], "/dev/zero: must be a folder or a tar"),
    ] {
        let printed = refuses(&arguments);
        assert!(printed.contains(said), "{arguments:?}: {printed}");
    }
    // A pipe is read, but not without an end.
    let pipe = |source: &str| support::limited(&format!("{source} |"), &["inspect", "/dev/stdin"]);
    let printed = pipe(&format!("cat {weights}"));
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let said = sentence(&pipe("yes"));
    assert!(said.contains("/dev/stdin: must have at most 536870912 bytes, got more"), "{said}");
    // In folders of images they are passed over; a class list may not name them.
    folder.picture("images/0/a.png", COLOURS[0]);
    std::os::unix::fs::symlink("/dev/zero", folder.at("images/0/b.png")).unwrap();
    let images = folder.text("images");
    let printed = prints(&["eval", "--weights", &weights, "--images", &images]);
    assert_eq!(printed, "top-1 1.000 top-5 1.000 n 1\n");
    folder.write("images/classes.json", r#"{"0/b.png": 0}"#);
    let printed = refuses(&["eval", "--weights", &weights, "--images", &images]);
    assert!(printed.contains("b.png: must be a file, got a device"), "{printed}");
}
