//! The answers of the API that no command prints: plain functions of what was recorded, without HTTP, so that a file can hold the same answers as
//! a server gives.

mod clients;
mod live;
mod streams;
mod table;

pub use clients::Clients;
pub use live::{Follower, Piece, RunNow};
pub use streams::{StreamLine, streams};
pub use table::{Column, Skipped, Table};
