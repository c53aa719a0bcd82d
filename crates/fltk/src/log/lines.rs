//! The lines of diagnostics: what a person reads, or a program.
//!
//! A person reads the message, which says all that matters. A program also gets the fields of the event and of the spans around it, such as `stream`, `job`,
//! `run` and `round`.

use std::{borrow::Cow, fmt};

use fltk_core::terminal;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{LogFormat, levels};
use crate::output;

/// The field of an event whose message is written as it is: a report about files, which names its levels, and has colors if standard error supports them.
pub const REPORT: &str = "report";
const MESSAGE: &str = "message";

/// Writes a line for each event.
pub struct Lines {
    /// The format of the lines.
    pub format: LogFormat,
}

/// The fields of an event, or of a span and all spans around it.
#[derive(Clone, Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    /// Records a number; JSON has none for infinity, which becomes `null`.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = of_span(span.parent());
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let message = match own.0.shift_remove(MESSAGE) {
            Some(Value::String(text)) => text,
            _ => String::new(),
        };
        let is_report = own.0.shift_remove(REPORT).is_some();
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        match self.format {
            LogFormat::Text if is_report => output::line(&report(&message)),
            LogFormat::Text => output::line(&terminal::plain(&text(level, target, &message, &own.0))),
            LogFormat::Json => {
                let mut fields = of_span(context.event_span(event)).0;
                fields.extend(own.0);
                output::line(&terminal::json(&json(Timestamp::now(), level, target, &message, fields)));
            }
        }
    }
}

fn of_span<'a, S: LookupSpan<'a>>(span: Option<SpanRef<'a, S>>) -> Fields {
    span.and_then(|span| span.extensions().get::<Fields>().cloned()).unwrap_or_default()
}

/// Returns the text of a report. Only one that begins with a color was rendered with colors.
fn report(message: &str) -> Cow<'_, str> {
    if message.starts_with('\u{1b}') { terminal::colored(message) } else { terminal::plain(message) }
}

/// Returns the line for people. Of a library's message they also see where it comes from, and its fields.
fn text(level: Level, target: &str, message: &str, fields: &Map<String, Value>) -> String {
    if levels::is_ours(target) {
        let prefix = match level {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ => "",
        };
        return format!("{prefix}{message}");
    }
    let fields: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{}: {target}: {message}{fields}", levels::name(level))
}

/// Returns the line for programs.
fn json(at: Timestamp, level: Level, target: &str, message: &str, fields: Map<String, Value>) -> String {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), format!("{at:.3}").into());
    line.insert("level".to_owned(), levels::name(level).into());
    line.insert("target".to_owned(), target.into());
    line.insert(MESSAGE.to_owned(), message.into());
    // A library's field can't replace these.
    for (name, value) in fields {
        line.entry(name).or_insert(value);
    }
    Value::Object(line).to_string()
}
