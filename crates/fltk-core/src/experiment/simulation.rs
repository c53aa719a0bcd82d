//! The settings of simulated time: devices, links and availability of clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, definition};
use crate::catalogue::Choice;

/// The time in which clients work, and a model of their devices, links and availability if that time is simulated. Without this block, time is the wall
/// clock's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "simulation")]
#[serde(deny_unknown_fields)]
pub struct SimulationConfig {
    /// The clock by which answers arrive and deadlines pass.
    pub clock: Clock,
    /// The devices of the clients, by `type`: the time that one takes to train on a sample.
    #[schemars(schema_with = "definition::devices")]
    pub devices: Choice,
    /// The links of the clients, by `type`: the time that models take to a client and back.
    #[schemars(schema_with = "definition::links")]
    pub network: Choice,
    /// The times at which clients are there, by `type`.
    #[schemars(schema_with = "definition::availability")]
    pub availability: Choice,
    /// The time that the server takes to combine the updates of a round.
    pub server: Duration,
    /// True if nodes, on the wall clock, impose the clients' links of `network` on models and updates. It affects the time taken, not the results.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub impose_links: bool,
}

impl SimulationConfig {
    /// Returns the choices of devices, links and availability, with the names of their blocks.
    #[must_use]
    pub fn choices(&self) -> [(&'static str, &Choice); 3] {
        [("devices", &self.devices), ("network", &self.network), ("availability", &self.availability)]
    }

    /// Does the same as [`Self::choices`], to change them.
    pub fn choices_mut(&mut self) -> [(&'static str, &mut Choice); 3] {
        [("devices", &mut self.devices), ("network", &mut self.network), ("availability", &mut self.availability)]
    }
}

/// A clock by which answers arrive and deadlines pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// Simulated time: an answer arrives when its client's device, link and availability say so. Results and times follow from the file and the seed alone.
    Virtual,
    /// The wall clock: as without the block, whose other settings then have no effect, but for links that are to be imposed.
    Wall,
}
