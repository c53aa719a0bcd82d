//! Configuration files of other crates, which are read like experiment files: every problem has its place and hints, and defaults come from one
//! documented page.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{
    Report, SourceFile,
    parse::or_unreadable,
    report::{Problem, Severity},
    schema, shape, tree,
};

/// A configuration format: a type, and the defaults of its blocks.
#[derive(Debug)]
pub struct ConfigFormat<T> {
    schema: Json,
    name: &'static str,
    is: std::marker::PhantomData<fn() -> T>,
}

impl<T: JsonSchema + DeserializeOwned> ConfigFormat<T> {
    /// `name` is the outermost block's name in messages; `defaults` is YAML with the defaults of the settings of each block of the format, where
    /// `root` is the outermost block.
    #[must_use]
    pub fn new(name: &'static str, defaults: &str) -> Self {
        let mut schema = schema::generate::<T>();
        if let Ok(defaults) = tree::read(defaults, 0, &mut Vec::new()) {
            schema::apply_defaults(&mut schema, "root", &defaults.to_json());
        }
        Self { schema, name, is: std::marker::PhantomData }
    }

    /// Returns the JSON Schema (draft 2020-12), with all defaults.
    #[must_use]
    pub fn json_schema(&self) -> &Json {
        &self.schema
    }

    /// Returns the contents of `file` with every default filled in, and with warnings and notes.
    ///
    /// # Errors
    /// Every problem in the file.
    pub fn parse(&self, file: &SourceFile) -> Result<(T, Report), Report> {
        let mut problems = Vec::new();
        let value = match tree::read_file(file, 0, &mut problems) {
            Ok(mut node) => {
                shape::check(&self.schema, &self.schema, &mut node, self.name, &mut problems);
                match serde_json::from_value(node.to_json()) {
                    Ok(value) => Some(value),
                    Err(error) => {
                        // An error that the schema can't express.
                        if !problems.iter().any(|problem| problem.severity == Severity::Error) {
                            problems.push(Problem::error(node.span, format!("`{}` can't be read: {error}", self.name)));
                        }
                        None
                    }
                }
            }
            Err(problem) => {
                problems.push(*problem);
                None
            }
        };
        let report = Report::new(vec![file.clone()], problems);
        match value {
            Some(value) if !report.has_errors() => Ok((value, report)),
            _ => Err(or_unreadable(report)),
        }
    }
}
