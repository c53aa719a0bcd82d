//! Reports of the problems in a file: all of them at once, each with its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use serde_json::json;

use super::source::{SourceFile, Span};
use fltk_core::terminal::plain;

/// The limit on problems that a report shows; a file with more is not an experiment file.
const PROBLEMS_SHOWN_MAX: usize = 50;
/// The limit on line numbers listed for a repeated problem.
const LINES_LISTED_MAX: usize = 8;
/// The width of a drawing in columns if the terminal's width isn't known.
const WIDTH_MAX: usize = 140;

/// The severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is read, but probably doesn't do what its author intends.
    Warning,
    /// Useful information: a key that never had an effect, or a difference to the reference system.
    Note,
}

/// A remark on a second place that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The remark.
    pub text: String,
}

/// One problem, with its place and, if there is one, a solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The severity.
    pub severity: Severity,
    /// One sentence, lowercase, without a period.
    pub message: String,
    /// The place; absent if the problem has no place in a source.
    pub span: Option<Span>,
    /// Other places that belong to it.
    pub labels: Vec<Label>,
    /// Further places with the very same problem.
    pub also: Vec<Span>,
    /// Advice on how to solve it.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(severity: Severity, span: Option<Span>, message: impl Into<String>) -> Self {
        Self { severity, message: message.into(), span, labels: Vec::new(), also: Vec::new(), hint: None }
    }

    /// The error `message` at `span`.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Some(span), message)
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// True if the problem is at one of these places, whose values were already refused and replaced in order to read on.
    pub(crate) fn touches(&self, refused: &BTreeSet<Span>) -> bool {
        let places = self.span.iter().chain(self.labels.iter().map(|label| &label.span));
        places.into_iter().any(|span| refused.contains(span))
    }

    pub(crate) fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }
}

/// The places of all errors in `problems`.
pub(crate) fn refused(problems: &[Problem]) -> BTreeSet<Span> {
    problems.iter().filter(|problem| problem.severity == Severity::Error).filter_map(|problem| problem.span).collect()
}

/// Merges problems with the same message into the first of them. A problem with labels stays separate, since its labels say what else is meant.
fn fold_repeats(problems: Vec<Problem>) -> Vec<Problem> {
    let mut folded: Vec<Problem> = Vec::new();
    let mut known: BTreeMap<_, usize> = BTreeMap::new();
    for problem in problems {
        let Some(span) = problem.span.filter(|_| problem.labels.is_empty()) else {
            folded.push(problem);
            continue;
        };
        let same = (problem.severity, span.source, problem.message.clone(), problem.hint.clone());
        match known.get(&same) {
            Some(first) => folded[*first].also.push(span),
            None => {
                known.insert(same, folded.len());
                folded.push(problem);
            }
        }
    }
    folded
}

/// Problems together with the source texts that they refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The sources that spans point into: the files as given, then one per override.
    pub sources: Vec<SourceFile>,
    /// The problems, in order of their place.
    pub problems: Vec<Problem>,
}

impl Report {
    pub(crate) fn new(sources: Vec<SourceFile>, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
        problems.dedup();
        Self { sources, problems: fold_repeats(problems) }
    }

    /// Adds problems, whose places are in the same sources.
    #[must_use]
    pub fn with(self, problems: Vec<Problem>) -> Self {
        Self::new(self.sources, self.problems.into_iter().chain(problems).collect())
    }

    /// True if there is nothing to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// True if at least one problem is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Returns the report for a terminal: each problem with file, line, column, the lines it's in, and a hint. It has no final newline.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH_MAX);
        let mut drawn: Vec<_> = self.problems.iter().take(PROBLEMS_SHOWN_MAX).map(|problem| self.draw(problem, &renderer)).collect();
        if let Some(num_more) = self.problems.len().checked_sub(PROBLEMS_SHOWN_MAX).filter(|more| *more > 0) {
            drawn.push(format!("and {num_more} more problems"));
        }
        drawn.join("\n\n")
    }

    fn draw(&self, problem: &Problem, renderer: &Renderer) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group =
            level.primary_title(problem.message.as_str()).elements(Vec::<Snippet<'_, annotate_snippets::Annotation<'_>>>::new());
        if let Some(span) = problem.span {
            // The problem's own source first, then those of labels in other sources.
            let mut sources = vec![span.source];
            for label in &problem.labels {
                if !sources.contains(&label.span.source) {
                    sources.push(label.span.source);
                }
            }
            for source in sources {
                let file = &self.sources[source];
                // The renderer escapes its input, except for paths.
                let mut snippet = Snippet::source(file.text.as_str()).path(plain(&file.name).into_owned());
                if source == span.source {
                    snippet = snippet.annotation(AnnotationKind::Primary.span(first_line(&file.text, span)));
                }
                for label in problem.labels.iter().filter(|label| label.span.source == source) {
                    let range = first_line(&file.text, label.span);
                    snippet = snippet.annotation(AnnotationKind::Context.span(range).label(label.text.as_str()));
                }
                group = group.element(snippet);
            }
        }
        if !problem.also.is_empty() {
            group = group.element(Level::NOTE.with_name("also").message(self.further(&problem.also)));
        }
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
        }
        renderer.render(&[group])
    }

    /// Returns the further places of a problem, in words.
    fn further(&self, places: &[Span]) -> String {
        let mut lines: Vec<usize> = places.iter().take(LINES_LISTED_MAX).map(|span| self.line_and_column(*span).0).collect();
        lines.dedup();
        let listed = lines.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let rest = if places.len() > LINES_LISTED_MAX { ", ..." } else { "" };
        let times = if places.len() == 1 { "once more".to_owned() } else { format!("{} times more", places.len()) };
        format!("{times}: line{} {listed}{rest}", if lines.len() == 1 && rest.is_empty() { "" } else { "s" })
    }

    /// Returns the report for programs: a list of `{severity, message, at, labels, also, hint}` with places as `{file, line, column}`; lines and columns (in
    /// characters) count from 1.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let place = |span: Span| {
            let (line, column) = self.line_and_column(span);
            json!({ "file": self.sources[span.source].name, "line": line, "column": column })
        };
        let problems = self.problems.iter().map(|problem| {
            let labels: Vec<_> = problem.labels.iter().map(|label| json!({ "at": place(label.span), "text": label.text })).collect();
            json!({
                "severity": problem.severity,
                "message": problem.message,
                "at": problem.span.map(place),
                "labels": labels,
                "also": problem.also.iter().copied().map(place).collect::<Vec<_>>(),
                "hint": problem.hint,
            })
        });
        problems.collect()
    }

    /// Returns line and column of the beginning of `span`, counted from 1; columns are in characters.
    #[must_use]
    pub fn line_and_column(&self, span: Span) -> (usize, usize) {
        let before = &self.sources[span.source].text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// Returns the part of `span` on its first line: carets under a whole block aren't helpful.
fn first_line(text: &str, span: Span) -> std::ops::Range<usize> {
    let piece = &text[span.start..span.end];
    let line = piece.split('\n').next().unwrap_or(piece).trim_end();
    span.start..span.start + line.len()
}
