//! How `fltk` becomes `fltk-torch`: the same process goes on as the other program, with the same command line, environment and open files. So whoever
//! started it, waits for it, signals it or reads its exit code has to do with one process.
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

/// The variable by which a program that hands its command line over says which it is.
pub const INTERFACE: &str = "FLTK_INTERFACE";

/// The commands that are handed over.
const COMMANDS: [&str; 4] = ["client", "nets", "parity", "run"];

/// The program that computes: beside this one, where that really lies.
///
/// # Errors
/// If it isn't there.
pub fn program() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("can't find this program's own file")?;
    let program = own.canonicalize().unwrap_or(own).with_file_name(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    let message = format!(
        "this `fltk` is installed without the part that trains: there is no `{}`\nhint: `cargo build --release` builds both programs, which belong into one folder; of the images, `training` has both",
        program.display()
    );
    Err(failure(Exit::General, message))
}

/// Goes on as the program that computes. Returns only why that can't be.
pub fn hand_over() -> anyhow::Error {
    let program = match program() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let error = Command::new(&program).arg0("fltk").args(env::args_os().skip(1)).env(INTERFACE, interface()).exec();
    anyhow::Error::new(error).context(format!("can't run `{}`", program.display()))
}

/// That whoever handed its command line over to this program, if anybody did, takes the same one. Builds that differ in something else aren't told apart.
///
/// # Errors
/// If it isn't.
pub fn check() -> anyhow::Result<()> {
    let Some(theirs) = env::var_os(INTERFACE) else { return Ok(()) };
    let ours = interface();
    if theirs == *ours {
        return Ok(());
    }
    let message = format!(
        "`fltk` and `{PROGRAM}` are of different builds: {} and {ours}\nhint: `cargo build --release` builds both programs, which belong into one folder",
        theirs.display()
    );
    Err(failure(Exit::General, message))
}

/// What both programs have to agree on: the version, and a digest of the command lines that are handed over: names, values to choose from, and defaults.
fn interface() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut said = String::new();
    cli.get_subcommands().filter(|command| COMMANDS.contains(&command.get_name())).for_each(|command| say(command, &mut said));
    format!("{}-{}", env!("CARGO_PKG_VERSION"), hex::encode(&Sha256::digest(said)[..4]))
}

/// Adds `command`'s arguments and commands to `said`.
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
    fn the_interface_is_every_argument_of_what_is_handed_over() {
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
