//! The values of our Helm charts as types, from which `charts/*/values.schema.json` are generated. No program of ours reads such values: Helm does,
//! and rejects values that aren't listed here.
//!
//! The inputs of `fltk` have schemas of their own: Helm checks an experiment that is written out in the values, and the pods' settings, as
//! `fltk validate` does, except for rules that only code can express.

mod extractor;
mod orchestrator;
mod schema;
mod shared;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use self::{
    extractor::Extractor,
    orchestrator::Orchestrator,
    shared::{Fltk, Provider, Storage},
};

/// One of our charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// `charts/extractor`.
    Extractor,
    /// `charts/orchestrator`.
    Orchestrator,
}

impl Chart {
    /// Returns the chart with this name, which is also its folder's.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "extractor" => Some(Self::Extractor),
            "orchestrator" => Some(Self::Orchestrator),
            _ => None,
        }
    }
}

/// Values of `charts/extractor`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExtractorValues {
    /// Folders in pods, and the image pull policy.
    fltk: Fltk,
    /// The images.
    provider: Provider,
    /// The volumes that pods share.
    storage: Storage,
    /// The extractor.
    extractor: Extractor,
    /// The orchestrator's values, from a file for both charts. They are not read here.
    #[serde(default)]
    orchestrator: Map<String, Json>,
    /// One of KFLTK's values of 2021. It is not read.
    image: Json,
    /// Helm's global values, if the chart is a subchart.
    #[serde(default)]
    global: Map<String, Json>,
}

/// Values of `charts/orchestrator`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OrchestratorValues {
    /// Folders in pods, and the image pull policy.
    fltk: Fltk,
    /// The images.
    provider: Provider,
    /// The volumes that pods share.
    storage: Storage,
    /// The extractor's values, from a file for both charts. Only the names of data sets are read here.
    #[serde(default)]
    extractor: Map<String, Json>,
    /// The orchestrator.
    orchestrator: Orchestrator,
    /// One of KFLTK's values of 2021. It is not read.
    image: Json,
    /// Helm's global values, if the chart is a subchart.
    #[serde(default)]
    global: Map<String, Json>,
}

/// Returns the JSON Schema of the values of `chart`, in a draft that every Helm 3 supports.
#[must_use]
pub fn json_schema(chart: Chart) -> Json {
    match chart {
        Chart::Extractor => schema::of::<ExtractorValues>("extractor"),
        Chart::Orchestrator => schema::of_orchestrator(schema::of::<OrchestratorValues>("orchestrator")),
    }
}
