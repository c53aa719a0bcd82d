//! The settings of a task whose jobs run a program of the user's own.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;

/// Settings of a task that runs any program, as one or several ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "command")]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// The program and its arguments, as they are: no shell reads them.
    #[schemars(length(min = 1, max = 1000))]
    pub run: Vec<String>,
    /// Number of ranks: processes on this machine, pods on a cluster. Each finds its place in `RANK`, `LOCAL_RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`.
    #[schemars(range(min = 1, max = 1000))]
    pub ranks: u32,
    /// The container image on a cluster; that of the stream if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The folder in which the program starts on this machine, relative to the experiment file; that of the file if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The names of the variables that the program gets from the environment of `fltk`. It gets no others.
    #[schemars(length(max = 1000))]
    pub environment: Vec<String>,
    /// Further variables with their values, which are part of the records.
    pub variables: BTreeMap<String, String>,
    /// The number of times that all ranks are started again after one has failed.
    #[schemars(range(max = 1000))]
    pub restarts: u32,
    /// The time from SIGTERM, by which the program is asked to stop, until it is killed.
    pub grace: Duration,
}
