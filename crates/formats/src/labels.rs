//! Names of classes in the forms in which people keep them: text, JSON, CSV, UTF-8 or UTF-16.
//!
//! | form | example |
//! |---|---|
//! | a name a line | `tench` |
//! | a folder and a name a line | `n01440764<tab>tench` |
//! | numbered lines, from 0 or 1 | `0 tench`, `0: tench`, `0,tench` |
//! | CSV with a header | `index,mid,display_name` |
//! | JSON array | `["tench", "goldfish"]` |
//! | JSON object by number | `{"0": "tench"}`, `{"0": ["n01440764", "tench"]}` |
//! | JSON object by name | `{"tench": 0}` |
//! | JSON object around one of these | `{"labels": […]}`, `{"id2label": {…}}` |

use mobilenet::{Error, Result};
use serde_json::Value;

/// More names than this are no network's.
const MOST: usize = 1_000_000;

/// Name of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Name of the folder, or identifier, that the file gives beside it.
    pub folder: Option<String>,
    /// The name.
    pub name: String,
}

impl Label {
    fn new(name: &str) -> Self {
        Self { folder: None, name: name.trim().into() }
    }

    fn in_folder(folder: &str, name: &str) -> Self {
        Self { folder: Some(folder.trim().into()), name: name.trim().into() }
    }
}

fn refuse(problem: impl AsRef<str>) -> Error {
    Error::format("labels", problem)
}

/// Reads the names of classes, in the order of the classes.
///
/// # Errors
/// If the file has none of the forms above; the message says which form it seems to have.
///
/// # Examples
/// ```
/// let labels = mobilenet_formats::labels::parse(br#"{"0": ["n01440764", "tench"]}"#)?;
/// assert_eq!(labels[0].name, "tench");
/// # Ok::<(), mobilenet::Error>(())
/// ```
pub fn parse(bytes: &[u8]) -> Result<Vec<Label>> {
    let text = decode(bytes)?;
    let text = text.trim();
    let labels = match text.as_bytes() {
        [] => return Err(refuse("the file is empty; expected one name for each class")),
        [b'[' | b'{', ..] => match serde_json::from_str(text) {
            Ok(value) => json(&value)?,
            Err(_) if text.starts_with('{') && text.contains('\'') => {
                return Err(refuse("this is a Python dictionary; write it with `json.dump` and load that"));
            }
            Err(error) => return Err(refuse(format!("the JSON is damaged: {error}"))),
        },
        [b'<', ..] => {
            return Err(refuse("this is XML or a web page; expected one name a line, JSON or CSV"));
        }
        _ if text.starts_with("item") && text.contains('{') => {
            return Err(refuse(
                "this is a TensorFlow label map (.pbtxt); write its names to a text file, one a line",
            ));
        }
        _ if text.starts_with("---") || text.starts_with("names:") => {
            return Err(refuse("this is YAML; write its names to a text file, one a line"));
        }
        _ => lines(text)?,
    };
    match labels.len() {
        0 => Err(refuse("it has no name; expected one for each class")),
        count if count > MOST => Err(refuse(format!("it has {count} names, and must have at most {MOST}"))),
        _ => Ok(labels),
    }
}

/// UTF-8, or UTF-16 of either order, with and without the mark at its start.
fn decode(bytes: &[u8]) -> Result<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|&pair| unit(pair)).collect();
        String::from_utf16(&units).map_err(|_| refuse("the text is damaged UTF-16"))
    };
    let zero = |byte: &[u8]| byte.first() == Some(&0);
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => decode(rest),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [first, rest @ ..] if *first != 0 && zero(rest) => wide(bytes, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => wide(bytes, u16::from_be_bytes),
        [b'P', b'K', 3, 4, ..] => {
            Err(refuse("this is a zip or a spreadsheet (.xlsx); save it as CSV or text"))
        }
        [b'%', b'P', b'D', b'F', ..] => Err(refuse("this is a PDF; save its names as text, one a line")),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
            Ok(_) => Err(refuse("this is no text; expected one name a line, JSON or CSV")),
            Err(_) => Err(refuse("the text is neither UTF-8 nor UTF-16; save it as UTF-8")),
        },
    }
}

fn json(value: &Value) -> Result<Vec<Label>> {
    match value {
        Value::Array(list) => list.iter().map(entry).collect(),
        Value::Object(entries) => {
            for key in ["id2label", "labels", "classes", "class_names", "names", "label_names", "categories"]
            {
                if let Some(inside @ (Value::Array(_) | Value::Object(_))) = entries.get(key) {
                    return json(inside);
                }
            }
            let number = |text: &str| text.trim().parse::<usize>().ok();
            if entries.keys().all(|key| number(key).is_some()) {
                let pairs = entries.iter().map(|(key, value)| Ok((number(key).unwrap_or(0), entry(value)?)));
                return in_order(pairs.collect::<Result<_>>()?);
            }
            if entries.values().all(Value::is_u64) {
                let pairs = entries.iter().map(|(name, value)| {
                    let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
                    (index.unwrap_or(usize::MAX), Label::new(name))
                });
                return in_order(pairs.collect());
            }
            let shown: Vec<&str> = entries.keys().take(3).map(String::as_str).collect();
            Err(refuse(format!(
                "this is a JSON object with the keys `{}`; expected numbers with names, names with numbers, or `labels`",
                shown.join("`, `")
            )))
        }
        _ => Err(refuse("this is a JSON value; expected an array or an object")),
    }
}

