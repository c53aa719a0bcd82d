//! The edge that talks to Kubernetes: what jobs are there, how they are made, watched, suspended and removed.

pub mod config;
pub mod manifest;
