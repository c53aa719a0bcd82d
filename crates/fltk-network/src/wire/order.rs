//! Orders as messages. Numbers travel as objects of their own, which a node fetches if it doesn't have them.

use std::{fmt, sync::Arc};

use fltk_core::{
    client_state::ClientState,
    client_terms::{Arrays, ClientTerms, LocalWork},
    ids::{ClientId, Round},
    model_state::{ModelState, TensorSpec},
    seed::Seed,
};
use fltk_fed::{
    round::{LossOrder, SettingsDigest, Timestamp, TrainOrder},
    transport::worker::Order,
};

use super::v1;
use crate::object::{Bundle, Content, Damage, Numbers, Object, Part};

/// The name of the arrays of a model in bundles.
pub const MODEL: &str = "model";

/// The most names that the terms of a round may have: strategies have a handful.
const NAMES_MAX: usize = 100;

/// A message that can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A part is missing.
    #[error("its {0} is missing")]
    Missing(&'static str),
    /// A part can't be.
    #[error("its {0}")]
    Invalid(String),
    /// An object of it can't be used.
    #[error(transparent)]
    Damage(#[from] Damage),
}

impl From<&'static str> for Malformed {
    fn from(problem: &'static str) -> Self {
        Self::Invalid(format!("object can't be: {problem}"))
    }
}

/// The identity of the work that an order is for: there is at most one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The round.
    pub round: Round,
    /// The client.
    pub client: ClientId,
    /// True if it is to measure a loss.
    pub is_loss: bool,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client `{}` in round `{}`", self.client, self.round)
    }
}

impl Key {
    /// Returns the identity of an order.
    #[must_use]
    pub fn of(order: &Order) -> Self {
        match order {
            Order::Train(TrainOrder { round, client, .. }) => Self { round: *round, client: *client, is_loss: false },
            Order::Measure(LossOrder { round, client, .. }) => Self { round: *round, client: *client, is_loss: true },
        }
    }

    /// Returns the message's identity of an attempt.
    #[must_use]
    pub fn id(self, attempt: u32) -> v1::OrderId {
        v1::OrderId { round: self.round.0, client: self.client.0, attempt }
    }

    /// Reads the identity of an order, with its attempt.
    ///
    /// # Errors
    /// If it is missing.
    pub fn read(id: Option<&v1::OrderId>, is_loss: bool) -> Result<(Self, u32), Malformed> {
        let id = id.ok_or(Malformed::Missing("order"))?;
        Ok((Self { round: Round(id.round), client: ClientId(id.client), is_loss }, id.attempt))
    }
}

/// A model as an object.
pub struct Model(pub Arc<ModelState>);

impl Numbers for Model {
    fn parts(&self) -> Vec<(String, Part<'_>)> {
        vec![(MODEL.to_owned(), Part::Floats(&self.0.floats)), (MODEL.to_owned(), Part::Counters(&self.0.counters))]
    }
}

/// Returns the model in a bundle that has nothing else.
///
/// # Errors
/// If it isn't there, or has another size than `layout` says.
pub fn model(mut bundle: Bundle, layout: &Arc<Vec<TensorSpec>>) -> Result<ModelState, Damage> {
    let model = take_model(&mut bundle, layout)?;
    nothing_left(&bundle)?;
    Ok(model)
}

/// Takes the model out of a bundle. Its size is checked by whoever uses it.
pub(super) fn take_model(bundle: &mut Bundle, layout: &Arc<Vec<TensorSpec>>) -> Result<ModelState, Damage> {
    Ok(ModelState { layout: Arc::clone(layout), floats: bundle.take_floats(MODEL)?, counters: bundle.take_counters(MODEL)? })
}

pub(super) fn nothing_left(bundle: &Bundle) -> Result<(), Damage> {
    bundle.names().next().map_or(Ok(()), |name| Err(Damage::Content(format!("it has `{name}`, which nobody asked for"))))
}

/// The arrays of a round's terms as an object.
pub struct TermArrays(pub Arc<Arrays>);

impl Numbers for TermArrays {
    fn parts(&self) -> Vec<(String, Part<'_>)> {
        self.0.iter().map(|(name, values)| (name.clone(), Part::Floats(values))).collect()
    }
}

/// The state that a client keeps, as an object.
pub struct Kept(pub ClientState);

impl Numbers for Kept {
    fn parts(&self) -> Vec<(String, Part<'_>)> {
        let floats = self.0.arrays.iter().map(|(name, values)| (name.clone(), Part::Floats(values)));
        floats.chain(self.0.counters.iter().map(|(name, values)| (name.clone(), Part::Counters(values)))).collect()
    }

    fn scalars(&self) -> Vec<(String, f64)> {
        self.0.scalars.iter().map(|(name, value)| (name.clone(), *value)).collect()
    }
}

/// Returns the state of a client that a bundle has: clients keep neither bytes nor indices.
#[must_use]
pub fn kept(bundle: Bundle) -> ClientState {
    let Bundle { floats, counters, scalars, .. } = bundle;
    ClientState { arrays: floats, counters, scalars }
}

/// The objects of an order to train.
#[derive(Clone, Debug)]
pub struct TrainObjects<T> {
    /// The model to start from.
    pub model: T,
    /// The arrays of the terms, if there are some.
    pub arrays: Option<T>,
    /// The state that the client keeps, if it keeps one and has taken part before.
    pub kept: Option<T>,
}

