//! Parts of tests of processes over a network.

pub mod forwarder;
