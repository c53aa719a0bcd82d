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
        // Whoever reads the output has had enough: what a shell makes of a program that SIGPIPE ended.
        Err(error) if output_closed(&error) => ExitCode::from(141),
        Err(error) => {
            output::error(&error);
            ExitCode::from(exit::code(&error) as u8)
        }
    }
}

fn output_closed(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = match (cause.downcast_ref::<std::io::Error>(), cause.downcast_ref::<serde_json::Error>()) {
            (Some(error), _) => Some(error.kind()),
            (_, Some(error)) => error.io_error_kind(),
            (None, None) => None,
        };
        kind == Some(std::io::ErrorKind::BrokenPipe)
    })
}
