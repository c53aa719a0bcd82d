//! The pods of a job.

use std::collections::BTreeMap;

use fltk_plan::{Amounts, JobSpec};
use k8s_openapi::{
    api::core::v1::{
        ConfigMapProjection, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, LocalObjectReference,
        PersistentVolumeClaimVolumeSource, PodSpec, ProjectedVolumeSource, ResourceRequirements, Volume, VolumeMount, VolumeProjection,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::{RunContext, credentials, names::job_name};
use crate::config::RestartPolicy;

/// The name of the experiment file within its folder.
pub const EXPERIMENT_FILE: &str = "experiment.yaml";
/// The folder of the experiment, as in KFLTK.
const EXPERIMENT_PATH: &str = "/opt/federation-lab/experiments";
/// The writable folder: the root file system is read-only.
const TMP_PATH: &str = "/tmp";
/// A container's termination log: its contents become part of the pod's status.
const TERMINATION_LOG: &str = "/dev/termination-log";

const EXPERIMENT_VOLUME: &str = "fltk-experiment";
const LOG_VOLUME: &str = "fltk-log";
const DATA_VOLUME: &str = "fltk-data";
const TMP_VOLUME: &str = "fltk-tmp";

/// The common pod spec of the run, with a container called `name`.
pub fn spec(context: &RunContext, name: &str) -> PodSpec {
    PodSpec { containers: vec![container(context, name)], volumes: Some(volumes(context)), ..placed(context) }
}

/// A pod spec without containers and volumes: where and how the pods of the run are placed.
pub fn placed(context: &RunContext) -> PodSpec {
    let config = &context.config;
    PodSpec {
        affinity: config.affinity.clone(),
        automount_service_account_token: Some(false),
        // Otherwise every pod would get variables for each of a stream's thousand services.
        enable_service_links: Some(false),
        image_pull_secrets: some(config.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()),
        node_selector: Some(config.node_selector.clone()).filter(|labels| !labels.is_empty()),
        priority_class_name: config.priority_class.clone(),
        restart_policy: Some(restart_policy(config.restart_policy).to_owned()),
        scheduler_name: config.scheduler.clone(),
        security_context: Some(config.security_context.clone()),
        service_account_name: config.service_account.clone(),
        tolerations: some(config.tolerations.clone()),
        ..PodSpec::default()
    }
}

/// The restart policy, in the words of pods and the training operator.
pub fn restart_policy(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Never => "Never",
        RestartPolicy::OnFailure => "OnFailure",
    }
}

fn container(context: &RunContext, name: &str) -> Container {
    Container { env: Some(environment(context)), volume_mounts: Some(mounts(context)), ..any_container(context, name) }
}

/// A container with what all containers of the run have, and the volumes of the `kubernetes` block.
pub fn any_container(context: &RunContext, name: &str) -> Container {
    let config = &context.config;
    let pull = config.image_pull_policy.map(|policy| format!("{policy:?}"));
    Container {
        name: name.to_owned(),
        image: Some(context.image.clone()),
        image_pull_policy: pull,
        security_context: Some(config.container_security_context.clone()),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
        // If the program had no time to write a message, the last lines of its log are used.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(users_mounts(context)),
        ..Container::default()
    }
}

/// The arguments of the program, which is the entry point of the image.
pub fn arguments(context: &RunContext, spec: &JobSpec) -> Vec<String> {
    let id = format!("{}-{}", context.run, job_name(&spec.id));
    let words = ["client", &format!("{EXPERIMENT_PATH}/{EXPERIMENT_FILE}"), "0", "--id", &id, "--runs", &context.config.log_path];
    let mut words = words.map(str::to_owned).to_vec();
    if context.needs_credentials(spec) {
        words.extend(["--credentials".to_owned(), credentials::path()]);
    }
    words
}

/// The resource requirements, with limits equal to the requests.
pub fn resources(requests: &Amounts) -> ResourceRequirements {
    let amounts: BTreeMap<String, Quantity> = requests.quantities().map(|(name, text)| (name.to_owned(), Quantity(text))).collect();
    let amounts = Some(amounts).filter(|amounts| !amounts.is_empty());
    ResourceRequirements { limits: amounts.clone(), requests: amounts, ..ResourceRequirements::default() }
}

fn environment(context: &RunContext) -> Vec<EnvVar> {
    let variable = |name: &str, value: &str| EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..EnvVar::default() };
    let mut ours = vec![
        variable("FLTK_TERMINATION_LOG", TERMINATION_LOG),
        variable("HOME", TMP_PATH),
        // Threads that spin while they wait take CPU time from other pods.
        variable("OMP_WAIT_POLICY", "passive"),
    ];
    if context.config.data_claim.is_some() {
        ours.push(variable("FLTK_DATA", &context.config.data_path));
    }
    ours.retain(|ours| !context.config.env.iter().any(|theirs| theirs.name == ours.name));
    ours.extend(context.config.env.iter().cloned());
    ours
}

fn volumes(context: &RunContext) -> Vec<Volume> {
    let config = &context.config;
    let log = config.log_claim.as_ref().map_or_else(|| empty(LOG_VOLUME), |name| claim(LOG_VOLUME, name));
    std::iter::once(log).chain(users_volumes(context)).collect()
}

/// The writable folder, the data, and the volumes of the `kubernetes` block.
pub fn users_volumes(context: &RunContext) -> Vec<Volume> {
    let config = &context.config;
    let data = config.data_claim.as_ref().map(|name| claim(DATA_VOLUME, name));
    std::iter::once(empty(TMP_VOLUME)).chain(data).chain(config.volumes.iter().cloned()).collect()
}

fn claim(name: &str, claim: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name: claim.to_owned(), read_only: None }),
        ..Volume::default()
    }
}

fn empty(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

fn mounts(context: &RunContext) -> Vec<VolumeMount> {
    std::iter::once(mount(LOG_VOLUME, &context.config.log_path)).chain(users_mounts(context)).collect()
}

fn users_mounts(context: &RunContext) -> Vec<VolumeMount> {
    let config = &context.config;
    let data = config.data_claim.as_ref().map(|_| VolumeMount { read_only: Some(true), ..mount(DATA_VOLUME, &config.data_path) });
    std::iter::once(mount(TMP_VOLUME, TMP_PATH)).chain(data).chain(config.volume_mounts.iter().cloned()).collect()
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

/// The volume of the experiment, with that of its module if it has one that travels, in these config maps; and its mount.
pub fn experiment_volume(config_map: String, modules: Vec<String>) -> (Volume, VolumeMount) {
    let mut volume = Volume { name: EXPERIMENT_VOLUME.to_owned(), ..Volume::default() };
    if modules.is_empty() {
        volume.config_map = Some(ConfigMapVolumeSource { name: config_map, ..ConfigMapVolumeSource::default() });
    } else {
        let source = |name| VolumeProjection {
            config_map: Some(ConfigMapProjection { name, ..ConfigMapProjection::default() }),
            ..VolumeProjection::default()
        };
        let sources = std::iter::once(config_map).chain(modules).map(source).collect();
        volume.projected = Some(ProjectedVolumeSource { sources: Some(sources), ..ProjectedVolumeSource::default() });
    }
    let mount = VolumeMount {
        name: EXPERIMENT_VOLUME.to_owned(),
        mount_path: EXPERIMENT_PATH.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    (volume, mount)
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}
