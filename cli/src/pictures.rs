//! Labelled pictures on disk: a folder with `classes.json`, or one with a folder for each class.

use anyhow::{Context, bail};
use mobilenet::Architecture;
use std::path::{Path, PathBuf};

/// Every picture under `path` with the index of its class in the network.
pub fn labelled(path: &Path, architecture: &Architecture) -> anyhow::Result<Vec<(PathBuf, usize)>> {
    // Numbers are ImageNet's of 1000; a background class moves them by one.
    let shift = usize::from(architecture.background);
    let named = path.join("classes.json");
    let mut found = Vec::new();
    if named.exists() {
        let text = std::fs::read_to_string(&named).with_context(|| named.display().to_string())?;
        let classes: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).with_context(|| named.display().to_string())?;
        for (name, class) in classes {
            let class =
                class.as_u64().with_context(|| format!("`{name}` has the class {class}, no number"))?;
            found.push((path.join(name), class as usize + shift));
        }
    } else {
        let folders = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        for folder in folders {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            let name = folder.file_name().to_string_lossy().into_owned();
            let by_label = architecture.labels.iter().position(|label| *label == name);
            let by_number = name.parse::<usize>().ok().map(|number| number + shift);
            let Some(class) = by_label.or(by_number) else {
                bail!("folder `{name}` is neither a class number nor a label of the network");
            };
            for picture in std::fs::read_dir(folder.path())? {
                found.push((picture?.path(), class));
            }
        }
        found.sort();
    }
    if let Some((picture, class)) = found.iter().find(|(_, class)| *class >= architecture.classes) {
        bail!("{} has class {class}, the network only {} classes", picture.display(), architecture.classes);
    }
    if found.is_empty() {
        bail!("{} holds no pictures (a classes.json, or one folder a class)", path.display());
    }
    Ok(found)
}
