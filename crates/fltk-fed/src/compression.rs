//! Updates in fewer bits: what a client sends of the difference between its model and the one that it started from, and what becomes of it.
//!
//! | | what is sent of each parameter | bytes |
//! |---|---|---|
//! | [`fp16`] | the difference in half precision | 2 each |
//! | [`int8`] | the difference in steps of 1/127 of the tensor's largest one, rounded at random | 1 each, 4 a tensor |
//! | [`top_k`] | the differences of largest magnitude; what isn't sent is added to the next one (error feedback) | 8 each of these |
//!
//! Parameters are compressed; buffers, such as the statistics of batch norms, and counters travel as they are, since a variance must not fall below 0. The arrays that a
//! strategy wants in addition, such as control variates, and orders aren't compressed either.
//!
//! The client applies its own compression: its update is the model that the other side reads, whether it travels or not. So a run in one process has the same bits as
//! one over a network.

mod catalogue;
mod encoded;
pub mod fp16;
pub mod int8;
pub mod top_k;

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, CompressionEntry},
    client_state::ClientState,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole, TensorSpec},
    seed::{Purpose, Seed},
};
use rand::Rng as _;

use crate::{
    BoxError,
    round::{ClientUpdate, TrainOrder},
};

pub use catalogue::{CATALOGUE, by_name, entries};
pub use encoded::Encoded;

/// The name under which a client keeps what it hasn't sent yet.
pub const RESIDUAL: &str = "compression.residual";

/// The name of the buffers among the floats that are sent.
pub const BUFFERS: &str = "buffers";

/// A form of compressed updates.
#[derive(Debug)]
pub struct Compressor {
    /// The name in experiment files, the source, the parameters, and what clients keep.
    pub entry: CompressionEntry,
    /// Encodes a difference, with draws of 32 random bits where it rounds at random.
    pub encode: Encode,
    /// Adds an encoded difference to parameters. It takes what it reads out of `Encoded`.
    pub add: Add,
    /// Returns the bytes of an encoded difference.
    pub num_bytes: fn(&Choice, &[usize]) -> u64,
}

impl PartialEq for Compressor {
    /// Compares names, which are unique in a catalogue.
    fn eq(&self, other: &Self) -> bool {
        self.entry.entry.name == other.entry.entry.name
    }
}

/// The function that encodes a difference, with draws of 32 random bits.
pub type Encode = fn(&Difference<'_>, &mut dyn FnMut() -> u32) -> Result<Encoded, Misfit>;

/// The function that adds an encoded difference to parameters, given the settings and the numbers of elements of the tensors of parameters.
pub type Add = fn(&Choice, &mut Encoded, &[usize], &mut [f32]) -> Result<(), Misfit>;

/// A difference of parameters to encode.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The settings of the compression.
    pub settings: &'a Choice,
    /// The numbers of elements of the tensors of parameters.
    pub tensors: &'a [usize],
    /// The difference, of all of them in their order.
    pub values: &'a [f32],
}

/// Numbers that don't fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// There are too many of them, or too few.
    #[error("its {name} have {found} elements, and should have {expected}")]
    Length {
        /// The numbers.
        name: String,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// They are missing.
    #[error("its {name} are missing")]
    Missing {
        /// The numbers.
        name: &'static str,
    },
    /// They are there, and nobody asked for them.
    #[error("it has {name}, which nobody asked for")]
    Unknown {
        /// The numbers.
        name: String,
    },
    /// They can't be.
    #[error("{0}")]
    Impossible(String),
}

/// The compression of a task's updates.
#[derive(Clone, Debug, PartialEq)]
pub struct Compression {
    compressor: &'static Compressor,
    settings: Choice,
    clients: u32,
}

