//! Checks of the amounts of local training, and of the groups of clients that have their own.

use std::collections::BTreeMap;

use super::super::{FederatedConfig, ScheduleUnit, TrainConfig, places::Places, report::Problem};
use fltk_core::experiment::{ClientGroup, WorkConfig, WorkUnit};

/// Checks that a client's amount of training is said once, is possible, and fits the schedule.
pub(super) fn check(config: &FederatedConfig, train: &TrainConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    check_amounts(config, train, places, problems);
    // The last client of each range, by its first; they don't overlap.
    let mut earlier: BTreeMap<u32, u32> = BTreeMap::new();
    for (index, group) in config.groups.iter().enumerate() {
        check_clients(config, group, index, &mut earlier, places, problems);
        check_settings(group, index, places, problems);
    }
}

fn check_amounts(config: &FederatedConfig, train: &TrainConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let mut refuse = |path: &str, message: String, hint: &str| {
        problems.push(Problem::error(places.at(&format!("federated.{path}")).span, message).hint(hint));
    };
    let said = [
        ("epochs_per_round", config.epochs_per_round.is_some()),
        ("steps_per_round", config.steps_per_round.is_some()),
        ("work", config.work.is_some()),
    ];
    let said: Vec<&str> = said.into_iter().filter(|(_, is_said)| *is_said).map(|(key, _)| key).collect();
    if let [first, .., last] = said[..] {
        refuse(last, format!("`{first}` and `{last}` both say how much a client trains"), "keep one of them");
    }
    let by_epoch = train.scheduler.is_some_and(|scheduler| scheduler.unit == ScheduleUnit::Epoch);
    if by_epoch && (config.steps_per_round.is_some() || config.work.is_some()) {
        let message = "the schedule of the learning rate counts epochs, and clients don't train the same number of them".to_owned();
        refuse(if config.work.is_some() { "work" } else { "steps_per_round" }, message, "set `unit: round` in `train.scheduler`");
    }
    let differs = |group: &ClientGroup| group.epochs_per_round.is_some() || group.steps_per_round.is_some();
    if by_epoch && config.steps_per_round.is_none() && config.work.is_none() && config.groups.iter().any(differs) {
        let message = "the schedule of the learning rate counts epochs, and groups of clients train other numbers of them".to_owned();
        refuse("groups", message, "set `unit: round` in `train.scheduler`");
    }
    if let Some((key, message, hint)) = config.work.as_ref().and_then(impossible) {
        refuse(&format!("work.{key}"), message, hint);
    }
}

/// Checks that the clients of a group exist and are in no other, and adds them to the `earlier` ones.
fn check_clients(
    config: &FederatedConfig,
    group: &ClientGroup,
    index: usize,
    earlier: &mut BTreeMap<u32, u32>,
    places: &Places<'_>,
    problems: &mut Vec<Problem>,
) {
    let mut refuse = |part: usize, message: String, hint: &str| {
        let place = places.at_part(&format!("federated.groups.{index}.clients"), part);
        problems.push(Problem::error(place.span, message).hint(hint));
    };
    let ranges = group.ranges().unwrap_or_else(|(part, problem)| {
        refuse(part, problem, "write numbers and ranges, counted from 0: `clients: [0-9, 15]`");
        Vec::new()
    });
    // One problem says enough, of thousands of numbers.
    for (part, (first, last)) in ranges.into_iter().enumerate() {
        if last >= config.clients.num() {
            let message = format!("there is no client {last}: the last of {} is {}", config.clients.num(), config.clients.num() - 1);
            refuse(part, message, "clients are counted from 0");
            break;
        }
        if let Some((&other, _)) = earlier.range(..=last).next_back().filter(|(_, until)| **until >= first) {
            let message = format!("client {} is in two groups", first.max(other));
            refuse(part, message, "a client has one group at most");
            break;
        }
        earlier.insert(first, last);
    }
}

/// Checks that a group has settings of its own, which don't contradict each other.
fn check_settings(group: &ClientGroup, index: usize, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let at = |key: &str| places.at(&format!("federated.groups.{index}.{key}")).span;
    if let ClientGroup { epochs_per_round: None, steps_per_round: None, learning_rate: None, .. } = group {
        let problem = Problem::error(at("clients"), "the group has no settings of its own");
        problems.push(problem.hint("add `epochs_per_round`, `steps_per_round` or `learning_rate`"));
    }
    if group.epochs_per_round.is_some() && group.steps_per_round.is_some() {
        problems.push(Problem::error(at("steps_per_round"), "the group has epochs and steps").hint("keep one of them"));
    }
}

/// Returns the setting that makes no sense, why, and a hint.
fn impossible(work: &WorkConfig) -> Option<(&'static str, String, &'static str)> {
    let WorkConfig { min, max, mean, deviation, unit, .. } = *work;
    if min > max {
        return Some(("max", format!("`max` is {max}, below `min`, which is {min}"), "exchange them"));
    }
    if unit == WorkUnit::Steps && (min.0.fract() != 0.0 || max.0.fract() != 0.0) {
        return Some(("min", "a number of steps is a whole number".to_owned(), "use whole numbers, or `unit: epochs`"));
    }
    match (mean, deviation) {
        (Some(_), None) => {
            Some(("mean", "`mean` without `deviation`".to_owned(), "give both for a normal distribution, or none for a uniform one"))
        }
        (Some(mean), Some(_)) if !(min.0..=max.0).contains(&mean) => {
            Some(("mean", format!("`mean` is {mean}, which isn't from {min} to {max}"), "most clients would have the same amount, a bound"))
        }
        (None, Some(_)) => {
            Some(("deviation", "`deviation` without `mean`".to_owned(), "give both for a normal distribution, or none for a uniform one"))
        }
        _ => None,
    }
}
