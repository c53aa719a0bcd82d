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
        anyhow::anyhow!("{}:{line}:{column}: {}", source.name, one_line(message, MESSAGE_CHARS_MAX))
    })
}
