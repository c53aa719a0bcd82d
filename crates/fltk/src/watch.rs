//! The live screen of `fltk watch`: a run's progress, curves and rounds, or a stream's jobs, queue and curves.
//!
//! ```text
//! files ── source ──> view (plain data) ── draw ──> buffer of characters ──> terminal, or text (`--once`)
//!                                            ▲
//! keys ──────────────────────────> screen (plain data)
//! ```
//!
//! Files are read in [`source`], and the terminal is in [`terminal`]; everything else is a function of plain data. It only reads: whatever is watched doesn't
//! notice. Records elsewhere aren't watched: `fltk extract` copies them.

mod chart;
mod draw;
mod grid;
mod look;
mod run_view;
mod screen;
pub mod source;
mod stream_view;
pub mod terminal;
mod view;

pub use self::{
    draw::{draw, rows_in_sight},
    look::Look,
    screen::{Asked, Screen},
    view::{View, shown},
};
