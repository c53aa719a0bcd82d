//! The `fltk` program: parses the command line, calls one command, turns its result into an exit code.

mod cli;
mod cmd;
mod exit;
mod inputs;
mod output;
#[cfg(feature = "train")]
mod run;
mod split;
mod timeline;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cmd::dispatch(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let status = exit::status(&error);
            if status != exit::OUTPUT_CLOSED {
                output::error(&error);
            }
            ExitCode::from(status)
        }
    }
}
