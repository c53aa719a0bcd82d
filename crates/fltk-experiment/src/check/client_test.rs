//! Checks of the test samples that clients keep for themselves.

use super::super::{FederatedConfig, places::Places, report::Problem};
use fltk_core::{catalogue::DatasetEntry, experiment::ClientFigure};

/// Writes out what a file leaves open: with test samples, when they are used and what is recorded; a fraction of 0 is none.
pub(super) fn settle(config: &mut FederatedConfig) {
    config.client_test_fraction = config.client_test_fraction.filter(|fraction| *fraction != 0.0);
    if config.client_test_fraction.is_some() {
        config.client_test_every.get_or_insert(config.evaluate_every);
        config.client_figures.get_or_insert(ClientFigure::ALL.to_vec());
    }
}

/// Checks that settings of clients' tests have test samples, and that somebody can have one.
pub(super) fn check(config: &FederatedConfig, dataset: &DatasetEntry, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let at = |key: &str| places.at(&format!("federated.{key}"));
    if config.client_test_fraction.is_none() {
        let given = [("client_test_every", config.client_test_every.is_some()), ("client_figures", config.client_figures.is_some())];
        for (key, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            let place = at(key);
            let problem = Problem::error(place.span, format!("`{}` without test samples of clients", place.name));
            problems.push(
                problem.hint("add `client_test_fraction: 0.2`, a fraction of each client's samples that it is tested on, or leave it out"),
            );
        }
        return;
    }
    let figures = config.client_figures();
    if let Some(twice) = (0..figures.len()).find(|&place| figures[..place].contains(&figures[place])) {
        let name = super::serde_name(&figures[twice]);
        let problem = Problem::error(at(&format!("client_figures.{twice}")).span, format!("`{name}` is given twice"));
        problems.push(problem.hint("keep one of them"));
    }
    // With so many clients, one has 2 samples only if others have none.
    if let Some(num_train) =
        dataset.num_train.filter(|num_train| config.partition.name() == "uniform" && *num_train < config.clients.num().saturating_add(1))
    {
        let message =
            format!("no client could be tested: {num_train} training samples are one for each of {} clients", config.clients.num());
        let problem = Problem::error(at("client_test_fraction").span, message);
        let problem = problem.label(at("clients").span, format!("{} clients", config.clients.num()));
        problems.push(problem.hint("a client with two samples or more keeps one for testing: use fewer clients"));
    }
}
