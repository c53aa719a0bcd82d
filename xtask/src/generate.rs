//! `cargo xtask gen`: files that are made from the code and committed, so that a change of them is seen in review.

use std::{
    fs, io,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{checkout::Checkout, sh};

/// The JSON Schema of experiment files, relative to the root.
const SCHEMA: &str = "docs/experiment.schema.json";

/// Writes the generated files, or only compares them.
pub fn run(checkout: &Checkout, only_check: bool) -> anyhow::Result<()> {
    let mut cargo = checkout.cargo_without_libtorch();
    cargo.args(["run", "--quiet", "--package", "fltk", "--no-default-features", "--", "schema"]).stdin(Stdio::null());
    update(checkout, &sh::output(&mut cargo, sh::BUILD_LIMIT)?, only_check)
}

/// As [`run`] with `--check`, by a program that is already built.
pub fn check(checkout: &Checkout, fltk: &std::path::Path) -> anyhow::Result<()> {
    update(checkout, &sh::output(Command::new(fltk).arg("schema"), sh::LOOKUP_LIMIT)?, true)
}

fn update(checkout: &Checkout, schema: &str, only_check: bool) -> anyhow::Result<()> {
    serde_json::from_str::<serde_json::Value>(schema).context("`fltk schema` doesn't print JSON")?;
    let path = checkout.root.join(SCHEMA);
    let committed = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("can't read `{SCHEMA}`")),
    };
    if committed == schema {
        println!("{SCHEMA} is up to date");
    } else if only_check {
        bail!("`{SCHEMA}` is not what `fltk schema` prints\nhint: run `cargo xtask gen` and commit the result");
    } else {
        fs::write(&path, schema).with_context(|| format!("can't write `{SCHEMA}`"))?;
        println!("{SCHEMA} is written");
    }
    Ok(())
}
