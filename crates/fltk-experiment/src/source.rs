//! Source texts and places in them.

use serde::Serialize;

use fltk_core::terminal::is_plain;

/// A file that the caller has read: this crate reads no files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The name of the file in reports, usually its path as the user wrote it.
    pub name: String,
    /// The whole text: YAML or JSON.
    pub text: String,
}

impl SourceFile {
    /// The file `name` with the content `bytes`. A byte order mark of UTF-8 is dropped, since it has no meaning.
    ///
    /// # Errors
    /// If the bytes aren't UTF-8.
    pub fn from_bytes(name: String, bytes: Vec<u8>) -> Result<Self, EncodingError> {
        // UTF-16 text without a mark would pass for UTF-8 with a zero at every other byte.
        match *bytes.as_slice() {
            [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(EncodingError::Other("UTF-32")),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(EncodingError::Other("UTF-16")),
            [0, second, ..] if second != 0 => return Err(EncodingError::Other("UTF-16")),
            [first, 0, ..] if first != 0 => return Err(EncodingError::Other("UTF-16")),
            _ => {}
        }
        let mut text = String::from_utf8(bytes).map_err(|error| {
            let (right, wrong) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
            let right = String::from_utf8_lossy(right);
            let line_start = right.rfind('\n').map_or(0, |end| end + 1);
            let column = right[line_start..].trim_start_matches(BYTE_ORDER_MARK).chars().count() + 1;
            EncodingError::NotUtf8 { line: right.matches('\n').count() + 1, column, byte: wrong.first().copied().unwrap_or_default() }
        })?;
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        Ok(Self { name, text })
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The reason why bytes aren't text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingError {
    /// Another encoding, recognized by its first bytes.
    #[error("it is {0}, and only UTF-8 is read\nhint: save it as UTF-8")]
    Other(&'static str),
    /// No known encoding.
    #[error("line {line}, column {column}: the byte {byte:#04x} is not UTF-8\nhint: save it as UTF-8")]
    NotUtf8 {
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The first byte that is not part of a character.
        byte: u8,
    },
}

/// A range of bytes of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// The index of the source in its [`Report`](super::Report).
    pub source: usize,
    /// The first byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The limit on characters of a user's text that a message repeats.
const QUOTE_CHARS_MAX: usize = 60;

/// Returns `text` in backticks, on one line, shortened, without control characters: fit for a message.
pub(crate) fn quote(text: &str) -> String {
    let is_shown = |c: char| !c.is_control() && is_plain(c);
    let mut shown: String =
        text.chars().take(QUOTE_CHARS_MAX).flat_map(|c| if is_shown(c) { vec![c] } else { c.escape_default().collect() }).collect();
    if text.chars().nth(QUOTE_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Returns `` `a`, `b` `` for a list of names.
pub(crate) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// Returns the name in `known` that `written` was probably meant to be.
#[must_use]
pub fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// The Jaro-Winkler similarity from which one name counts as a misspelling of another.
    const SIMILARITY_MIN: f64 = 0.84;
    let plain = |name: &str| name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let target = plain(written);
    known
        .into_iter()
        .map(|name| (name, strsim::jaro_winkler(&target, &plain(name))))
        .filter(|(_, similarity)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_suggested_and_others_are_not() {
        assert_eq!(closest("clientPerRound", ["rounds", "clientsPerRound"]), Some("clientsPerRound"));
        assert_eq!(closest("fashionmnistcnn", ["FashionMNISTCNN", "FashionMNISTResNet"]), Some("FashionMNISTCNN"));
        assert_eq!(closest("colour", ["rounds", "clients"]), None);
    }

    #[test]
    fn utf8_is_read_with_or_without_a_byte_order_mark() {
        let read =
            |bytes: &[u8]| SourceFile::from_bytes("x".into(), bytes.to_vec()).map(|file| file.text).map_err(|error| error.to_string());
        let check = |bytes: &[u8], expected: Result<&str, &str>| match (read(bytes), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected) && found.contains("save it as UTF-8"), "{found}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        };
        check(b"", Ok(""));
        check(b"a", Ok("a"));
        check(b"\xef\xbb\xbfname: a", Ok("name: a"));
        check(b"\xef\xbb\xbf", Ok(""));
        check(b"\xff\xfe[\0", Err("it is UTF-16"));
        check(b"\xfe\xff\0[", Err("it is UTF-16"));
        check(b"[\0]\0", Err("it is UTF-16"));
        check(b"\0[\0]", Err("it is UTF-16"));
        check(b"\xff\xfe\0\0[\0\0\0", Err("it is UTF-32"));
        check(b"a\nb\xc3\xa4 \xe4\n", Err("line 2, column 4: the byte 0xe4 is not UTF-8"));
        check(b"\xef\xbb\xbfa\xe4", Err("line 1, column 2"));
        check(b"\xc3", Err("line 1, column 1"));
    }

    #[test]
    fn quoted_text_is_short_and_escaped() {
        assert_eq!(quote("a\u{1b}[31m\nb"), "`a\\u{1b}[31m\\nb`");
        assert!(quote(&"x".repeat(1000)).chars().count() <= QUOTE_CHARS_MAX + 3);
    }
}
