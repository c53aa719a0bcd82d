//! The contents of an experiment: tasks, nets, data sets and hyper-parameters, as checked values.
//!
//! The rest of fltk works with these types. They can't be wrong: `parse` turns files into them and refuses unknown keys, wrong types and
//! impossible combinations, all at once and with their place in the file.

mod check;
mod config;
mod definition;
mod duration;
mod federated;
mod file;
mod flag;
mod kfltk;
mod left_open;
mod network;
mod overrides;
mod parse;
mod places;
mod quantity;
mod report;
mod schema;
mod shape;
mod source;
mod stream;
mod task;
mod training;
mod tree;

pub use config::ConfigFormat;
pub use duration::{Duration, DurationError};
pub use federated::FederatedConfig;
pub use file::to_yaml;
pub use flag::{parse_optimizer, parse_partition};
pub use kfltk::Cluster;
pub use network::NetworkConfig;
pub use overrides::{Override, OverrideError};
pub use parse::{FileKind, Parsed, ParsedCluster, file_kind, parse, parse_cluster};
pub use quantity::{Quantity, QuantityError};
pub use report::{Label, Problem, Report, Severity};
pub use schema::json_schema;
pub use source::{EncodingError, SourceFile, Span};
pub use stream::{AdmissionConfig, ArrivalGroup, Gaps, OrchestratorType, PodResources, PolicyName, Priority, Resources, StreamConfig};
pub use task::{DatasetConfig, DistributedConfig, Experiment, GradientCompression, Setting, Task};
pub use training::{ScheduleUnit, SchedulerConfig, TrainConfig};
