//! `fltk federate`: one federated job over nodes that call.

use std::{net::TcpListener, sync::Arc, time::Duration};

use fltk::{
    cli::{Cli, FederateArgs},
    exit::{Exit, OrExit as _, failure},
    output::counted,
    termination::Termination,
};
use fltk_core::experiment::{Experiment, Setting, Task};
use fltk_records::RunFolder;

use super::run::{print_each, with_context};
use crate::run::{self, Listen, Security};

/// Runs the only job of `experiment`, or resumes a run.
///
/// # Errors
/// If there are several jobs or it isn't federated, the port is taken, data is missing, or the run fails.
pub fn run(cli: &Cli, args: &FederateArgs, experiment: Option<Experiment>, termination: &Termination) -> anyhow::Result<()> {
    let resumed = match &args.resume {
        Some(resumed) => {
            Some(RunFolder::find(&args.runs, resumed).or_exit(Exit::Records)?.experiment(fltk::catalogues()).or_exit(Exit::Records)?)
        }
        None => None,
    };
    if let Some(experiment) = experiment.as_ref().or(resumed.as_ref()) {
        check_one(experiment)?;
    }
    let security = if args.insecure {
        Security::Insecure
    } else {
        Security::Tls { folder: args.pki.clone(), host: args.host.clone(), num_invited: args.invite }
    };
    // It comes before anything is recorded: a port that is taken is no failure of the run.
    let refused =
        |error| failure(Exit::General, format!("can't listen at {}: {error}\nhint: choose another port with `--listen`", args.listen));
    let listener = TcpListener::bind(args.listen).map_err(refused)?;
    let silence = Duration::from_millis(args.silence.as_millis());
    let listen = Some(Listen { listener: Arc::new(listener), security, silence, command: command(args) });
    with_context(&args.run(), listen, termination, |context| {
        print_each(cli, |done| match (experiment, &args.resume) {
            (Some(experiment), _) => run::start(context, experiment, &args.runs, args.id.as_deref(), done),
            (None, Some(resumed)) => run::resume(context, resumed, &args.runs, done),
            (None, None) => Err(failure(Exit::CommandLine, "there is neither a file nor a run to resume")),
        })
    })
}

/// Returns the command that listens as `args` say, without `fltk`.
fn command(args: &FederateArgs) -> String {
    let mut words = format!("federate --listen {}", args.listen);
    for (option, value) in [("--host", args.host.clone()), ("--pki", args.pki.as_ref().map(|folder| folder.display().to_string()))] {
        words.extend(value.map(|value| format!(" {option} {value}")));
    }
    if args.insecure {
        words += " --insecure";
    }
    words
}

/// Refuses an experiment that isn't one federated job: nodes wouldn't know which is theirs.
fn check_one(experiment: &Experiment) -> anyhow::Result<()> {
    let (tasks, seeds) = (experiment.tasks.len(), experiment.seeds.len());
    if tasks > 1 || seeds > 1 {
        let message = format!(
            "`fltk federate` runs one job, and here are {} ({}, {})\nhint: `--seed` chooses a seed; use a file for each task",
            tasks * seeds,
            counted(tasks, "task"),
            counted(seeds, "seed")
        );
        return Err(failure(Exit::Experiment, message));
    }
    match experiment.tasks.first().and_then(Task::training).map(|task| &task.setting) {
        Some(Setting::Federated(_)) | None => Ok(()),
        Some(Setting::Distributed(_)) => Err(failure(
            Exit::Experiment,
            "the task is distributed, and only federated ones have nodes\nhint: `fltk client` starts its ranks",
        )),
    }
}
