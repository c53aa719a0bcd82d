//! Compiles the protocol's schema, without protoc.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    const SCHEMA: &str = "fltk/federation/v1/federation.proto";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = protox::compile([SCHEMA], [&folder])?;
    tonic_prost_build::configure().bytes(".fltk.federation.v1.Chunk.data").btree_map(".fltk.federation.v1").compile_fds(files)?;
    Ok(())
}
