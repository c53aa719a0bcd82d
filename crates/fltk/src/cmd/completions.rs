//! `fltk completions SHELL`.

use clap::CommandFactory as _;

use crate::cli::Cli;

/// Prints the completion script of `shell`.
///
/// # Errors
/// Never; the signature is that of every command.
pub fn run(shell: clap_complete::Shell) -> anyhow::Result<()> {
    clap_complete::generate(shell, &mut Cli::command(), "fltk", &mut std::io::stdout());
    Ok(())
}
