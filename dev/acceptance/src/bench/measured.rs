//! Commands that `python/measure.py` measures.

use std::{process::Command, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;

use crate::sh;

/// The time limit of one measurement.
pub const LIMIT: Duration = Duration::from_secs(10 * 60);

/// The output of `python/measure.py`.
#[derive(Deserialize)]
pub struct Measured {
    /// The time of the whole command.
    pub wall_seconds: f64,
    /// The processor time of all its processes.
    pub cpu_seconds: f64,
    /// The peak of the memory of all its processes.
    pub memory_bytes: f64,
    /// The output of the command.
    pub output: String,
}

/// Runs a command that begins with `python/measure.py`.
pub fn measured(command: &mut Command) -> anyhow::Result<Measured> {
    let text = sh::output(command, LIMIT)?;
    serde_json::from_str(&text).with_context(|| format!("`{}` printed something else", sh::show(command)))
}
