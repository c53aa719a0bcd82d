//! The checks of a strategy that is a class in Python: the schema knows its keys, and here it is named.

use fltk_core::catalogue::Choice;

use super::python_net::check_environment;
use crate::{check::Places, report::Problem};

/// Checks the strategy.
pub(super) fn check(strategy: &Choice, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if strategy.code().is_none() {
        let problem = Problem::error(places.at("federated.strategy.python").span, "a strategy in Python is a file and a name in it");
        problems.push(problem.hint("write it as `strategy: { python: \"mine.py:Mine\" }`, relative to this file"));
    }
    check_environment(strategy.environment(), "federated.strategy.environment", places, problems);
}