/// Returns the message for an order, as this attempt.
#[must_use]
pub fn train(order: &TrainOrder, attempt: u32, objects: &TrainObjects<Content>) -> v1::Train {
    let terms = &order.terms;
    let work = match terms.work {
        LocalWork::Epochs(epochs) => v1::terms::Work::Epochs(epochs),
        LocalWork::Steps(steps) => v1::terms::Work::Steps(steps),
    };
    let key = Key { round: order.round, client: order.client, is_loss: false };
    let object = |content: &Content| content.object().into();
    v1::Train {
        id: Some(key.id(attempt)),
        seed: order.seed.0,
        model: Some(object(&objects.model)),
        terms: Some(v1::Terms {
            learning_rate: terms.learning_rate,
            work: Some(work),
            proximal_mu: terms.proximal_mu,
            arrays: objects.arrays.as_ref().map(object),
            extras: terms.extras.clone(),
            keeps: terms.keeps.clone(),
        }),
        kept_round: order.kept.map(|round| round.0),
        kept: objects.kept.as_ref().map(object),
        flips_labels: order.flips_labels,
        settings: order.settings.0.to_vec(),
    }
}

/// Returns the message for an order to measure, as this attempt.
#[must_use]
pub fn measure(order: &LossOrder, attempt: u32, model: &Content) -> v1::Measure {
    let key = Key { round: order.round, client: order.client, is_loss: true };
    v1::Measure {
        id: Some(key.id(attempt)),
        seed: order.seed.0,
        model: Some(model.object().into()),
        num_samples: order.num_samples,
        settings: order.settings.0.to_vec(),
    }
}

/// An order to train as a node reads it, without its objects.
#[derive(Clone, Debug)]
pub struct TrainMessage {
    /// The identity.
    pub key: Key,
    /// The attempt.
    pub attempt: u32,
    /// The objects to fetch.
    pub objects: TrainObjects<Object>,
    order: TrainOrder,
}

impl TryFrom<v1::Train> for TrainMessage {
    type Error = Malformed;

    fn try_from(message: v1::Train) -> Result<Self, Malformed> {
        let (key, attempt) = Key::read(message.id.as_ref(), false)?;
        let terms = message.terms.ok_or(Malformed::Missing("terms"))?;
        if terms.extras.len().max(terms.keeps.len()) > NAMES_MAX {
            return Err(Malformed::Invalid(format!("terms have more than {NAMES_MAX} names")));
        }
        let work = match terms.work.ok_or(Malformed::Missing("amount of work"))? {
            v1::terms::Work::Epochs(epochs) => LocalWork::Epochs(epochs),
            v1::terms::Work::Steps(steps) => LocalWork::Steps(steps),
        };
        let model = Object::try_from(message.model.as_ref().ok_or(Malformed::Missing("model"))?)?;
        let object = |object: Option<&v1::Object>| object.map(Object::try_from).transpose();
        let objects = TrainObjects { model, arrays: object(terms.arrays.as_ref())?, kept: object(message.kept.as_ref())? };
        let terms = ClientTerms {
            learning_rate: terms.learning_rate,
            work,
            proximal_mu: terms.proximal_mu,
            arrays: Arc::default(),
            extras: terms.extras,
            keeps: terms.keeps,
        };
        let order = TrainOrder {
            round: key.round,
            client: key.client,
            seed: Seed(message.seed),
            state: Arc::new(ModelState { layout: Arc::default(), floats: Vec::new(), counters: Vec::new() }),
            terms: Arc::new(terms),
            kept: message.kept_round.map(Round),
            flips_labels: message.flips_labels,
            given: Timestamp::default(),
            settings: settings(&message.settings)?,
        };
        Ok(Self { key, attempt, objects, order })
    }
}

impl TrainMessage {
    /// Returns the round whose state the client goes on from.
    #[must_use]
    pub fn kept_round(&self) -> Option<Round> {
        self.order.kept
    }

    /// Returns the order, with its objects.
    #[must_use]
    pub fn with(&self, model: Arc<ModelState>, arrays: Option<Arc<Arrays>>) -> TrainOrder {
        let mut order = self.order.clone();
        order.state = model;
        Arc::make_mut(&mut order.terms).arrays = arrays.unwrap_or_default();
        order
    }
}

/// An order to measure as a node reads it, without its model.
#[derive(Clone, Debug)]
pub struct MeasureMessage {
    /// The identity.
    pub key: Key,
    /// The attempt.
    pub attempt: u32,
    /// The model to fetch.
    pub model: Object,
    seed: Seed,
    num_samples: u32,
    settings: SettingsDigest,
}

impl TryFrom<v1::Measure> for MeasureMessage {
    type Error = Malformed;

    fn try_from(message: v1::Measure) -> Result<Self, Malformed> {
        let (key, attempt) = Key::read(message.id.as_ref(), true)?;
        let model = Object::try_from(message.model.as_ref().ok_or(Malformed::Missing("model"))?)?;
        let (seed, num_samples) = (Seed(message.seed), message.num_samples);
        Ok(Self { key, attempt, model, seed, num_samples, settings: settings(&message.settings)? })
    }
}

impl MeasureMessage {
    /// Returns the order, with its model.
    #[must_use]
    pub fn with(&self, state: Arc<ModelState>) -> LossOrder {
        let Self { key, seed, num_samples, settings, .. } = *self;
        LossOrder { round: key.round, client: key.client, seed, state, num_samples, given: Timestamp::default(), settings }
    }
}

fn settings(bytes: &[u8]) -> Result<SettingsDigest, Malformed> {
    bytes.try_into().map(SettingsDigest).map_err(|_| Malformed::Invalid("digest of settings hasn't 32 bytes".to_owned()))
}
