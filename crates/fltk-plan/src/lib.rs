//! The orchestrator: decides which job of a stream runs when.
//!
//! ```text
//! Experiment ── arrivals ──> JobSpec ──> Planner: (state, now, event) -> actions ──> an edge carries them out, and reports the results
//!                                           │
//!                             Orchestrator: replications, journal
//! ```
//!
//! The planner is a value. It reads no clock and does no I/O: its inputs are events with their time, so that a journal of them rebuilds it.
//!
//! The edges are elsewhere: the one for Kubernetes is the crate `fltk-kubernetes`, the one for the local machine is in the program.
//!
//! This crate is not for training, records of runs, or experiment files.

pub mod amounts;
pub mod job;
pub mod orchestrator;
pub mod plan;
pub mod timeline;

pub use amounts::Amounts;
pub use job::{JobId, JobSpec, Pod, Role, jobs};
pub use orchestrator::{Orchestrator, Stream, StreamEvent};
pub use plan::{Action, Event, Planner, Settings};