/// One name of a JSON file: text, a folder and a text, or an object with a name.
fn entry(value: &Value) -> Result<Label> {
    match value {
        Value::String(name) => return Ok(Label::new(name)),
        Value::Number(number) => return Ok(Label::new(&number.to_string())),
        Value::Array(pair) => {
            if let [Value::String(folder), Value::String(name)] = pair.as_slice() {
                return Ok(Label::in_folder(folder, name));
            }
        }
        Value::Object(entries) => {
            let keys = ["name", "label", "display_name", "displayName", "class_name", "className"];
            if let Some(name) = keys.iter().find_map(|key| entries.get(*key)?.as_str()) {
                return Ok(Label::new(name));
            }
        }
        _ => {}
    }
    let shown: String = value.to_string().chars().take(60).collect();
    Err(refuse(format!("`{shown}` is no name; expected a text for each class")))
}

/// Names by their numbers, which count from 0 or 1 without a gap.
fn in_order(mut pairs: Vec<(usize, Label)>) -> Result<Vec<Label>> {
    pairs.sort_by_key(|(index, _)| *index);
    let first = pairs.first().map_or(0, |(index, _)| *index);
    match pairs.iter().enumerate().find(|(place, (index, _))| *index != first + place) {
        _ if first > 1 => Err(refuse(format!("its numbers begin at {first}; expected 0 or 1"))),
        Some((place, (index, _))) => Err(refuse(format!(
            "number {index} comes where {} is expected; a class has no name",
            first + place
        ))),
        None => Ok(pairs.into_iter().map(|(_, label)| label).collect()),
    }
}

fn lines(text: &str) -> Result<Vec<Label>> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(labels) = csv(&lines)? {
        return Ok(labels);
    }
    if let Some(labels) = numbered(&lines) {
        return Ok(labels);
    }
    let plain = |line: &&str| match line.split_once('\t') {
        Some((folder, name)) => Label::in_folder(folder, name),
        None => Label::new(line),
    };
    Ok(lines.iter().map(plain).collect())
}

/// `0 tench`, `0: tench`, `0,tench`, where every line is numbered in turn.
fn numbered(lines: &[&str]) -> Option<Vec<Label>> {
    let split = |line: &str| {
        let digits = line.find(|letter: char| !letter.is_ascii_digit())?;
        let number: usize = line[..digits].parse().ok()?;
        let rest = &line[digits..];
        let separated = rest.starts_with([' ', ':', ',', ';', '.', ')']);
        let name = rest.trim_start_matches([' ', ':', ',', ';', '.', ')', '-', '\t']);
        (separated && !name.is_empty()).then(|| (number, name.trim_matches('"').to_owned()))
    };
    let pairs: Vec<(usize, String)> = lines.iter().map(|line| split(line)).collect::<Option<_>>()?;
    let first = pairs.first()?.0;
    let in_turn = first <= 1 && pairs.iter().enumerate().all(|(place, (number, _))| *number == first + place);
    // A single line that begins with a number is a name.
    (in_turn && pairs.len() > 1).then(|| pairs.iter().map(|(_, name)| Label::new(name)).collect())
}

/// Columns of a header that hold names, the best first.
const NAMES: [&str; 12] = [
    "display_name",
    "label_name",
    "class_name",
    "labelname",
    "classname",
    "label",
    "name",
    "class",
    "category",
    "classes",
    "labels",
    "description",
];
/// Columns that hold numbers.
const NUMBERS: [&str; 9] =
    ["index", "id", "class_id", "class_index", "label_id", "number", "idx", "class_idx", "classid"];

/// CSV, where the first line is a header that names a column of names.
fn csv(lines: &[&str]) -> Result<Option<Vec<Label>>> {
    let Some((header, rows)) = lines.split_first() else { return Ok(None) };
    let Some(separator) = [',', ';', '\t'].into_iter().find(|separator| header.contains(*separator)) else {
        return Ok(None);
    };
    let columns: Vec<String> =
        fields(header, separator).iter().map(|name| name.to_lowercase().replace(' ', "_")).collect();
    let find =
        |wanted: &[&str]| wanted.iter().find_map(|name| columns.iter().position(|column| column == name));
    let number = find(&NUMBERS);
    let Some(name) = find(&NAMES).filter(|name| Some(*name) != number) else { return Ok(None) };
    // `cat,class` may be names of animals: every column of a header is known, or there is one of numbers.
    if number.is_none() && !columns.iter().all(|column| NAMES.contains(&column.as_str())) {
        return Ok(None);
    }
    let mut pairs = Vec::with_capacity(rows.len());
    for (place, row) in rows.iter().enumerate() {
        let fields = fields(row, separator);
        let Some(label) = fields.get(name) else {
            return Err(refuse(format!(
                "line {} of the CSV has {} columns, the header {}",
                place + 2,
                fields.len(),
                columns.len()
            )));
        };
        let index = match number {
            None => place,
            Some(number) => {
                let text = fields.get(number).map(String::as_str).unwrap_or_default();
                text.trim().parse().map_err(|_| {
                    refuse(format!("line {} of the CSV: `{text}` is no number of a class", place + 2))
                })?
            }
        };
        pairs.push((index, Label::new(label)));
    }
    in_order(pairs).map(Some)
}

