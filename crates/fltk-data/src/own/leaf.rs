//! LEAF's JSON (Caldas et al. 2018, arXiv:1812.01097), whose users are natural clients.
//!
//! ```text
//! {"users": ["a", ...], "num_samples": [2, ...], "user_data": {"a": {"x": [sample, sample], "y": [label, label]}, ...}}
//! ```
//!
//! A sample is a list of numbers, such as FEMNIST's, or a text of which the label is the next character, such as Shakespeare's. Of a text, the characters after each
//! one are predicted too, and not only the last.

use std::{collections::BTreeMap, fmt};

use fltk_core::catalogue::{Choice, DatasetEntry, Entry};
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

use super::{
    error::OwnError,
    format::{Format, NORMALIZE, TEST_FRACTION},
    parts,
    place::{Place, digests, has_ending},
    samples::{Content, Labels, Part, Read},
    table::{self, Interned, LabelsRead, SHAPE},
    text::Windows,
};

/// The format `leaf`.
pub(super) const FORMAT: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            "leaf",
            "LEAF's JSON files, whose users are natural clients: of numbers with labels, or of texts with their next character; the folders `train` and `test` have the parts.",
        )
        .paper("Caldas, Duddu, Wu, Li, Konecny, McMahan, Smith and Talwalkar 2018, LEAF: A Benchmark for Federated Settings, arXiv:1812.01097")
        .parameters(const { &[SHAPE.parameter(), TEST_FRACTION.parameter(), NORMALIZE.parameter()] }),
        true,
    ),
    detects: |names| !names.is_empty() && names.iter().all(|name| has_ending(name, &[".json"])),
    is_last_resort: false,
    read,
};

/// One of LEAF's files.
#[derive(Deserialize)]
struct LeafFile {
    users: Vec<String>,
    #[serde(default)]
    num_samples: Option<Vec<u64>>,
    user_data: BTreeMap<String, UserData>,
}

/// The samples of a user.
#[derive(Deserialize)]
struct UserData {
    x: Vec<Sample>,
    y: Vec<Label>,
}

/// A sample.
enum Sample {
    Numbers(Vec<f32>),
    Text(String),
}

/// A label, as a text.
struct Label(String);

