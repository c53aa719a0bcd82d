//! A real Kubernetes on this machine, for tests, and the pages of documentation that can be run on it.
//!
//! The tests on it are those of `acceptance`. It can be started and used by hand too: `cargo xtask cluster`.

pub mod cluster;
pub mod page;

// These are imported as modules of this package, since most files use them.
use images::{folder, image};
use xtask::{checkout, lock, setup, sh};