/// Fields of a line, quoted or not.
fn fields(line: &str, separator: char) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            letter if letter == separator && !quoted => fields.push(std::mem::take(&mut field)),
            letter => field.push(letter),
        }
    }
    fields.push(field);
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: impl AsRef<[u8]>) -> Vec<String> {
        parse(bytes.as_ref()).unwrap().into_iter().map(|label| label.name).collect()
    }

    #[test]
    fn every_form_gives_the_same_names() {
        let wanted = ["tench, Tinca tinca", "goldfish", "white shark"];
        for text in [
            "tench, Tinca tinca\ngoldfish\nwhite shark\n",
            "\u{feff}tench, Tinca tinca\r\n\r\ngoldfish\r\nwhite shark",
            "0 tench, Tinca tinca\n1 goldfish\n2 white shark",
            "1: tench, Tinca tinca\n2: goldfish\n3: white shark",
            "0,tench, Tinca tinca\n1,goldfish\n2,white shark",
            "n1\ttench, Tinca tinca\nn2\tgoldfish\nn3\twhite shark",
            "index,mid,display_name\n0,/m/0,\"tench, Tinca tinca\"\n1,/m/1,goldfish\n2,/m/2,white shark",
            "id;name\n2;goldfish\n1;tench, Tinca tinca\n3;white shark",
            "label\tdescription\ntench, Tinca tinca\tx\ngoldfish\ty\nwhite shark\tz",
            r#"["tench, Tinca tinca", "goldfish", "white shark"]"#,
            r#"{"2": "white shark", "0": "tench, Tinca tinca", "1": "goldfish"}"#,
            r#"{"0": ["n1", "tench, Tinca tinca"], "1": ["n2", "goldfish"], "2": ["n3", "white shark"]}"#,
            r#"{"id2label": {"0": "tench, Tinca tinca", "1": "goldfish", "2": "white shark"}, "label2id": {}}"#,
            r#"{"goldfish": 1, "white shark": 2, "tench, Tinca tinca": 0}"#,
            r#"{"tfjsVersion": "1", "labels": ["tench, Tinca tinca", "goldfish", "white shark"], "imageSize": 224}"#,
            r#"[{"id": 0, "name": "tench, Tinca tinca"}, {"name": "goldfish"}, {"name": "white shark"}]"#,
        ] {
            assert_eq!(names(text), wanted, "{text}");
            let units = || text.trim_start_matches('\u{feff}').encode_utf16();
            let little: Vec<u8> = units().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(units().flat_map(u16::to_be_bytes)).collect();
            assert_eq!(names(&little), wanted, "{text}");
            assert_eq!(names(&big), wanted, "{text}");
        }
        assert_eq!(parse(b"n1\tant\nn2\tbee").unwrap()[1], Label::in_folder("n2", "bee"));
        assert_eq!(parse(br#"{"0": ["n1", "ant"]}"#).unwrap()[0], Label::in_folder("n1", "ant"));
    }

    #[test]
    fn names_that_look_like_a_form_stay_names() {
        assert_eq!(names("0\n1\n2"), ["0", "1", "2"]);
        assert_eq!(names("3 of hearts\nqueen"), ["3 of hearts", "queen"]);
        assert_eq!(names("cat, tabby\ndog, beagle"), ["cat, tabby", "dog, beagle"]);
        assert_eq!(names("7up"), ["7up"]);
        assert_eq!(names("label\nother"), ["label", "other"]);
    }

    #[test]
    fn anything_else_is_refused_by_its_form() {
        let refused = |bytes: &[u8]| parse(bytes).unwrap_err().to_string();
        for (text, form) in [
            ("", "empty"),
            ("{0: 'tench', 1: 'goldfish'}", "Python dictionary"),
            ("<labels></labels>", "XML"),
            ("item {\n  id: 1\n  name: 'cat'\n}", "pbtxt"),
            ("names:\n  - cat", "YAML"),
            (r#"{"a": "b"}"#, "keys `a`"),
            (r#"{"0": "a", "2": "b"}"#, "number 2 comes where 1"),
            (r#"{"5": "a"}"#, "begin at 5"),
            (r#"["a", null]"#, "`null` is no name"),
            ("[1, 2", "damaged"),
            ("index,name\nx,cat", "`x` is no number"),
        ] {
            let said = refused(text.as_bytes());
            assert!(said.starts_with("labels: ") && said.contains(form), "{text}: {said}");
        }
        assert!(refused(b"PK\x03\x04").contains("spreadsheet"));
        assert!(refused(&[0xe9, b't', 0xe9]).contains("UTF-8"));
    }
}
