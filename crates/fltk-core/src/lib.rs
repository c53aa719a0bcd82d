//! The nouns of fltk, as plain data: the contents of an experiment file, seeds and the random streams drawn from them, model states,
//! metrics, the events of a run's journal, the termination report of a process, and the text that is safe for a terminal.
//!
//! This crate doesn't read clocks or files, talk to networks, or compute with tensors. Everything here is a value, and every other crate
//! may depend on this one.

pub mod arrivals;
pub mod attendance;
pub mod catalogue;
pub mod client_state;
pub mod client_terms;
pub mod client_test;
pub mod decimal;
pub mod event;
pub mod experiment;
pub mod ids;
pub mod local_pass;
pub mod metrics;
pub mod milestone;
pub mod model_state;
pub mod name;
pub mod report;
pub mod schedule;
pub mod seed;
pub mod server_state;
pub mod terminal;
pub mod termination;
