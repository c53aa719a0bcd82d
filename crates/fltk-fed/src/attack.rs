//! The attacks of malicious clients: what they send instead of their honest update.
//!
//! An attack is an [`Attack`] in its own file, and a line in the [`CATALOGUE`]. Attacks are simulated where updates arrive, between the
//! clients and the strategy, so that malicious clients can know of each other; only what concerns a client's samples is left to its trainer.
//! An attack changes parameters. Buffers, counters, figures and extras are those of the honest training, and so is a client's own state.

mod a_little_is_enough;
mod catalogue;
mod gaussian;
mod label_flip;
mod quantile;
mod scale;
mod sign_flip;

use std::ops::Range;

use fltk_core::{
    catalogue::{AttackEntry, Choice},
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole},
    seed::Seed,
};

use crate::strategy::{float_spans, round_to_f32};

pub use catalogue::{CATALOGUE, by_name, entries};

/// An attack of malicious clients.
#[derive(Debug)]
pub struct Attack {
    /// The name in experiment files, the publication, and the parameters.
    pub entry: AttackEntry,
    /// The way in which malicious clients attack.
    pub how: How,
}

impl PartialEq for Attack {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.entry.entry.name == other.entry.entry.name
    }
}

/// The way in which malicious clients attack.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// They train honestly on flipped labels: class `y` of `C` is taken for `C - 1 - y`.
    FlipLabels,
    /// Each of them changes its honest model, and knows nothing of the others.
    Alone(fn(&Alone<'_>, &mut ModelState)),
    /// They know each other's honest models, and all send the parameters that this function returns, in order. The round is combined only
    /// after the last answer, so that all of its updates are in memory.
    Together(fn(&Together<'_>) -> Vec<f64>),
}

/// The arguments of an attack by a client alone.
#[derive(Clone, Copy, Debug)]
pub struct Alone<'a> {
    /// The attack's settings.
    pub settings: &'a Choice,
    /// The root seed, for draws.
    pub seed: Seed,
    /// The round.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// The model from which the round started.
    pub global: &'a ModelState,
}

impl Alone<'_> {
    /// Replaces the change of every parameter, in order, by `f` of it.
    pub fn replace_changes(&self, model: &mut ModelState, mut f: impl FnMut(f64) -> f64) {
        for place in parameters(self.global).flatten() {
            let start = f64::from(self.global.floats[place]);
            model.floats[place] = round_to_f32(start + f(f64::from(model.floats[place]) - start));
        }
    }
}

/// The arguments of an attack by several clients together.
#[derive(Clone, Debug)]
pub struct Together<'a> {
    /// The attack's settings.
    pub settings: &'a Choice,
    /// The honest models of the malicious clients whose updates count, in client order; never empty.
    pub malicious: Vec<&'a ModelState>,
    /// The models of the other clients whose updates count, in client order.
    pub others: Vec<&'a ModelState>,
}

/// Writes parameters, in order, into a model.
pub(crate) fn set_parameters(model: &mut ModelState, values: &[f64]) {
    let places: Vec<usize> = parameters(model).flatten().collect();
    for (place, value) in places.into_iter().zip(values) {
        model.floats[place] = round_to_f32(*value);
    }
}

/// Returns the ranges of [`ModelState::floats`] that are parameters, in order.
fn parameters(model: &ModelState) -> impl Iterator<Item = Range<usize>> + use<> {
    float_spans(model).into_iter().filter(|(role, _)| *role == TensorRole::Parameter).map(|(_, span)| span)
}

#[cfg(test)]
pub(crate) mod by_hand {
    //! Models of a few parameters and one buffer, for figures by hand.

    use std::sync::Arc;

    use fltk_core::model_state::TensorSpec;

    use super::*;

    /// A model with these parameters, and a buffer of 7 between the first and the others.
    pub fn model(parameters: &[f32]) -> ModelState {
        let spec = |name: &str, len, role| TensorSpec { name: name.to_owned(), shape: vec![len], role };
        let layout = vec![
            spec("bias", 1, TensorRole::Parameter),
            spec("running_mean", 1, TensorRole::Buffer),
            spec("weight", parameters.len() - 1, TensorRole::Parameter),
        ];
        let floats = [&parameters[..1], &[7.0], &parameters[1..]].concat();
        ModelState { layout: Arc::new(layout), floats, counters: Vec::new() }
    }

    /// Returns the model that a malicious client sends whose honest model is `honest`, from `global`.
    pub fn alone(attack: &Attack, settings: &Choice, global: &[f32], honest: &[f32], client: u32, round: u32) -> Vec<f32> {
        let How::Alone(send) = attack.how else { panic!("{attack:?} is no attack by a client alone") };
        let (global, mut model) = (self::model(global), self::model(honest));
        send(&Alone { settings, seed: Seed(42), round: Round(round), client: ClientId(client), global: &global }, &mut model);
        assert_eq!(model.floats.remove(1).to_bits(), 7.0_f32.to_bits(), "the buffer is honest");
        model.floats
    }
}
