//! Sentences about programs of the user's own.

use super::{
    bibliography::Bibliography,
    settings::Settings,
    text::{code, counted, escaped, joined, value},
};
use crate::Hyperparameter;

/// The limit on characters of a command that are told.
const COMMAND_CHARS_MAX: usize = 200;

/// Tells the program, its arguments, its ranks and its variables.
pub(super) fn program(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    if !settings.is_kind("command") {
        return None;
    }
    let mut arguments: Vec<(u32, String)> = settings
        .below("command.run")
        .into_iter()
        .map(|(index, argument)| {
            let text = if let Hyperparameter::Text(text) = argument { text.clone() } else { value(argument) };
            (index.parse().unwrap_or(u32::MAX), text)
        })
        .collect();
    arguments.sort_by_key(|(index, _)| *index);
    let line = arguments.into_iter().map(|(_, argument)| argument).collect::<Vec<_>>().join(" ");
    let end = if line.chars().count() > COMMAND_CHARS_MAX { " ..." } else { "" };
    let line: String = line.chars().take(COMMAND_CHARS_MAX).collect();
    let ranks = settings
        .number("command.ranks")
        .filter(|ranks| *ranks > 1.0)
        .map(|ranks| format!(" as {}", counted(ranks, "rank")))
        .unwrap_or_default();
    let variables = settings.below("command.variables");
    let variables: Vec<String> = variables.into_iter().map(|(name, setting)| format!("{} = {}", escaped(name), value(setting))).collect();
    let variables = if variables.is_empty() { String::new() } else { format!(", with {} in its environment", joined(&variables)) };
    Some(format!("A program of our own was run{ranks}{variables}: {}{end}.", code(&line)))
}
