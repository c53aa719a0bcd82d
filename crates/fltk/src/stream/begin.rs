//! Streams that are begun: their names, and their folders.

use std::path::Path;

use fltk_cluster::{Stream, StreamEvent};
use fltk_core::experiment;
use fltk_records::{StreamDescription, StreamFolder, StreamTexts};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Begun, Inputs, Place};
use crate::exit::{Exit, OrExit as _, failure};

/// Longest name of a stream: it's the value of a label.
const NAME_CHARS_MAX: usize = 63;

/// What a stream of `experiment` is called in plans, and the begin of any other name of one: the experiment's name as a label can have it, without `-` and
/// `_` at its ends.
#[must_use]
pub fn planned_name(experiment: &str) -> String {
    let name: String = experiment.trim_matches(['-', '_']).chars().take(NAME_CHARS_MAX).collect();
    if name.is_empty() { "stream".to_owned() } else { name }
}

/// A name for a new stream of `experiment`: its name, the time, and what makes it unique.
#[must_use]
pub fn new_name(experiment: &str, now: Timestamp) -> String {
    let unique = hex::encode(&Sha256::digest(format!("{}/{}", now.as_nanosecond(), std::process::id()))[..2]);
    let rest = format!("{}-{unique}", now.strftime("%Y%m%d-%H%M%S"));
    let prefix: String = planned_name(experiment).chars().take(NAME_CHARS_MAX - rest.len() - 1).collect();
    format!("{prefix}-{rest}")
}

/// Refuses what can't be a label's value.
///
/// # Errors
/// If `name` can't.
pub fn check_name(name: &str) -> anyhow::Result<()> {
    let fits = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let edges = [name.bytes().next(), name.bytes().last()].into_iter().all(|c| c.is_some_and(|c| c.is_ascii_alphanumeric()));
    if edges && name.len() <= NAME_CHARS_MAX && name.bytes().all(fits) {
        return Ok(());
    }
    let message = format!(
        "`{}` can't name a stream: letters, digits, and `-` and `_` between them, at most {NAME_CHARS_MAX}",
        name.escape_debug().take(NAME_CHARS_MAX).collect::<String>()
    );
    Err(failure(Exit::General, message))
}

impl Inputs {
    /// What its folder holds, on this machine.
    #[must_use]
    pub fn texts(&self) -> StreamTexts {
        StreamTexts {
            experiment: experiment::to_yaml(&self.experiment),
            cluster: None,
            trace: self.trace.as_ref().map(|source| source.text.clone()),
        }
    }
}

impl Begun {
    /// Makes the folder of `stream` in `root`, which holds `texts`.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn create(root: &Path, stream: Stream, texts: &StreamTexts, place: Place, now: Timestamp) -> anyhow::Result<Self> {
        let description = StreamDescription {
            fltk_version: env!("CARGO_PKG_VERSION").to_owned(),
            run: stream.run.clone(),
            experiment: stream.experiment.name.clone(),
            started_at: now,
        };
        let folder = StreamFolder::create::<StreamEvent>(root, &description, texts).or_exit(Exit::Records)?;
        Ok(Self { folder, stream, place })
    }

    /// The stream `name` in `root`, if there is one. `is_same` says whether it's the one that is to be begun, by what its files mean to this version: their
    /// texts may be of another, which wrote fewer settings.
    ///
    /// # Errors
    /// If `name` can't name a stream, it's another, or it can't be [resumed](Self::resume).
    pub fn named(root: &Path, name: &str, is_same: impl FnOnce(&Self) -> anyhow::Result<bool>) -> anyhow::Result<Option<Self>> {
        check_name(name)?;
        let path = root.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let begun = Self::resume(StreamFolder::open(path).or_exit(Exit::Records)?)?;
        if begun.name() != name {
            let message = format!(
                "`{}` is the folder of the stream `{}`, under another name\nhint: `{}` goes on with it",
                begun.folder.path().display(),
                begun.name(),
                begun.resume_command()
            );
            return Err(failure(Exit::Records, message));
        }
        if is_same(&begun)? {
            return Ok(Some(begun));
        }
        let message =
            format!("the stream `{name}` was begun with other files\nhint: choose another `--id`, or `{}`", begun.resume_command());
        Err(failure(Exit::Records, message))
    }

    /// That no other folder beside it is this stream's: of a copy and what it was copied of, only one may be gone on with, since both have the same jobs.
    ///
    /// # Errors
    /// If there is another.
    pub fn check_is_alone(&self) -> anyhow::Result<()> {
        let here = self.folder.path();
        let real = |path: &Path| path.canonicalize().or_exit(Exit::Records);
        let own = real(here)?;
        // By the name that it was made under; a copy has another.
        let root = own.parent().unwrap_or(Path::new("/"));
        let original = root.join(self.name());
        match StreamFolder::open(&original) {
            Ok(other) if other.description().run == self.name() && real(&original)? != own => {
                let message = format!(
                    "`{}` is a copy of the stream in `{}`, whose jobs it would go on with\nhint: name that one, or move it elsewhere",
                    own.display(),
                    original.display()
                );
                Err(failure(Exit::Records, message))
            }
            _ => Ok(()),
        }
    }

    /// Whether the same jobs arrive in it as `inputs` say.
    ///
    /// # Errors
    /// If these have a trace that is none, or its own file can't be read.
    pub fn is_of(&self, inputs: &Inputs) -> anyhow::Result<bool> {
        let written = self.folder.written_experiment().or_exit(Exit::Records)?;
        let experiment = inputs.experiment.clone().with_defaults_of(&written);
        Ok(self.stream.is_same_as(&Inputs { experiment, ..inputs.clone() }.stream(self.name())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        let now = Timestamp::UNIX_EPOCH;
        for experiment in ["a", &"x".repeat(63), "-_a", "_lenet-", "a__", "__"] {
            check_name(&new_name(experiment, now)).unwrap();
            check_name(&planned_name(experiment)).unwrap();
        }
        assert_eq!((planned_name("_lenet-").as_str(), planned_name("a_b").as_str()), ("lenet", "a_b"));
        for wrong in ["", "-a", "a_", "a b", &"a".repeat(64), "é"] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
    }
}
