//! Checks of who counts in a round, and of faults to order, that are impossible for the task.

use super::super::{FederatedConfig, places::Places, report::Problem};
use fltk_core::{
    catalogue::{Catalogues, DatasetEntry, SampleKind},
    experiment::{ATTACK_FRACTION, num_affected},
};

pub(super) fn check(
    config: &FederatedConfig,
    dataset: &DatasetEntry,
    catalogues: &Catalogues,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    check_participation(config, places, problems);
    check_losses(config, catalogues, places, problems);
    check_attack(config, dataset, catalogues, places, problems);
}

fn check_participation(config: &FederatedConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let Some(participation) = &config.participation else { return };
    let at = |key: &str| places.at(&format!("federated.participation.{key}"));
    let (min_updates, per_round) = (participation.min_updates, config.clients_per_round);
    if min_updates > per_round {
        let message = format!("`min_updates` is {min_updates}, and at most {per_round} updates count in a round");
        let problem = Problem::error(at("min_updates").span, message);
        let problem = problem.label(places.at("federated.clients_per_round").span, format!("{per_round} updates"));
        problems.push(problem.hint(format!("choose at most {per_round}, or raise `clients_per_round`")));
    }
    if participation.deadline.is_some_and(|deadline| deadline.as_millis() == 0) {
        let problem = Problem::error(at("deadline").span, "`deadline` is 0s: no answer could be in time");
        problems.push(problem.hint("leave `deadline` out for no limit, or give the time that a round may take, such as `30s`"));
    }
    let num_selected = config.num_selected();
    if num_selected > per_round.into() && config.selection.name() == "file" {
        let problem = Problem::error(at("over_select").span, "`over_select` selects more clients than a file gives for a round");
        let problem = problem.label(places.at("federated.selection").span, "the file gives the clients of each round");
        problems.push(problem.hint("leave `over_select` out, or use another selection"));
    }
    if num_selected > config.clients.num().into() && per_round <= config.clients.num() {
        let message = format!(
            "`over_select` is {}: {num_selected} clients would be selected for a round of {per_round}, and there are {}",
            participation.over_select,
            config.clients.num()
        );
        let problem = Problem::error(at("over_select").span, message);
        let problem = problem.label(places.at("federated.clients").span, format!("{} clients", config.clients.num()));
        problems.push(problem.hint("lower `over_select` or `clients_per_round`, or raise `clients`"));
    }
}

/// Checks drop-outs and crashes.
fn check_losses(config: &FederatedConfig, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let (Some(faults), Some(strategy)) = (&config.faults, catalogues.strategies.get(config.strategy.name())) else { return };
    let at = |key: &str| places.at(&format!("federated.faults.{key}"));
    if faults.drop_out >= 1.0 {
        let problem = Problem::error(at("drop_out").span, "`drop_out` is 1: no client would ever answer");
        problems.push(problem.hint("it is the probability with which a client drops out of a round: choose one below 1"));
    }
    let Some(crash) = &faults.crash else { return };
    let last = crash.last_round.unwrap_or(config.rounds);
    if crash.first_round > config.rounds {
        let message = format!("`first_round` is {}, and the task has {} rounds: nobody would crash", crash.first_round, config.rounds);
        problems.push(Problem::error(at("crash.first_round").span, message).hint("leave `crash` out, or choose an earlier round"));
    } else if last < crash.first_round {
        let message = format!("`last_round` is {last}, before `first_round`, which is {}", crash.first_round);
        let problem = Problem::error(at("crash.last_round").span, message);
        problems.push(problem.hint("clients crash in a round from `first_round` to `last_round`"));
    }
    let num_crashed = num_affected(crash.fraction, config.clients.num());
    let (left, needed) = (config.clients.num().saturating_sub(num_crashed), config.min_updates(strategy));
    if num_crashed == 0 {
        problems.push(nobody(at("crash.fraction").span, crash.fraction, config.clients.num(), "would crash"));
    } else if left < needed && last < config.rounds {
        let updates = if needed == 1 { "1 update".to_owned() } else { format!("{needed} updates") };
        let message = format!(
            "{num_crashed} of {} clients crash until round {last}: {left} are left, and a round needs {updates}",
            config.clients.num()
        );
        problems.push(Problem::error(at("crash.fraction").span, message).hint("lower `fraction`"));
    }
}

fn check_attack(
    config: &FederatedConfig,
    dataset: &DatasetEntry,
    catalogues: &Catalogues,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let Some(settings) = config.faults.as_ref().and_then(|faults| faults.attack.as_ref()) else { return };
    let Some(attack) = catalogues.attacks.get(settings.name()) else { return };
    let at = |key: &str| places.at(&format!("federated.faults.attack.{key}"));
    if attack.needs_labels && dataset.gives == SampleKind::Text {
        let message = format!("`{}` changes class labels, and `{}` is text without any", attack.entry.name, dataset.entry.name);
        let others = catalogues.attacks.iter().filter(|other| !other.needs_labels);
        problems.push(Problem::error(at("type").span, message).hint(format!("for text: {}", super::partition::listed(others))));
    }
    let fraction = ATTACK_FRACTION.of(settings);
    if num_affected(fraction, config.clients.num()) == 0 {
        problems.push(nobody(at("fraction").span, fraction, config.clients.num(), "would be malicious"));
    }
}

fn nobody(span: super::super::source::Span, fraction: f64, clients: u32, what: &str) -> Problem {
    let message = format!("`fraction` is {fraction}, which is less than half a client of {clients}: nobody {what}");
    Problem::error(span, message).hint("raise `fraction`, or leave the block out")
}
