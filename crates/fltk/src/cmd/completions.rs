//! `fltk completions SHELL`.

use clap::CommandFactory as _;

use crate::{cli::Cli, output};

/// Prints the completion script of `shell`.
///
/// # Errors
/// If standard output is closed, or can't be written.
pub fn run(shell: clap_complete::Shell) -> anyhow::Result<()> {
    // Written to memory first: `generate` panics if its writer returns an error.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "fltk", &mut script);
    output::data(&String::from_utf8_lossy(&script))
}
