//! The project's own commands: everything that a checkout needs beyond `cargo build`.
//!
//! Whoever sees the project for the first time waits for this package to compile, so it holds what everybody needs: set-up, the demo, and the list of
//! checks. What takes long to compile is in `dev/checks`, which uses this package as a library; `delegate` leads there.

mod advisories;
pub mod bench;
pub mod checkout;
mod cli;
mod delegate;
pub mod demo;
pub mod generate;
pub mod lock;
pub mod outcome;
pub mod result;
pub mod setup;
pub mod sh;
pub mod test;
mod tidy;

pub use cli::main;
