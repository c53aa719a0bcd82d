//! `fltk client FILE [TASK]`: one rank of a distributed task, a federated task as a whole, or its federator or one of its nodes.

use std::{env, num::NonZeroUsize, path::PathBuf, thread::available_parallelism};

use fltk::{
    child::{self, LAUNCHER},
    cli::{Cli, ClientArgs, LocationArgs, Output},
    inputs, log, output, stop,
    termination::{TERMINATION_LOG, Termination},
};
use fltk_core::experiment::Experiment;
use fltk_train::Device;

use super::metrics;
use crate::run::{self, Context, Failures, Network, Place, Source};

/// Trains as the rank that the environment variables give; rank 0 prints the result.
///
/// # Errors
/// If the task or the environment is wrong, data is missing, another rank is lost, or the run fails.
pub fn run(cli: &Cli, args: &ClientArgs, termination: &Termination) -> anyhow::Result<()> {
    let launcher = env::var(LAUNCHER).ok();
    if let Some(launcher) = &launcher {
        child::end_with(launcher)?;
    }
    let place = Place::read(|name| env::var(name).ok())?;
    log::stay_in(tracing::error_span!("job", job = args.id, rank = place.rank));
    let network = Network {
        socket_ifname: env::var("GLOO_SOCKET_IFNAME").ok(),
        listener: if launcher.is_some() && place.rank == 0 { Some(run::inherited_listener()?) } else { None },
        in_pod: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
    };
    let files: Vec<PathBuf> = args.file.iter().cloned().collect();
    // The ranks of one machine have one environment.
    let (metrics, _server) = metrics::serve(args.metrics.filter(|_| launcher.is_none()))?;
    let source = match &args.run {
        Some(folder) => Source::Folder(folder.clone()),
        None => Source::task(experiment(args, &files)?, args.task.as_deref(), args.runs.clone(), args.id.clone())?,
    };
    let credentials = args.credentials.as_deref();
    let context = Context {
        base: &inputs::base_folder(&files),
        locations: &inputs::locations(&LocationArgs { data: args.data.clone() }),
        workers: args.workers.or_else(|| available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN),
        device: Device::Cpu,
        stop: stop::on_signal()?,
        failures: Failures::default(),
        // A person who starts a rank by hand names the module, and `fltk run` has checked it before it starts ranks.
        trust_module: true,
        listen: source.listen(&place, credentials)?,
        metrics,
        termination,
    };
    match run::client(&context, source, &place, network, credentials)? {
        Some(result) if cli.output == Output::Json => output::json(&result),
        Some(result) => output::text(&format!("\n{}", result.to_table())),
        None => Ok(()),
    }
}

/// The path of the experiment file in an orchestrator's pods, as in KFLTK.
const ORCHESTRATED: &str = "federation-lab/experiments/experiment.yaml";

/// Reads the experiment. An orchestrator's file may be from an earlier version, whatever the version of its pods' image, so it gets the earliest
/// defaults. A person's own pods may have a termination log too, but have their experiment at another path.
fn experiment(args: &ClientArgs, files: &[PathBuf]) -> anyhow::Result<Experiment> {
    let experiment = inputs::read_experiment(files, &args.overrides, args.seed)?;
    let is_reported = env::var_os(TERMINATION_LOG).is_some_and(|path| !path.is_empty());
    let is_orchestrated = is_reported && files.iter().any(|file| file.ends_with(ORCHESTRATED));
    Ok(if is_orchestrated { experiment.with_earliest_defaults() } else { experiment })
}
