//! Source texts and places in them.

use serde::Serialize;

/// A file as the caller read it: this crate reads none itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// How reports call it; usually its path as the user wrote it.
    pub name: String,
    /// Its whole text: YAML or JSON.
    pub text: String,
}

/// A range of bytes of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// Index of the source in its [`Report`](super::Report).
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Longest piece of a user's text that a message repeats, in characters.
const QUOTE_CHARS_MAX: usize = 60;

/// `text` in backticks, on one line, shortened, without control characters: fit for a message.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String =
        text.chars().take(QUOTE_CHARS_MAX).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    if text.chars().nth(QUOTE_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// `` `a`, `b` `` for a list of names.
pub(crate) fn quote_all<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// The name of `known` that `written` was probably meant to be.
pub(crate) fn closest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Jaro-Winkler similarity from which two names count as a slip of each other.
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
    fn finds_slips_and_leaves_strangers() {
        assert_eq!(closest("clientPerRound", ["rounds", "clientsPerRound"]), Some("clientsPerRound"));
        assert_eq!(closest("fashionmnistcnn", ["FashionMNISTCNN", "FashionMNISTResNet"]), Some("FashionMNISTCNN"));
        assert_eq!(closest("colour", ["rounds", "clients"]), None);
    }

    #[test]
    fn quotes_are_short_and_harmless() {
        assert_eq!(quote("a\u{1b}[31m\nb"), "`a\\u{1b}[31m\\nb`");
        assert!(quote(&"x".repeat(1000)).chars().count() <= QUOTE_CHARS_MAX + 3);
    }
}
