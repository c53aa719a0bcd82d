//! The handover from `fltk` to `fltk-torch`: the same process continues as the other program (`exec`), with the same command line, environment and open
//! files. So a process that starts it, waits for it, signals it or reads its exit code deals with one process.
//!
//! ```text
//! fltk run FILE ──reads and checks──> exec fltk-torch run FILE ──reads again──> trains
//! ```

use std::{env, fmt::Write as _, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

use anyhow::Context as _;
use clap::CommandFactory as _;
use sha2::{Digest as _, Sha256};

use crate::{
    cli::Cli,
    exit::{Exit, failure},
};

/// The file name of the program that computes.
const PROGRAM: &str = "fltk-torch";

/// The environment variable in which a program that hands its command line over names its own interface.
pub const INTERFACE: &str = "FLTK_INTERFACE";

/// The commands that are handed over.
const COMMANDS: [&str; 6] = ["client", "federate", "nets", "node", "parity", "run"];

/// Returns the path of the program that computes: in the folder of this one, with links resolved.
///
/// # Errors
/// If there is no such file.
pub fn program() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("can't find this program's own file")?;
    let program = own.canonicalize().unwrap_or(own).with_file_name(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    let message = format!(
        "this `fltk` is installed without the part that trains: there is no `{}`\nhint: `cargo build --release` builds both programs, which belong in one folder; of the images, `training` has both",
        program.display()
    );
    Err(failure(Exit::General, message))
}

/// Replaces this process with the program that computes. Returns only on failure, with the reason.
pub fn hand_over() -> anyhow::Error {
    let program = match program() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let error = Command::new(&program).arg0("fltk").args(env::args_os().skip(1)).env(INTERFACE, interface()).exec();
    anyhow::Error::new(error).context(format!("can't run `{}`", program.display()))
}

/// Checks that a program that handed its command line over to this one accepts the same command line. Other differences between builds aren't detected.
///
/// # Errors
/// If the interfaces differ.
pub fn check() -> anyhow::Result<()> {
    let Some(theirs) = env::var_os(INTERFACE) else { return Ok(()) };
    let ours = interface();
    if theirs == *ours {
        return Ok(());
    }
    let message = format!(
        "`fltk` and `{PROGRAM}` are of different builds: {} and {ours}\nhint: `cargo build --release` builds both programs, which belong in one folder",
        theirs.display()
    );
    Err(failure(Exit::General, message))
}

/// Returns the interface on which both programs must agree: the version, and a digest of the handed-over commands' arguments (names, possible values,
/// defaults).
fn interface() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut said = String::new();
    cli.get_subcommands().filter(|command| COMMANDS.contains(&command.get_name())).for_each(|command| say(command, &mut said));
    format!("{}-{}", env!("CARGO_PKG_VERSION"), hex::encode(&Sha256::digest(said)[..4]))
}

/// Appends the arguments and subcommands of `command` to `said`.
fn say(command: &clap::Command, said: &mut String) {
    // Writing to a string can't fail.
    let _ = writeln!(said, "{}", command.get_name());
    for argument in command.get_arguments() {
        let choices: Vec<_> = argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let _ = writeln!(said, "  {argument} {choices:?} {:?}", argument.get_default_values());
    }
    command.get_subcommands().for_each(|command| say(command, said));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_digest_covers_all_delegated_arguments() {
        let mut cli = Cli::command();
        cli.build();
        for (name, argument) in [("run", "--workers <N>"), ("client", "[TASK]"), ("nets", "--seed <SEED>"), ("parity", "--quiet")] {
            let mut said = String::new();
            say(cli.find_subcommand(name).unwrap(), &mut said);
            assert!(COMMANDS.contains(&name) && said.contains(&format!("  {argument} ")), "{argument} in {said}");
        }
        assert_eq!(interface(), interface());
    }
}
