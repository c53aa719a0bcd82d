//! The steps of a person with a cluster: the guide as it is written, charts installed side by side, an orchestrator whose pod is killed.

pub mod compose;
pub mod data_sets;
mod fresh;
pub mod guide;
pub mod side_by_side;
pub mod takeover;
pub mod workplace;
