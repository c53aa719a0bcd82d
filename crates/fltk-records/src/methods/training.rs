//! Sentences that federated and distributed trainings have in common: the net, the data, the optimizer.

use fltk_core::catalogue::NetEntry;

use super::{
    bibliography::Bibliography,
    settings::Settings,
    text::{code, counted, escaped, words},
};

/// Names the net.
pub(super) fn net(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    if settings.is_kind("command") {
        return None;
    }
    if let Some(file) = settings.file("network.torchscript", "network.sha256") {
        return Some(format!("The model was a TorchScript module of our own, {file}."));
    }
    if let Some(file) = settings.file("network.python", "network.sha256") {
        return Some(format!("The model was a PyTorch module of our own, {file}."));
    }
    let nets = &bibliography.catalogues.nets;
    let named = settings.text("network").map(|name| format!("{}{}", escaped(name), bibliography.cite(nets.get(name).map(AsRef::as_ref))));
    let chosen = named.or_else(|| settings.choice("network", |name| nets.get(name), bibliography));
    Some(format!("The model was {}.", chosen.or_else(|| in_block(settings, bibliography))?))
}

/// Names a net whose settings are in a block of its own, such as `network.lstm`.
fn in_block(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    let is_given = |net: &&'static NetEntry| net.block.is_some_and(|block| !settings.below(&format!("network.{block}")).is_empty());
    let net = bibliography.catalogues.nets.iter().find(is_given)?;
    let parameters = settings.parameters(&format!("network.{}", net.block?), false);
    Some(format!("{}{parameters}{}", escaped(net.entry.name), bibliography.cite(Some(&net.entry))))
}

/// Names the data set, with what its catalogue says of it.
pub(super) fn data(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    if settings.is_kind("command") {
        return None;
    }
    let Some(name) = settings.text("dataset.name") else {
        let format = settings.text("dataset.format")?;
        let path = settings.text("dataset.path").unwrap_or_default();
        let folder = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).map(|part| format!(" in {}", code(part))).unwrap_or_default();
        return Some(format!("The data were our own{folder}, read as {}.", escaped(format)));
    };
    let datasets = &bibliography.catalogues.datasets;
    let parameters: Vec<_> = settings.below("dataset").into_iter().filter(|(name, _)| !["name", "path"].contains(name)).collect();
    let parameters: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{} = {}", words(name), super::text::value(value))).collect();
    let parameters = if parameters.is_empty() { String::new() } else { format!(", with {}", parameters.join(", ")) };
    let entry = datasets.get(name);
    let doc =
        entry.map(|entry| format!(" ({})", entry.entry.doc.trim_end_matches('.').replacen("A subset", "a subset", 1))).unwrap_or_default();
    let cited = bibliography.cite(entry.map(AsRef::as_ref));
    Some(format!("The data set was {}{parameters}{cited}{doc}.", escaped(name)))
}

/// Names the optimizer with its parameters, and the batches.
pub(super) fn optimizer(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    if settings.is_kind("command") {
        return None;
    }
    let name = settings.text("train.optimizer.type")?;
    let entry = bibliography.catalogues.optimizers.get(name);
    let parameters = settings.parameters("train.optimizer", true);
    let of = if settings.is_kind("federated") { "The clients' optimizer" } else { "The optimizer" };
    Some(format!("{of} was {}{parameters}{}.", escaped(name), bibliography.cite(entry)))
}

/// Tells the schedule of the learning rate.
pub(super) fn schedule(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    if settings.is_kind("command") {
        return None;
    }
    let of = |name: &str| settings.number(&format!("train.scheduler.{name}"));
    let (Some(gamma), Some(step_size)) = (of("gamma"), of("step_size")) else {
        return Some("The learning rate was constant.".to_owned());
    };
    let unit = escaped(settings.text("train.scheduler.unit").unwrap_or("epoch"));
    let after = if step_size == 1.0 { unit } else { format!("{step_size} {unit}s") };
    let least =
        of("minimum_learning_rate").filter(|least| *least > 0.0).map(|least| format!(", unless it would have fallen below {least}"));
    Some(format!("The learning rate was multiplied by {gamma} after every {after}{}.", least.unwrap_or_default()))
}

/// Names the loss.
pub(super) fn loss(settings: &Settings<'_>, bibliography: &mut Bibliography<'_>) -> Option<String> {
    let loss = settings.text("loss")?;
    let cited = bibliography.cite(bibliography.catalogues.losses.get(loss));
    Some(format!("The loss was {}{cited}.", escaped(loss)))
}

/// Tells the hyper-parameters of the other role.
pub(super) fn other_role(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    let parameters = settings.parameters("train_other_role", false);
    let of = if settings.is_kind("federated") { "The federator" } else { "Ranks after the first" };
    (!parameters.is_empty())
        .then(|| format!("{of} had hyper-parameters of {} own{parameters}.", if of == "The federator" { "its" } else { "their" }))
}

/// Tells when the model was evaluated.
pub(super) fn evaluation(settings: &Settings<'_>, _: &mut Bibliography<'_>) -> Option<String> {
    if settings.is_kind("distributed") {
        return Some("The model was evaluated on the test set after every epoch.".to_owned());
    }
    let every = settings.number("federated.evaluate_every")?;
    let when = if every == 1.0 { "every round".to_owned() } else { format!("every {} and after the last", counted(every, "round")) };
    Some(format!("The global model was evaluated on the test set after {when}."))
}
