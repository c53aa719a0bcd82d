//! `cargo xtask gen`: files that are generated from the code and committed, so that reviews show how they change.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{checkout::Checkout, sh};

/// The JSON Schemas, relative to the root, and the arguments that make the program print each.
const SCHEMAS: [(&str, &[&str]); 3] = [
    ("docs/experiment.schema.json", &["schema"]),
    ("charts/extractor/values.schema.json", &["schema", "--values", "extractor"]),
    ("charts/orchestrator/values.schema.json", &["schema", "--values", "orchestrator"]),
];

/// Writes the generated files, or only compares them.
pub fn run(checkout: &Checkout, only_check: bool) -> anyhow::Result<()> {
    let program = checkout.build_without_libtorch(&["--quiet", "--package", "fltk"])?;
    update(checkout, &program, only_check)
}

/// Does the same as [`run`] with `--check`, using a program that is already built.
///
/// # Errors
/// If a file differs from the program's output.
pub fn check(checkout: &Checkout, fltk: &Path) -> anyhow::Result<()> {
    update(checkout, fltk, true)
}

fn update(checkout: &Checkout, fltk: &Path, only_check: bool) -> anyhow::Result<()> {
    for (file, arguments) in SCHEMAS {
        let schema = sh::output(Command::new(fltk).args(arguments).stdin(Stdio::null()), sh::LOOKUP_LIMIT)?;
        update_one(checkout, file, &schema, only_check)?;
    }
    Ok(())
}

fn update_one(checkout: &Checkout, file: &str, schema: &str, only_check: bool) -> anyhow::Result<()> {
    serde_json::from_str::<serde_json::Value>(schema).context("`fltk schema` doesn't print JSON")?;
    let path = checkout.root.join(file);
    let committed = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("can't read `{file}`")),
    };
    if committed == schema {
        println!("{file} is up to date");
    } else if only_check {
        bail!("`{file}` is not what `fltk schema` prints\nhint: run `cargo xtask gen` and commit the result");
    } else {
        fs::write(&path, schema).with_context(|| format!("can't write `{file}`"))?;
        println!("{file} is written");
    }
    Ok(())
}
