//! PyTorch Distributed for Rust: a Rust process becomes a rank of a process group, beside other Rust ranks or Python's.
//!
//! These are safe types over libtorch's own `c10d`: the same [store](TcpStore), the same [gloo collectives](ProcessGroup), the same
//! [gradient reducer](Reducer) that Python's `torch.distributed` and `DistributedDataParallel` use, laid out under the same keys. A rank
//! written in Python joins with a plain `torch.distributed.init_process_group("gloo", init_method="tcp://HOST:PORT")`.
//!
//! ```text
//!             TcpStore (served by rank 0)      where ranks find each other
//!                  |
//!             ProcessGroup (gloo)              all_reduce, broadcast, all_gather, reduce_scatter, send, recv, barrier
//!                  |
//!             Reducer                          averages gradients, bucket by bucket, while backward still runs
//! ```
//!
//! A pair of ranks that trains one model is in `examples/ddp.rs`.
//!
//! **Errors, not aborts.** Every call has a time-out; C++ exceptions become [`Error`]s. What libtorch answers with an abort of the process
//! (tensors that differ over ranks) is [compared before](Checks) each collective. After a failed collective a group is closed: gloo can't
//! repair one. Make a new group, under a new prefix of the store or on a new store.
//!
//! **Not here:** starting processes, reading `RANK` and its kin from the environment, NCCL. This crate is tested on CPUs only.

mod check;
mod device;
mod error;
mod ffi;
mod group;
mod reducer;
mod store;

pub use device::GlooDevice;
pub use error::{Cause, Error};
pub use group::{Checks, GroupOptions, ProcessGroup, ReduceOp};
pub use reducer::{Compression, Reducer, ReducerOptions, StepTimes, backward};
pub use store::{TcpStore, TcpStoreOptions};
