//! Tests of the server against real folders, of the client against the server, and of the client against servers that lie.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod answers;
mod client;
mod hostile;
mod live;
mod server;
mod site;
