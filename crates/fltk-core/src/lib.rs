//! The nouns of fltk, as plain data: what an experiment file says, seeds and the random streams drawn from them,
//! model states, metrics, the events of a run's journal, what a process says when it ends, and which text a terminal may get.
//!
//! Not for: reading clocks or files, talking to networks, computing with tensors. Everything here is a value, and every
//! other crate may depend on this one.

pub mod arrivals;
pub mod client_terms;
pub mod event;
pub mod experiment;
pub mod ids;
pub mod metrics;
pub mod milestone;
pub mod model_state;
pub mod schedule;
pub mod seed;
pub mod server_state;
pub mod terminal;
pub mod termination;
