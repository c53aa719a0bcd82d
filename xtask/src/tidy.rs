//! `cargo xtask tidy`: the rules of this project that a compiler doesn't check. ARCHITECTURE.md explains them.

mod code;
mod dependencies;
mod edges;
mod english;
mod hosts;
mod links;
mod sources;

use std::{
    fmt, fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};

use crate::{
    checkout::{self, Checkout},
    sh,
};

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root.
    pub file: String,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// The violation, and why it matters.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.problem)
    }
}

/// A text file of the checkout.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path, relative to the root, with `/`.
    pub path: String,
    /// The text.
    pub text: String,
}

/// Checks all rules; returns `Err` if one is violated.
pub fn run(checkout: &Checkout) -> anyhow::Result<()> {
    let sources = read(&checkout.root)?;
    let metadata = checkout.metadata()?;
    let mut findings = Vec::new();
    for source in &sources {
        sources::check(source, &mut findings);
        hosts::check(source, &mut findings);
    }
    findings.extend(too_large(&checkout.root)?);
    edges::check(&checkout::packages(&metadata), &sources, &mut findings);
    edges::check_reached(&metadata, &mut findings)?;
    dependencies::check(&sources, &mut findings)?;
    links::check(&sources, &listed(&checkout.root)?, &mut findings);
    english::check(&sources, &mut findings);
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} finding{} in {} files", findings.len(), if findings.len() == 1 { "" } else { "s" }, sources.len());
    }
    println!("tidy: {} files, nothing found", sources.len());
    Ok(())
}

/// The largest size of a source file in bytes; larger files are data.
const SOURCE_SIZE_MAX: u64 = 1 << 20;

/// The largest size of any file in bytes: data sets and programs are fetched.
const FILE_SIZE_MAX: u64 = 2 << 20;

/// Returns the files that git tracks or would add.
fn listed(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root).stdin(Stdio::null());
    let listing = sh::quiet_output(&mut git, sh::LOOKUP_LIMIT).context("tidy asks git for the files\nhint: run it in a git checkout")?;
    Ok(listing.split_terminator('\0').map(str::to_owned).collect())
}

/// Finds files that are too large for a repository.
fn too_large(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let size = |path: &String| fs::symlink_metadata(root.join(path)).map_or(0, |metadata| metadata.len());
    let found = listed(root)?.into_iter().filter(|path| size(path) > FILE_SIZE_MAX);
    Ok(found
        .map(|file| Finding { file, line: 0, problem: "it has over 2 MiB: data sets and programs are fetched, not committed".to_owned() })
        .collect())
}

/// Reads every text file that git tracks or would add.
fn read(root: &Path) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in listed(root)? {
        let file = root.join(&path);
        // The file is removed but that is not yet committed, or it is a link.
        let Ok(metadata) = fs::symlink_metadata(&file) else { continue };
        if !metadata.is_file() || metadata.len() > SOURCE_SIZE_MAX {
            continue;
        }
        // A file that isn't UTF-8 is data too.
        if let Ok(text) = String::from_utf8(fs::read(&file)?) {
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}
