//! The Kubernetes edge: finds jobs, and creates, watches, suspends and removes them.

mod actor;
pub mod api;
pub mod claim;
pub mod config;
pub mod connect;
pub mod down;
mod edge;
mod events;
pub mod look;
pub mod manifest;
pub mod metrics;
pub mod nodes;
pub mod preflight;
mod problems;
pub mod retry;
mod seen;
pub mod serve;
pub mod status;
mod tracker;
pub mod view;
mod watch;

pub use kube::Client;

pub use edge::{Edge, End, Observer, needs_nodes};
