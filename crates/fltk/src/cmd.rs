//! One module for each subcommand; each reads its inputs, calls a library and prints the result.

mod catalogue;
mod client;
#[cfg(feature = "cluster")]
mod cluster;
mod completions;
mod convert;
mod data;
#[cfg(feature = "web")]
mod elsewhere;
mod explain;
#[cfg(feature = "web")]
mod extract;
mod extractor;
mod federate;
mod pki;
mod plan;
mod report;
mod run;
mod runs;
mod schema;
#[cfg(feature = "web")]
mod serve;
mod strategies;
mod validate;
mod watch;

use crate::{
    cli::{Cli, Command},
    engine::{Computation, Engine},
    termination::Termination,
};

/// Runs the command that the command line names; `engine` does the work that needs libtorch.
///
/// # Errors
/// Any error of the command; `exit::code` returns its exit code.
pub fn dispatch(cli: &Cli, engine: Engine) -> anyhow::Result<()> {
    match &cli.command {
        Command::Run(args) => run::run(cli, args, engine),
        Command::Client(args) => client::run(cli, args, engine),
        Command::Federate(args) => federate::run(cli, args, engine),
        Command::Pki(command) => pki::run(cli, command),
        Command::Node(args) => engine.compute(cli, Computation::Node { args, termination: &Termination::default() }),
        Command::Validate(args) => validate::run(cli, args),
        #[cfg(feature = "cluster")]
        Command::Cluster(args) => cluster::run(cli, args),
        Command::Explain(args) => explain::run(cli, args),
        Command::Plan(args) => plan::run(cli, args),
        Command::Convert(args) => convert::run(cli, args),
        Command::Schema(args) => schema::run(args),
        Command::Catalogue(args) => catalogue::run(cli, args),
        Command::Strategies(command) => strategies::run(cli, command),
        Command::Extractor(args) => extractor::run(cli, args),
        Command::Data(command) => data::run(cli, command),
        Command::Nets(command) => engine.compute(cli, Computation::Nets(command)),
        Command::Parity(args) => engine.compute(cli, Computation::Parity(args)),
        Command::Runs(command) => runs::run(cli, command),
        Command::Report(args) => report::run(args),
        Command::Watch(args) => watch::run(cli, args),
        #[cfg(feature = "web")]
        Command::Serve(args) => serve::run(args),
        #[cfg(feature = "web")]
        Command::Extract(args) => extract::run(cli, args),
        Command::Completions { shell } => completions::run(*shell),
    }
}
