//! The names of experiments, tasks, groups and streams, which become parts of folders and of objects in a cluster; and what Kubernetes takes as a label.
//!
//! Not for: names of files (`fltk-records` has its own rules for what an archive may hold), hosts, or entries of catalogues.

use std::{fmt, ops::Deref, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The maximum length of a name: that of a label in Kubernetes and of a part of a host name.
pub const NAME_CHARS_MAX: usize = 63;
/// The number of characters of a refused text that an error shows: enough to recognize it.
const SHOWN_CHARS_MAX: usize = 2 * NAME_CHARS_MAX;

/// A name: 1 to 63 letters and digits of ASCII, `-` and `_`. The first isn't `-`, so that a command line doesn't take the name for a flag.
///
/// Every version of fltk has refused other names of experiments and tasks, so all folders that exist keep this rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text isn't a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` can't be a name: {}", Name::RULE)]
pub struct NameError {
    /// The beginning of the text, with special characters escaped.
    pub text: String,
}

impl Name {
    /// The rule, for messages.
    pub const RULE: &str = "letters, digits, `-` and `_`, at most 63; the first isn't `-`";

    /// True if a name may contain `c`.
    #[must_use]
    pub fn may_contain(c: char) -> bool {
        c.is_ascii_alphanumeric() || c == '-' || c == '_'
    }

    /// Returns the name that is most like `text`: other characters become `-`, and what is too long is left out. `None` if nothing remains.
    #[must_use]
    pub fn most_like(text: &str) -> Option<Self> {
        let plain: String = text.chars().map(|c| if Self::may_contain(c) { c } else { '-' }).take(NAME_CHARS_MAX).collect();
        plain.trim_start_matches('-').parse().ok()
    }

    /// Returns the name as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if Kubernetes takes the name as the value of a label: it begins and ends with a letter or a digit.
    #[must_use]
    pub fn is_label_value(&self) -> bool {
        is_label_value(&self.0)
    }

    /// Returns the name without `-` and `_` at its ends, which is the value of a label; `None` if nothing remains.
    #[must_use]
    pub fn label_value(&self) -> Option<Self> {
        self.0.trim_matches(['-', '_']).parse().ok()
    }
}

/// Returns true if `text` is the value of a label in Kubernetes and isn't empty: at most 63 letters and digits of ASCII, and `-`, `_`, `.` between them.
#[must_use]
pub fn is_label_value(text: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    text.len() <= NAME_CHARS_MAX && has_edges(text, |c| c.is_ascii_alphanumeric()) && text.bytes().all(is_inner)
}

/// Returns true if `text` is a label of DNS as Kubernetes takes it (RFC 1123), which a namespace must be: at most 63 small letters and digits of ASCII, and
/// `-` between them.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    let is_edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= NAME_CHARS_MAX && has_edges(text, is_edge) && text.bytes().all(|c| is_edge(c) || c == b'-')
}

/// Returns true if `is_edge` holds for the first and the last byte; false for an empty text.
fn has_edges(text: &str, is_edge: impl Fn(u8) -> bool) -> bool {
    [text.bytes().next(), text.bytes().last()].into_iter().all(|c| c.is_some_and(&is_edge))
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_name = (1..=NAME_CHARS_MAX).contains(&text.len()) && text.chars().all(Self::may_contain) && !text.starts_with('-');
        if is_name {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        Err(NameError { text: shown.escape_debug().to_string() })
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, text: &str) -> bool {
        self.0 == text
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl PartialEq<String> for Name {
    fn eq(&self, text: &String) -> bool {
        self.0 == *text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_and_refused() {
        for right in ["a", "A-b_9", "_a", "a-", "__", "9", &"x".repeat(63)] {
            assert_eq!(right.parse::<Name>().unwrap(), right);
        }
        for wrong in ["", "-a", "a b", "a.b", "../a", "é", "a\n", &"x".repeat(64)] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
        let error = "a\u{1b}b".parse::<Name>().unwrap_err().to_string();
        assert_eq!(error, r"`a\u{1b}b` can't be a name: letters, digits, `-` and `_`, at most 63; the first isn't `-`");
        assert!("ä".repeat(1000).parse::<Name>().unwrap_err().to_string().chars().count() < 300);
    }

    #[test]
    fn a_name_is_written_and_read_as_a_text() {
        let name: Name = "a-1".parse().unwrap();
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(json, r#""a-1""#);
        assert_eq!(serde_json::from_str::<Name>(&json).unwrap(), name);
        assert!(serde_json::from_str::<Name>(r#""../a""#).is_err());
    }

    #[test]
    fn the_name_most_like_a_text() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(Name::most_like(text).as_deref(), expected, "{text}");
        check("a b/c", Some("a-b-c"));
        check("--a", Some("a"));
        check(&"é".repeat(70), None);
        check(&"x".repeat(70), Some(&"x".repeat(63)));
        check("", None);
    }

    #[test]
    fn labels() {
        let check = |name: &str, expected: Option<&str>| {
            let name: Name = name.parse().unwrap();
            assert_eq!(name.label_value().as_deref(), expected);
            assert_eq!(name.is_label_value(), expected == Some(name.as_str()));
        };
        check("a_b", Some("a_b"));
        check("_lenet-", Some("lenet"));
        check("__", None);
        for right in ["a", "A_b.c-9", &"x".repeat(63)] {
            assert!(is_label_value(right), "{right}");
        }
        for wrong in ["", "_a", "a-", ".a", "a b", "ä", &"x".repeat(64)] {
            assert!(!is_label_value(wrong), "{wrong}");
        }
        assert!(is_dns_label("a-1") && !is_dns_label("a.b") && !is_dns_label("A") && !is_dns_label("a-") && !is_dns_label(""));
    }
}
