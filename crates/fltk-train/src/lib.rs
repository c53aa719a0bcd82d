//! Training on libtorch: nets with PyTorch's names, optimizers with PyTorch's formulas, the local epoch, evaluation, checkpoints.
//!
//! ```text
//!                 NetworkConfig ── nets (catalogue) ──> Model <── ModelState (plain numbers, PyTorch's order)
//! fltk-data's Batch ──> train_epoch(model, optimizer, key) ──> TrainSummary
//!                  └──> evaluate(model, workers)           ──> Evaluation
//! ```
//!
//! Everything random comes from streams of the root seed, named by purpose, client, round, epoch and step, and never from libtorch's own
//! generator, which all threads share. (TorchScript modules are the exception, see [`Model::draws_from_libtorch`].)
//!
//! A model is on the device that its maker names, and so are its batches and its optimizer; nothing here chooses one. States, which leave models and come back,
//! are in host memory.
//!
//! This crate doesn't read data sets (fltk-data does), average models (fltk-fed does) or write files (fltk-records does). Tensors do not
//! leave this crate: its callers see batches, states and numbers.

#[path = "../catalogue/src/lib.rs"]
mod catalogue;
pub mod checkpoint;
pub mod client_file;
mod error;
pub mod evaluate;
mod gradients;
mod label_flip;
mod layers;
mod local;
pub mod losses;
mod model;
pub mod nets;
pub mod optimizer;
pub mod parity;
mod process;
pub mod ranks;
mod registry;
mod state_file;
mod strategy_file;
mod tensors;
pub mod train;

pub use error::TrainError;
pub use evaluate::{evaluate, evaluate_plan};
pub use local::{LocalClient, LocalTrainer, normalizer};
pub use model::{Model, module_bytes, module_sha256, parameters_sha256};
pub use optimizer::Optimizer;
pub use process::{exit, share_one_heap};
pub use ranks::{RankOptions, Ranks};
pub use state_file::{state_from_safetensors, state_to_safetensors};
pub use tch::Device;
pub use tensors::MemoryFormat;
pub use train::{EpochOptions, train_epoch};

/// Prepares this process and the calling thread for computing with `threads` intra-op threads (0 counts as 1).
///
/// Call it before the first tensor is made, and again at the start of every thread that computes: the number of OpenMP threads is a setting
/// of the calling thread. With one thread, results do not depend on other threads; with more, sums are taken in another order and the last
/// bits of results change. The function is idempotent.
pub fn init(threads: usize) {
    process::keep_large_blocks();
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}
