//! The answers of the API that no command prints: plain functions of what was recorded, without HTTP, so that a file can hold the same answers as
//! a server gives.

mod table;

pub use table::{Skipped, Table};
