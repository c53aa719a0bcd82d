//! The devices, links and presence of all clients, and the times that follow from them.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    catalogue::Choice,
    client_terms::LocalWork,
    experiment::SimulationConfig,
    ids::ClientId,
    model_state::{ModelState, TensorRole},
    seed::{Purpose, Seed},
};

use super::{
    ClientDraw, Micros, Table, TraceError,
    availability::{self, Availability, Cycle, Presence},
    devices::{self, Devices},
    links::{self, Links},
    table::ReadTable,
};
use crate::{
    compression::Compression,
    round::{LossOrder, TrainOrder},
    strategy::Spec,
};

/// The share of a step that measuring a loss takes: a forward pass, where a step has a backward pass of twice its cost, too.
const FORWARD_SHARE: f64 = 1.0 / 3.0;

/// The clients' devices, links and availability.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    devices: Law<Devices>,
    links: Law<Links>,
    availability: Law<Availability>,
    server: Micros,
    seed: Seed,
    batch_size: u32,
}

#[derive(Debug)]
struct Law<T: 'static> {
    law: &'static T,
    settings: Choice,
    table: Arc<Table>,
    purpose: Purpose,
}

impl<T> Clone for Law<T> {
    fn clone(&self) -> Self {
        Self { law: self.law, settings: self.settings.clone(), table: Arc::clone(&self.table), purpose: self.purpose }
    }
}

impl<T: PartialEq> PartialEq for Law<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.law, &self.settings, &self.table) == (other.law, &other.settings, &other.table)
    }
}

/// A file that the settings name.
#[derive(Clone, Copy, Debug)]
pub struct TraceFile<'a> {
    /// The name for errors, usually its path.
    pub name: &'a str,
    /// The whole text.
    pub text: &'a str,
}

/// The reason why time can't be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetError {
    /// The catalogue has no such law.
    #[error("there is no `{block}` of type `{name}`")]
    Unknown {
        /// The block of the settings.
        block: &'static str,
        /// The name in it.
        name: String,
    },
    /// A file is needed, and the caller gave none.
    #[error("`simulation.{block}` needs its file")]
    Missing {
        /// The block of the settings.
        block: &'static str,
    },
    /// A file can't be used.
    #[error("the file `{file}` of `simulation.{block}` can't be used: {source}")]
    File {
        /// The block of the settings.
        block: &'static str,
        /// The name of the file.
        file: String,
        /// The problem with it.
        source: TraceError,
    },
}

/// Checks the file that the settings in `block` (`devices`, `network` or `availability`) name.
///
/// # Errors
/// If it can't be used.
pub fn check_file(block: &str, settings: &Choice, text: &str) -> Result<(), TraceError> {
    let read = match block {
        "devices" => devices::by_name(settings.name()).and_then(|law| law.read),
        "network" => links::by_name(settings.name()).and_then(|law| law.read),
        _ => availability::by_name(settings.name()).and_then(|law| law.read),
    };
    read.map_or(Ok(()), |read| read(text).map(drop))
}

/// The work of a client for an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Job {
    /// The bytes to the client.
    pub bytes_down: u64,
    /// The steps on one sample.
    pub samples: f64,
    /// The bytes of its answer.
    pub bytes_up: u64,
}

/// The times of a job on its client's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    /// The time to the client.
    pub down: Micros,
    /// The time of its answer.
    pub up: Micros,
}

/// The end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The answer arrives at this time.
    At(Micros),
    /// The client leaves at this time, and never comes back.
    Never(Micros),
}

