//! Text by character, for next-character prediction: UTF-8 files, each of them or each of their speakers a natural client.
//!
//! - The **vocabulary** is the sorted set of characters of all files.
//! - **Samples** are consecutive windows without overlap; the target at each position is the next character, as in the data set `shakespeare`. The remainder at the end
//!   of a client's part is unused.
//! - The **test part**, if no file is one, is the end of each client's text.

use std::collections::BTreeMap;

use fltk_core::catalogue::{Choice, DatasetEntry, Entry, Whole, Word};

use super::{
    error::OwnError,
    finish::draw,
    format::{Format, TEST_FRACTION},
    parts,
    place::{Place, digests, has_ending},
    samples::{Content, Read},
};
use crate::{formats::text::speakers, samples::TextSet};

/// The largest vocabulary: written Chinese has some thousand characters, and each has an output in every net.
const VOCABULARY_MAX: usize = 20_000;
/// The largest number of clients, so that they fit a `u16` label.
const CLIENTS_MAX: usize = 1 << 16;
/// The longest window.
const WINDOW_MAX: u32 = 10_000;

const WINDOW: Whole = Whole::new("window", 80, "The number of characters of one sample's input.").within(1, WINDOW_MAX);
const CLIENTS: Word = Word::new(
    "clients",
    &["files", "speakers"],
    "The natural clients: `files`, or `speakers` of plays, whose speeches begin with a line that ends with a colon, at the start or after an empty line.",
);

/// The format `text`.
pub(super) const FORMAT: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            "text",
            "UTF-8 text by character: one file, or a folder or zip of `.txt` files; plain or gzip. The test part is told by `test` in a file's name, or it is the end of each \
             client's text.",
        )
        .parameters(const { &[WINDOW.parameter(), CLIENTS.parameter(), TEST_FRACTION.parameter()] }),
        true,
    ),
    detects: |names| names.iter().any(|name| has_ending(name, ENDINGS)),
    is_last_resort: true,
    read,
};

const ENDINGS: &[&str] = &[".txt"];

fn read(place: &Place, settings: &Choice) -> Result<Read, OwnError> {
    let names = match place.names() {
        // A file that the path names is read whatever its name.
        [only] => vec![only.as_str()],
        _ => place.ending(ENDINGS),
    };
    if names.is_empty() {
        return Err(place.error("it has no text file".to_owned()).hint("text files end with `.txt`"));
    }
    let parts = parts::divide(&names, place)?;
    let mut files = Vec::new();
    let by_speaker = CLIENTS.of(settings) == "speakers";
    let mut texts = |names: &[&str]| -> Result<Vec<(String, String)>, OwnError> {
        let mut texts = Vec::new();
        for name in names {
            let file = place.read_unpacked(name)?;
            files.push(((*name).to_owned(), file.sha256));
            let text = String::from_utf8(file.bytes)
                .map_err(|error| place.error_in(name, "it is not UTF-8").at(format!("byte {}", error.utf8_error().valid_up_to())))?;
            // Clients of both parts are the same if they have the same names, without the words that tell the part.
            let client: Vec<String> = parts::words(name).filter(|word| parts::role(word).is_none()).collect();
            let client = client.join(" ");
            if by_speaker {
                let speakers = speakers(&text).map_err(|problem| place.error_in(name, problem.to_string()))?;
                texts.extend(speakers.into_iter().enumerate().map(|(speaker, text)| (format!("{client} {speaker}"), text)));
            } else {
                texts.push((client, text));
            }
        }
        Ok(texts)
    };
    let train = texts(&parts.train)?;
    let test = match parts.test.is_empty() {
        true => None,
        false => Some(texts(&parts.test)?),
    };
    let content =
        Windows::of_texts(train, test, WINDOW.of(settings) as usize, TEST_FRACTION.of(settings)).map_err(|problem| place.error(problem))?;
    Ok(Read { content, digests: digests(files) })
}

/// Texts as ids, in windows.
pub(super) struct Windows {
    ids: BTreeMap<char, u16>,
    clients: BTreeMap<String, u32>,
    window: usize,
}

