//! The events of a run's journal. The journal is the truth: everything else in a run's folder can be made again from it.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClientId, Epoch, Round},
    metrics::{Evaluation, ParallelSummary, TrainSummary},
    milestone::Milestone,
};

/// One event of a run. Times of day are the journal's; durations in here are in seconds of wall clock and never decide anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// The run began, or was taken up again after an interruption.
    Started {
        /// The checkpoint that it goes on from; 0 for a fresh start. Later records of this journal replace earlier ones of what comes after it.
        from: Milestone,
        /// `fltk` version.
        version: String,
    },
    /// One epoch of a distributed task ended and was evaluated.
    EpochEnded {
        /// Counted from 1.
        epoch: Epoch,
        /// Over this epoch alone.
        train: TrainSummary,
        /// Learning rate used in this epoch.
        learning_rate: f64,
        /// Over the whole test set.
        test: Evaluation,
        /// Of training in this epoch alone.
        train_seconds: f64,
        /// Of the evaluation.
        test_seconds: f64,
        /// What being several ranks cost; absent for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parallel: Option<ParallelSummary>,
    },
    /// One client's share of a federated round came back.
    ClientTrained {
        /// The round.
        round: Round,
        /// The client.
        client: ClientId,
        /// Over its local epochs.
        train: TrainSummary,
        /// Of local training.
        seconds: f64,
    },
    /// One round of a federated task was aggregated and its global model evaluated.
    RoundEnded {
        /// Counted from 1; 0 is the evaluation of the initial model.
        round: Round,
        /// The clients that took part, ascending.
        clients: Vec<ClientId>,
        /// Sample-weighted over the clients; absent for round 0.
        train: Option<TrainSummary>,
        /// Learning rate that the clients used.
        learning_rate: f64,
        /// Of the global model over the whole test set; absent where `evaluate_every` skips it.
        test: Option<Evaluation>,
        /// Of selection, training and aggregation.
        train_seconds: f64,
        /// Of the evaluation.
        test_seconds: f64,
    },
    /// A checkpoint is complete on disk.
    CheckpointSaved {
        /// Where it was taken.
        at: Milestone,
        /// Of the model's parameters and buffers, see `fltk_records::checkpoint`.
        parameters_sha256: String,
    },
    /// The run is over.
    Finished {
        /// SHA-256 of the final parameters, lower-case hex.
        parameters_sha256: String,
        /// Wall clock since the run (or its last resumption) started.
        seconds: f64,
    },
    /// The run ended early.
    Failed {
        /// Why, for a person.
        reason: String,
        /// Whether it would fail in the same way if it were begun again from its checkpoint with the same settings: its training diverged, or its net doesn't
        /// fit. False where that isn't known.
        for_good: bool,
    },
}
