//! How a part that didn't fail ended: told by the part's process in a file, since its output is for people.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The variable that names the file.
pub const VARIABLE: &str = "XTASK_OUTCOME";

/// How a part ended, if not by an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All is well; a figure or a word about it, may be empty.
    Passed(String),
    /// It could not be run here, for this reason.
    Skipped(String),
}

impl Outcome {
    /// Passed, without a word.
    #[must_use]
    pub fn passed() -> Self {
        Self::Passed(String::new())
    }

    /// Tells it to whoever started this process as a part; a person that did reads it.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn tell(&self) -> anyhow::Result<()> {
        match self {
            Self::Passed(remark) => println!("passed: {remark}"),
            Self::Skipped(reason) => println!("skipped: {reason}"),
        }
        match std::env::var_os(VARIABLE) {
            Some(path) => fs::write(&path, serde_json::to_string(self)?).with_context(|| format!("can't write `{}`", path.display())),
            None => Ok(()),
        }
    }

    /// What a part told in the file `path`: that it passed, if nothing.
    ///
    /// # Errors
    /// If something else is in the file.
    pub fn told(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("`{}` tells no outcome", path.display())),
            Err(_) => Ok(Self::passed()),
        }
    }
}
