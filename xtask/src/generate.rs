//! `cargo xtask gen`: files that are generated from the code and committed, so that reviews show how they change.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{checkout::Checkout, sh};

/// The generated files, relative to the root, and the command that prints each.
const FILES: [(&str, [&str; 2]); 4] = [
    ("docs/catalogue.md", ["fltk", "catalogue --markdown"]),
    ("docs/experiment.schema.json", ["fltk", "schema"]),
    ("charts/extractor/values.schema.json", ["chart-values", "extractor"]),
    ("charts/orchestrator/values.schema.json", ["chart-values", "orchestrator"]),
];

/// Writes the generated files, or only compares them.
pub fn run(checkout: &Checkout, only_check: bool) -> anyhow::Result<()> {
    let fltk = checkout.build_without_libtorch(&["--release", "--quiet", "--package", "fltk", "--package", "chart-values"])?;
    update(checkout, fltk.parent().context("a program without a folder")?, only_check)
}

/// Does the same as [`run`] with the programs that are already in the folder `programs`.
///
/// # Errors
/// If a file is only compared, and differs from a program's output.
pub fn update(checkout: &Checkout, programs: &Path, only_check: bool) -> anyhow::Result<()> {
    for (file, [program, arguments]) in FILES {
        let mut command = Command::new(programs.join(program));
        let text = sh::output(command.args(arguments.split(' ')).stdin(Stdio::null()), sh::LOOKUP_LIMIT)?;
        if file.ends_with(".json") {
            serde_json::from_str::<serde_json::Value>(&text).with_context(|| format!("`{program} {arguments}` doesn't print JSON"))?;
        }
        update_one(checkout, file, &text, only_check)?;
    }
    Ok(())
}

fn update_one(checkout: &Checkout, file: &str, text: &str, only_check: bool) -> anyhow::Result<()> {
    let path = checkout.root.join(file);
    let committed = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("can't read `{file}`")),
    };
    if committed == text {
        println!("{file} is up to date");
    } else if only_check {
        bail!("`{file}` is not what the types say\nhint: run `cargo xtask gen` and commit the result");
    } else {
        fs::write(&path, text).with_context(|| format!("can't write `{file}`"))?;
        println!("{file} is written");
    }
    Ok(())
}
