//! Untrusted text on a terminal: traces, paths, names, errors of others. It is shown as data: it can't move the cursor, change the title or reverse the
//! direction of a line.
//!
//! Code that writes to a terminal passes all texts through [`plain`], including its own, since they often contain text from elsewhere.

use std::{borrow::Cow, fmt::Write as _};

/// True if a terminal shows `c` as itself. Control characters other than the newline and the tab are not plain, nor are the marks that change the
/// direction of the following text (Unicode's `Bidi_Control`), which can disguise what a line says.
#[must_use]
pub fn is_plain(c: char) -> bool {
    let is_control = c.is_control() && !matches!(c, '\n' | '\t');
    let is_mark = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !is_control && !is_mark
}

/// Returns `text` in a form that is safe for a terminal: characters that aren't [plain](is_plain) are escaped as in Rust, `\u{1b}`.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |_| 0)
}

/// The same for a text with colors: sequences that set colors (SGR, ECMA-48 8.3.117) are kept. It is only for the output of our own renderers, which have
/// escaped all other texts in it.
#[must_use]
pub fn colored(text: &str) -> Cow<'_, str> {
    escaped(text, sgr)
}

/// Returns the length in bytes of the color sequence at the beginning of `text`; 0 if there is none.
fn sgr(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\u{1b}[") else { return 0 };
    let numbers = rest.bytes().take_while(|c| c.is_ascii_digit() || *c == b';').count();
    if rest.as_bytes().get(numbers) == Some(&b'm') { "\u{1b}[m".len() + numbers } else { 0 }
}

fn escaped(text: &str, stays: fn(&str) -> usize) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        let length = match stays(rest) {
            0 if is_plain(c) => {
                out.push(c);
                c.len_utf8()
            }
            0 => {
                // Writing to memory can't fail.
                let _ = write!(out, "{}", c.escape_unicode());
                c.len_utf8()
            }
            length => {
                out.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

/// Returns at most `chars_max` characters of `text` as one line of a table: newlines, tabs and characters that aren't [plain](is_plain)
/// become spaces.
#[must_use]
pub fn one_line(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).map(|c| if c.is_control() || !is_plain(c) { ' ' } else { c }).collect()
}

/// Returns JSON in which characters that aren't [plain](is_plain) are escaped as in JSON, `\u001b`, with the same value. Such characters
/// occur only in strings.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            // All of them are below 2^16.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text), expected);
        check("a\tb\nc é 日本 שלום 🙂", "a\tb\nc é 日本 שלום 🙂");
        check("\u{1b}[2J\u{1b}]0;title\u{7}", "\\u{1b}[2J\\u{1b}]0;title\\u{7}");
        check("a\rb\u{8}\u{7f}\u{9b}31m", "a\\u{d}b\\u{8}\\u{7f}\\u{9b}31m");
        check("user\u{202e}nimda\u{2069}\u{200f}\u{61c}", "user\\u{202e}nimda\\u{2069}\\u{200f}\\u{61c}");
    }

    #[test]
    fn one_line_removes_line_breaks_and_truncates() {
        assert_eq!(one_line("a\tb\nc\u{1b}\u{202e}é", 100), "a b c  é");
        assert_eq!(one_line("abc", 2), "ab");
    }

    #[test]
    fn only_color_sequences_are_kept() {
        let check = |text: &str, expected: &str| assert_eq!(colored(text), expected);
        check("\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: a\u{1b}[m", "\u{1b}[1m\u{1b}[38;5;9merror\u{1b}[0m: a\u{1b}[m");
        check("\u{1b}[2J\u{1b}[?25l\u{1b}[1", "\\u{1b}[2J\\u{1b}[?25l\\u{1b}[1");
        check("\u{1b}[1m\u{202e}", "\u{1b}[1m\\u{202e}");
    }

    #[test]
    fn escaped_json_keeps_its_value() {
        let value = serde_json::json!({ "a\u{9b}": "\u{202e}\u{7f}\n\u{1b}é" });
        let text = serde_json::to_string(&value).unwrap();
        let shown = json(&text);
        assert!(shown.chars().all(is_plain) && shown.contains("\\u202e\\u007f"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