impl Windows {
    fn new<'a>(texts: impl Iterator<Item = &'a str>, window: usize) -> Result<Self, String> {
        let mut ids: BTreeMap<char, u16> = BTreeMap::new();
        for text in texts {
            ids.extend(text.chars().map(|character| (character, 0)));
            if ids.len() > VOCABULARY_MAX {
                return Err(format!("it has more than {VOCABULARY_MAX} distinct characters"));
            }
        }
        ids.values_mut().zip(0..).for_each(|(id, position)| *id = position);
        Ok(Self { ids, clients: BTreeMap::new(), window })
    }

    fn empty(&self) -> TextSet {
        TextSet { tokens: Vec::new(), starts: Vec::new(), window: self.window, clients: Vec::new() }
    }

    /// Adds a text of a client in windows without overlap.
    fn add(&mut self, set: &mut TextSet, client: &str, tokens: &[u16]) -> Result<(), String> {
        let windows = tokens.len().saturating_sub(1) / self.window;
        if windows == 0 {
            return Ok(());
        }
        let next = self.clients.len() as u32;
        let client = *self.clients.entry(client.to_owned()).or_insert(next);
        if self.clients.len() > CLIENTS_MAX {
            return Err(format!("it has more than {CLIENTS_MAX} clients"));
        }
        let offset = set.tokens.len();
        if u32::try_from(offset + tokens.len()).is_err() {
            return Err("it has 2^32 characters or more".to_owned());
        }
        set.tokens.extend_from_slice(tokens);
        set.starts.extend((0..windows).map(|window| (offset + window * self.window) as u32));
        set.clients.extend(std::iter::repeat_n(client, windows));
        Ok(())
    }

    fn tokens(&self, text: &str) -> Vec<u16> {
        text.chars().filter_map(|character| self.ids.get(&character).copied()).collect()
    }

    fn finish(self, train: TextSet, test: TextSet) -> Result<Content, String> {
        if train.starts.is_empty() || test.starts.is_empty() {
            let part = if train.starts.is_empty() { "training" } else { "test" };
            return Err(format!("no client's {part} part has the {} characters of a window and its target", self.window + 1));
        }
        Ok(Content::Text { train, test, vocabulary: self.ids.keys().map(char::to_string).collect() })
    }

    /// Cuts the text of each client into windows. Without a test part, it is the end of each text.
    fn of_texts(
        train: Vec<(String, String)>,
        test: Option<Vec<(String, String)>>,
        window: usize,
        fraction: f64,
    ) -> Result<Content, String> {
        let mut windows = Self::new(train.iter().chain(test.iter().flatten()).map(|(_, text)| text.as_str()), window)?;
        let (mut train_set, mut test_set) = (windows.empty(), windows.empty());
        for (client, text) in &train {
            let tokens = windows.tokens(text);
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the length")]
            let num_test = if test.is_some() { 0 } else { (tokens.len() as f64 * fraction).round() as usize };
            let (first, rest) = tokens.split_at(tokens.len() - num_test);
            // Clients without a training sample are left out.
            if first.len() > window {
                windows.add(&mut train_set, client, first)?;
                windows.add(&mut test_set, client, rest)?;
            }
        }
        for (client, text) in test.iter().flatten() {
            let tokens = windows.tokens(text);
            windows.add(&mut test_set, client, &tokens)?;
        }
        windows.finish(train_set, test_set)
    }

    /// Takes texts of one length, each with its next character at the end, as samples of their clients.
    ///
    /// # Errors
    /// If texts differ in length, or there are too few.
    pub fn of_samples(
        train: Vec<(String, Vec<String>)>,
        test: Option<Vec<(String, Vec<String>)>>,
        fraction: f64,
    ) -> Result<Content, String> {
        let all = || train.iter().chain(test.iter().flatten()).flat_map(|(_, texts)| texts).map(String::as_str);
        let len = all().next().map_or(0, |text| text.chars().count());
        if len < 2 {
            return Err("the texts of its samples are empty".to_owned());
        }
        let mut windows = Self::new(all(), len - 1)?;
        let (mut train_set, mut test_set) = (windows.empty(), windows.empty());
        let mut add = |set: &mut TextSet, client: &str, text: &str| {
            let tokens = windows.tokens(text);
            if tokens.len() != len {
                let expected = len - 1;
                return Err(format!(
                    "a sample of user `{client}` has {} characters, and the first has {expected}",
                    tokens.len().saturating_sub(1)
                ));
            }
            windows.add(set, client, &tokens)
        };
        for (index, (client, texts)) in (0..).zip(&train) {
            let of_test = match test {
                Some(_) => Vec::new(),
                None => draw((0..texts.len() as u32).collect(), fraction, &[index]),
            };
            for (position, text) in (0..).zip(texts) {
                let set = if of_test.contains(&position) { &mut test_set } else { &mut train_set };
                add(set, client, text)?;
            }
        }
        for (client, texts) in test.iter().flatten() {
            for text in texts {
                add(&mut test_set, client, text)?;
            }
        }
        windows.finish(train_set, test_set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stay_within_a_client() {
        let texts =
            vec![("a".to_owned(), "abcdefghij".to_owned()), ("b".to_owned(), "xy".to_owned()), ("c".to_owned(), "ABCDEFGHIJ".to_owned())];
        let Ok(Content::Text { train, test, vocabulary }) = Windows::of_texts(texts, None, 3, 0.4) else { panic!("windows") };
        assert_eq!((train.starts, train.clients, train.tokens.len()), (vec![0, 6], vec![0, 1], 12));
        assert_eq!((test.starts, test.clients), (vec![0, 4], vec![0, 1]));
        assert_eq!(vocabulary.len(), 22);
        let problem = Windows::of_texts(vec![("a".to_owned(), "abc".to_owned())], None, 80, 0.2).unwrap_err();
        assert_eq!(problem, "no client's training part has the 81 characters of a window and its target");
    }

    #[test]
    fn samples_of_texts_are_of_one_length() {
        let samples = |texts: &[&str]| vec![("u".to_owned(), texts.iter().map(ToString::to_string).collect::<Vec<_>>())];
        let Ok(Content::Text { train, test, .. }) = Windows::of_samples(samples(&["abcd", "bcde"]), Some(samples(&["cdea"])), 0.2) else {
            panic!("samples")
        };
        assert_eq!((train.starts, test.starts, train.window), (vec![0, 4], vec![0], 3));
        let problem = Windows::of_samples(samples(&["abcd", "bc"]), None, 0.2).unwrap_err();
        assert_eq!(problem, "a sample of user `u` has 1 characters, and the first has 3");
    }
}
