//! The cluster JSON of both eras.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    super::{
        Duration, OrchestratorType,
        report::{Problem, Severity, refused},
        schema,
        tree::Node,
    },
    lenient,
};
use fltk_core::{catalogue::Catalogues, seed::Seed};

const NEVER_READ: &str = "KFLTK never read it";
const RUN_FOLDER: &str = "fltk writes its results to the run's folder";

/// The contents of a cluster file, as far as they have an effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// When jobs arrive; absent in the seed era's files, which don't say.
    pub orchestrator: Option<OrchestratorType>,
    /// True if jobs of a batch run in parallel.
    pub parallel: bool,
    /// The Kubernetes namespace of the jobs.
    pub namespace: Option<String>,
    /// The container image of the jobs.
    pub image: Option<String>,
    /// The time during which jobs arrive.
    pub duration: Option<Duration>,
    /// The name of the experiment, which may be any text.
    pub experiment_prefix: String,
    /// The seeds, one per replication; empty only if the arrival file has them.
    pub seeds: Vec<Seed>,
    /// The number of epochs from one checkpoint to the next; absent if models aren't saved.
    pub checkpoint_every: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(title = "KFLTK cluster file")]
struct ClusterFile {
    /// The cluster and its orchestrator.
    cluster: ClusterSection,
    /// The settings for running experiments.
    execution_config: Execution,
}

#[derive(Deserialize, JsonSchema)]
struct ClusterSection {
    /// The orchestrator.
    orchestrator: Orchestrator,
    #[expect(dead_code, reason = "checked, never used")]
    client: Option<Client>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "it's of the seed era, and fltk doesn't wait for clients"))]
    wait_for_clients: Option<bool>,
    namespace: Option<String>,
    image: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Orchestrator {
    /// `batch` or `simulated`.
    orchestrator_type: Option<OrchestratorType>,
    parallel_execution: Option<bool>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "it's of the seed era, and fltk doesn't wait for clients"))]
    wait_for_clients: Option<bool>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "it's of the seed era, and Kubernetes names the service"))]
    service: Option<String>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "it's of the seed era, and fltk doesn't choose a network interface"))]
    nic: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "checked, never used")]
struct Client {
    #[schemars(extend("x-no-effect" = NEVER_READ))]
    prefix: Option<String>,
    #[schemars(extend("x-no-effect" = NEVER_READ))]
    tensorboard_active: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
struct Execution {
    /// The time during which jobs arrive, in seconds; `simulated` only.
    #[schemars(range(min = 0, max = 315_360_000))]
    duration: Option<u32>,
    experiment_prefix: Option<String>,
    cuda: Option<bool>,
    tensorboard: Option<Tensorboard>,
    net: Option<Net>,
    /// The seeds.
    reproducibility: Reproducibility,
}

#[derive(Deserialize, JsonSchema)]
struct Tensorboard {
    active: Option<bool>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = RUN_FOLDER))]
    record_dir: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Net {
    save_model: Option<bool>,
    #[schemars(range(min = 1))]
    save_epoch_interval: Option<u32>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = NEVER_READ))]
    save_temp_model: Option<bool>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = RUN_FOLDER))]
    save_model_path: Option<String>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = NEVER_READ))]
    epoch_save_start_suffix: Option<String>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = NEVER_READ))]
    epoch_save_end_suffix: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Reproducibility {
    #[schemars(length(min = 1, max = 1000))]
    seeds: Option<Vec<Seed>>,
    torch_seed: Option<Seed>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "fltk derives arrivals from the experiment's seeds"))]
    arrival_seed: Option<Seed>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "it belongs in `cluster.orchestrator`; here KFLTK ignored it"))]
    parallel_execution: Option<bool>,
}

/// Reads the cluster file in `root` as far as possible. `arrival_has_seeds` is true if the accompanying arrival file has the seeds.
pub(crate) fn read(root: &mut Node, arrival_has_seeds: bool, catalogues: &Catalogues, problems: &mut Vec<Problem>) -> Option<Cluster> {
    lenient::check(&schema::generate::<ClusterFile>(), root, "cluster file", lenient::IGNORED, catalogues, problems);
    let file: ClusterFile = serde_json::from_value(root.to_json()).ok()?;
    let refused = refused(problems);
    let mut found = Vec::new();
    check_required(&file, root, arrival_has_seeds, &mut found);
    check_differences(&file, root, &mut found);
    problems.extend(found.into_iter().filter(|problem| !problem.touches(&refused)));
    let reproducibility = file.execution_config.reproducibility;
    let net = file.execution_config.net;
    let every = net.filter(|net| net.save_model == Some(true)).map(|net| net.save_epoch_interval.unwrap_or(1));
    Some(Cluster {
        orchestrator: file.cluster.orchestrator.orchestrator_type,
        parallel: file.cluster.orchestrator.parallel_execution.unwrap_or(true),
        namespace: file.cluster.namespace,
        image: file.cluster.image,
        duration: file.execution_config.duration.map(|seconds| Duration::from_millis(u64::from(seconds) * 1000)),
        experiment_prefix: file.execution_config.experiment_prefix.unwrap_or_else(|| super::NAME_DEFAULT.to_owned()),
        seeds: reproducibility.seeds.or(reproducibility.torch_seed.map(|seed| vec![seed])).unwrap_or_default(),
        checkpoint_every: every,
    })
}

/// Checks for the keys that each era requires, since the schema covers both.
fn check_required(file: &ClusterFile, root: &Node, arrival_has_seeds: bool, problems: &mut Vec<Problem>) {
    let reproducibility = &file.execution_config.reproducibility;
    let place = |block: &str, key: &str| root.get(block).and_then(|block| block.entry(key)).map_or(root.span, |entry| entry.key_span);
    let is_seed_era = reproducibility.torch_seed.is_some();
    if reproducibility.seeds.is_none() && !is_seed_era && !arrival_has_seeds {
        let problem = Problem::error(place("execution_config", "reproducibility"), "`reproducibility` has no `seeds`");
        problems.push(problem.hint("add `\"seeds\": [42]`: one replication each"));
    }
    if file.cluster.orchestrator.orchestrator_type.is_none() && !is_seed_era && !arrival_has_seeds {
        let problem = Problem::error(place("cluster", "orchestrator"), "`orchestrator` has no `orchestrator_type`");
        problems.push(problem.hint("add `\"orchestrator_type\"`: `batch` or `simulated`"));
    }
}

/// Reports where fltk does something other than the file says.
fn check_differences(file: &ClusterFile, root: &Node, problems: &mut Vec<Problem>) {
    let config = root.get("execution_config");
    if file.execution_config.cuda == Some(true)
        && let Some(node) = config.and_then(|config| config.get("cuda"))
    {
        problems.push(Problem::new(Severity::Warning, Some(node.span), super::lower::CUDA));
    }
    if file.execution_config.tensorboard.as_ref().is_some_and(|tensorboard| tensorboard.active == Some(false))
        && let Some(node) = config.and_then(|config| config.get("tensorboard")?.get("active"))
    {
        let message = "TensorBoard's event files are written anyway";
        problems.push(Problem::new(Severity::Note, Some(node.span), message).hint("they are in the run's folder"));
    }
}
