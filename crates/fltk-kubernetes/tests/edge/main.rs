//! The Kubernetes edge at work: the real loop, orchestrator and journal against an in-memory cluster.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod capacity;
mod chart;
mod claims;
mod commands;
mod deletion;
mod down;
mod failures;
mod faults;
mod harness;
mod held;
mod in_flight;
mod kills;
mod namesakes;
mod nodes;
mod preemption;
mod preflight;
mod retry;
mod runs;
mod served;
mod train_jobs;