impl<'de> Deserialize<'de> for Sample {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Sample;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers, or a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sample, E> {
                Ok(Sample::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Sample, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = list.next_element::<f64>()? {
                    #[expect(clippy::cast_possible_truncation, reason = "numbers of samples have 32 bits")]
                    let number = number as f32;
                    if !number.is_finite() {
                        return Err(de::Error::custom("a number is too large"));
                    }
                    numbers.push(number);
                }
                Ok(Sample::Numbers(numbers))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Label;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Label, E> {
                Ok(Label(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Label, E> {
                Ok(Label(number.to_string()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Label, E> {
                Ok(Label(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Label, E> {
                Ok(Label(number.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

fn read(place: &Place, settings: &Choice) -> Result<Read, OwnError> {
    let names = place.ending(&[".json"]);
    if names.is_empty() {
        return Err(place.error("it has no JSON file".to_owned()));
    }
    let parts = parts::divide(&names, place)?;
    let mut files = Vec::new();
    let train = part(place, &parts.train, &mut files)?;
    let test = match parts.test.is_empty() {
        true => None,
        false => Some(part(place, &parts.test, &mut files)?),
    };
    let content = match (train, test) {
        (Rows { kind: Kind::Texts(train), name, .. }, test) => {
            let test = match test {
                None => None,
                Some(Rows { kind: Kind::Texts(test), .. }) => Some(test),
                Some(Rows { kind: Kind::Numbers { .. }, .. }) => {
                    return Err(place.error("one part has texts, and the other numbers".to_owned()));
                }
            };
            let fraction = TEST_FRACTION.of(settings);
            Windows::of_samples(train, test, fraction).map_err(|problem| place.error_in(&name, problem))?
        }
        (train, test) => {
            let test = test.map(|test| labeled(place, test, settings)).transpose()?;
            Content::Labeled { train: labeled(place, train, settings)?, test, class_names: None }
        }
    };
    Ok(Read { content, digests: digests(files) })
}

/// The samples of a part.
struct Rows {
    /// The first file.
    name: String,
    kind: Kind,
}

enum Kind {
    Numbers {
        numbers: Vec<f32>,
        len: usize,
        labels: LabelsRead,
        clients: Interned,
    },
    /// Each user with its texts, each with its next character at the end.
    Texts(Vec<(String, Vec<String>)>),
}

fn labeled(place: &Place, rows: Rows, settings: &Choice) -> Result<Part, OwnError> {
    let Rows { name, kind: Kind::Numbers { numbers, len, labels, clients } } = rows else {
        return Err(place.error("one part has texts, and the other numbers".to_owned()));
    };
    let samples = table::samples(numbers, len, settings).map_err(|(at, problem)| {
        let error = place.error_in(&name, problem);
        match at {
            Some(at) => error.at(format!("sample {}, number {}", at / len, at % len + 1)),
            None => error,
        }
    })?;
    let labels: Labels = labels.finish();
    Ok(Part { samples, labels, clients: Some(clients.finish()) })
}

fn part(place: &Place, names: &[&str], files: &mut Vec<(String, String)>) -> Result<Rows, OwnError> {
    let mut rows: Option<Kind> = None;
    for name in names {
        let file = place.read_unpacked(name)?;
        files.push(((*name).to_owned(), file.sha256));
        let leaf: LeafFile = serde_json::from_slice(&file.bytes).map_err(|error| {
            let text = error.to_string();
            let problem = text.split(" at line ").next().unwrap_or_default();
            let error = place.error_in(name, format!("it isn't one of LEAF's files: {problem}")).at(format!(
                "line {}, column {}",
                error.line(),
                error.column()
            ));
            error.hint("they have `users`, `num_samples` and `user_data`, with lists `x` of samples and `y` of labels for each user")
        })?;
        add(place, name, leaf, &mut rows)?;
    }
    match rows {
        Some(kind) => Ok(Rows { name: names.first().copied().unwrap_or_default().to_owned(), kind }),
        None => Err(place.error_in(names.first().copied().unwrap_or_default(), "it has no samples")),
    }
}

/// Adds the samples of a file, in the order of its users.
fn add(place: &Place, name: &str, leaf: LeafFile, rows: &mut Option<Kind>) -> Result<(), OwnError> {
    let LeafFile { users, num_samples, mut user_data } = leaf;
    for (position, user) in users.into_iter().enumerate() {
        let wrong = |problem: String| place.error_in(name, problem).at(format!("user `{user}`"));
        let UserData { x, y } = user_data.remove(&user).ok_or_else(|| wrong("it has no data, or is listed twice".to_owned()))?;
        if x.len() != y.len() {
            return Err(wrong(format!("there are {} samples and {} labels", x.len(), y.len())));
        }
        if let Some(num) = num_samples.as_ref().and_then(|all| all.get(position)).filter(|num| **num != x.len() as u64) {
            return Err(wrong(format!("there are {} samples, and `num_samples` says {num}", x.len())));
        }
        for (index, (sample, Label(label))) in x.into_iter().zip(y).enumerate() {
            let wrong = |problem: String| place.error_in(name, problem).at(format!("user `{user}`, sample {index}"));
            let first = |sample: &Sample| match sample {
                Sample::Numbers(numbers) => {
                    Kind::Numbers { numbers: Vec::new(), len: numbers.len(), labels: LabelsRead::default(), clients: Interned::default() }
                }
                Sample::Text(_) => Kind::Texts(Vec::new()),
            };
            match (rows.get_or_insert_with(|| first(&sample)), sample) {
                (Kind::Numbers { numbers, len, labels, clients }, Sample::Numbers(sample)) => {
                    if sample.len() != *len || sample.is_empty() {
                        return Err(wrong(format!("it has {} numbers, and the first sample has {len}", sample.len())));
                    }
                    numbers.extend(sample);
                    labels.push(&label);
                    clients.push(&user);
                }
                (Kind::Texts(texts), Sample::Text(text)) => {
                    if label.chars().count() != 1 {
                        return Err(wrong(format!(
                            "the label of a text is its next character, and it is `{}`",
                            label.chars().take(40).collect::<String>()
                        )));
                    }
                    if texts.last().is_none_or(|(last, _)| *last != user) {
                        texts.push((user.clone(), Vec::new()));
                    }
                    if let Some((_, texts)) = texts.last_mut() {
                        texts.push(text + &label);
                    }
                }
                (Kind::Numbers { .. }, Sample::Text(_)) => return Err(wrong("it is a text, and others are numbers".to_owned())),
                (Kind::Texts(_), Sample::Numbers(_)) => return Err(wrong("it is numbers, and others are texts".to_owned())),
            }
        }
    }
    match user_data.keys().next() {
        Some(user) => Err(place.error_in(name, format!("`user_data` has `{user}`, which isn't among `users`"))),
        None => Ok(()),
    }
}
