//! The reason why data of one's own can't be read, with its place.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A problem with a file, at a place in it if there is one.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnError {
    /// The file or folder; of a file in an archive, the archive's path and the name in it.
    pub path: PathBuf,
    /// The place in the file, such as `byte 4` or `line 2`.
    pub place: Option<String>,
    /// The problem.
    pub problem: String,
    /// Advice on what to do about it.
    pub hint: Option<String>,
}

impl OwnError {
    /// Creates the error of a whole file.
    pub(super) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), place: None, problem: problem.into(), hint: None }
    }

    /// Returns the same error with a place in the file.
    pub(super) fn at(self, place: impl Into<String>) -> Self {
        Self { place: Some(place.into()), ..self }
    }

    /// Returns the same error with advice.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl std::error::Error for OwnError {}

impl fmt::Display for OwnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.path.display())?;
        if let Some(place) = &self.place {
            write!(f, ", {place}")?;
        }
        write!(f, ": {}", self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
