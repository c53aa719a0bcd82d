//! The contents of an experiment: tasks, nets, data sets and hyper-parameters, as checked values.
//!
//! The rest of fltk works with these types. The crate `fltk-experiment` turns files into them, and refuses unknown keys, wrong types and
//! impossible combinations, all at once and with their place in the file.

mod client_test;
mod clients;
mod command;
mod dataset;
pub mod definition;
mod duration;
mod faults;
mod federated;
mod files;
mod left_open;
mod network;
mod participation;
mod quantity;
mod simulation;
mod stream;
mod task;
mod training;
mod work;

pub use client_test::{ClientFigure, num_client_test};
pub use clients::{Clients, DataPlace};
pub use command::CommandConfig;
pub use dataset::{DatasetConfig, FOUND_OUT};
pub use duration::{Duration, DurationError};
pub use faults::{ATTACK_FRACTION, CrashConfig, FaultsConfig, num_affected};
pub use federated::FederatedConfig;
pub use network::{NetworkConfig, PythonNet};
pub use participation::ParticipationConfig;
pub use quantity::{Quantity, QuantityError};
pub use simulation::{Clock, SimulationConfig};
pub use stream::{AdmissionConfig, ArrivalGroup, Gaps, OrchestratorType, PodResources, PolicyName, Priority, Resources, StreamConfig};
pub use task::{DistributedConfig, Experiment, GradientCompression, Setting, Task, TaskKind, Training};
pub use training::{ScheduleUnit, SchedulerConfig, TrainConfig};
pub use work::{ClientGroup, DrawnFor, Epochs, WorkConfig, WorkUnit};
