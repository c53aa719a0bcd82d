//! Warnings about strategies that run, and probably don't do what their user expects of them.

use super::super::{
    FederatedConfig, TrainConfig,
    places::Places,
    report::{Problem, Severity},
};
use fltk_core::{
    catalogue::{Catalogues, Choice, StrategyEntry, Value, Withstood},
    experiment::{ATTACK_FRACTION, num_affected},
};

pub(super) fn check(
    config: &FederatedConfig,
    train: &TrainConfig,
    catalogues: &Catalogues,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let Some(strategy) = catalogues.strategies.get(config.strategy.name()) else { return };
    problems.extend(other_optimizer(strategy, &train.optimizer, places));
    problems.extend(too_many_malicious(config, strategy, places));
}

/// Returns a warning if the clients' optimizer isn't the one that the strategy's formula is about.
fn other_optimizer(strategy: &StrategyEntry, optimizer: &Choice, places: &Places<'_>) -> Option<Problem> {
    if !strategy.assumes_plain_sgd {
        return None;
    }
    let used = match (optimizer.name(), optimizer.get("momentum")) {
        ("SGD", Some(Value::Number(momentum))) if *momentum != 0.0 => format!("SGD with momentum {momentum}"),
        ("SGD", _) => return None,
        (other, _) => format!("`{other}`"),
    };
    let message = format!(
        "`{}` may learn badly here: its formula takes the clients' steps for those of plain SGD, and they train with {used}",
        strategy.entry.name
    );
    let problem = Problem::new(Severity::Warning, Some(places.at("federated.strategy.type").span), message);
    Some(problem.hint("use `optimizer: { type: SGD, learning_rate: ... }` without momentum"))
}

/// Returns a warning if a round is expected to have more malicious clients than the strategy is set to withstand.
fn too_many_malicious(config: &FederatedConfig, strategy: &StrategyEntry, places: &Places<'_>) -> Option<Problem> {
    let attack = config.faults.as_ref()?.attack.as_ref()?;
    let cohort = config.clients_per_round;
    let Withstood { clients, parameter, says } = (strategy.withstands)(&config.strategy, cohort)?;
    let num_malicious = num_affected(ATTACK_FRACTION.of(attack), config.clients.num());
    // In whole numbers: a product of fractions may be rounded to just above the number that is withstood.
    let (product, num_clients) = (u64::from(num_malicious) * u64::from(cohort), u64::from(config.clients.num()).max(1));
    if product <= u64::from(clients) * num_clients {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a number to be read")]
    let mean = (product as f64 / num_clients as f64 * 10.0).round() / 10.0;
    let message = format!("{says}, and of the {cohort} clients of a round {mean} are malicious on average");
    let at = |path: &str| places.at(&format!("federated.{path}"));
    let problem = Problem::new(Severity::Warning, Some(at(&format!("strategy.{parameter}")).span), message);
    let problem = problem.label(at("faults.attack.fraction").span, format!("{num_malicious} of {} clients", config.clients.num()));
    let hint = if product * 2 >= num_clients * u64::from(cohort) {
        "no such rule withstands half of the clients: lower `fraction`".to_owned()
    } else {
        format!("raise `{parameter}`, with some to spare since rounds differ, or lower `fraction`")
    };
    Some(problem.hint(hint))
}
