//! `cargo xtask gen`: files that are generated from the code and committed, so that reviews show how they change.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{checkout::Checkout, sh};

/// The JSON Schemas, relative to the root, and the command that prints each.
const SCHEMAS: [(&str, [&str; 2]); 3] = [
    ("docs/experiment.schema.json", ["fltk", "schema"]),
    ("charts/extractor/values.schema.json", ["chart-values", "extractor"]),
    ("charts/orchestrator/values.schema.json", ["chart-values", "orchestrator"]),
];

/// Writes the generated files, or only compares them.
pub fn run(checkout: &Checkout, only_check: bool) -> anyhow::Result<()> {
    let fltk = checkout.build_without_libtorch(&["--quiet", "--package", "fltk", "--package", "chart-values"])?;
    update(checkout, fltk.parent().context("a program without a folder")?, only_check)
}

/// Does the same as [`run`] with the programs that are already in the folder `programs`.
///
/// # Errors
/// If a file is only compared, and differs from a program's output.
pub fn update(checkout: &Checkout, programs: &Path, only_check: bool) -> anyhow::Result<()> {
    for (file, [program, argument]) in SCHEMAS {
        let schema = sh::output(Command::new(programs.join(program)).arg(argument).stdin(Stdio::null()), sh::LOOKUP_LIMIT)?;
        serde_json::from_str::<serde_json::Value>(&schema).with_context(|| format!("`{program} {argument}` doesn't print JSON"))?;
        update_one(checkout, file, &schema, only_check)?;
    }
    Ok(())
}

fn update_one(checkout: &Checkout, file: &str, schema: &str, only_check: bool) -> anyhow::Result<()> {
    let path = checkout.root.join(file);
    let committed = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("can't read `{file}`")),
    };
    if committed == schema {
        println!("{file} is up to date");
    } else if only_check {
        bail!("`{file}` is not what the types say\nhint: run `cargo xtask gen` and commit the result");
    } else {
        fs::write(&path, schema).with_context(|| format!("can't write `{file}`"))?;
        println!("{file} is written");
    }
    Ok(())
}
