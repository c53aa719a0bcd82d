//! The levels of diagnostics that are written, by the part of the program that emits them.

use std::str::FromStr;

use thiserror::Error;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

/// The beginnings of the targets of our own messages. A target is the module that emits a message.
const OURS: [&str; 2] = ["fltk", "torch_dist"];

/// The names of the levels.
const NAMES: [(&str, Level); 5] =
    [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG), ("trace", Level::TRACE)];

/// Returns the name of a level, which is also how a person writes it.
pub fn name(level: Level) -> &'static str {
    NAMES.iter().find(|(_, named)| *named == level).map_or("trace", |(name, _)| name)
}

/// Returns true if a message with this target is one of ours, rather than a library's.
pub fn is_ours(target: &str) -> bool {
    OURS.iter().any(|ours| target.starts_with(ours))
}

/// The levels of messages that are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    /// The levels of targets that begin with a text; the longest text counts.
    targets: Vec<(String, Level)>,
    /// The level of all other targets.
    others: Option<Level>,
}

impl Levels {
    /// Returns the levels with which our own messages are written from `level` on, and none of libraries.
    pub fn ours(level: Level) -> Self {
        Self { targets: OURS.iter().map(|target| ((*target).to_owned(), level)).collect(), others: None }
    }

    /// Returns the filter that lets these messages pass.
    pub fn filter(&self) -> Targets {
        let others = self.others.map_or(LevelFilter::OFF, LevelFilter::from_level);
        Targets::new().with_targets(self.targets.iter().cloned()).with_default(others)
    }
}

/// The error for levels that can't be read.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{variable}` is `{value}`: `{part}` is no level\nhint: write `error`, `warn`, `info`, `debug` or `trace`, or levels by module, as in `fltk_kubernetes=debug,info`",
    variable = super::LEVELS
)]
pub struct LevelsError {
    value: String,
    part: String,
}

impl FromStr for Levels {
    type Err = LevelsError;

    /// Reads a level for our own messages, or directives such as `fltk_kubernetes=debug,info`: levels of targets, and one for all others, including those of
    /// libraries. Without one for all others, errors are written.
    fn from_str(value: &str) -> Result<Self, LevelsError> {
        let wrong = |part: &str| LevelsError { value: value.to_owned(), part: part.to_owned() };
        let level = |text: &str| {
            let level = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, level)| *level);
            level.ok_or_else(|| wrong(text))
        };
        if !value.contains(['=', ',']) {
            return level(value.trim()).map(Self::ours);
        }
        let mut levels = Self { targets: Vec::new(), others: None };
        for directive in value.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            match directive.split_once('=') {
                Some((target, of_target)) if is_path(target) => levels.targets.push((target.to_owned(), level(of_target)?)),
                Some(_) => return Err(wrong(directive)),
                None => levels.others = Some(level(directive)?),
            }
        }
        levels.others = levels.others.or(Some(Level::ERROR));
        Ok(levels)
    }
}

/// Returns true if `text` can be the path of a module, or its beginning.
fn is_path(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_level_is_for_our_own_messages() {
        assert_eq!("debug".parse(), Ok(Levels::ours(Level::DEBUG)));
        assert_eq!(" WARN ".parse(), Ok(Levels::ours(Level::WARN)));
        let filter = Levels::ours(Level::DEBUG).filter();
        assert!(filter.would_enable("fltk_kubernetes::edge", &Level::DEBUG) && filter.would_enable("torch_dist", &Level::DEBUG));
        assert!(!filter.would_enable("fltk", &Level::TRACE) && !filter.would_enable("kube_client", &Level::ERROR));
    }

    #[test]
    fn directives_are_for_all() {
        let filter = "fltk_kubernetes=debug, hyper_util::client=trace,info".parse::<Levels>().unwrap().filter();
        assert!(filter.would_enable("fltk_kubernetes", &Level::DEBUG) && filter.would_enable("kube_client", &Level::INFO));
        assert!(filter.would_enable("hyper_util::client::pool", &Level::TRACE) && !filter.would_enable("hyper_util", &Level::DEBUG));
        // Nothing hides errors that isn't told to.
        let filter = "kube_client=debug".parse::<Levels>().unwrap().filter();
        assert!(filter.would_enable("fltk::exit", &Level::ERROR) && !filter.would_enable("fltk::exit", &Level::WARN));
    }

    #[test]
    fn a_wrong_value_names_its_wrong_part() {
        for (value, part) in [
            ("", ""),
            ("loud", "loud"),
            ("off", "off"),
            ("fltk=loud,info", "loud"),
            ("info,fltk", "fltk"),
            ("=info", "=info"),
            ("[job]=debug", "[job]=debug"),
        ] {
            assert_eq!(value.parse::<Levels>(), Err(LevelsError { value: value.to_owned(), part: part.to_owned() }));
        }
        assert!("loud".parse::<Levels>().unwrap_err().to_string().contains("hint: write `error`, `warn`, `info`"));
    }
}
