//! KFLTK's hyper-parameter block.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{
    ScheduleUnit, SchedulerConfig, TrainConfig,
    experiment_schema::default_of,
    report::Problem,
    source::{Span, quote},
    tree::Node,
};
use fltk_core::catalogue::Choice;

/// The strength of FedProx's proximal term, a constant in KFLTK.
pub(super) const FEDPROX_MU: f64 = 0.01;
/// The momentum of FedProx and FedNova where a file gives none, a constant in KFLTK.
const FEDERATED_MOMENTUM: f64 = 0.9;

/// Hyper-parameters of a role.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "hyper_parameters")]
#[serde(rename_all = "camelCase")]
pub(super) struct Hyper {
    /// Epochs of a distributed task.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub total_epochs: Option<u32>,
    /// Samples per step.
    #[schemars(range(min = 1, max = 1_000_000))]
    batch_size: Option<u32>,
    /// Samples per forward pass of an evaluation.
    #[schemars(range(min = 1, max = 1_000_000))]
    test_batch_size: Option<u32>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "no trainer of KFLTK used it"))]
    learning_rate_decay: Option<f64>,
    /// The optimizer.
    optimizer_config: Option<Optimizer>,
    /// The schedule of the learning rate.
    scheduler_config: Option<Scheduler>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Optimizer {
    /// The name of the optimizer.
    #[serde(rename = "type")]
    kind: Option<OptimizerName>,
    /// Step size.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    learning_rate: Option<f64>,
    /// Momentum factor.
    #[schemars(range(min = 0.0))]
    momentum: Option<f64>,
    /// Decay rates of Adam's moments.
    betas: Option<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::upper_case_acronyms, reason = "KFLTK's names")]
pub(super) enum OptimizerName {
    SGD,
    Adam,
    AdamW,
    FedProx,
    FedNova,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Scheduler {
    /// Epochs between two reductions of the learning rate.
    #[schemars(range(min = 1))]
    scheduler_step_size: Option<u32>,
    /// The factor by which each reduction multiplies the learning rate.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    scheduler_gamma: Option<f64>,
    /// The lower bound of the learning rate.
    #[schemars(range(min = 0.0))]
    minimum_learning_rate: Option<f64>,
}

/// Returns the training of a role whose merged block is `node`, and the strategy that its optimizer implies.
pub(super) fn train(
    node: &Node,
    whole: Span,
    federated: bool,
    problems: &mut Vec<Problem>,
) -> Option<(TrainConfig, Option<Choice>, Hyper)> {
    let hyper: Hyper = serde_json::from_value(node.to_json()).ok()?;
    let optimizer = optimizer(&hyper, node, whole, federated, problems);
    let scheduler = scheduler(&hyper, node, problems);
    if hyper.batch_size.is_none() {
        problems.push(missing("batchSize", "the hyper-parameters have", whole));
    }
    let (optimizer, strategy) = optimizer?;
    let config = TrainConfig {
        batch_size: hyper.batch_size?,
        test_batch_size: hyper.test_batch_size.or_else(|| default_of("train", "test_batch_size"))?,
        drop_last: default_of("train", "drop_last")?,
        optimizer,
        scheduler: scheduler?,
    };
    Some((config, strategy, hyper))
}

fn missing(key: &str, owner: &str, span: Span) -> Problem {
    Problem::error(span, format!("{owner} no `{key}`")).hint(format!("add `\"{key}\"`"))
}

fn optimizer(hyper: &Hyper, node: &Node, whole: Span, federated: bool, problems: &mut Vec<Problem>) -> Option<(Choice, Option<Choice>)> {
    let (Some(config), Some(entry)) = (&hyper.optimizer_config, node.entry("optimizerConfig")) else {
        problems.push(missing("optimizerConfig", "the hyper-parameters have", whole));
        return None;
    };
    let at = |key: &str| entry.node.get(key).map_or(entry.key_span, |node| node.span);
    if config.learning_rate.is_none() {
        problems.push(missing("learningRate", "`optimizerConfig` has", entry.key_span));
    }
    let Some(kind) = config.kind else {
        problems.push(missing("type", "`optimizerConfig` has", entry.key_span));
        return None;
    };
    let name = quote(&super::super::check::serde_name(&kind));
    let is_adam = matches!(kind, OptimizerName::Adam | OptimizerName::AdamW);
    if is_adam && config.momentum.is_some_and(|momentum| momentum != 0.0) {
        let problem = Problem::error(at("momentum"), format!("{name} has no `momentum`")).label(at("type"), "the optimizer");
        problems.push(problem.hint("remove it: the first of `betas` is its momentum"));
    }
    if !is_adam && config.betas.is_some() {
        let problem = Problem::error(at("betas"), format!("{name} has no `betas`")).label(at("type"), "the optimizer");
        problems.push(problem.hint("remove it: `betas` are Adam's"));
    }
    let strategy = match kind {
        OptimizerName::FedProx => Some(Choice::new("FedProx").with("mu", FEDPROX_MU)),
        OptimizerName::FedNova => Some(Choice::new("FedNova")),
        OptimizerName::SGD | OptimizerName::Adam | OptimizerName::AdamW => None,
    };
    if strategy.is_some() && !federated {
        let problem = Problem::error(at("type"), format!("{name} is a federated optimizer, and the task is distributed"));
        problems.push(problem.hint("use `SGD`, `Adam` or `AdamW`, or make the job `federated`"));
    }
    let learning_rate = config.learning_rate?;
    let momentum_default = if strategy.is_some() { FEDERATED_MOMENTUM } else { 0.0 };
    let optimizer = match kind {
        OptimizerName::Adam | OptimizerName::AdamW => adam(kind, learning_rate, config.betas),
        OptimizerName::SGD | OptimizerName::FedProx | OptimizerName::FedNova => {
            sgd(learning_rate, config.momentum.unwrap_or(momentum_default))
        }
    };
    Some((optimizer, strategy))
}

/// Returns SGD with these settings.
pub(super) fn sgd(learning_rate: f64, momentum: f64) -> Choice {
    Choice::new("SGD").with("learning_rate", learning_rate).with("momentum", momentum)
}

/// Returns Adam or AdamW with these settings.
pub(super) fn adam(kind: OptimizerName, learning_rate: f64, betas: Option<[f64; 2]>) -> Choice {
    let adam = Choice::new(if kind == OptimizerName::AdamW { "AdamW" } else { "Adam" }).with("learning_rate", learning_rate);
    match betas {
        Some(betas) => adam.with("betas", betas),
        None => adam,
    }
}

/// Returns the schedule; `Some(None)` if there is none.
fn scheduler(hyper: &Hyper, node: &Node, problems: &mut Vec<Problem>) -> Option<Option<SchedulerConfig>> {
    let (Some(config), Some(entry)) = (&hyper.scheduler_config, node.entry("schedulerConfig")) else { return Some(None) };
    let given = [config.scheduler_step_size.is_some(), config.scheduler_gamma.is_some(), config.minimum_learning_rate.is_some()];
    if given == [false; 3] {
        return Some(None);
    }
    for (key, given) in ["schedulerStepSize", "schedulerGamma"].iter().zip(given) {
        if !given {
            problems.push(missing(key, "`schedulerConfig` has", entry.key_span));
        }
    }
    Some(Some(SchedulerConfig {
        step_size: config.scheduler_step_size?,
        gamma: config.scheduler_gamma?,
        minimum_learning_rate: config.minimum_learning_rate.unwrap_or(0.0),
        unit: ScheduleUnit::Epoch,
    }))
}
