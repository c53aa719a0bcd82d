//! Checks of the settings of a program of the user's own.

use super::super::{CommandConfig, places::Places, report::Problem, source::quote};

/// The limit on bytes of all arguments and variables together: what Linux takes for one string (`MAX_ARG_STRLEN`), well below what it takes for all.
const BYTES_MAX: usize = 128 << 10;
/// The limit on the time that a program is given to stop, in milliseconds: as long as anybody waits for a preemption.
const GRACE_MILLIS_MAX: u64 = 3_600_000;
/// The variables that fltk sets itself.
const OURS: [&str; 8] = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "FLTK_SEED", "FLTK_FOLDER"];

/// Checks the settings of a command.
pub(super) fn check(config: &CommandConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let at = |path: &str| places.at(&format!("command.{path}")).span;
    if config.run.first().is_some_and(|program| program.trim().is_empty()) {
        problems.push(Problem::error(at("run.0"), "the program has no name").hint("write `run: [program, argument, ...]`"));
    }
    for (index, argument) in config.run.iter().enumerate().filter(|(_, argument)| argument.contains('\0')) {
        problems.push(Problem::error(at(&format!("run.{index}")), format!("{} has a null character", quote(argument))));
    }
    for (index, name) in config.environment.iter().enumerate() {
        let span = at(&format!("environment.{index}"));
        check_variable(name, span, problems);
        if config.environment[..index].contains(name) {
            problems.push(Problem::error(span, format!("the variable {} is named twice", quote(name))));
        }
    }
    for (name, value) in &config.variables {
        let span = at(&format!("variables.{name}"));
        check_variable(name, span, problems);
        if value.contains('\0') {
            problems.push(Problem::error(span, format!("the value of {} has a null character", quote(name))));
        }
    }
    let num_bytes: usize = config.run.iter().chain(config.variables.iter().flat_map(|(name, value)| [name, value])).map(String::len).sum();
    if num_bytes > BYTES_MAX {
        let problem = Problem::error(at("run"), format!("arguments and variables have {num_bytes} bytes, more than {BYTES_MAX}"));
        problems.push(problem.hint("put them into a file that the program reads"));
    }
    for (key, text) in [("image", &config.image), ("folder", &config.folder)] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.contains('\0')) {
            problems.push(Problem::error(at(key), format!("`{key}` is empty")).hint("leave it out"));
        }
    }
    if config.grace.as_millis() > GRACE_MILLIS_MAX {
        problems.push(Problem::error(at("grace"), format!("`grace` is {}, and may be at most one hour", config.grace)));
    }
}

fn check_variable(name: &str, span: super::super::source::Span, problems: &mut Vec<Problem>) {
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if name.is_empty() || !is_name {
        problems.push(
            Problem::error(span, format!("{} can't be the name of a variable", quote(name)))
                .hint("letters, digits and `_`, and no digit first"),
        );
    } else if OURS.contains(&name) {
        problems.push(Problem::error(span, format!("{} is set for each rank", quote(name))).hint("leave it out"));
    }
}
