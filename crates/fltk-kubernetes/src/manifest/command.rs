//! The pods of jobs that run a program of the user's own: the user's image, command and variables, and nothing of ours. There is no volume for records, no
//! experiment, no credentials, and no init container; what is known of such a job are the states and times of its object and pods.

use fltk_core::experiment::CommandConfig;
use fltk_plan::JobSpec;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec};

use super::{RunContext, names::job_name, pod, pytorch_job::whole_seconds, train_job::NODE};

/// The port of rank 0 at which ranks meet, as PyTorch has it. The training operator sets its own.
const MASTER_PORT: &str = "29500";
/// The annotation with the number of a pod among those of a `TrainJob`.
const INDEX: &str = "metadata.annotations['batch.kubernetes.io/job-completion-index']";

/// Returns the settings of `spec`'s program; `None` if it trains.
pub fn of<'a>(context: &'a RunContext, spec: &JobSpec) -> Option<&'a CommandConfig> {
    context.experiment.tasks.get(spec.arrival.task)?.command()
}

/// Returns the pod of a command, with a container called `name`: how it is placed is said by the `kubernetes` block, as for all other pods.
pub fn spec(context: &RunContext, config: &CommandConfig, name: &str) -> PodSpec {
    let container =
        Container { command: Some(words(config)), image: Some(image(context, config).to_owned()), ..pod::any_container(context, name) };
    PodSpec {
        containers: vec![container],
        termination_grace_period_seconds: Some(grace_seconds(config)),
        volumes: Some(pod::users_volumes(context)),
        ..pod::placed(context)
    }
}

/// Returns the image of a command.
pub fn image<'a>(context: &'a RunContext, config: &'a CommandConfig) -> &'a str {
    config.image.as_deref().unwrap_or(&context.image)
}

/// Returns the seconds that a pod has to stop.
pub fn grace_seconds(config: &CommandConfig) -> i64 {
    i64::try_from(whole_seconds(config.grace)).unwrap_or(i64::MAX)
}

/// Returns the program and its arguments, which Kubernetes is to take as they are: it would expand `$(NAME)`.
pub fn words(config: &CommandConfig) -> Vec<String> {
    config.run.iter().map(|word| word.replace('$', "$$")).collect()
}

/// Returns the variables of a command that aren't its place: what the task sets, the seed, and those of the `kubernetes` block, which come last and so win.
pub fn variables(context: &RunContext, config: &CommandConfig, spec: &JobSpec) -> Vec<EnvVar> {
    let escaped = |value: &str| value.replace('$', "$$");
    let ours = [("LOCAL_RANK", "0".to_owned()), ("LOCAL_WORLD_SIZE", "1".to_owned()), ("FLTK_SEED", spec.arrival.seed.0.to_string())];
    let mut variables: Vec<EnvVar> = config.variables.iter().map(|(name, value)| variable(name, escaped(value))).collect();
    variables.extend(ours.map(|(name, value)| variable(name, value)));
    variables.retain(|ours| !context.config.env.iter().any(|theirs| theirs.name == ours.name));
    variables.extend(context.config.env.iter().cloned());
    variables
}

/// Returns the place of a pod of a `TrainJob`: Kubeflow Trainer says it only in variables of its own (`PET_...`), which torchrun reads.
pub fn place_in_train_job(spec: &JobSpec) -> Vec<EnvVar> {
    let name = job_name(&spec.id);
    let index = ObjectFieldSelector { field_path: INDEX.to_owned(), ..ObjectFieldSelector::default() };
    let source = EnvVarSource { field_ref: Some(index), ..EnvVarSource::default() };
    vec![
        EnvVar { name: "RANK".to_owned(), value_from: Some(source), ..EnvVar::default() },
        variable("WORLD_SIZE", spec.num_pods().to_string()),
        // The headless service of the job is called as the job itself.
        variable("MASTER_ADDR", format!("{name}-{NODE}-0-0.{name}")),
        variable("MASTER_PORT", MASTER_PORT.to_owned()),
    ]
}

fn variable(name: &str, value: String) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() }
}
