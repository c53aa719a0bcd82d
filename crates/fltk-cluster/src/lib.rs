//! The orchestrator: which job of a stream runs when.
//!
//! ```text
//! Experiment ── arrivals ──> JobSpec ──> Planner: (state, now, event) -> actions ──> an edge does them, and tells what came of it
//!                                           │
//!                             Orchestrator: replications, journal
//! ```
//!
//! The planner is a value. It reads no clock and talks to nobody: its inputs are events with their time, so that a journal of them rebuilds it.
//!
//! Edges are [`kubernetes`] and, in the program, this machine.
//!
//! Not for: training, records of runs, experiment files.

pub mod amounts;
pub mod job;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod orchestrator;
pub mod plan;

pub use amounts::Amounts;
pub use job::{JobId, JobSpec, Pod, Role, jobs};
pub use orchestrator::{Orchestrator, Stream, StreamEvent};
pub use plan::{Action, Event, Planner, Settings};
