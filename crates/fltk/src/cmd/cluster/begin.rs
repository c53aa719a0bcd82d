//! The steps before a stream's first job: creating its folder, and checking that the cluster will accept its objects.

use std::collections::BTreeMap;

use anyhow::Context as _;
use fltk_core::experiment::Experiment;
use fltk_kubernetes::{
    Client,
    manifest::RunContext,
    needs_nodes,
    preflight::{self, PreflightError},
};
use fltk_plan::{JobSpec, Orchestrator};
use fltk_records::RunError;
use jiff::Timestamp;

use crate::{
    cli::ClusterArgs,
    exit::{Exit, OrExit as _, failure},
    output,
    stream::{self, Begun, Place, kubernetes::ClusterInputs},
};

/// The namespace of the jobs.
pub struct Namespace {
    pub name: String,
    /// True if the user named it; otherwise it's the kubeconfig's.
    pub is_named: bool,
}

impl Namespace {
    /// Refuses a stream that was begun in another namespace, if the user named this one.
    fn check(&self, stream: &str, begun: &str) -> anyhow::Result<()> {
        if !self.is_named || self.name == begun {
            return Ok(());
        }
        let message = format!(
            "the stream `{stream}` was started in namespace `{begun}`, not `{}`\nhint: choose another `--id`, another folder with `--runs`, or `--namespace {begun}`",
            self.name
        );
        Err(failure(Exit::Records, message))
    }
}

/// Creates the folder of a new stream, or opens that of the stream with the same name.
///
/// # Errors
/// If the cluster rejects its jobs, or the stream with that name has other files or another namespace.
pub async fn begin(args: &ClusterArgs, inputs: &ClusterInputs, namespace: &Namespace, client: &Client) -> anyhow::Result<Begun> {
    let now = Timestamp::now();
    let name = match &args.id {
        Some(name) => {
            let name = stream::read_name(name)?;
            let is_same = |begun: &Begun| {
                let context = begun.context()?;
                namespace.check(&name, &context.namespace)?;
                Ok(inputs.is_config_of(context)? && begun.is_of(&inputs.inputs)?)
            };
            if let Some(begun) = Begun::named(&args.runs, &name, is_same)? {
                return Ok(begun);
            }
            name
        }
        None => stream::new_name(&inputs.inputs.experiment.name, now),
    };
    // The check comes before anything is written: a stream that the cluster rejects isn't begun.
    let (context, stream) = (inputs.context(&name, &namespace.name)?, inputs.inputs.stream(&name)?);
    check(client, &context, &stream).await?;
    let texts = inputs.texts(&context)?;
    match Begun::create(&args.runs, stream, &texts, Place::Kubernetes(Box::new(context)), now) {
        Err(error) if matches!(error.downcast_ref::<RunError>(), Some(RunError::Exists { .. })) => {
            Err(error).context("another orchestrator has just started it")
        }
        begun => begun,
    }
}

/// Refuses what the cluster would refuse, before anything is created.
async fn check(client: &Client, context: &RunContext, stream: &fltk_plan::Stream) -> anyhow::Result<()> {
    if let Some(refusal) = context.refusals().into_iter().reduce(|all, next| format!("{all}\n{next}")) {
        return Err(failure(Exit::Experiment, refusal));
    }
    let orchestrator = Orchestrator::new(stream.clone(), |spec| context.with_requests(spec), None, &[]).or_exit(Exit::Experiment)?;
    let samples = samples(&context.experiment, &orchestrator);
    preflight::check(client, context, &samples, needs_nodes(&orchestrator)).await.map_err(refused)?;
    preflight::is_new(client, context).await.map_err(refused)
}

/// Returns the preflight check's error with its exit code.
pub fn refused(error: PreflightError) -> anyhow::Error {
    let exit = match error {
        PreflightError::Refused { .. } => Exit::Experiment,
        PreflightError::Taken { .. } => Exit::Records,
        _ => Exit::Cluster,
    };
    failure(exit, error)
}

/// Returns one job of each task.
pub fn samples(experiment: &Experiment, orchestrator: &Orchestrator<'_>) -> Vec<JobSpec> {
    let mut samples: BTreeMap<usize, JobSpec> = BTreeMap::new();
    for job in orchestrator.planner().jobs() {
        if samples.len() == experiment.tasks.len() {
            break;
        }
        samples.entry(job.spec.arrival.task).or_insert_with(|| job.spec.clone());
    }
    samples.into_values().collect()
}

/// Checks whether the cluster accepts these jobs, and creates nothing.
///
/// # Errors
/// If the cluster rejects them.
pub async fn dry_run(client: &Client, inputs: &ClusterInputs, namespace: &str) -> anyhow::Result<()> {
    let name = stream::new_name(&inputs.inputs.experiment.name, Timestamp::now());
    check(client, &inputs.context(&name, namespace)?, &inputs.inputs.stream(&name)?).await?;
    output::text(&format!("the cluster accepts these jobs in namespace `{namespace}`; nothing was created"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_not_resumed_in_another_namespace() {
        let check = |name: &str, is_named, begun: &str| Namespace { name: name.to_owned(), is_named }.check("s", begun);
        check("a", true, "a").unwrap();
        // The kubeconfig's namespace says nothing about the namespace of an earlier stream.
        check("a", false, "b").unwrap();
        let message = check("a", true, "b").unwrap_err().to_string();
        assert!(message.contains("started in namespace `b`") && message.contains("--namespace b"), "{message}");
    }
}
