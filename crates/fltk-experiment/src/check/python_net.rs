//! The checks of a net that is a module in Python: it is named, and nothing is asked for that nodes in Python can't do.

use fltk_core::{
    catalogue::Choice,
    experiment::{FederatedConfig, PythonNet, Setting},
};

use crate::{check::Places, report::Problem};

/// The attack that clients carry out on their own labels.
const LABEL_FLIP: &str = "label_flip";

/// Checks the net, and what its nodes would have to do.
pub(super) fn check(net: &PythonNet, setting: &Setting, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if net.parts().is_none() {
        let problem = Problem::error(places.at("network.python").span, "a net in Python is a file and a name in it");
        problems.push(problem.hint("write it as `network: { python: \"model.py:make_model\" }`, relative to this file"));
    }
    check_environment(net.environment.as_deref(), "network.environment", places, problems);
    match setting {
        Setting::Federated(config) => check_federated(config, places, problems),
        Setting::Distributed(_) => {
            let problem =
                Problem::error(places.at("network").span, "ranks can't train a net in Python: only clients of a federated task can");
            problems.push(problem.hint("a script that trains by itself is a task of `kind: command`"));
        }
    }
}

/// Checks the path of the Python that runs code of the user's own, if the file gives one.
pub(super) fn check_environment(environment: Option<&str>, setting: &str, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if environment.is_some_and(|path| path.trim().is_empty() || path.contains('\0')) {
        let problem = Problem::error(places.at(setting).span, "the path of the environment is empty");
        problems.push(problem.hint("leave it out to use the Python that `FLTK_PYTHON` names, or `python3`"));
    }
}

fn check_federated(config: &FederatedConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let mut refuse = |path: &str, what: &str| {
        let place = places.at(&format!("federated.{path}"));
        problems.push(
            Problem::error(place.span, format!("nodes in Python don't have `{what}`")).hint("leave it out, or use a net of the catalogue"),
        );
    };
    if config.has_own_data() {
        refuse("data", "data: here");
    }
    if config.compression.is_some() {
        refuse("compression", "compression");
    }
    if config.feature_noise > 0.0 {
        refuse("feature_noise", "feature_noise");
    }
    if config.client_test_fraction.is_some() {
        refuse("client_test_fraction", "client_test_fraction");
    }
    if config.imposed_links().is_some() {
        refuse("simulation", "impose_links");
    }
    let attack = config.faults.as_ref().and_then(|faults| faults.attack.as_ref());
    if attack.is_some_and(|attack: &Choice| attack.name() == LABEL_FLIP) {
        refuse("faults.attack", LABEL_FLIP);
    }
}
