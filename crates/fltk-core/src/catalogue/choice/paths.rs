//! The files of the user's that a choice names. They are found without the catalogue, by whoever reads, moves or compares files.

use super::{Choice, Value};

impl Choice {
    /// Returns the files that a settled choice names: the parameter and the path of each, with those of the choices within it.
    #[must_use]
    pub fn paths(&self) -> Vec<(String, &str)> {
        let mut paths: Vec<(String, &str)> = self.file().map(|file| (self.tag.name().to_owned(), file)).into_iter().collect();
        for (name, value) in &self.settings {
            match value {
                Value::Path(path) => paths.push((name.to_string(), &**path)),
                Value::Choice(inner) => paths.extend(inner.paths().into_iter().map(|(key, path)| (format!("{name}.{key}"), path))),
                _ => {}
            }
        }
        paths
    }

    /// Returns the choice with `change` applied to each of its [`paths`](Self::paths).
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn with_paths<E>(mut self, change: &dyn Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        if let Some(name) = self.with_file(change)? {
            self.name = name;
        }
        for (_, value) in &mut self.settings {
            match value {
                Value::Path(path) => *path = change(path)?.into(),
                Value::Choice(inner) => **inner = inner.clone().with_paths(change)?,
                _ => {}
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{Entry, FilePath, Nested, Tag, Word},
        *,
    };

    const FILE: FilePath = FilePath::required("file", "A file.");
    const HOW: Word = Word::new("how", &["slow", "fast"], "A word.");
    static READS: Entry =
        Entry::new("reads", "An entry with a file and a word.").parameters(const { &[FILE.parameter(), HOW.parameter()] });
    const HOLDER: Nested = Nested::required("holder", Tag::Law, "holder", const { &[&READS] }, "A choice with a file in it.");
    static OUTSIDE: Entry = Entry::new("outside", "An entry with a choice.").parameters(const { &[HOLDER.parameter()] });

    #[test]
    fn paths_of_files_are_found_and_changed_in_nested_choices_too() {
        let inner = Choice::law("reads").with("file", "in/a.json");
        let settled = Choice::new("outside").with("holder", inner.clone()).settled(&OUTSIDE).expect("valid");
        // A word is no path.
        assert_eq!(settled.paths(), [("holder.file".to_owned(), "in/a.json")]);
        let absolute = settled.with_paths::<()>(&|path| Ok(format!("/{path}"))).expect("no error");
        assert_eq!(absolute.paths(), [("holder.file".to_owned(), "/in/a.json")]);
        assert_eq!(FILE.of(&HOLDER.of(&absolute)), "/in/a.json");
        assert_eq!(absolute.clone().with_paths(&|path| Err(path.len())), Err("/in/a.json".len()));
        for wrong in [Value::from(""), " ".into(), "a\0b".into(), 1.into()] {
            let error = inner.clone().with("file", wrong).settled(&READS).expect_err("no path");
            assert!(error.to_string().starts_with("`file` of `reads` can't be "), "{error}");
        }
    }
}
