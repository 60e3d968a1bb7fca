//! Which class of a network a folder's name means: as a list says, a number, a label, or a WordNet id.

use anyhow::{Context, Result, bail};
use mobilenet::Architecture;
use std::collections::HashMap;
use std::path::{Component, Path};

/// WordNet ids of ImageNet's 1000 classes in their order (ILSVRC 2012), which is that of the ids.
const WORDNET: &str = include_str!("wordnet.txt");

/// Classes of ImageNet.
const IMAGENET: usize = 1000;

/// The classes of one network by every name that a folder may have.
pub struct Classes<'a> {
    architecture: &'a Architecture,
    known: HashMap<String, usize>,
}

impl<'a> Classes<'a> {
    /// Those of `architecture`, with a folder's name for each where `folders` has them: all, or all but the background.
    pub fn new(architecture: &'a Architecture, folders: &[String]) -> Result<Self> {
        let shift = usize::from(architecture.background);
        let first = match architecture.classes.checked_sub(folders.len()) {
            _ if folders.is_empty() => 0,
            Some(rest) if rest == 0 || rest == shift => rest,
            _ => bail!(
                "the labels' file names {} folders, and the network has {} classes",
                folders.len(),
                architecture.classes
            ),
        };
        let known = folders.iter().cloned().zip(first..).collect();
        Ok(Self { architecture, known })
    }

    /// The class with a number in ImageNet's order of 1000, or in that of the network without its background class,
    /// which moves every number by one.
    pub fn numbered(&self, number: usize) -> Result<usize> {
        let shift = usize::from(self.architecture.background);
        let classes = self.architecture.classes - shift;
        if number >= classes {
            bail!("its class is {number}, and the network has {classes} classes, counted from 0");
        }
        Ok(number + shift)
    }

    /// The class of the picture called `name`: that of the folder it lies in, one above where that is `images`.
    pub fn of_picture(&mut self, name: &str) -> Result<usize> {
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
            [] => bail!("picture `{name}` lies in no folder whose name could be its class"),
        };
        if let Some(&class) = self.known.get(folder) {
            return Ok(class);
        }
        let class = self.named(folder).with_context(|| format!("folder `{folder}`"))?;
        self.known.insert(folder.clone(), class);
        Ok(class)
    }

    /// The class that `name` means: a label first, whole or one of its synonyms, then a WordNet id, then a number.
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
                "its name means class {one} (`{}`) as well as class {two} (`{}`); name it by its number",
                labels[one],
                labels[two]
            ),
            _ => {}
        }
        if is_wordnet(name) {
            let classes = self.architecture.classes - usize::from(self.architecture.background);
            if classes != IMAGENET {
                bail!(
                    "its name is a WordNet id, and the network's {classes} classes are not ImageNet's 1000; give \
                     --labels a file with a line `folder<tab>label` for each class"
                );
            }
            let number = WORDNET.lines().position(|id| id == name);
            return self
                .numbered(number.context("its name is a WordNet id that ImageNet's 1000 classes lack")?);
        }
        match name.parse() {
            Ok(number) => self.numbered(number),
            Err(_) => {
                bail!("its name is neither a class number, nor a label of the network, nor a WordNet id")
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
            assert_eq!(classes.of_picture("n02099712/a.png").unwrap(), 208 + shift);
            assert_eq!(classes.of_picture("./val/n02099712/images/a.png").unwrap(), 208 + shift);
            assert_eq!(classes.of_picture("999/a.png").unwrap(), 999 + shift);
            assert_eq!(classes.of_picture("007/a.png").unwrap(), 7 + shift);
            let beyond = format!("{:#}", classes.of_picture("1000/a.png").unwrap_err());
            assert!(beyond.contains("folder `1000`") && beyond.contains("1000 classes"), "{beyond}");
        }
    }

    #[test]
    fn labels_are_found_whole_or_by_a_synonym_that_is_theirs_alone() {
        let labels = ["7", "tench, Tinca tinca", "crane", "crane, lifting", "bell pepper"].map(String::from);
        let architecture = Architecture { classes: 5, labels: labels.to_vec(), ..Architecture::default() };
        let mut classes = Classes::new(&architecture, &[]).unwrap();
        assert_eq!(classes.of_picture("7/a.png").unwrap(), 0);
        assert_eq!(classes.of_picture("tench/a.png").unwrap(), 1);
        assert_eq!(classes.of_picture("Tinca tinca/a.png").unwrap(), 1);
        assert_eq!(classes.of_picture("crane/a.png").unwrap(), 2, "a whole label counts first");
        assert_eq!(classes.of_picture("bell_pepper/a.png").unwrap(), 4);
        assert_eq!(classes.of_picture("2/a.png").unwrap(), 2);
        let two = format!("{:#}", classes.of_picture("Crane/a.png").unwrap_err());
        assert!(two.contains("class 2") && two.contains("class 3"), "{two}");
        for (name, sentence) in [
            ("n02099712/a.png", "not ImageNet's 1000"),
            ("dog/a.png", "neither a class number"),
            ("a.png", "lies in no folder"),
            ("5/a.png", "5 classes, counted from 0"),
        ] {
            let error = format!("{:#}", classes.of_picture(name).unwrap_err());
            assert!(error.contains(sentence), "{name}: {error}");
        }
    }

    #[test]
    fn a_list_of_folders_counts_first() {
        let folders = ["n02099712", "3"].map(String::from);
        for (background, shift) in [(false, 0), (true, 1)] {
            let architecture = Architecture { classes: 2 + shift, background, ..Architecture::default() };
            let mut classes = Classes::new(&architecture, &folders).unwrap();
            assert_eq!(classes.of_picture("n02099712/a.png").unwrap(), shift);
            assert_eq!(classes.of_picture("3/images/a.png").unwrap(), 1 + shift);
        }
        let architecture = Architecture { classes: 5, ..Architecture::default() };
        let error = Classes::new(&architecture, &folders).err().unwrap().to_string();
        assert!(error.contains("names 2 folders, and the network has 5 classes"), "{error}");
    }
}
