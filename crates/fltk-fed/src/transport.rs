//! The edges that carry orders to clients and answers back.

pub mod in_process;
pub mod inbox;
pub mod scope;
pub mod simulated;
pub mod worker;
