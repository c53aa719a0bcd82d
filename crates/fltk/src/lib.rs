//! The whole program except for the computation: the command line, commands, streams of jobs on this machine and on Kubernetes, output, exit codes.
//!
//! Two programs are built from it. `fltk` has no libtorch, and hands commands that need it over to `fltk-torch`, which lies beside it; `fltk-torch` is the
//! whole program, and does everything itself ([`Engine`]). Nothing here uses libtorch: this package knows only the other program's name.

mod bar;
pub mod child;
#[allow(missing_docs, reason = "what is documented here is what `--help` prints")]
pub mod cli;
mod cmd;
mod command;
mod engine;
pub mod exit;
mod follow;
mod hand_over;
pub mod host;
pub mod inputs;
mod jobs;
mod locale;
pub mod log;
mod named_files;
pub mod output;
pub mod pace;
pub mod run_group;
mod spark;
pub mod split;
pub mod stop;
mod stream;
pub mod termination;
mod timeline;
mod watch;
pub mod work;

use clap::Parser as _;

pub use fltk_catalogue::catalogues;

pub use self::{
    bar::Bar,
    engine::{Computation, Engine},
};

/// Parses the command line, runs its command, computing with `engine`, and converts the result to an exit code.
#[must_use]
pub fn main(engine: Engine) -> u8 {
    let status = match run(engine) {
        Ok(()) => 0,
        Err(error) => {
            let status = exit::status(&error);
            if status != exit::OUTPUT_CLOSED {
                output::error(&error);
            }
            status
        }
    };
    output::flush();
    status
}

fn run(engine: Engine) -> anyhow::Result<()> {
    // This process is then the keeper of a program, and has no command line of its own.
    if command::keeper::is_asked_for() {
        return command::keeper::run();
    }
    // This check comes first: another build may not even understand the command line.
    if let Engine::Here(_) = engine {
        hand_over::check()?;
    }
    let cli = cli::Cli::try_parse().unwrap_or_else(|error| output::usage(&error));
    log::start(&cli, std::env::var_os(log::LEVELS).map(|levels| levels.to_string_lossy().into_owned()).as_deref())?;
    // All uses of TLS in this process share one provider.
    #[cfg(feature = "cluster")]
    let _ = rustls::crypto::ring::default_provider().install_default();
    cmd::dispatch(&cli, engine)
}
