//! `cargo xtask cluster load`: builds one of our images and imports it into the running cluster.

use std::path::Path;

use super::{Cluster, images};
use crate::{
    checkout::Checkout,
    image::{self, Inputs, Kind},
};

/// Builds the image, with `program` if it contains our program, and imports it. Pods use it with `imagePullPolicy: Never`.
pub fn run(checkout: &Checkout, cluster: &Cluster, kind: Kind, program: Option<&Path>) -> anyhow::Result<()> {
    let work = tempfile::tempdir_in(&checkout.target)?;
    let archive = work.path().join("image.tar");
    let contents = image::build(checkout, kind, Inputs { program, data: None }, &archive)?;
    print!("{}", contents.describe(kind.name()));
    images::import_archive(cluster, kind.name(), &archive)
}
