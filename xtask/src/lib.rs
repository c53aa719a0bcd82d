//! The project's own commands: everything that a checkout needs beyond `cargo build`.
//!
//! Newcomers wait for this package to compile, so it contains only what everybody needs: set-up, the demo, and the list of checks. Code that takes
//! long to compile is in the packages of `dev`, which use this one as a library; `delegate` starts their program.

mod advisories;
pub mod checkout;
mod cli;
mod delegate;
pub mod demo;
mod fuzz;
pub mod generate;
pub mod lock;
pub mod outcome;
pub mod python;
pub mod setup;
pub mod sh;
pub mod test;
mod tidy;

pub use cli::main;
