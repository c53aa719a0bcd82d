//! The edges: what carries orders to clients and answers back, reads the clock, and tells the state machine.

pub mod in_process;
