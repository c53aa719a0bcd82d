//! The tensors that stay at a client under some strategies: which they are, and how a client keeps them.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use fltk_core::{
    catalogue::{Choice, NetFacts},
    client_state::ClientState,
    local_pass::{LocalPass, PassResult},
    model_state::{ModelState, TensorRole, TensorSpec},
    server_state::WrongLength,
};

use super::{ClientAnswer, ClientRound};

/// The array and the counters of what a client keeps.
pub(super) const PERSONAL: &str = "personal";
/// The counters of the tensors that a client keeps.
pub(super) const COUNTERS: &str = "personal_counters";
/// The names of all that a client with personal tensors keeps.
pub(super) const KEEPS: &[&str] = &[PERSONAL, COUNTERS];

/// Returns the name of the layer that a tensor belongs to: `layer1.0.bn1` for `layer1.0.bn1.weight`.
fn layer(spec: &TensorSpec) -> &str {
    spec.name.rsplit_once('.').map_or("", |(layer, _)| layer)
}

/// Returns, for each tensor of the layout, true if it belongs to a batch norm: parameters, statistics and counter, at any depth.
pub(super) fn batch_norms(layout: &[TensorSpec]) -> Vec<bool> {
    let is_statistic = |spec: &&TensorSpec| spec.role == TensorRole::Buffer && spec.name.rsplit('.').next() == Some("running_mean");
    let norms: BTreeSet<&str> = layout.iter().filter(is_statistic).map(layer).collect();
    layout.iter().map(|spec| norms.contains(layer(spec))).collect()
}

/// Returns what a strategy may need to know of a net with this layout.
pub fn facts(layout: &[TensorSpec]) -> NetFacts {
    let num_layers = u32::try_from(layers(layout).len()).ok();
    NetFacts { num_layers, has_batch_norms: batch_norms(layout).contains(&true), is_module: false }
}

/// Returns the names of the layers that have parameters, in order.
fn layers(layout: &[TensorSpec]) -> Vec<&str> {
    let mut layers: Vec<&str> = Vec::new();
    for spec in layout.iter().filter(|spec| spec.role == TensorRole::Parameter) {
        if !layers.contains(&layer(spec)) {
            layers.push(layer(spec));
        }
    }
    layers
}

/// Returns, for each tensor of the layout, true if it belongs to one of the last `num_layers` layers that have parameters; `None` if no other
/// layer would be left.
pub(super) fn last_layers(layout: &[TensorSpec], num_layers: u32) -> Option<Vec<bool>> {
    let mut layers = layers(layout);
    let num_shared = layers.len().checked_sub(num_layers as usize).filter(|&left| left > 0)?;
    let last = layers.split_off(num_shared);
    Some(layout.iter().map(|spec| last.contains(&layer(spec))).collect())
}

/// Returns, for each float tensor of the layout, its part of `which`.
pub(super) fn floats_of(layout: &[TensorSpec], which: &[bool]) -> Vec<bool> {
    layout.iter().zip(which).filter(|(spec, _)| spec.role != TensorRole::Counter).map(|(_, which)| *which).collect()
}

/// Returns the places of the personal tensors among the floats and among the counters of a model.
fn places(layout: &[TensorSpec], which: &[bool]) -> [Vec<Range<usize>>; 2] {
    let (mut starts, mut places) = ([0, 0], [Vec::new(), Vec::new()]);
    for (spec, &is_personal) in layout.iter().zip(which) {
        let list = usize::from(spec.role == TensorRole::Counter);
        let end = starts[list] + spec.num_elements();
        if is_personal {
            places[list].push(starts[list]..end);
        }
        starts[list] = end;
    }
    places
}

/// Returns `model` with what the client kept in place of the tensors `which`; the same model before its first round.
pub(super) fn with_own(model: &ModelState, which: &[bool], kept: &ClientState) -> Result<ModelState, WrongLength> {
    let mut own = model.clone();
    let [floats, counters] = places(&model.layout, which);
    if let Some(values) = kept.get(PERSONAL, floats.iter().map(ExactSizeIterator::len).sum())? {
        replace(&mut own.floats, floats, values);
    }
    if let Some(values) = kept.counters.get(COUNTERS) {
        let expected = counters.iter().map(ExactSizeIterator::len).sum();
        if values.len() != expected {
            return Err(WrongLength { name: COUNTERS.to_owned(), found: values.len(), expected });
        }
        replace(&mut own.counters, counters, values);
    }
    Ok(own)
}

/// Lets the client keep the tensors `which` of `trained`, and gives `trained` those of `global` instead: so nothing of them leaves the client, and
/// their mean over all clients is what it was.
pub(super) fn keep(trained: &mut ModelState, global: &ModelState, which: &[bool], kept: &mut ClientState) {
    let [floats, counters] = places(&global.layout, which);
    kept.arrays.insert(PERSONAL.to_owned(), taken(&mut trained.floats, &global.floats, floats));
    if !counters.is_empty() {
        kept.counters.insert(COUNTERS.to_owned(), taken(&mut trained.counters, &global.counters, counters));
    }
}

/// The tensors that a strategy keeps at clients, for each of a layout: true if it does.
type Which = fn(&Choice, &[TensorSpec]) -> Vec<bool>;

