//! `fltk federate FILE`: runs a federated task over nodes that call. The federator needs libtorch, to evaluate.

use fltk_core::experiment::Duration;
use fltk_records::RunFolder;

use crate::{
    cli::{Cli, FederateArgs},
    engine::{Computation, Engine},
    exit::{Exit, OrExit as _, failure},
    inputs,
    termination::Termination,
};

/// The shortest silence: a heartbeat each tenth of a second.
const SILENCE_MIN: Duration = Duration::from_millis(1000);

/// Checks the arguments and the experiment, and runs it, or resumes a run.
///
/// # Errors
/// If the experiment is wrong or has a stream, data is missing, or the run fails.
pub fn run(cli: &Cli, args: &FederateArgs, engine: Engine) -> anyhow::Result<()> {
    if args.insecure && !args.listen.ip().is_loopback() {
        let message = format!(
            "`--insecure` at {}: without encryption nodes may call only from this machine\nhint: leave `--insecure` out, or listen at 127.0.0.1",
            args.listen
        );
        return Err(failure(Exit::CommandLine, message));
    }
    if args.silence < SILENCE_MIN {
        let message =
            format!("`--silence {}`: a node that is only slow would be lost again and again\nhint: at least {SILENCE_MIN}", args.silence);
        return Err(failure(Exit::CommandLine, message));
    }
    let termination = Termination::default();
    let experiment = match &args.resume {
        Some(resumed) => {
            RunFolder::find(&args.runs, resumed).or_exit(Exit::Records)?;
            None
        }
        None => {
            if args.files.iter().any(|file| inputs::is_pipe(file)) {
                engine.go_on()?;
            }
            let experiment = inputs::check_experiment(&args.files, &args.overrides, args.seed)?;
            if experiment.has_stream() {
                return Err(failure(
                    Exit::Experiment,
                    "a stream has many jobs, and `fltk federate` runs one\nhint: use a file without `stream`",
                ));
            }
            Some(Box::new(experiment))
        }
    };
    engine.compute(cli, Computation::Federate { args, experiment, termination: &termination })
}
