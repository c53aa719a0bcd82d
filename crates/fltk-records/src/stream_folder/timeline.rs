//! The course of a stream, as it is shown: what each job did when, and how many waited and ran. It is folded from the journal elsewhere, by
//! whoever knows its events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// The course of a stream. All times are in seconds since it started.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// The name of the stream.
    pub stream: String,
    /// The experiment's name.
    pub experiment: String,
    /// True if an orchestrator is running the stream.
    pub is_orchestrated: bool,
    /// The time at which it started.
    pub started_at: Timestamp,
    /// The present time; absent unless an orchestrator is running the stream.
    pub now: Option<f64>,
    /// The names of tasks, which are the classes of jobs.
    pub classes: Vec<String>,
    /// The names of all nodes on which a job ran, ascending.
    pub nodes: Vec<String>,
    /// The names of the states that spans have.
    pub states: Vec<&'static str>,
    /// The jobs that have arrived, by replication and arrival.
    pub jobs: Vec<TimelineJob>,
    /// The numbers of jobs and the resources that they request, over time.
    pub series: Series,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimelineJob {
    /// The job.
    pub job: String,
    /// The index of its class in [`Timeline::classes`].
    pub class: usize,
    /// The position of its seed in the experiment.
    pub replication: usize,
    /// The priority; the smaller number goes first.
    pub priority: i32,
    /// The name of its state.
    pub state: &'static str,
    /// The time when it arrived; absent if it was removed before.
    pub arrived: Option<f64>,
    /// The time when it ended.
    pub ended: Option<f64>,
    /// The nodes on which its pods ran, as indices into [`Timeline::nodes`].
    pub nodes: Vec<usize>,
    /// The number of times that it was suspended.
    pub suspensions: u32,
    /// The reason for its end, unless it succeeded.
    pub reason: Option<String>,
    /// The reason why it waits; absent unless it waits, and for all but the first that do.
    pub why: Option<String>,
    /// The name of the folder of its run, if it is known.
    pub run: Option<String>,
    /// The state as an index into [`Timeline::states`], the beginning, and the end, which is absent for a span that lasts. In order, without gaps.
    pub spans: Vec<(usize, f64, Option<f64>)>,
}

/// Step functions: each value holds from its time until the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// The times, ascending.
    pub at: Vec<f64>,
    /// The number of jobs that wait for their first place.
    pub waiting: Vec<u32>,
    /// The number of jobs of which a pod runs.
    pub running: Vec<u32>,
    /// The number of jobs that were suspended, by the stream or by somebody else.
    pub suspended: Vec<u32>,
    /// The requests of all jobs that have a place, by resource: cores of `cpu`, bytes of `memory`. `jobs` counts them.
    pub used: BTreeMap<String, Vec<f64>>,
    /// The most that there is of each of these resources, as it is known last; absent if it isn't known.
    pub capacity: BTreeMap<String, Option<f64>>,
}
