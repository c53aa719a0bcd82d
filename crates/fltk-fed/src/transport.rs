//! The transports, which are the edge: they carry orders to clients and answers back, and feed events to the state machine.

pub mod in_process;
pub mod simulated;
