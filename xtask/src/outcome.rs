//! The outcome of a part that didn't fail. The part's process writes it to a file, since its output is for people.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The variable that contains the path of the file.
pub const VARIABLE: &str = "XTASK_OUTCOME";

/// The outcome of a part that didn't end with an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The part passed; the text is a figure or remark about it, and may be empty.
    Passed(String),
    /// The part could not be run here, for this reason.
    Skipped(String),
}

impl Outcome {
    /// Returns a pass without a remark.
    pub fn passed() -> Self {
        Self::Passed(String::new())
    }

    /// Reports the outcome: prints it for people, and writes it to the file that [`VARIABLE`] names, if it is set.
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

    /// Reads the outcome that a part wrote to the file `path`: a pass, if it wrote nothing.
    ///
    /// # Errors
    /// If the file can't be read, or contains something else.
    pub fn told(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("`{}` tells no outcome", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::passed()),
            Err(error) => Err(error).with_context(|| format!("can't read `{}`", path.display())),
        }
    }
}