impl Compression {
    /// Returns the compression of a task's updates; `None` if they travel as they are.
    ///
    /// # Errors
    /// The name that the settings give, if the catalogue doesn't have it.
    pub fn of(config: &FederatedConfig) -> Result<Option<Self>, String> {
        let Some(settings) = &config.compression else { return Ok(None) };
        let compressor = by_name(settings.name()).ok_or_else(|| settings.name().to_owned())?;
        Ok(Some(Self { compressor, settings: settings.clone(), clients: config.clients.num() }))
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Choice {
        &self.settings
    }

    /// Returns true if clients keep what they don't send.
    #[must_use]
    pub fn has_feedback(&self) -> bool {
        self.compressor.entry.has_feedback
    }

    /// Returns true if the updates of this client are compressed. Those of the server's own training, under the number after that of the last client, aren't.
    #[must_use]
    pub fn applies_to(&self, client: ClientId) -> bool {
        client.0 < self.clients
    }

    /// Returns the bytes of an update of a model with this layout, without a strategy's arrays.
    #[must_use]
    pub fn num_bytes(&self, layout: &[TensorSpec]) -> u64 {
        let of_role = |role| layout.iter().filter(move |spec| spec.role == role).map(|spec| spec.num_elements() as u64).sum::<u64>();
        (self.compressor.num_bytes)(&self.settings, &tensors(layout)) + 4 * of_role(TensorRole::Buffer) + 8 * of_role(TensorRole::Counter)
    }

    /// Carries out `order` by `train`, and compresses the update. What the client keeps for its next update is in `kept`, beside what its strategy keeps.
    ///
    /// # Errors
    /// If `train` fails, or what it returns or what the client kept doesn't fit the model.
    pub fn carry_out(
        &self,
        order: &TrainOrder,
        kept: &mut ClientState,
        train: impl FnOnce(&mut ClientState) -> Result<ClientUpdate, BoxError>,
    ) -> Result<ClientUpdate, BoxError> {
        let residual = kept.arrays.remove(RESIDUAL);
        let update = train(kept)?;
        if !self.applies_to(order.client) {
            return Ok(update);
        }
        let ClientUpdate { state, .. } = &update;
        let (encoded, residual) = self.encode(&order.state, state, residual, (order.seed, order.client, order.round))?;
        kept.arrays.extend(residual.map(|residual| (RESIDUAL.to_owned(), residual)));
        let state = self.decode(&order.state, encoded.clone(), state.counters.clone())?;
        Ok(ClientUpdate { state, encoded: Some(Box::new(encoded)), ..update })
    }

    /// Encodes the model of a client that started from `base`, and returns what it keeps for its next one as well.
    ///
    /// # Errors
    /// If the models, or what the client kept, don't fit each other.
    pub fn encode(
        &self,
        base: &ModelState,
        update: &ModelState,
        residual: Option<Vec<f32>>,
        (seed, client, round): (Seed, ClientId, Round),
    ) -> Result<(Encoded, Option<Vec<f32>>), Misfit> {
        check(base, &base.layout, "floats of the model")?;
        check(update, &base.layout, "floats")?;
        let tensors = tensors(&base.layout);
        let num_parameters = tensors.iter().sum();
        let mut values = Vec::with_capacity(num_parameters);
        for range in ranges(&base.layout, TensorRole::Parameter) {
            values.extend(update.floats[range.clone()].iter().zip(&base.floats[range]).map(|(update, base)| update - base));
        }
        if let Some(residual) = residual.filter(|_| self.has_feedback()) {
            fits(RESIDUAL, residual.len(), num_parameters)?;
            values.iter_mut().zip(residual).for_each(|(value, residual)| *value += residual);
        }
        let mut stream = seed.stream(Purpose::Compression, &[u64::from(client.0), u64::from(round.0)]);
        let difference = Difference { settings: &self.settings, tensors: &tensors, values: &values };
        let mut encoded = (self.compressor.encode)(&difference, &mut || stream.next_u32())?;
        let kept = if self.has_feedback() {
            let mut sent = vec![0.0; num_parameters];
            (self.compressor.add)(&self.settings, &mut encoded.clone(), &tensors, &mut sent)?;
            values.iter_mut().zip(sent).for_each(|(value, sent)| *value -= sent);
            Some(values)
        } else {
            None
        };
        let buffers: Vec<f32> = ranges(&base.layout, TensorRole::Buffer).flat_map(|range| update.floats[range].iter().copied()).collect();
        if !buffers.is_empty() {
            encoded.floats.insert(BUFFERS.to_owned(), buffers);
        }
        Ok((encoded, kept))
    }

    /// Returns the model that was encoded by a client that started from `base`, as far as it was sent.
    ///
    /// Its numbers may be such that aren't finite, if those of the client were, or it sent what can't be.
    ///
    /// # Errors
    /// If it doesn't fit `base`: the encoded numbers are those of another model, of another compression, or none that an encoder makes.
    pub fn decode(&self, base: &ModelState, mut encoded: Encoded, counters: Vec<i64>) -> Result<ModelState, Misfit> {
        check(base, &base.layout, "floats of the model")?;
        fits("counters", counters.len(), base.counters.len())?;
        let tensors = tensors(&base.layout);
        let mut parameters: Vec<f32> =
            ranges(&base.layout, TensorRole::Parameter).flat_map(|range| base.floats[range].iter().copied()).collect();
        (self.compressor.add)(&self.settings, &mut encoded, &tensors, &mut parameters)?;
        let num_buffers = ranges(&base.layout, TensorRole::Buffer).map(|range| range.len()).sum();
        let buffers = if num_buffers == 0 { Vec::new() } else { encoded.take_floats(BUFFERS, num_buffers)? };
        encoded.nothing_left()?;
        if num_buffers == 0 {
            return Ok(ModelState { layout: Arc::clone(&base.layout), floats: parameters, counters });
        }
        let (mut parameters, mut buffers) = (parameters.into_iter(), buffers.into_iter());
        let mut floats = Vec::with_capacity(base.floats.len());
        for spec in base.layout.iter() {
            match spec.role {
                TensorRole::Parameter => floats.extend(parameters.by_ref().take(spec.num_elements())),
                TensorRole::Buffer => floats.extend(buffers.by_ref().take(spec.num_elements())),
                TensorRole::Counter => {}
            }
        }
        Ok(ModelState { layout: Arc::clone(&base.layout), floats, counters })
    }
}

/// Returns the numbers of elements of the tensors of parameters.
fn tensors(layout: &[TensorSpec]) -> Vec<usize> {
    layout.iter().filter(|spec| spec.role == TensorRole::Parameter).map(TensorSpec::num_elements).collect()
}

/// Returns the places of the tensors with this role among the floats of a model.
fn ranges(layout: &[TensorSpec], role: TensorRole) -> impl Iterator<Item = std::ops::Range<usize>> {
    let floats = layout.iter().filter(|spec| spec.role != TensorRole::Counter);
    let placed = floats.scan(0, |end, spec| {
        let start = *end;
        *end += spec.num_elements();
        Some((spec.role, start..*end))
    });
    placed.filter(move |(own, _)| *own == role).map(|(_, range)| range)
}

/// Checks the size of a model.
fn check(model: &ModelState, layout: &[TensorSpec], name: &str) -> Result<(), Misfit> {
    let of = |is_counter: bool| {
        layout.iter().filter(|spec| (spec.role == TensorRole::Counter) == is_counter).map(TensorSpec::num_elements).sum()
    };
    fits(name, model.floats.len(), of(false))?;
    fits("counters", model.counters.len(), of(true))
}

fn fits(name: &str, found: usize, expected: usize) -> Result<(), Misfit> {
    if found == expected { Ok(()) } else { Err(Misfit::Length { name: name.to_owned(), found, expected }) }
}

#[cfg(test)]
mod tests;
