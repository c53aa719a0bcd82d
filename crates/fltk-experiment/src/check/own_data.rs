//! Checks of clients that have data of their own, and of what isn't possible with them.

use std::collections::BTreeSet;

use super::super::{FederatedConfig, places::Places, report::Problem};
use fltk_core::{catalogue::Catalogues, experiment::Clients, name::Name};

pub(super) fn check(config: &FederatedConfig, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let mut refuse = |path: &str, message: String, hint: &str| {
        problems.push(Problem::error(places.at(&format!("federated.{path}")).span, message).hint(hint.to_owned()));
    };
    let names = config.clients.names();
    if !config.has_own_data() {
        if !names.is_empty() {
            let message = "clients with names have data of their own, and `data` is `everywhere`".to_owned();
            refuse("clients", message, "add `data: here`, or write the number of clients");
        }
        for (name, is_given) in [("min_available", config.min_available.is_some()), ("max_samples", config.max_samples.is_some())] {
            if is_given {
                let message = format!("`{name}` is for clients that have data of their own");
                refuse(name, message, "leave it out, or name the clients and add `data: here`");
            }
        }
        return;
    }
    if names.is_empty() {
        let message = "clients that have data of their own need names".to_owned();
        refuse("clients", message, "write `clients: [hospital-1, hospital-2]`: `fltk node --client hospital-1` has the data of the first");
    }
    if let Some(Err(error)) = names.iter().map(|name| name.parse::<Name>()).find(Result::is_err) {
        refuse("clients", error.to_string(), "choose another name");
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        refuse("clients", format!("the client `{twice}` is there twice"), "give each client a name of its own");
    }
    if names.len() > Clients::MAX as usize {
        refuse("clients", format!("there are {} clients", names.len()), "there may be a million");
    }
    if let Some(least) = config.min_available {
        if u64::from(least) < config.num_selected() {
            let message = format!("`min_available` is {least}, and a round takes {} clients", config.num_selected());
            refuse("min_available", message, "raise it, or select fewer");
        }
        if least > config.clients.num() {
            let message = format!("`min_available` is {least}, and there are {} clients", config.clients.num());
            refuse("min_available", message, "no round would ever begin: lower it");
        }
    }
    let of_strategy = catalogues.strategies.get(config.strategy.name());
    let needs_everybody = catalogues.selections.get(config.selection.name()).is_some_and(|selection| selection.needs_everybody);
    let impossible = [
        ("partition.type", config.partition.name() != "uniform", "the training set isn't divided: each client has its own"),
        ("nodes", config.nodes > 0, "nodes that this machine starts have no data of clients"),
        (
            "client_test_fraction",
            config.client_test_fraction.is_some(),
            "clients that have data of their own have test sets too, which are used if the federator has none",
        ),
        (
            "simulation.clock",
            config.virtual_time().is_some(),
            "clients that have data of their own are there or not, whatever a virtual clock says",
        ),
        ("selection.type", needs_everybody, "this selection is for clients that are always there"),
        (
            "strategy.type",
            of_strategy.is_some_and(|strategy| strategy.buffer.is_some()),
            "an asynchronous strategy needs clients that are always there",
        ),
    ];
    for (path, is_given, why) in impossible {
        if is_given {
            refuse(path, why.to_owned(), "leave it out with `data: here`, or choose something else");
        }
    }
}
