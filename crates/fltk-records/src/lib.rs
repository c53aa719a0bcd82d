//! The records that a run leaves behind, and how they are read again.
//!
//! ```text
//! runs/
//!   quickstart-20260102-030405-1a2b/   created atomically                              RunFolder
//!     experiment.yaml  run.json        the task and its settings, and the machine      RunDescription
//!     partition.json                   what the clients of a federated run have        PartitionCounts
//!     journal.jsonl                    the truth: append-only, synced, checksummed     journal, history
//!     metrics.csv  events.out.*        derived from the journal                        metrics_csv, tensorboard
//!     checkpoints/round-000020/        created atomically, verified when read          checkpoint
//!     client-state/client-000003/      what a federated client keeps between rounds    client_states
//!     lock                             held by the single writer
//! ```
//!
//! Data flows one way: [`RunRecorder`] appends an event to the [`journal`], folds it into the [`history`], and updates the derived files.
//! After a kill at any point the journal is replayed and the derived files are rebuilt from it.
//!
//! The [`index`] of a folder of runs is a cache, stored elsewhere. An [`archive`] moves such a folder to another machine.
//!
//! Not for: training, clocks (every time is an argument), printing. The results of [`summary`], [`compare`], [`methods`] and [`export`] are ready to be
//! shown as a table or as JSON.

pub mod archive;
pub mod checkpoint;
pub mod client_states;
pub mod compare;
mod derived;
pub mod export;
mod files;
mod folder;
mod glimpse;
pub mod history;
pub mod index;
pub mod journal;
pub mod methods;
pub mod metrics_csv;
pub mod named;
mod run_folder;
#[cfg(test)]
extern crate self as fltk_records;
#[cfg(test)]
mod samples;
mod side_by_side;
pub mod stream_folder;
pub mod summary;
pub mod tensorboard;

pub use archive::{ArchiveError, Record, RecordKind};
pub use files::{FileError, read_in};
pub use glimpse::Glimpse;
pub use run_folder::{
    CHANGES_NOTHING, ClientCounts, FollowedRun, Host, Hyperparameter, Hyperparameters, PartitionCounts, RunDescription, RunError,
    RunFolder, RunLock, RunRecorder, RunRef,
};
pub use stream_folder::{StreamDescription, StreamFolder, StreamTexts};
