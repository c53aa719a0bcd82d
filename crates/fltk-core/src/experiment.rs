//! What an experiment says: tasks, nets, data sets, hyper-parameters, as checked values.
//!
//! These types are what the rest of fltk works with. They can't be wrong: files become these through `parse`, which refuses
//! unknown keys, wrong types and impossible combinations, all at once and with their place in the file.

mod federated;
mod partition;
mod task;
mod training;

pub use federated::{FederatedConfig, SelectionConfig, StrategyConfig};
pub use partition::{PartitionConfig, QuantitySkew};
pub use task::{DatasetConfig, DatasetName, DistributedConfig, Experiment, LstmConfig, NetName, NetworkConfig, Setting, Task};
pub use training::{LossName, OptimizerConfig, ScheduleUnit, SchedulerConfig, TrainConfig};
