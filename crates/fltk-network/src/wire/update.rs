//! Updates as messages: figures in one of them, numbers in an object.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{client_state::ClientState, client_terms::Arrays, metrics::TrainSummary, model_state::ModelState};
use fltk_fed::{
    compression::{Compression, Encoded},
    round::{ClientUpdate, TrainOrder},
};

use super::{
    order::{Key, MODEL, Malformed, nothing_left, take_model},
    v1,
};
use crate::object::{Bundle, Content, Numbers, Object, Part};

/// The prefixes of the names of a strategy's arrays, of the state that a client keeps, and of the numbers of a compressed model.
const ARRAY: &str = "array/";
const STATE: &str = "state/";
const ENCODED: &str = "model/";

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
        let encoded = self.update.encoded.as_deref();
        let model = encoded.is_none().then(|| (MODEL.to_owned(), Part::Floats(floats)));
        let encoded = encoded.into_iter().flat_map(|Encoded { floats, bytes, indices }| {
            let floats = floats.iter().map(|(name, values)| (under(ENCODED, name), Part::Floats(values)));
            let bytes = bytes.iter().map(|(name, values)| (under(ENCODED, name), Part::Bytes(values)));
            let indices = indices.iter().map(|(name, values)| (under(ENCODED, name), Part::Indices(values)));
            floats.chain(bytes).chain(indices)
        });
        let arrays = self.update.arrays.iter().map(|(name, values)| (under(ARRAY, name), Part::Floats(values)));
        let kept = self.state.arrays.iter().map(|(name, values)| (under(STATE, name), Part::Floats(values)));
        let counters = (MODEL.to_owned(), Part::Counters(counters));
        let kept_counters = self.state.counters.iter().map(|(name, values)| (under(STATE, name), Part::Counters(values)));
        model.into_iter().chain(encoded).chain(arrays).chain(kept).chain([counters]).chain(kept_counters).collect()
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

/// The demands of an order on an update.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The model from which its client started.
    pub base: Arc<ModelState>,
    /// The names of what the client keeps.
    pub keeps: Vec<String>,
    /// The compression of the model; `None` if it travels as it is.
    pub compression: Option<Compression>,
}

impl Asked {
    /// Returns what `order` asks for, if updates are compressed in this way.
    #[must_use]
    pub fn of(order: &TrainOrder, compression: Option<&Compression>) -> Self {
        Self {
            base: Arc::clone(&order.state),
            keeps: order.terms.keeps.clone(),
            compression: compression.filter(|compression| compression.applies_to(order.client)).cloned(),
        }
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
    extras: BTreeMap<String, f64>,
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
    /// Returns the update with its numbers, and what its client keeps from now on.
    ///
    /// # Errors
    /// If the numbers aren't those of an update. Whether those of a model that isn't compressed fit it isn't checked.
    pub fn with(self, mut bundle: Bundle, asked: &Asked) -> Result<(ClientUpdate, ClientState), Malformed> {
        let Asked { base, keeps, compression } = asked;
        let state = match compression {
            None => take_model(&mut bundle, &base.layout)?,
            Some(compression) => {
                let counters = bundle.take_counters(MODEL)?;
                let encoded = take_encoded(&mut bundle);
                let decoded = compression.decode(base, encoded, counters);
                decoded.map_err(|misfit| Malformed::Invalid(format!("compressed model can't be: {misfit}")))?
            }
        };
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
        let update = ClientUpdate { round: key.round, client: key.client, state, train, extras, arrays, encoded: None, seconds };
        Ok((update, kept))
    }
}

/// Takes the numbers of a compressed model out of a bundle.
fn take_encoded(bundle: &mut Bundle) -> Encoded {
    fn take<T>(from: &mut BTreeMap<String, T>) -> BTreeMap<String, T> {
        let (encoded, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(from).into_iter().partition(|(name, _)| name.starts_with(ENCODED));
        *from = others;
        encoded.into_iter().map(|(name, values)| (name.strip_prefix(ENCODED).unwrap_or(&name).to_owned(), values)).collect()
    }
    let Bundle { floats, bytes, indices, .. } = bundle;
    Encoded { floats: take(floats), bytes: take(bytes), indices: take(indices) }
}

/// Returns the object of an update.
#[must_use]
pub fn content(update: ClientUpdate, state: ClientState) -> Content {
    Content::of_numbers(Arc::new(Update { update, state }))
}