/// Returns plain training from the global model with the client's own tensors.
pub(super) fn plain_pass(
    which: Which,
    round: &ClientRound<'_>,
    kept: &ClientState,
    done: &[PassResult],
) -> Result<Option<LocalPass>, WrongLength> {
    if !done.is_empty() {
        return Ok(None);
    }
    let start = Arc::new(with_own(round.global, &which(round.settings, &round.global.layout), kept)?);
    Ok(Some(LocalPass { start, ..round.plain_pass() }))
}

/// Returns the answer of the last pass, without the tensors that the client keeps.
pub(super) fn answer(
    which: Which,
    round: &ClientRound<'_>,
    kept: &mut ClientState,
    mut done: Vec<PassResult>,
) -> Result<ClientAnswer, WrongLength> {
    let last = done.split_off(done.len().saturating_sub(1));
    let mut answer = round.answer(last);
    keep(&mut answer.state, round.global, &which(round.settings, &round.global.layout), kept);
    Ok(answer)
}

fn replace<T: Copy>(values: &mut [T], places: Vec<Range<usize>>, own: &[T]) {
    let mut own = own.iter();
    for value in places.into_iter().flatten() {
        values[value] = own.next().copied().unwrap_or(values[value]);
    }
}

fn taken<T: Copy>(values: &mut [T], others: &[T], places: Vec<Range<usize>>) -> Vec<T> {
    places.into_iter().flatten().map(|place| std::mem::replace(&mut values[place], others[place])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(names: &[&str]) -> Vec<TensorSpec> {
        let role = |name: &str| match name.rsplit('.').next() {
            Some("running_mean" | "running_var") => TensorRole::Buffer,
            Some("num_batches_tracked") => TensorRole::Counter,
            _ => TensorRole::Parameter,
        };
        names.iter().map(|&name| TensorSpec { name: name.to_owned(), shape: vec![2], role: role(name) }).collect()
    }

    const RESNET: &[&str] = &[
        "conv1.weight",
        "layer1.0.bn1.weight",
        "layer1.0.bn1.bias",
        "layer1.0.bn1.running_mean",
        "layer1.0.bn1.running_var",
        "layer1.0.bn1.num_batches_tracked",
        "0.bn1.weight",
        "fc.weight",
        "fc.bias",
    ];

    /// Flower's baselines and fluke cut `layer1.0.bn1` to `0.bn1`.
    #[test]
    fn batch_norms_are_found_whole_at_any_depth_and_after_any_prefix() {
        let expected = [false, true, true, true, true, true, false, false, false];
        assert_eq!(batch_norms(&layout(RESNET)), expected);
        let prefixed: Vec<String> = RESNET.iter().map(|name| format!("net.module.{name}")).collect();
        let prefixed: Vec<&str> = prefixed.iter().map(String::as_str).collect();
        assert_eq!(batch_norms(&layout(&prefixed)), expected);
        assert_eq!(batch_norms(&layout(&["weight", "running_mean", "fc.weight"])), [true, true, false], "a module that is a batch norm");
        assert_eq!(batch_norms(&layout(&["fc.weight", "fc.bias"])), [false, false]);
    }

    #[test]
    fn last_layers_are_counted_by_their_parameters() {
        let last = |num| last_layers(&layout(RESNET), num);
        assert_eq!(last(1), Some([vec![false; 7], vec![true; 2]].concat()));
        assert_eq!(last(2), Some([vec![false; 6], vec![true; 3]].concat()));
        assert_eq!(last(3), Some([vec![false], vec![true; 8]].concat()));
        assert_eq!((last(4), last(9)), (None, None), "a layer has to be shared");
        assert_eq!(facts(&layout(RESNET)), NetFacts { num_layers: Some(4), has_batch_norms: true, is_module: false });
    }

    #[test]
    fn what_is_kept_comes_back_and_is_not_sent() {
        let specs = layout(RESNET);
        let which = batch_norms(&specs);
        let model = |base: f32, counters: [i64; 2]| ModelState {
            layout: std::sync::Arc::new(specs.clone()),
            floats: (0..16_u8).map(|place| base + f32::from(place)).collect(),
            counters: counters.to_vec(),
        };
        let (global, mut trained, mut kept) = (model(0.0, [3, 3]), model(100.0, [7, 8]), ClientState::default());
        assert_eq!(with_own(&global, &which, &kept), Ok(global.clone()));
        keep(&mut trained, &global, &which, &mut kept);
        assert_eq!(kept.arrays[PERSONAL], (2..10_u8).map(|place| 100.0 + f32::from(place)).collect::<Vec<_>>());
        assert_eq!(kept.counters[COUNTERS], [7, 8]);
        assert_eq!((trained.floats[1], &trained.floats[2..10], trained.floats[10]), (101.0, &global.floats[2..10], 110.0));
        assert_eq!(trained.counters, [3, 3]);
        let own = with_own(&model(50.0, [4, 4]), &which, &kept).unwrap();
        assert_eq!((own.floats[1], own.floats[2], own.floats[9], own.floats[10]), (51.0, 102.0, 109.0, 60.0));
        assert_eq!(own.counters, [7, 8]);
        assert!(with_own(&global, &last_layers(&specs, 1).unwrap(), &kept).is_err(), "another number of layers");
    }
}
