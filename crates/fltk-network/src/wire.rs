//! The messages of the protocol, generated from `proto/fltk/federation/v1/federation.proto`, and their meaning.

pub mod order;
pub mod update;
pub mod version;

/// The generated messages, client and server.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from the schema, which has the comments")]
    tonic::include_proto!("fltk.federation.v1");
}
