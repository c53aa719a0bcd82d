//! The file of the user's that a partition reads. Someone else reads its text; this module is for its JSON, and for errors that name the file and
//! the place in it.

use serde::de::DeserializeOwned;

use super::error::PartitionError;

/// The largest length of what is shown of a problem, since it may quote a key of any length.
const PROBLEM_CHARS_MAX: usize = 200;

/// A file of the user's, in memory.
#[derive(Clone, Copy, Debug)]
pub struct UserFile<'a> {
    /// The name for errors, usually its path.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

impl UserFile<'_> {
    /// Reads the text as JSON.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, PartitionError> {
        serde_json::from_str(self.text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let message = error.to_string();
            let problem = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
            let mut shown: String = problem.chars().take(PROBLEM_CHARS_MAX).collect();
            if shown.len() < problem.len() {
                shown.push_str("...");
            }
            self.refuse(format!("line {line}, column {column}"), shown)
        })
    }

    /// Returns the error that `problem` is at `place`, such as `clients[3]`.
    pub(super) fn refuse(&self, place: String, problem: String) -> PartitionError {
        PartitionError::File { file: self.name.to_owned(), place, problem }
    }
}
