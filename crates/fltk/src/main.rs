//! The `fltk` program: parses the command line, calls one command, turns its result into an exit code.

#[cfg(feature = "cluster")]
mod chart_values;
mod cli;
mod cmd;
mod exit;
#[cfg(any(feature = "cluster", feature = "train"))]
mod follow;
mod inputs;
mod jobs;
mod output;
#[cfg(feature = "train")]
mod run;
mod split;
#[cfg(any(feature = "train", feature = "web"))]
mod stop;
mod stream;
mod timeline;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // Whoever speaks TLS here does so with the same provider.
    #[cfg(feature = "cluster")]
    let _ = rustls::crypto::ring::default_provider().install_default();
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
