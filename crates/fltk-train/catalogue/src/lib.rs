//! The catalogue of nets, optimizers and losses: their names and parameters, beside their implementations.
//!
//! These files are compiled twice. In the crate `fltk-train-catalogue` they are plain data, so that the program without libtorch knows every
//! name, parameter and default. In `fltk-train`, whose build script sets `cfg(libtorch)`, they also hold what computes. So a net is one file
//! here and one line in [`nets::CATALOGUE`].

pub mod losses;
pub mod nets;
pub mod optimizers;
