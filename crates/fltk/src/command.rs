//! Tasks that run a program of the user's own (`kind: command`) on this machine: its ranks are started, watched, stopped and started again, and figures that
//! it prints are recorded.
//!
//! ```text
//! fltk run ── for each rank ──> keeper ──> program (and its children: one process group)
//!    ▲                                        │ standard output and error
//!    └── figures of rank 0 <── output <───────┘ ──> output/rank-0.log, bounded
//! ```
//!
//! Not for: how streams plan such jobs, which is the same as for all others.

mod environment;
mod group;
pub mod keeper;
mod output_log;
mod ranks;
mod records;
mod result;
mod tail;

pub use group::{is_of_command, resume, start};
