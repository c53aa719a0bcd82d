//! Sentences about federated trainings.

use super::{
    bibliography::Bibliography,
    settings::Settings,
    text::{counted, escaped, joined, value, words},
};
use crate::Hyperparameter;

/// Tells how many clients there were and how the samples were divided.
pub(super) fn clients(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    if !settings.is_kind("federated") {
        return None;
    }
    let clients = match settings.number("federated.clients") {
        Some(number) => counted(number, "client"),
        None => match settings.below("federated.clients").len() {
            // A long list of names is recorded as its length and digest.
            0 => settings
                .text("federated.clients")
                .map_or_else(|| "named clients".to_owned(), |names| format!("named clients ({})", escaped(names))),
            number => format!("{number} named clients"),
        },
    };
    if settings.text("federated.data") == Some("here") {
        return Some(format!("There were {clients}, each with training samples of its own, which stayed with it."));
    }
    let partitioners = &bibliography.catalogues.partitioners;
    if let Some(file) = settings.file("federated.partition.path", "federated.partition.path.sha256") {
        return Some(format!("The training samples were divided among {clients} as the file {file} says."));
    }
    if settings.text("federated.partition.type") == Some("uniform") && settings.below("federated.partition").len() == 1 {
        return Some(format!("The training samples were divided evenly among {clients}, at random."));
    }
    let partition = settings.choice("federated.partition", |name| partitioners.get(name), bibliography)?;
    Some(format!("The training samples were divided among {clients} by the partition {partition}."))
}

/// Tells the noise on clients' images.
pub(super) fn feature_noise(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    let noise = settings.number("federated.feature_noise").filter(|noise| *noise > 0.0)?;
    Some(format!(
        "Client i of N had Gaussian noise with a variance of {noise} * i/N on its training images, in units of the squared largest pixel value."
    ))
}

/// Tells the rounds, and who took part.
pub(super) fn rounds(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    if !settings.is_kind("federated") {
        return None;
    }
    let rounds = counted(settings.number("federated.rounds")?, "round");
    let cohort = settings.number("federated.clients_per_round")?;
    let were = if cohort == 1.0 { "was" } else { "were" };
    let selections = &bibliography.catalogues.selections;
    let selected = match settings.file("federated.selection.path", "federated.selection.path.sha256") {
        Some(file) => format!("as the file {file} says"),
        None if settings.text("federated.selection.type") == Some("random") => "uniformly at random, without replacement".to_owned(),
        None => format!("by {}", settings.choice("federated.selection", |name| selections.get(name), bibliography)?),
    };
    let cohort = counted(cohort, "client");
    let strategy = settings.text("federated.strategy.type").and_then(|name| bibliography.catalogues.strategies.get(name));
    if strategy.is_some_and(|strategy| strategy.buffer.is_some()) {
        // Clients begin when others answer, and a round is a step of the server.
        return Some(format!(
            "Training was asynchronous and took {rounds}, each a step of the server; {cohort} {were} at work at any time, selected {selected}."
        ));
    }
    Some(format!("Training took {rounds}, for each of which {cohort} {were} selected {selected}."))
}

/// Tells the local training of a round.
pub(super) fn local(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    if !settings.is_kind("federated") {
        return None;
    }
    let amount = match (settings.number("federated.steps_per_round"), settings.number("federated.epochs_per_round")) {
        (Some(steps), _) => counted(steps, "optimizer step"),
        (None, Some(epochs)) => counted(epochs, "local epoch"),
        (None, None) => return None,
    };
    let batch = counted(settings.number("train.batch_size")?, "sample");
    let drop = if settings.is_on("train.drop_last") { ", without a smaller last batch" } else { "" };
    Some(format!("In each of its rounds, a client trained for {amount} in batches of {batch}{drop}."))
}

/// Tells amounts of local training that differ between clients.
pub(super) fn work(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    if settings.below("federated.work").is_empty() {
        return None;
    }
    let of = |name: &str| settings.number(&format!("federated.work.{name}"));
    let (min, max) = (of("min")?, of("max")?);
    let unit = escaped(settings.text("federated.work.unit").unwrap_or("epochs"));
    let each = escaped(settings.text("federated.work.each").unwrap_or("client"));
    let law = match (of("mean"), of("deviation")) {
        (Some(mean), Some(deviation)) => {
            format!("from a normal distribution with mean {mean} and standard deviation {deviation}, cut off at {min} and {max} {unit}")
        }
        _ => format!("uniformly from {min} to {max} {unit}"),
    };
    let once = if each == "round" { "in each round" } else { "once for all rounds" };
    // Without an amount of all clients, the sentence about it is missing, and the batches with it.
    let batch =
        settings.number("train.batch_size").map(|batch| format!(", in batches of {}", counted(batch, "sample"))).unwrap_or_default();
    Some(format!("The amount of a client's local training was drawn {law}, {once}{batch}."))
}

