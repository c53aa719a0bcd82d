//! Experiment files: text becomes an [`Experiment`] that can't be wrong, or a [`Report`] of every problem with its place; and an experiment
//! becomes text again. KFLTK's files are read too.
//!
//! ```text
//! text ── tree ──> Node ── shape (schema) ──> Node with defaults ── read ── check ──> Experiment ── write ──> text
//!                                     └────────── problems ───────────────────┘
//! ```
//!
//! Not for: reading files (the caller has read them), and what an experiment means (`fltk_core::experiment`).

mod check;
mod config;
mod entries;
mod experiment_schema;
mod flag;
mod format;
mod kfltk;
mod matrix;
mod overrides;
mod parse;
mod places;
mod read;
mod report;
mod schema;
mod shape;
mod source;
mod tree;
mod write;

use fltk_core::experiment::{
    AdmissionConfig, ArrivalGroup, CommandConfig, DatasetConfig, DistributedConfig, Duration, Experiment, FederatedConfig, Gaps,
    NetworkConfig, OrchestratorType, PodResources, PolicyName, Priority, Quantity, Resources, ScheduleUnit, SchedulerConfig, Setting,
    StreamConfig, Task, TaskKind, TrainConfig, Training, definition,
};

pub use config::ConfigFormat;
pub use experiment_schema::json_schema;
pub use flag::{parse_dataset, parse_optimizer, parse_partition, parse_strategy};
pub use kfltk::Cluster;
pub use overrides::{Override, OverrideError};
pub use parse::{FileKind, FilePlace, Parsed, ParsedCluster, file_kind, parse, parse_cluster};
pub use report::{Label, Problem, Report, Severity};
pub use source::{EncodingError, SourceFile, Span, closest};
pub use write::{to_json, to_yaml};
