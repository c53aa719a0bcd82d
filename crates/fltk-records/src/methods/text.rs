//! Texts in Markdown.

use crate::{Hyperparameter, files};

/// The number of digits of a digest that identify a file well enough for a reader who has it.
const DIGEST_DIGITS: usize = 12;

/// Returns a text from elsewhere that is nothing but text in Markdown, on one line, also in a table.
#[must_use]
pub fn escaped(text: &str) -> String {
    let text = files::printable(text);
    let characters: Vec<char> = text.chars().collect();
    let mut escaped = String::with_capacity(text.len());
    for (index, &c) in characters.iter().enumerate() {
        let has_effect = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '$' | '&' | '@' | '{' | '}' | '!' => true,
            // Within a word it is a letter.
            '_' => {
                let is_word = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|c| c.is_alphanumeric());
                !is_word(index.checked_sub(1)) || !is_word(Some(index + 1))
            }
            _ => false,
        };
        if has_effect {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Returns a text from elsewhere as code in Markdown: between more backticks than are in it.
pub(super) fn code(text: &str) -> String {
    let text = files::printable(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // A space is taken away on each side if there is one on both.
    let padding = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{padding}{text}{padding}{fence}")
}

/// Returns a value of a setting.
pub(super) fn value(value: &Hyperparameter) -> String {
    match value {
        Hyperparameter::Bool(value) => value.to_string(),
        Hyperparameter::Number(value) => value.to_string(),
        Hyperparameter::Text(text) => escaped(text),
    }
}

/// Returns the beginning of a digest.
pub(super) fn digest(value: &Hyperparameter) -> String {
    match value {
        Hyperparameter::Text(digest) => escaped(&digest.chars().take(DIGEST_DIGITS).collect::<String>()),
        value => self::value(value),
    }
}

/// Returns the name of a setting as words.
pub(super) fn words(name: &str) -> String {
    escaped(&name.replace(['_', '.'], " "))
}

/// Returns a number with its noun.
pub(super) fn counted(number: f64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1.0 { "" } else { "s" })
}

/// Joins texts as in a sentence: `a, b and c`.
pub(super) fn joined(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_elsewhere_have_no_effect() {
        assert_eq!(escaped("fashion_mnist-mini (2)"), "fashion_mnist-mini (2)");
        assert_eq!(escaped("_a_ *b* [c](d) <e> &lt; @f"), "\\_a\\_ \\*b\\* \\[c\\](d) \\<e\\> \\&lt; \\@f");
        assert_eq!(escaped("a\n# b\u{202e}"), "a \\# b ");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`a"), "`` `a ``");
        assert_eq!(code("sh -c"), "`sh -c`");
    }

    #[test]
    fn lists_are_joined_as_in_a_sentence() {
        let texts = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([joined(&texts), joined(&texts[..2]), joined(&texts[..1]), joined(&[])], ["a, b and c", "a and b", "a", ""]);
        assert_eq!([counted(1.0, "round"), counted(0.5, "epoch")], ["1 round", "0.5 epochs"]);
    }
}
