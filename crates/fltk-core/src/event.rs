//! The events of a run's journal. The journal is the source of truth: everything else in a run's folder can be rebuilt from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    attendance::Absence,
    client_test::{ClientFigures, ClientTestSummary},
    ids::{ClientId, Epoch, Round},
    metrics::{Evaluation, ParallelSummary, TrainSummary},
    milestone::Milestone,
    report::StepUnit,
};

/// One event of a run. Times of day are the journal's; durations in events are in seconds of wall clock, unless they are called virtual, and never decide
/// anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// The run began, or resumed after an interruption.
    Started {
        /// The checkpoint from which it continues; 0 for a fresh start. Later records in this journal replace earlier ones of anything past
        /// that checkpoint.
        from: Milestone,
        /// The version of `fltk`.
        version: String,
    },
    /// A node made the model with which a federated run begins: its net isn't one that the federator has.
    ModelInitialized {
        /// The SHA-256 of its parameters and buffers, as those of checkpoints.
        parameters_sha256: String,
        /// The name of the node.
        node: String,
    },
    /// One epoch of a distributed task ended and was evaluated.
    EpochEnded {
        /// The epoch, counted from 1.
        epoch: Epoch,
        /// The training summary of this epoch alone.
        train: TrainSummary,
        /// The learning rate used in this epoch.
        learning_rate: f64,
        /// The evaluation over the whole test set.
        test: Evaluation,
        /// The training time of this epoch alone, in seconds.
        train_seconds: f64,
        /// The evaluation time, in seconds.
        test_seconds: f64,
        /// The cost of data parallelism; absent for one rank.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parallel: Option<ParallelSummary>,
    },
    /// One client finished its part of a federated round.
    ClientTrained {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The training summary of its local epochs.
        train: TrainSummary,
        /// The time of local training, in seconds.
        seconds: f64,
        /// The simulated time of its answer, in seconds since the run began; absent if time is the wall clock's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        virtual_seconds: Option<f64>,
        /// The number of global models that were made since it began; absent unless the strategy is asynchronous.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        staleness: Option<u32>,
        /// True if the client is malicious, and this is what it says.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        malicious: bool,
    },
    /// The update of a client that was selected for a federated round doesn't count.
    ClientAbsent {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// The reason.
        absence: Absence,
        /// The client's own reason, in one line; absent if it gave none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The model that serves a client was evaluated on the client's own test samples, after a federated round. It comes before the end of its round.
    ClientTested {
        /// The round; 0 is the initial model.
        round: Round,
        /// The client.
        client: ClientId,
        /// The figures that may be recorded.
        test: ClientFigures,
    },
    /// One round of a federated task was aggregated and its global model evaluated.
    RoundEnded {
        /// The round, counted from 1; 0 is the evaluation of the initial model.
        round: Round,
        /// The clients that took part, in ascending order.
        clients: Vec<ClientId>,
        /// The training summary, sample-weighted over the clients; absent for round 0.
        train: Option<TrainSummary>,
        /// The learning rate that the clients used.
        learning_rate: f64,
        /// The evaluation of the global model over the whole test set; absent where `evaluate_every` skips it.
        test: Option<Evaluation>,
        /// The accuracy over all clients on test samples of their own; absent if they have none, and where `client_test_every` skips it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_test: Option<ClientTestSummary>,
        /// The time of selection, training and aggregation, in seconds.
        train_seconds: f64,
        /// The simulated time at which the round's model was complete, in seconds since the run began; absent if time is the wall clock's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        virtual_seconds: Option<f64>,
        /// The evaluation time, in seconds.
        test_seconds: f64,
        /// The bytes of the updates that count, as they are sent, without names and repetitions; absent for round 0, and in records of earlier versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_bytes: Option<u64>,
    },
    /// A program of the user's own reported figures of a step. Figures of a step that was reported before are added to it, or replace those of the same name.
    Reported {
        /// The unit of the step.
        unit: StepUnit,
        /// The step.
        step: u32,
        /// The figures by name, all finite.
        figures: BTreeMap<String, f64>,
    },
    /// A program of the user's own ended successfully.
    ProgramEnded {
        /// The seconds of wall clock since it (or its last resumption) started.
        seconds: f64,
    },
    /// A node takes part in a federated run over a network from now on.
    NodeJoined {
        /// The beginning of its identity, in hex: the same when it comes back.
        node: String,
        /// The name of the node.
        name: String,
        /// The kind of its processor.
        processor: String,
        /// The number of clients that it trains at a time.
        workers: u32,
        /// The name of its client, if clients have data of their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// The number of samples that it says its client has; absent if clients have no data of their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        num_samples: Option<u64>,
        /// The time that had passed when this was recorded, in seconds.
        #[serde(default, skip_serializing_if = "is_zero")]
        ago_seconds: f64,
    },
    /// A node doesn't take part any more: it was lost, or the run is over.
    NodeLeft {
        /// The beginning of its identity, in hex.
        node: String,
        /// The updates of it that were collected since it joined.
        num_updates: u64,
        /// The time between its orders and its answers, summed over them, in seconds.
        busy_seconds: f64,
        /// The bytes of models and other objects that were sent to it.
        bytes_sent: u64,
        /// The bytes of updates that were received from it.
        bytes_received: u64,
        /// The reason, in one line; absent if the run is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The time that had passed when this was recorded, in seconds.
        #[serde(default, skip_serializing_if = "is_zero")]
        ago_seconds: f64,
    },
    /// A checkpoint is complete on disk.
    CheckpointSaved {
        /// The point of the run at which it was taken.
        at: Milestone,
        /// The SHA-256 of the model's parameters and buffers, see `fltk_records::checkpoint`.
        parameters_sha256: String,
    },
    /// The run ended successfully.
    Finished {
        /// The SHA-256 of the final parameters, in lower-case hex.
        parameters_sha256: String,
        /// The seconds of wall clock since the run (or its last resumption) started.
        seconds: f64,
    },
    /// The run ended early.
    Failed {
        /// The reason, in words for the user.
        reason: String,
        /// True if the run would fail in the same way when resumed from its checkpoint with the same settings: its training diverged, or its net doesn't fit.
        /// False if that isn't known.
        for_good: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}
