//! The names and folders of new streams, and finding a stream that was begun before by its name.

use std::path::Path;

use fltk_core::name::{NAME_CHARS_MAX, Name};
use fltk_plan::{Stream, StreamEvent};
use fltk_records::{StreamDescription, StreamFolder, StreamTexts};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Begun, Inputs, Place};
use crate::exit::{Exit, OrExit as _, failure};

/// Returns the name of a stream of `experiment` in plans, which is also the prefix of a new stream's name: the experiment's name as a valid label value,
/// without `-` and `_` at its ends.
#[must_use]
pub fn planned_name(experiment: &Name) -> Name {
    experiment.label_value().unwrap_or_else(|| "stream".parse().expect("a name of letters"))
}

/// Returns a name for a new stream of `experiment`: the experiment's name, the time, and a unique suffix.
#[must_use]
pub fn new_name(experiment: &Name, now: Timestamp) -> Name {
    let unique = hex::encode(&Sha256::digest(format!("{}/{}", now.as_nanosecond(), std::process::id()))[..2]);
    let rest = format!("{}-{unique}", now.strftime("%Y%m%d-%H%M%S"));
    let prefix: String = planned_name(experiment).chars().take(NAME_CHARS_MAX - rest.len() - 1).collect();
    format!("{prefix}-{rest}").parse().expect("the beginning of a name, a time and a number, all of them short")
}

/// Reads the name of a stream, which has to be the value of a label, too.
///
/// # Errors
/// If `name` isn't one.
pub fn read_name(name: &str) -> anyhow::Result<Name> {
    if let Some(name) = name.parse().ok().filter(Name::is_label_value) {
        return Ok(name);
    }
    let message = format!(
        "`{}` can't name a stream: letters, digits, and `-` and `_` between them, at most {NAME_CHARS_MAX}",
        name.escape_debug().take(NAME_CHARS_MAX).collect::<String>()
    );
    Err(failure(Exit::General, message))
}

impl Inputs {
    /// Returns the texts that the stream's folder holds, for a stream on this machine.
    #[must_use]
    pub fn texts(&self) -> StreamTexts {
        StreamTexts {
            experiment: fltk_experiment::to_yaml(&self.experiment),
            trace: self.trace.as_ref().map(|source| source.text.clone()),
            ..StreamTexts::default()
        }
    }
}

impl Begun {
    /// Creates the folder of `stream` in `root`, with `texts` in it.
    ///
    /// # Errors
    /// If the folder can't be created.
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

    /// Returns the stream `name` in `root`, if there is one. `is_same` decides whether it's the stream that is to be begun, by the meaning of its files to
    /// this version: their texts may come from an older version, which wrote fewer settings.
    ///
    /// # Errors
    /// If the stream is a different one, or it can't be [resumed](Self::resume).
    pub fn named(root: &Path, name: &Name, is_same: impl FnOnce(&Self) -> anyhow::Result<bool>) -> anyhow::Result<Option<Self>> {
        let path = root.join(name.as_str());
        if !path.exists() {
            return Ok(None);
        }
        let begun = Self::resume(StreamFolder::open(path).or_exit(Exit::Records)?)?;
        if begun.stream.run != *name {
            let message = format!(
                "`{}` is the folder of the stream `{}`, under another name\nhint: `{}` resumes it",
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
            format!("the stream `{name}` was started with other files\nhint: choose another `--id`, or `{}`", begun.resume_command());
        Err(failure(Exit::Records, message))
    }

    /// Checks that this folder isn't a copy whose original lies beside it: only the original may be resumed, since both have the same jobs.
    ///
    /// # Errors
    /// If the folder is such a copy.
    pub fn check_is_alone(&self) -> anyhow::Result<()> {
        let here = self.folder.path();
        let real = |path: &Path| path.canonicalize().or_exit(Exit::Records);
        let own = real(here)?;
        // The original has the name that the stream was created with; a copy has another one.
        let root = own.parent().unwrap_or(Path::new("/"));
        let original = root.join(self.name());
        match StreamFolder::open(&original) {
            Ok(other) if other.description().run == self.name() && real(&original)? != own => {
                let message = format!(
                    "`{}` is a copy of the stream in `{}`, whose jobs it would continue\nhint: name that one, or move it elsewhere",
                    own.display(),
                    original.display()
                );
                Err(failure(Exit::Records, message))
            }
            _ => Ok(()),
        }
    }

    /// Returns true if `inputs` describe the same jobs with the same arrivals as this stream.
    ///
    /// # Errors
    /// If the trace of `inputs` isn't valid, or the stream's own experiment file can't be read.
    pub fn is_of(&self, inputs: &Inputs) -> anyhow::Result<bool> {
        let written = self.folder.written_experiment(crate::catalogues()).or_exit(Exit::Records)?;
        let experiment = inputs.experiment.clone().with_defaults_of(&written);
        Ok(self.stream.is_same_as(&Inputs { experiment, ..inputs.clone() }.stream(&self.stream.run)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_labels() {
        let now = Timestamp::UNIX_EPOCH;
        for experiment in ["a", &"x".repeat(63), "_-a", "_lenet-", "a__", "__"] {
            let experiment = experiment.parse().unwrap();
            assert!(new_name(&experiment, now).is_label_value() && planned_name(&experiment).is_label_value());
        }
        let check = |experiment: &str, planned: &str| assert_eq!(planned_name(&experiment.parse().unwrap()), planned);
        check("_lenet-", "lenet");
        check("a_b", "a_b");
        check("__", "stream");
        for wrong in ["", "-a", "a_", "a b", &"a".repeat(64), "é"] {
            assert!(read_name(wrong).is_err(), "{wrong}");
        }
    }
}
