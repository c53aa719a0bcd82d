//! The deliverables for clusters: images of our programs, each with a list of what is in it (SBOM), and checks of the Helm charts.
//!
//! Nothing here runs a container or a cluster: `testbed` starts one, and `acceptance` runs images and charts on it.

pub mod charts;
pub mod folder;
pub mod image;

// These are imported as modules of this package, since most files use them.
use xtask::{checkout, setup, sh};
