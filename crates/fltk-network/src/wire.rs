//! The messages of the protocol, generated from `proto/fltk/federation/v1/federation.proto`, and their meaning.

pub mod errand;
pub mod order;
pub mod update;
pub mod version;

/// The compiled schema, a `FileDescriptorProto`, of which other languages make their messages.
pub const SCHEMA: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/schema.binpb"));

/// The generated messages, client and server.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from the schema, which has the comments")]
    tonic::include_proto!("fltk.federation.v1");
}
