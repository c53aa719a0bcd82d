//! Plays as character-level text. Speakers are the natural clients, as in LEAF's Shakespeare (Caldas et al. 2018, arXiv:1812.01097).
//!
//! ```text
//! First Citizen:                        <- a speaker: a line that ends with ':' at the start or after an empty line
//! Before we proceed any further, ...    <- belongs to that speaker, up to the next one
//! ```
//!
//! - The **vocabulary** is the sorted set of characters of the whole file.
//! - A speaker's **text** is the concatenation of its speeches (each with its final empty line), without the names; text before the first
//!   speaker is left out. Speakers are numbered by the first appearance of their names.
//! - **Split**: the first 9/10 of each speaker's characters are for training, the rest is for testing.
//! - **Samples**: consecutive windows of 80 characters without overlap. The target at each position is the next character, so a window takes 81
//!   characters, and the last one is also the first input of the next window. The remainder at the end of a speaker's part is unused.
//! - **Natural clients** are the speakers with at least one training sample, renumbered without gaps in order of appearance.

use std::collections::BTreeMap;

use crate::{error::FormatError, samples::TextSet};

/// The number of characters of one sample's input.
pub const WINDOW: usize = 80;
/// The largest vocabulary: a larger one is not character-level English text, and would make the embedding absurdly large.
const VOCABULARY_MAX: usize = 1024;
/// The largest number of speakers, so that natural clients fit a `u16` label.
const SPEAKERS_MAX: usize = 1 << 16;

/// A text that was read: its vocabulary and its two splits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// The characters, one each, in the order of their ids.
    pub vocabulary: Vec<String>,
    /// The first 9/10 of each speaker's text.
    pub train: TextSet,
    /// The rest of each speaker's text.
    pub test: TextSet,
}

/// Parses the text of one or more plays.
///
/// # Errors
/// If the bytes aren't UTF-8, the text has too many distinct characters or too many speakers, or there would be no training sample or no test
/// sample.
pub fn read(bytes: &[u8]) -> Result<Play, FormatError> {
    let text = str::from_utf8(bytes).map_err(|error| FormatError::Utf8 { at: error.valid_up_to() })?;
    let ids = vocabulary(text)?;
    let (mut train, mut test) = (empty(), empty());
    let mut client = 0;
    for speech in speakers(text)? {
        let tokens: Vec<u16> = speech.chars().filter_map(|character| ids.get(&character).copied()).collect();
        let (first, rest) = tokens.split_at(tokens.len() / 10 * 9 + tokens.len() % 10 * 9 / 10);
        if first.len() <= WINDOW {
            continue;
        }
        append(&mut train, first, client);
        append(&mut test, rest, client);
        client += 1;
    }
    if train.starts.is_empty() || test.starts.is_empty() {
        return Err(FormatError::Empty);
    }
    Ok(Play { vocabulary: ids.keys().map(char::to_string).collect(), train, test })
}

fn empty() -> TextSet {
    TextSet { tokens: Vec::new(), starts: Vec::new(), window: WINDOW, clients: Vec::new() }
}

/// Returns the id of each character, ascending by code point.
fn vocabulary(text: &str) -> Result<BTreeMap<char, u16>, FormatError> {
    let mut ids: BTreeMap<char, u16> = text.chars().map(|character| (character, 0)).collect();
    if ids.len() > VOCABULARY_MAX {
        return Err(FormatError::Vocabulary { found: ids.len(), limit: VOCABULARY_MAX });
    }
    for (id, position) in ids.values_mut().zip(0..) {
        *id = position;
    }
    Ok(ids)
}

/// Returns the text of each speaker, in order of first appearance.
pub(crate) fn speakers(text: &str) -> Result<Vec<String>, FormatError> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut texts: Vec<String> = Vec::new();
    let mut current = None;
    let mut after_empty = true;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        match content.strip_suffix(':') {
            Some(name) if after_empty => {
                let place = *places.entry(name).or_insert(texts.len());
                if place == texts.len() {
                    texts.push(String::new());
                }
                current = Some(place);
            }
            _ => {
                if let Some(place) = current {
                    texts[place].push_str(line);
                }
            }
        }
        after_empty = content.is_empty();
    }
    if texts.len() > SPEAKERS_MAX { Err(FormatError::Speakers { limit: SPEAKERS_MAX }) } else { Ok(texts) }
}

/// Appends one client's part and its windows. The limit on the file's size keeps positions far below 2^32.
fn append(set: &mut TextSet, tokens: &[u16], client: u32) {
    let offset = set.tokens.len();
    let windows = tokens.len().saturating_sub(1) / WINDOW;
    set.tokens.extend_from_slice(tokens);
    set.starts.extend((0..windows).map(|window| (offset + window * WINDOW) as u32));
    set.clients.extend(std::iter::repeat_n(client, windows));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn speakers_are_clients_and_windows_stay_within_a_speech() {
        let long = "abcdefghi\n".repeat(100);
        let text = format!("Prologue, left out.\n\nA:\n{long}\nShort:\nno window\n\nB:\n{long}\nA:\n{long}");
        let play = read(text.as_bytes()).expect("a good text");
        // A has 2001 characters (its first speech ends with the empty line); B has 1001.
        assert_eq!(play.train.tokens.len(), 1800 + 900);
        assert_eq!(play.train.starts.len(), 1799 / 80 + 899 / 80);
        assert_eq!(play.test.starts.len(), 200 / 80 + 100 / 80);
        assert_eq!((play.train.clients[0], play.train.clients.last()), (0, Some(&1)));
        assert_eq!(play.test.clients, [0, 0, 1]);
        assert_eq!(play.train.starts[22], 1800, "B's first window starts where A's text ends");
        assert!(play.vocabulary.is_sorted());
        let id = |character: &str| play.vocabulary.iter().position(|known| known == character).expect("in the vocabulary") as u16;
        assert_eq!(play.train.tokens[..3], [id("a"), id("b"), id("c")]);
    }

    #[test]
    fn colon_within_a_speech_starts_no_speaker() {
        assert_eq!(speakers("A:\nlisten:\nso\n\nB:\nyes\n"), Ok(vec!["listen:\nso\n\n".to_owned(), "yes\n".to_owned()]));
    }

    #[test]
    fn invalid_texts_are_refused() {
        assert_eq!(read(b""), Err(FormatError::Empty));
        assert_eq!(read(b"A:\nshort\n"), Err(FormatError::Empty));
        assert_eq!(read(b"A:\n\xff"), Err(FormatError::Utf8 { at: 3 }));
        let many: String = (0..2000).filter_map(|code| char::from_u32(0x4e00 + code)).collect();
        assert_eq!(read(many.as_bytes()), Err(FormatError::Vocabulary { found: 2000, limit: 1024 }));
        let crowd: String = (0..=SPEAKERS_MAX).map(|speaker| format!("{speaker}:\n\n")).collect();
        assert_eq!(read(crowd.as_bytes()), Err(FormatError::Speakers { limit: SPEAKERS_MAX }));
    }

    proptest! {
        #[test]
        fn arbitrary_texts_are_read_or_refused(text in "([A-B]:\n[a-z ]{0,900}\n\n){0,6}") {
            if let Ok(play) = read(text.as_bytes()) {
                for set in [&play.train, &play.test] {
                    prop_assert_eq!(set.starts.len(), set.clients.len());
                    prop_assert!(set.starts.iter().all(|&start| start as usize + WINDOW < set.tokens.len()));
                    prop_assert!(set.tokens.iter().all(|&token| usize::from(token) < play.vocabulary.len()));
                }
            }
        }
    }
}
