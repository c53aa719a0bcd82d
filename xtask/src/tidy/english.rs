//! The rule that doc comments begin with a subject or a verb. A line that begins with one of [`OPENINGS`] mostly lacks both; a few are right.

use super::{Finding, Source};

/// The words that a line of a doc comment seldom begins with.
const OPENINGS: [&str; 6] = ["Of", "Who", "What", "Whoever", "Whether", "It"];

/// The largest number of such lines in all files. Raise it for no comment that can be written otherwise.
const LINES_MAX: usize = 20;

/// Counts the lines of doc comments that begin with one of [`OPENINGS`], and reports all of them if there are too many.
pub fn check(sources: &[Source], findings: &mut Vec<Finding>) {
    let rust = sources.iter().filter(|source| source.path.ends_with(".rs"));
    let lines = rust.flat_map(|source| source.text.lines().enumerate().map(move |(index, line)| (source, index + 1, line)));
    let found: Vec<_> = lines.filter_map(|(source, line, text)| Some((source, line, opening(text)?))).collect();
    if found.len() <= LINES_MAX {
        return;
    }
    findings.extend(found.iter().map(|(source, line, word)| {
        let problem = format!(
            "a doc comment begins with a noun phrase or a verb, that of a bool with `True if`, and not with `{word}`: {} lines do, more than {LINES_MAX}",
            found.len()
        );
        Finding { file: source.path.clone(), line: *line, problem }
    }));
}

/// Returns the word of [`OPENINGS`] that the doc comment in this line begins with.
fn opening(line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    let text = line.strip_prefix("/// ").or_else(|| line.strip_prefix("//! "))?;
    OPENINGS.into_iter().find(|word| text.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headless_doc_comments_are_found_above_a_limit() {
        let file = |num_lines: usize| {
            let text = "    /// Of a run.\n".repeat(num_lines) + "/// Often.\n// It is no doc.\n//! Itself\nlet s = 1; /// What\n";
            [Source { path: "a.rs".to_owned(), text }, Source { path: "a.md".to_owned(), text: "/// Of a page.\n".repeat(30) }]
        };
        let found = |num_lines: usize| {
            let mut findings = Vec::new();
            check(&file(num_lines), &mut findings);
            findings.len()
        };
        assert_eq!((found(LINES_MAX), found(LINES_MAX + 1)), (0, LINES_MAX + 1));
        assert_eq!([opening("//! Whether so."), opening("/// Whosoever")], [Some("Whether"), None]);
    }
}