impl Fleet {
    /// Creates the clients that `config` describes. `files` are those that its blocks name, by block; steps are on batches of at most `batch_size`.
    ///
    /// # Errors
    /// If a law is unknown, or a file is missing or can't be used.
    pub fn new(
        config: &SimulationConfig,
        files: &BTreeMap<&'static str, TraceFile<'_>>,
        seed: Seed,
        batch_size: u32,
    ) -> Result<Self, FleetError> {
        let unknown = |block, settings: &Choice| FleetError::Unknown { block, name: settings.name().to_owned() };
        let table = |block: &'static str, read: Option<ReadTable>| match read {
            None => Ok(Arc::default()),
            Some(read) => {
                let file = files.get(block).ok_or(FleetError::Missing { block })?;
                let wrong = |source| FleetError::File { block, file: file.name.to_owned(), source };
                read(file.text).map(Arc::new).map_err(wrong)
            }
        };
        let (devices, links, availability) = (&config.devices, &config.network, &config.availability);
        let law = devices::by_name(devices.name()).ok_or_else(|| unknown("devices", devices))?;
        let devices = Law { law, settings: devices.clone(), table: table("devices", law.read)?, purpose: Purpose::Device };
        let law = links::by_name(links.name()).ok_or_else(|| unknown("network", links))?;
        let links = Law { law, settings: links.clone(), table: table("network", law.read)?, purpose: Purpose::Link };
        let law = availability::by_name(availability.name()).ok_or_else(|| unknown("availability", availability))?;
        let settings = availability.clone();
        let availability = Law { law, settings, table: table("availability", law.read)?, purpose: Purpose::Availability };
        #[expect(clippy::cast_precision_loss, reason = "durations are at most ten years")]
        let server = Micros::from_millis(config.server.as_millis() as f64);
        Ok(Self { devices, links, availability, server, seed, batch_size })
    }

    fn draw<'a, T>(&'a self, law: &'a Law<T>, client: ClientId) -> ClientDraw<'a> {
        ClientDraw { settings: &law.settings, table: &law.table, seed: self.seed, purpose: law.purpose, client }
    }

    /// Returns the time that the server takes to combine the updates of a round.
    #[must_use]
    pub fn server(&self) -> Micros {
        self.server
    }

    /// Returns true if every client is always there.
    #[must_use]
    pub fn is_always_there(&self) -> bool {
        self.availability.law.is_always
    }

    /// Returns whether `client` is there at a time, and until when that holds.
    #[must_use]
    pub fn presence(&self, client: ClientId, at: Micros) -> Presence {
        (self.availability.law.presence)(&self.draw(&self.availability, client), at)
    }

    /// Returns the milliseconds that the client's device takes for a step on one sample.
    #[must_use]
    pub fn ms_per_sample(&self, client: ClientId) -> f64 {
        (self.devices.law.ms_per_sample)(&self.draw(&self.devices, client))
    }

    /// Returns the time that a client needs for a job if it stays.
    #[must_use]
    pub fn duration(&self, client: ClientId, job: Job) -> Micros {
        let training = Micros::from_millis(self.ms_per_sample(client) * job.samples);
        let Transfers { down, up } = self.transfers(client, job);
        down.plus(training).plus(up)
    }

    /// Returns the times that a job's bytes take over the client's link.
    #[must_use]
    pub fn transfers(&self, client: ClientId, job: Job) -> Transfers {
        let Some(link) = (self.links.law.link)(&self.draw(&self.links, client)) else { return Transfers::default() };
        #[expect(clippy::cast_precision_loss, reason = "sizes of models in memory")]
        let transfer = |bytes: u64, mbit: f64| Micros::from_millis(link.latency_ms + bytes as f64 * 8.0 / (mbit * 1000.0));
        Transfers { down: transfer(job.bytes_down, link.down_mbit), up: transfer(job.bytes_up, link.up_mbit) }
    }

    /// Returns the time at which the answer of a client arrives that was given its order at `given`. It works only while it is there.
    #[must_use]
    pub fn arrival(&self, client: ClientId, given: Micros, job: Job) -> Arrival {
        let mut left = self.duration(client, job);
        let mut at = given;
        if self.is_always_there() {
            return Arrival::At(at.plus(left));
        }
        // Whole cycles first: the rest is at most one, however long the job is.
        if let Some(Cycle { period, there }) = (self.availability.law.cycle)(&self.draw(&self.availability, client)) {
            if there.0 == 0 {
                return Arrival::Never(at);
            }
            let cycles = left.0.saturating_sub(1) / there.0;
            left = Micros(left.0 - cycles * there.0);
            at = at.plus(Micros(cycles.saturating_mul(period.0)));
            if at >= Micros::MAX {
                return Arrival::Never(given);
            }
        }
        loop {
            let Presence { is_there, until } = self.presence(client, at);
            match until {
                None if is_there => return Arrival::At(at.plus(left)),
                None => return Arrival::Never(at),
                Some(until) if is_there && at.plus(left) <= until => return Arrival::At(at.plus(left)),
                // Beyond the largest time nothing comes any more.
                Some(until) if until >= Micros::MAX => return Arrival::Never(at),
                Some(until) => {
                    if is_there {
                        left = Micros(left.0 - (until.0 - at.0));
                    }
                    at = until;
                }
            }
        }
    }

    /// Returns the earliest time from `now` on at which so many of `clients` are there at once; `None` if that doesn't happen within a thousand changes,
    /// or fewer if there are many clients.
    #[must_use]
    pub fn time_with(&self, needed: usize, clients: &[ClientId], now: Micros) -> Option<Micros> {
        const CHANGES_MAX: usize = 1000;
        const LOOKS_MAX: usize = 20_000_000;
        let mut at = now;
        for _ in 0..CHANGES_MAX.min(10 + LOOKS_MAX / clients.len().max(1)) {
            let mut num_there = 0;
            let mut returns = Vec::new();
            for &client in clients {
                let Presence { is_there, until } = self.presence(client, at);
                num_there += usize::from(is_there);
                returns.extend(until.filter(|_| !is_there));
            }
            if num_there >= needed {
                return Some(at);
            }
            // So many have to come; whether others leave before is seen then.
            let missing = needed - num_there;
            if returns.len() < missing {
                return None;
            }
            let (_, &mut next, _) = returns.select_nth_unstable(missing - 1);
            if next >= Micros::MAX {
                return None;
            }
            at = next;
        }
        None
    }

    /// Returns the work of an order to train, for a client with so many samples, whose update has so many bytes.
    #[must_use]
    pub fn training(&self, order: &TrainOrder, num_samples: u64, update_bytes: u64) -> Job {
        let model = model_bytes(&order.state);
        let arrays: u64 = order.terms.arrays.values().map(|values| 4 * values.len() as u64).sum();
        Job { bytes_down: model + arrays, samples: self.sample_steps(order.terms.work, num_samples), bytes_up: update_bytes }
    }

    /// Returns the work of an order to measure a loss, for a client with so many samples.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    pub fn measurement(&self, order: &LossOrder, num_samples: u64) -> Job {
        let samples = if order.num_samples == 0 { num_samples } else { num_samples.min(order.num_samples.into()) };
        Job { bytes_down: model_bytes(&order.state), samples: samples as f64 * FORWARD_SHARE, bytes_up: 8 }
    }

    /// Returns the time from an order to train to its answer for a client that stays, with so many samples; the order and the answer have
    /// so many bytes.
    #[must_use]
    pub fn round_trip(&self, client: ClientId, work: LocalWork, num_samples: u64, (bytes_down, bytes_up): (u64, u64)) -> Micros {
        let job = Job { bytes_down, samples: self.sample_steps(work, num_samples), bytes_up };
        self.duration(client, job)
    }

    /// Returns the steps on one sample of an amount of training.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "numbers of samples and steps")]
    pub fn sample_steps(&self, work: LocalWork, num_samples: u64) -> f64 {
        match work {
            LocalWork::Epochs(epochs) => epochs * num_samples as f64,
            LocalWork::Steps(steps) => steps as f64 * num_samples.min(self.batch_size.into()) as f64,
        }
    }
}

/// Returns the bytes of a model on its way.
pub(crate) fn model_bytes(state: &ModelState) -> u64 {
    4 * state.floats.len() as u64 + 8 * state.counters.len() as u64
}

/// Returns the bytes of an update as it travels: the model, compressed or as it is, and the arrays that the strategy wants.
#[must_use]
pub fn update_bytes(model: &ModelState, strategy: &Spec, compression: Option<&Compression>) -> u64 {
    let of_model = compression.map_or_else(|| model_bytes(model), |compression| compression.num_bytes(&model.layout));
    of_model + strategy.arrays.len() as u64 * parameter_bytes(model)
}

fn parameter_bytes(state: &ModelState) -> u64 {
    let parameters = state.layout.iter().filter(|spec| spec.role == TensorRole::Parameter);
    4 * parameters.map(|spec| spec.num_elements() as u64).sum::<u64>()
}
