//! `fltk schema`: the JSON Schema of experiment files.

use fltk_core::experiment;

use crate::output;

/// Prints the schema.
///
/// # Errors
/// If standard output is closed.
pub fn run() -> anyhow::Result<()> {
    output::json(&experiment::json_schema())
}
