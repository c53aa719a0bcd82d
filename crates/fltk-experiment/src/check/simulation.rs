//! Checks of simulated time, and of asynchronous strategies.

use super::super::{FederatedConfig, places::Places, report::Problem};
use fltk_core::{
    catalogue::{Catalogues, ChoiceError},
    experiment::{Clock, SimulationConfig},
};

/// Gives the choices of devices, links and availability all parameters of their entries.
pub(super) fn settle(simulation: &mut SimulationConfig, catalogues: &Catalogues) -> Result<(), (&'static str, ChoiceError)> {
    let SimulationConfig { devices, network, availability, .. } = simulation;
    super::settle_with(devices, &catalogues.devices).map_err(|error| ("federated.simulation.devices", error))?;
    super::settle_with(network, &catalogues.links).map_err(|error| ("federated.simulation.network", error))?;
    super::settle_with(availability, &catalogues.availability).map_err(|error| ("federated.simulation.availability", error))
}

pub(super) fn check(config: &FederatedConfig, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    check_asynchronous(config, catalogues, places, problems);
    let Some(simulation) = &config.simulation else { return };
    super::check_choice(&simulation.devices, &catalogues.devices, "federated.simulation.devices", places, problems);
    super::check_choice(&simulation.network, &catalogues.links, "federated.simulation.network", places, problems);
    super::check_choice(&simulation.availability, &catalogues.availability, "federated.simulation.availability", places, problems);
    check_imposed(simulation, places, problems);
    let selection = catalogues.selections.get(config.selection.name());
    let comes_and_goes = config.virtual_time().is_some_and(|simulation| simulation.availability.name() != "always");
    if let Some(selection) = selection.filter(|selection| selection.needs_everybody && comes_and_goes) {
        let place = places.at("federated.simulation.availability");
        let message = format!("clients come and go, and the selection `{}` is for clients that are always there", selection.entry.name);
        let problem = Problem::error(place.span, message).label(places.at("federated.selection").span, "this selection");
        problems.push(problem.hint("write `availability: { type: always }`, or use another selection"));
    }
}

/// Checks that there are links to impose, on a clock on which that takes time.
fn check_imposed(simulation: &SimulationConfig, places: &Places<'_>, problems: &mut Vec<Problem>) {
    if !simulation.impose_links {
        return;
    }
    let place = places.at("federated.simulation.impose_links").span;
    if simulation.clock == Clock::Virtual {
        let problem = Problem::error(place, "on a virtual clock, links are simulated, and nodes have nothing to impose");
        problems.push(problem.hint("add `clock: wall` to have nodes impose them, or leave `impose_links` out"));
    } else if simulation.network.name() == "instant" {
        let problem = Problem::error(place, "there are no links to impose: under `network: { type: instant }` nothing takes time");
        problems.push(problem.hint("add a `network`, such as `{ type: constant, up_mbit: 5, down_mbit: 20, latency_ms: 30 }`"));
    }
}

/// Checks that an asynchronous strategy has what it needs.
fn check_asynchronous(config: &FederatedConfig, catalogues: &Catalogues, places: &Places<'_>, problems: &mut Vec<Problem>) {
    let Some(strategy) = catalogues.strategies.get(config.strategy.name()) else { return };
    let Some(buffer) = strategy.buffer.map(|buffer| buffer(&config.strategy)) else { return };
    let (name, of_strategy) = (strategy.entry.name, places.at("federated.strategy.type").span);
    let mut refuse = |path: &str, message: String, hint: String| {
        let problem = Problem::error(places.at(path).span, message);
        problems.push(problem.label(of_strategy, format!("`{name}` is asynchronous")).hint(hint));
    };
    if buffer > config.clients.num() {
        let message =
            format!("a model of `{name}` needs the updates of {buffer} different clients, and there are {}", config.clients.num());
        refuse("federated.strategy.buffer_size", message, format!("choose at most {}, or raise `clients`", config.clients.num()));
    }
    let selection = catalogues.selections.get(config.selection.name());
    if selection.is_some_and(|selection| !selection.is_one_by_one) {
        let message =
            format!("`{}` selects the clients of a round together, and under `{name}` they begin one by one", config.selection.name());
        let others: Vec<String> =
            catalogues.selections.iter().filter(|other| other.is_one_by_one).map(|other| format!("`{}`", other.entry.name)).collect();
        refuse("federated.selection.type", message, format!("selections for asynchronous strategies: {}", others.join(", ")));
    }
    let compression = config.compression.as_ref().and_then(|compression| catalogues.compressions.get(compression.name()));
    if let Some(compression) = compression.filter(|compression| compression.has_feedback) {
        let message =
            format!("with `{}`, clients keep what they don't send, and under `{name}` they begin one by one", compression.entry.name);
        let others = catalogues.compressions.iter().filter(|other| !other.has_feedback);
        let others: Vec<String> = others.map(|other| format!("`{}`", other.entry.name)).collect();
        refuse("federated.compression.type", message, format!("compressions for asynchronous strategies: {}", others.join(", ")));
    }
    if config.participation.is_some() {
        let message =
            format!("`participation` says who counts in a round that begins together, and under `{name}` clients begin one by one");
        refuse(
            "federated.participation",
            message,
            "leave it out: a client that fails costs its update, and a late one is stale".to_owned(),
        );
    }
    let attack = config.faults.as_ref().and_then(|faults| catalogues.attacks.get(faults.attack.as_ref()?.name()));
    if let Some(attack) = attack.filter(|attack| attack.is_concerted) {
        let message = format!(
            "in `{}`, malicious clients know each other's models of a round, and under `{name}` they begin one by one",
            attack.entry.name
        );
        refuse("federated.faults.attack.type", message, "choose an attack by each client alone".to_owned());
    }
}