/// Tells the settings of groups of clients.
pub(super) fn groups(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    let mut groups: Vec<(&str, String, Vec<String>)> = Vec::new();
    for (name, setting) in settings.below("federated.groups") {
        let Some((index, name)) = name.split_once('.') else { continue };
        if groups.last().is_none_or(|(last, ..)| *last != index) {
            groups.push((index, String::new(), Vec::new()));
        }
        let Some((_, clients, parameters)) = groups.last_mut() else { continue };
        match (name, setting) {
            ("clients", Hyperparameter::Text(text)) => *clients = escaped(text),
            _ => parameters.push(format!("{} = {}", words(name), value(setting))),
        }
    }
    let told: Vec<String> =
        groups.iter().map(|(_, clients, parameters)| format!("clients {clients} had {}", parameters.join(", "))).collect();
    (!told.is_empty()).then(|| format!("Of all clients, {}.", joined(&told)))
}

/// Names the strategy.
pub(super) fn strategy(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    if !settings.is_kind("federated") {
        return None;
    }
    let strategies = &bibliography.catalogues.strategies;
    if let Some(file) = settings.file("federated.strategy.python", "federated.strategy.python.sha256") {
        return Some(format!("Updates were combined by a strategy of our own in Python, {file}."));
    }
    let strategy = settings.choice("federated.strategy", |name| strategies.get(name), bibliography)?;
    Some(format!("The strategy was {strategy}."))
}

/// Names the compression of updates.
pub(super) fn compression(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    let compressions = &bibliography.catalogues.compressions;
    let compression = settings.choice("federated.compression", |name| compressions.get(name), bibliography)?;
    Some(format!("Clients compressed their updates by {compression}."))
}

/// Tells who counted in a round.
pub(super) fn participation(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    let least = settings.number("federated.participation.min_updates")?;
    let deadline =
        settings.text("federated.participation.deadline").map(|time| format!(", and those after {} didn't count", escaped(time)));
    let more = settings.number("federated.participation.over_select").filter(|share| *share > 0.0);
    let more = more.map(|share| format!(" In addition, {share} times as many clients were selected, and the first answers counted."));
    Some(format!("A round needed {}{}.{}", counted(least, "update"), deadline.unwrap_or_default(), more.unwrap_or_default()))
}

/// Tells the faults that were ordered.
pub(super) fn faults(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    let drop_out = settings.number("federated.faults.drop_out").filter(|share| *share > 0.0);
    let drop_out = drop_out.map(|share| format!("A selected client dropped out of a round with a probability of {share}."));
    let crash = settings.number("federated.faults.crash.fraction").map(|share| {
        let first = settings.number("federated.faults.crash.first_round").unwrap_or(1.0);
        let last = settings.number("federated.faults.crash.last_round").map_or_else(|| "the last".to_owned(), |last| last.to_string());
        format!("A fraction of {share} of the clients crashed for good, each from a round on that was drawn from {first} to {last}.")
    });
    let told: Vec<String> = drop_out.into_iter().chain(crash).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// Names the attack.
pub(super) fn attack(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    let attacks = &bibliography.catalogues.attacks;
    let attack = settings.choice("federated.faults.attack", |name| attacks.get(name), bibliography)?;
    Some(format!("Malicious clients attacked by {attack}."))
}

/// Tells the model of simulated time.
pub(super) fn simulation(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    if settings.text("federated.simulation.clock") != Some("virtual") {
        return None;
    }
    let catalogues = bibliography.catalogues;
    let of = |name: &str| format!("federated.simulation.{name}");
    let devices = settings.choice(&of("devices"), |name| catalogues.devices.get(name), bibliography);
    let links = settings.choice(&of("network"), |name| catalogues.links.get(name), bibliography);
    let availability = settings.choice(&of("availability"), |name| catalogues.availability.get(name), bibliography);
    let server = settings.text(&of("server")).map(escaped);
    let named = [
        ("the clients' devices", devices),
        ("their links", links),
        ("their availability", availability),
        ("the server's time for a round", server),
    ];
    let told: Vec<String> = named.into_iter().filter_map(|(what, law)| Some(format!("{what} by {}", law?))).collect();
    Some(format!("Time was simulated, with {}.", joined(&told)).replace("time for a round by", "time for a round of"))
}

/// Tells the tests of clients on samples of their own.
pub(super) fn client_test(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    let fraction = settings.number("federated.client_test_fraction")?;
    let every = settings.number("federated.client_test_every").or_else(|| settings.number("federated.evaluate_every")).unwrap_or(1.0);
    let when = if every == 1.0 { "every round".to_owned() } else { format!("every {}", counted(every, "round")) };
    Some(format!(
        "A fraction of {fraction} of each client's samples was kept from training, and the model that serves the client was evaluated on it after {when}."
    ))
}
