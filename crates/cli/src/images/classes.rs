//! The class that a folder's name stands for: from a list, or a label, a WordNet id or a number.

use anyhow::{Context, Result, bail};
use mobilenet::Architecture;
use std::collections::HashMap;
use std::path::{Component, Path};

/// WordNet ids of ImageNet's 1000 classes in order (ILSVRC 2012), which is that of the ids.
const WORDNET: &str = include_str!("wordnet.txt");

/// Number of ImageNet's classes.
const IMAGENET: usize = 1000;

/// The classes of a network, by the names that folders may have.
pub struct Classes<'a> {
    architecture: &'a Architecture,
    known: HashMap<String, usize>,
}

impl<'a> Classes<'a> {
    /// The classes of `architecture`. `folders` may name the folder of each, with or without the background class.
    pub fn new(architecture: &'a Architecture, folders: &[String]) -> Result<Self> {
        let shift = usize::from(architecture.background);
        let first = match architecture.classes.checked_sub(folders.len()) {
            _ if folders.is_empty() => 0,
            Some(rest) if rest == 0 || rest == shift => rest,
            _ => bail!(
                "labels file: must name one folder for each of the network's {} classes, got {}; add or remove lines",
                architecture.classes,
                folders.len()
            ),
        };
        let known = folders.iter().cloned().zip(first..).collect();
        Ok(Self { architecture, known })
    }

    /// The class of a number in ImageNet's order, or in that of the network without its background class, which shifts
    /// every number by one.
    pub fn numbered(&self, number: usize) -> Result<usize> {
        let shift = usize::from(self.architecture.background);
        let classes = self.architecture.classes - shift;
        if number >= classes {
            bail!("its class must be below {classes}, the network's number of classes, got {number}");
        }
        Ok(number + shift)
    }

