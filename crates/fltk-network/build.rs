//! Compiles the protocol's schema, without protoc: into messages of this crate, and into the form that other languages read.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    const SCHEMA: &str = "fltk/federation/v1/federation.proto";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo::rerun-if-changed={}", folder.display());
    let files = protox::compile([SCHEMA], [&folder])?;
    // Nodes in Python make their messages of it.
    let mut schema = files.file.first().cloned().ok_or("the schema is empty")?;
    schema.source_code_info = None;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("schema.binpb"), schema.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".fltk.federation.v1.Chunk.data").btree_map(".fltk.federation.v1").compile_fds(files)?;
    Ok(())
}
