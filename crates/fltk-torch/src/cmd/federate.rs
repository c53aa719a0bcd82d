//! `fltk federate`: one federated job over nodes that call.

use fltk::{
    cli::{Cli, FederateArgs},
    exit::{Exit, failure},
    termination::Termination,
};
use fltk_core::experiment::{Experiment, Setting};

use super::run::{print_each, with_context};
use crate::run::{self, Listen, Security};

/// Runs the only job of `experiment`, or resumes a run.
///
/// # Errors
/// If there are several jobs or it isn't federated, data is missing, or the run fails.
pub fn run(cli: &Cli, args: &FederateArgs, experiment: Option<Experiment>, termination: &Termination) -> anyhow::Result<()> {
    let security = if args.insecure {
        Security::Insecure
    } else {
        Security::Tls { folder: args.pki.clone(), host: args.host.clone(), num_invited: args.invite }
    };
    let listen = Some(Listen { address: args.listen, security });
    with_context(&args.run, listen, termination, |context| {
        print_each(cli, |done| match (experiment, &args.run.resume) {
            (Some(experiment), _) => {
                check_one(&experiment)?;
                run::start(context, experiment, &args.run.runs, args.run.id.as_deref(), done)
            }
            (None, Some(resumed)) => run::resume(context, resumed, &args.run.runs, done),
            (None, None) => Err(failure(Exit::CommandLine, "there is neither a file nor a run to resume")),
        })
    })
}

/// Refuses an experiment that isn't one federated job: nodes wouldn't know which is theirs.
fn check_one(experiment: &Experiment) -> anyhow::Result<()> {
    let (tasks, seeds) = (experiment.tasks.len(), experiment.seeds.len());
    if tasks > 1 || seeds > 1 {
        let message = format!(
            "`fltk federate` runs one job, and there are {tasks} tasks with {seeds} seeds each\nhint: `--seed` chooses a seed; use a file for each task"
        );
        return Err(failure(Exit::Experiment, message));
    }
    match experiment.tasks.first().map(|task| &task.setting) {
        Some(Setting::Federated(_)) | None => Ok(()),
        Some(Setting::Distributed(_)) => Err(failure(
            Exit::Experiment,
            "the task is distributed, and only federated ones have nodes\nhint: `fltk client` starts its ranks",
        )),
    }
}