    /// The class of an image by its path: that of its folder, or of the one above a folder `images`.
    pub fn of_image(&mut self, name: &str) -> Result<usize> {
        let folders: Vec<String> = Path::new(name)
            .parent()
            .into_iter()
            .flat_map(Path::components)
            .filter_map(|part| match part {
                Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect();
        let folder = match folders.as_slice() {
            [.., above, last] if last == "images" => above,
            [.., last] => last,
            [] => bail!("image `{name}`: must lie in a folder with its class's name, got none"),
        };
        if let Some(&class) = self.known.get(folder) {
            return Ok(class);
        }
        let class = self.named(folder).with_context(|| format!("folder `{folder}`"))?;
        self.known.insert(folder.clone(), class);
        Ok(class)
    }

    /// The class of a name: a label, whole or one of its synonyms; else a WordNet id; else a number.
    fn named(&self, name: &str) -> Result<usize> {
        let labels = &self.architecture.labels;
        if let Some(class) = labels.iter().position(|label| label == name) {
            return Ok(class);
        }
        let plain = |text: &str| text.trim().replace('_', " ").to_lowercase();
        let wanted = plain(name);
        let mut means = labels.iter().enumerate().filter(|(_, label)| {
            plain(label) == wanted || label.split(',').any(|synonym| plain(synonym) == wanted)
        });
        match (means.next(), means.next()) {
            (Some((class, _)), None) => return Ok(class),
            (Some((one, _)), Some((two, _))) => bail!(
                "its name must stand for one class, got class {one} (`{}`) and class {two} (`{}`); use the number",
                labels[one],
                labels[two]
            ),
            _ => {}
        }
        if is_wordnet(name) {
            let classes = self.architecture.classes - usize::from(self.architecture.background);
            if classes != IMAGENET {
                bail!(
                    "its name is a WordNet id, which needs ImageNet's 1000 classes, got {classes}; give --labels a \
                     file with a line `folder<tab>label` for each class"
                );
            }
            let number = WORDNET.lines().position(|id| id == name);
            return self.numbered(
                number.context("its name must be one of ImageNet's 1000 WordNet ids, got another")?,
            );
        }
        match name.parse() {
            Ok(number) => self.numbered(number),
            Err(_) => {
                bail!("its name must be a class number, a label of the network or a WordNet id, got neither")
            }
        }
    }
}

/// `n` and eight digits.
fn is_wordnet(name: &str) -> bool {
    name.strip_prefix('n')
        .is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imagenet(background: bool) -> Architecture {
        Architecture { classes: 1000 + usize::from(background), background, ..Architecture::default() }
    }

    #[test]
    fn wordnet_ids_are_in_their_order() {
        let ids: Vec<&str> = WORDNET.lines().collect();
        assert_eq!(ids.len(), IMAGENET);
        assert!(ids.is_sorted() && ids.iter().all(|id| is_wordnet(id)));
    }

    #[test]
    fn numbers_and_wordnet_ids_are_shifted_by_a_background_class() {
        for (background, shift) in [(false, 0), (true, 1)] {
            let architecture = imagenet(background);
            let mut classes = Classes::new(&architecture, &[]).unwrap();
            assert_eq!(classes.of_image("n02099712/a.png").unwrap(), 208 + shift);
            assert_eq!(classes.of_image("./val/n02099712/images/a.png").unwrap(), 208 + shift);
            assert_eq!(classes.of_image("999/a.png").unwrap(), 999 + shift);
            assert_eq!(classes.of_image("007/a.png").unwrap(), 7 + shift);
            let beyond = format!("{:#}", classes.of_image("1000/a.png").unwrap_err());
            assert!(beyond.contains("folder `1000`") && beyond.contains("below 1000"), "{beyond}");
        }
    }

    #[test]
    fn labels_are_found_whole_or_by_a_synonym_that_is_theirs_alone() {
        let labels = ["7", "tench, Tinca tinca", "crane", "crane, lifting", "bell pepper"].map(String::from);
        let architecture = Architecture { classes: 5, labels: labels.to_vec(), ..Architecture::default() };
        let mut classes = Classes::new(&architecture, &[]).unwrap();
        assert_eq!(classes.of_image("7/a.png").unwrap(), 0);
        assert_eq!(classes.of_image("tench/a.png").unwrap(), 1);
        assert_eq!(classes.of_image("Tinca tinca/a.png").unwrap(), 1);
        assert_eq!(classes.of_image("crane/a.png").unwrap(), 2, "a whole label counts first");
        assert_eq!(classes.of_image("bell_pepper/a.png").unwrap(), 4);
        assert_eq!(classes.of_image("2/a.png").unwrap(), 2);
        let two = format!("{:#}", classes.of_image("Crane/a.png").unwrap_err());
        assert!(two.contains("class 2") && two.contains("class 3"), "{two}");
        for (name, sentence) in [
            ("n02099712/a.png", "needs ImageNet's 1000"),
            ("dog/a.png", "must be a class number"),
            ("a.png", "must lie in a folder"),
            ("5/a.png", "below 5"),
        ] {
            let error = format!("{:#}", classes.of_image(name).unwrap_err());
            assert!(error.contains(sentence), "{name}: {error}");
        }
    }

    #[test]
    fn a_list_of_folders_counts_first() {
        let folders = ["n02099712", "3"].map(String::from);
        for (background, shift) in [(false, 0), (true, 1)] {
            let architecture = Architecture { classes: 2 + shift, background, ..Architecture::default() };
            let mut classes = Classes::new(&architecture, &folders).unwrap();
            assert_eq!(classes.of_image("n02099712/a.png").unwrap(), shift);
            assert_eq!(classes.of_image("3/images/a.png").unwrap(), 1 + shift);
        }
        let architecture = Architecture { classes: 5, ..Architecture::default() };
        let error = Classes::new(&architecture, &folders).err().unwrap().to_string();
        assert!(error.contains("network's 5 classes, got 2"), "{error}");
    }
}
