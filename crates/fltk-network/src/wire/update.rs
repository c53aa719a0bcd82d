//! Updates as messages: figures in one of them, numbers in an object.

use std::sync::Arc;

use fltk_core::{
    client_state::ClientState,
    client_terms::Arrays,
    metrics::TrainSummary,
    model_state::{ModelState, TensorSpec},
};
use fltk_fed::round::ClientUpdate;

use super::{
    order::{Key, MODEL, Malformed, nothing_left, take_model},
    v1,
};
use crate::object::{Bundle, Content, Numbers, Object, Part};

/// The prefixes of the names of a strategy's arrays, and of the state that a client keeps.
const ARRAY: &str = "array/";
const STATE: &str = "state/";

/// An update and what its client keeps from now on, as an object.
pub struct Update {
    /// The update.
    pub update: ClientUpdate,
    /// The state that its client keeps after it.
    pub state: ClientState,
}

impl Numbers for Update {
    fn parts(&self) -> Vec<(String, Part<'_>)> {
        let ModelState { floats, counters, .. } = &self.update.state;
        let under = |prefix: &str, name: &str| format!("{prefix}{name}");
        let model = (MODEL.to_owned(), Part::Floats(floats));
        let arrays = self.update.arrays.iter().map(|(name, values)| (under(ARRAY, name), Part::Floats(values)));
        let kept = self.state.arrays.iter().map(|(name, values)| (under(STATE, name), Part::Floats(values)));
        let counters = (MODEL.to_owned(), Part::Counters(counters));
        let kept_counters = self.state.counters.iter().map(|(name, values)| (under(STATE, name), Part::Counters(values)));
        [model].into_iter().chain(arrays).chain(kept).chain([counters]).chain(kept_counters).collect()
    }

    fn scalars(&self) -> Vec<(String, f64)> {
        self.state.scalars.iter().map(|(name, value)| (format!("{STATE}{name}"), *value)).collect()
    }
}

/// Returns the message that an update is ready, as the answer to this attempt.
#[must_use]
pub fn ready(update: &ClientUpdate, attempt: u32, object: Object) -> v1::Ready {
    let ClientUpdate { round, client, train, ref extras, seconds, .. } = *update;
    v1::Ready {
        id: Some(Key { round, client, is_loss: false }.id(attempt)),
        update: Some(object.into()),
        num_samples: train.num_samples,
        num_steps: train.num_steps,
        loss: train.loss,
        extras: extras.clone(),
        seconds,
    }
}

/// An update that is ready at a node, without its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadyMessage {
    /// The identity of the order.
    pub key: Key,
    /// The attempt.
    pub attempt: u32,
    /// The object to collect.
    pub object: Object,
    train: TrainSummary,
    extras: std::collections::BTreeMap<String, f64>,
    seconds: f64,
}

impl TryFrom<v1::Ready> for ReadyMessage {
    type Error = Malformed;

    fn try_from(message: v1::Ready) -> Result<Self, Malformed> {
        let (key, attempt) = Key::read(message.id.as_ref(), false)?;
        let object = Object::try_from(message.update.as_ref().ok_or(Malformed::Missing("update"))?)?;
        let train = TrainSummary { num_samples: message.num_samples, num_steps: message.num_steps, loss: message.loss };
        Ok(Self { key, attempt, object, train, extras: message.extras, seconds: message.seconds })
    }
}

impl ReadyMessage {
    /// Returns the update with its numbers, and what its client keeps from now on. `keeps` has the names of that.
    ///
    /// # Errors
    /// If the numbers aren't those of an update. Whether they fit the model isn't checked.
    pub fn with(
        self,
        mut bundle: Bundle,
        layout: &Arc<Vec<TensorSpec>>,
        keeps: &[String],
    ) -> Result<(ClientUpdate, ClientState), Malformed> {
        let state = take_model(&mut bundle, layout)?;
        let mut kept = ClientState::default();
        for name in keeps {
            let own = format!("{STATE}{name}");
            kept.arrays.extend(bundle.floats.remove(&own).map(|values| (name.clone(), values)));
            kept.counters.extend(bundle.counters.remove(&own).map(|values| (name.clone(), values)));
            kept.scalars.extend(bundle.scalars.remove(&own).map(|value| (name.clone(), value)));
        }
        let (arrays, others): (Arrays, Arrays) =
            std::mem::take(&mut bundle.floats).into_iter().partition(|(name, _)| name.starts_with(ARRAY));
        bundle.floats = others;
        nothing_left(&bundle)?;
        let arrays = arrays.into_iter().map(|(name, values)| (name.strip_prefix(ARRAY).unwrap_or(&name).to_owned(), values)).collect();
        let Self { key, train, extras, seconds, .. } = self;
        let update = ClientUpdate { round: key.round, client: key.client, state, train, extras, arrays, seconds };
        Ok((update, kept))
    }
}

/// Returns the object of an update.
#[must_use]
pub fn content(update: ClientUpdate, state: ClientState) -> Content {
    Content::of_numbers(Arc::new(Update { update, state }))
}
