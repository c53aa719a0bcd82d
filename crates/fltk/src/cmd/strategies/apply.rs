//! `fltk strategies apply`: the next global models, computed from updates that a file gives.

use fltk_core::terminal::one_line;
use fltk_experiment::SourceFile;

use super::{answer::Answer, case::Case, rounds};
use crate::{
    cli::{ApplyArgs, Cli, Output},
    exit::{Exit, OrExit as _},
    inputs, output,
};

/// The limit on characters of a parser's message, which may repeat the file's text.
const MESSAGE_CHARS_MAX: usize = 300;

/// Prints the answer to each round of a case.
///
/// # Errors
/// If the case can't be read or is wrong, or standard output is closed.
pub fn run(cli: &Cli, args: &ApplyArgs) -> anyhow::Result<()> {
    let source = inputs::read_case(&args.case)?;
    let case = parse(&source).or_exit(Exit::Experiment)?;
    let answers = rounds::play(case, &source.name).or_exit(Exit::Experiment)?;
    if cli.output == Output::Json {
        for answer in &answers {
            answer.failures().for_each(|failure| tracing::warn!("round {}: {failure}", answer.round()));
        }
        return output::json(&answers);
    }
    let tables: Vec<String> = answers.iter().map(Answer::to_text).collect();
    output::text(&tables.join("\n\n"))
}

/// Returns the case that a text describes.
fn parse(source: &SourceFile) -> anyhow::Result<Case> {
    serde_json::from_str(&source.text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let message = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        let hint = if error.is_syntax() && has_bare_word(&source.text, line, column) {
            "\nhint: JSON has no such number: write it as a text, \"NaN\", \"Infinity\" or \"-Infinity\""
        } else {
            ""
        };
        anyhow::anyhow!("{}:{line}:{column}: {}{hint}", source.name, one_line(message, MESSAGE_CHARS_MAX))
    })
}

/// Returns true if a number that isn't finite is written without quotes at this place, the first character that a parser refused.
fn has_bare_word(text: &str, line: usize, column: usize) -> bool {
    let Some(line) = text.lines().nth(line.saturating_sub(1)) else { return false };
    let is_word = |byte: &u8| byte.is_ascii_alphabetic() || b"+-".contains(byte);
    let bytes = line.as_bytes();
    let at = column.saturating_sub(1).min(bytes.len());
    let (before, after) = bytes.split_at(at);
    let start = at - before.iter().rev().take_while(|byte| is_word(byte)).count();
    let end = at + after.iter().take_while(|byte| is_word(byte)).count();
    let word = String::from_utf8_lossy(&bytes[start..end]).to_ascii_lowercase();
    ["nan", "inf", "infinity"].contains(&word.trim_start_matches(['+', '-']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_has_no_literal_for_are_recognized() {
        let check = |number: &str, is_one: bool| {
            let text = format!("{{ \"updates\": [],\n \"global\": {{ \"é\": [1, {number}] }} }}");
            let error = parse(&SourceFile { name: "case.json".to_owned(), text }).unwrap_err().to_string();
            assert!(error.starts_with("case.json:2:"), "{error}");
            assert_eq!(error.contains("hint: JSON has no such number"), is_one, "{number}: {error}");
        };
        for number in ["NaN", "Infinity", "-Infinity", "nan", "inf", "-inf", "+inf"] {
            check(number, true);
        }
        for other in ["x", "-x", "nano", "null", "\"nan\"", "--1"] {
            check(other, false);
        }
    }
}
