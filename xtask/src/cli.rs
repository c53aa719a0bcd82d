//! The command line of `cargo xtask`.

use std::{ffi::OsString, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{advisories, checkout::Checkout, delegate, demo, fuzz, generate, python, setup, test, tidy};

/// The project's own commands. Start with `cargo xtask demo`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or download libtorch, so that plain `cargo build` works.
    Setup {
        /// Also create the Python environment with PyTorch, which tests and benchmarks compare with (about 5 GB).
        #[arg(long)]
        python: bool,
    },
    /// Set up, build, and train a federated model on real data.
    Demo,
    /// Set up and run the checks: all those that need no cluster, or those that do.
    Test(test::Arguments),
    /// Check the rules that the compiler doesn't: which crate may depend on which, and what may appear in which files.
    Tidy,
    /// List known defects of the libraries that we use; this needs `cargo deny` and the internet.
    Advisories,
    /// Regenerate the generated files: the JSON Schemas of experiments and of the charts' values.
    Gen {
        /// Only check whether they are up to date.
        #[arg(long)]
        check: bool,
    },
    /// Build the Python package, and a wheel and an archive that carry the program.
    Python(python::Arguments),
    /// Pass generated inputs to what reads messages of nodes, and count panics.
    Fuzz(fuzz::Arguments),
    /// Run a benchmark, which measures the peer in the same run if there is one.
    Bench(Delegated),
    /// Run the experiments of published tables, and write their figures beside ours into docs/reproduction.md.
    Reproduce(Delegated),
    /// Run the experiments that the documentation shows, and take pictures of them for docs/pictures; this needs Chromium.
    Pictures(Delegated),
    /// Lint, render and check the Helm charts; this needs Go, but no cluster.
    Charts(Delegated),
    /// Start, stop and use a real Kubernetes on this machine, for tests of the orchestrator; this needs root and Go.
    Cluster(Delegated),
    /// Build images of the program and of TensorBoard.
    Image(Delegated),
    /// Run one check, in the process that `test` starts for it.
    #[command(hide = true)]
    Part {
        /// The name of the check.
        name: String,
    },
}

/// The arguments of another program, including `--help`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub struct Delegated {
    /// The arguments, unchanged.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    match command {
        Command::Setup { python } => setup::all(&checkout, python)?,
        Command::Demo => demo::run(&checkout)?,
        Command::Test(arguments) => return test::run(&checkout, &arguments),
        Command::Tidy => tidy::run(&checkout)?,
        Command::Advisories => advisories::run(&checkout)?,
        Command::Gen { check } => generate::run(&checkout, check)?,
        Command::Python(arguments) => python::run(&checkout, &arguments)?,
        Command::Fuzz(arguments) => return fuzz::run(&checkout, &arguments),
        Command::Bench(Delegated { arguments }) => return delegate::run(&checkout, "bench", &arguments),
        Command::Reproduce(Delegated { arguments }) => return delegate::run(&checkout, "reproduce", &arguments),
        Command::Pictures(Delegated { arguments }) => return delegate::run(&checkout, "pictures", &arguments),
        Command::Charts(Delegated { arguments }) => return delegate::run(&checkout, "charts", &arguments),
        Command::Cluster(Delegated { arguments }) => return delegate::run(&checkout, "cluster", &arguments),
        Command::Image(Delegated { arguments }) => return delegate::run(&checkout, "image", &arguments),
        Command::Part { name } => test::own_part(&checkout, &name)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_million_inputs_are_generated_unless_told_otherwise() {
        let Command::Fuzz(arguments) = Cli::parse_from(["xtask", "fuzz"]).command else { panic!("it is another command") };
        assert_eq!((arguments.inputs, arguments.seed), (10_000_000, 0));
        let Command::Fuzz(arguments) = Cli::parse_from(["xtask", "fuzz", "--inputs", "1000", "--seed", "7"]).command else {
            panic!("it is another command")
        };
        assert_eq!((arguments.inputs, arguments.seed), (1000, 7));
    }

    #[test]
    fn delegated_arguments_are_unchanged() {
        let Command::Cluster(Delegated { arguments }) = Cli::parse_from(["xtask", "cluster", "up", "--nodes", "5", "--help"]).command
        else {
            panic!("it is another command");
        };
        assert_eq!(arguments, ["up", "--nodes", "5", "--help"]);
        assert!(Cli::try_parse_from(["xtask", "clutser"]).is_err());
    }
}
