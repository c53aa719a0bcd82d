//! The metrics of a federator for Prometheus, and the server from which they are scraped.
//!
//! Counters go on over all jobs of a process. What is so at present, such as the number of nodes, is looked at five times a second.

mod looks;
mod server;
mod timed;

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::hub::{Lost, Refused};

pub(crate) use looks::Looks;
pub use server::Server;
pub(crate) use timed::{Clock, Timed};

/// A part of the time that a federated run takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Workers of nodes have an order: from the order to the answer, and so with the fetching of models.
    Training,
    /// Workers of nodes have none.
    Idle,
    /// An update is being collected: from the request to its last byte. Several may be at a time.
    Collecting,
    /// The evaluator tests a model.
    Evaluating,
    /// The federator waits for nodes and for the evaluator.
    Waiting,
    /// The federator selects clients and combines updates.
    Combining,
    /// The federator writes records and checkpoints.
    Recording,
}

impl Phase {
    const ALL: [Self; 7] =
        [Self::Training, Self::Idle, Self::Collecting, Self::Evaluating, Self::Waiting, Self::Combining, Self::Recording];

    const fn word(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Idle => "idle",
            Self::Collecting => "collecting",
            Self::Evaluating => "evaluating",
            Self::Waiting => "waiting",
            Self::Combining => "combining",
            Self::Recording => "recording",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// A federator's metrics. All threads of the process may share them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    nodes: Gauge,
    workers: Gauge,
    clients_in_flight: Gauge,
    rounds: Counter,
    updates: Counter,
    sent: Counter,
    received: Counter,
    phase: Family<PhaseLabel, Counter<f64, AtomicU64>>,
    refusals: Family<ReasonLabel, Counter>,
    nodes_joined: Counter,
    nodes_lost: Family<ReasonLabel, Counter>,
    nodes_turned_away: Counter,
}

impl Metrics {
    /// Creates the metrics, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("fltk_federation");
        let (nodes, workers, clients_in_flight) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("nodes", "Nodes that take part", nodes.clone());
        registry.register("workers", "Workers of these nodes: clients that they train at a time", workers.clone());
        registry.register("clients_in_flight", "Clients whose orders nodes have and haven't answered", clients_in_flight.clone());
        let (rounds, updates) = (Counter::default(), Counter::default());
        registry.register("rounds", "Rounds that have ended", rounds.clone());
        registry.register("updates", "Updates of clients that were brought", updates.clone());
        let (sent, received) = (Counter::default(), Counter::default());
        registry.register_with_unit("sent", "Models and what else orders need, to nodes", Unit::Bytes, sent.clone());
        registry.register_with_unit("received", "Updates from nodes", Unit::Bytes, received.clone());
        let phase = Family::<PhaseLabel, Counter<f64, AtomicU64>>::default();
        registry.register_with_unit("phase", "Time in each phase; those of nodes are summed over workers", Unit::Seconds, phase.clone());
        let refusals = Family::<ReasonLabel, Counter>::default();
        registry.register("refusals", "Messages of nodes that were refused, and changed nothing", refusals.clone());
        let (nodes_joined, nodes_turned_away) = (Counter::default(), Counter::default());
        let nodes_lost = Family::<ReasonLabel, Counter>::default();
        registry.register("nodes_joined", "Nodes that have joined, each time that they came", nodes_joined.clone());
        registry.register("nodes_lost", "Nodes that were lost before the run was over", nodes_lost.clone());
        registry.register("nodes_turned_away", "Nodes that couldn't take part", nodes_turned_away.clone());
        // What hasn't happened yet is there as well, so that its rate is 0.
        for phase_of in Phase::ALL {
            drop(phase.get_or_create(&PhaseLabel { phase: phase_of.word() }));
        }
        for reason in Refused::WORDS {
            drop(refusals.get_or_create(&ReasonLabel { reason }));
        }
        for reason in Lost::WORDS {
            drop(nodes_lost.get_or_create(&ReasonLabel { reason }));
        }
        Self {
            registry,
            nodes,
            workers,
            clients_in_flight,
            rounds,
            updates,
            sent,
            received,
            phase,
            refusals,
            nodes_joined,
            nodes_lost,
            nodes_turned_away,
        }
    }

    /// Returns all metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// If formatting in memory fails.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Adds time to a phase.
    pub(crate) fn took(&self, phase: Phase, time: Duration) {
        self.phase.get_or_create(&PhaseLabel { phase: phase.word() }).inc_by(time.as_secs_f64());
    }

    /// Counts a round that ended.
    pub(crate) fn round_ended(&self) {
        self.rounds.inc();
    }

    /// Counts an update that was brought.
    pub(crate) fn updated(&self) {
        self.updates.inc();
    }

    /// Counts bytes that a node fetches.
    pub(crate) fn sent(&self, num_bytes: u64) {
        self.sent.inc_by(num_bytes);
    }

    /// Counts bytes of an update.
    pub(crate) fn received(&self, num_bytes: u64) {
        self.received.inc_by(num_bytes);
    }

    /// Counts a message that was refused.
    pub(crate) fn refused(&self, reason: &Refused) {
        self.refusals.get_or_create(&ReasonLabel { reason: reason.word() }).inc();
    }

    /// Counts a node that joined.
    pub(crate) fn joined(&self) {
        self.nodes_joined.inc();
    }

    /// Counts a node that was lost.
    pub(crate) fn lost(&self, reason: Lost) {
        self.nodes_lost.get_or_create(&ReasonLabel { reason: reason.word() }).inc();
    }

    /// Counts a node that couldn't take part.
    pub(crate) fn turned_away(&self) {
        self.nodes_turned_away.inc();
    }

    fn set_present(&self, num_nodes: usize, num_workers: u64, num_in_flight: usize) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.nodes.set(number(num_nodes as u64));
        self.workers.set(number(num_workers));
        self.clients_in_flight.set(number(num_in_flight as u64));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
