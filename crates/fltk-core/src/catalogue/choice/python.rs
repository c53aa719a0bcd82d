//! Choices that are code of the user's own in Python, such as `{ python: "mine.py:Mine", environment: .venv }`: a file and a name in it, in place of the
//! name of an entry.

use std::sync::Arc;

use super::{Choice, Tag, Value};

/// The key of the Python that runs the code.
const ENVIRONMENT: &str = "environment";

/// Returns the path of the file and the name in it of a text such as `mine.py:Mine`; `None` if either is missing.
#[must_use]
pub fn file_and_name(text: &str) -> Option<(&str, &str)> {
    let (file, name) = text.rsplit_once(':')?;
    let is_name = name.chars().all(|char| char == '_' || char.is_alphanumeric()) && !name.starts_with(|char: char| char.is_numeric());
    (!file.trim().is_empty() && !file.contains('\0') && !name.is_empty() && is_name).then_some((file, name))
}

impl Choice {
    /// Creates the choice of code in Python: a file and a name in it, such as `mine.py:Mine`.
    #[must_use]
    pub fn python(code: &str) -> Self {
        Self { tag: Tag::Python, ..Self::new(code) }
    }

    /// Returns true if it is code in Python and no entry of a catalogue.
    #[must_use]
    pub fn is_python(&self) -> bool {
        self.tag == Tag::Python
    }

    /// Returns the path of the file and the name in it, if it is code in Python that has both.
    #[must_use]
    pub fn code(&self) -> Option<(&str, &str)> {
        self.is_python().then(|| file_and_name(&self.name)).flatten()
    }

    /// Returns the Python that runs the code: the folder of a virtual environment, or a program, relative to the experiment file; `None` if the choice
    /// leaves that open, or is no code.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        match self.get(ENVIRONMENT) {
            Some(Value::Word(path)) if self.is_python() => Some(path),
            _ => None,
        }
    }

    /// Returns the choice with `change` applied to the path of its [`environment`](Self::environment).
    ///
    /// # Errors
    /// The error of `change`.
    pub fn with_environment<E>(self, change: &dyn Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        let changed = self.environment().map(change).transpose()?;
        Ok(match changed {
            Some(path) => self.with(ENVIRONMENT, &*path),
            None => self,
        })
    }

    /// Returns the path of the file of the code.
    pub(super) fn file(&self) -> Option<&str> {
        self.code().map(|(file, _)| file)
    }

    /// Returns the name with `change` applied to the path of the file, if it is code in Python.
    pub(super) fn with_file<E>(&self, change: &dyn Fn(&str) -> Result<String, E>) -> Result<Option<Arc<str>>, E> {
        self.code().map(|(file, name)| Ok(format!("{}:{name}", change(file)?).into())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn code_is_read_written_and_moved() {
        let written = json!({ "python": "a:b/mine.py:Mine", "environment": ".venv" });
        let choice: Choice = serde_json::from_value(written.clone()).expect("a block with `python`");
        assert_eq!(serde_json::to_value(&choice).expect("no error"), written);
        assert!(choice.is_python());
        assert_eq!((choice.code(), choice.environment()), (Some(("a:b/mine.py", "Mine")), Some(".venv")));
        assert_eq!(choice.paths(), [("python".to_owned(), "a:b/mine.py")]);
        let absolute = |path: &str| Ok::<_, ()>(format!("/{path}"));
        let moved = choice.with_paths(&absolute).and_then(|choice| choice.with_environment(&absolute)).expect("no error");
        assert_eq!((moved.name(), moved.environment()), ("/a:b/mine.py:Mine", Some("/.venv")));
        assert!(Choice::new("a.py:A").code().is_none());
        for wrong in ["mine.py", ":Mine", "mine.py:", "mine.py:my class", "mine.py:1st", " :Mine"] {
            assert_eq!(Choice::python(wrong).code(), None, "{wrong}");
        }
    }
}
