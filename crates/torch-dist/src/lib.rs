//! PyTorch Distributed for Rust: a Rust process becomes a rank of a process group, together with other Rust ranks or Python ranks.
//!
//! These are safe types over libtorch's own `c10d`: the same [store](TcpStore), the same [gloo collectives](ProcessGroup) and the same
//! [gradient reducer](Reducer) that Python's `torch.distributed` and `DistributedDataParallel` use, laid out under the same keys. A rank
//! written in Python joins with a plain `torch.distributed.init_process_group("gloo", init_method="tcp://HOST:PORT")`.
//!
//! ```text
//!             TcpStore (served by rank 0)      where ranks find each other
//!                  |
//!             ProcessGroup (gloo, NCCL)        all_reduce, broadcast, all_gather, reduce_scatter, send, recv, barrier
//!                  |                           (Groups: one for a device's tensors, and one for host memory)
//!             Reducer                          averages gradients, bucket by bucket, while backward still runs
//! ```
//!
//! The example `examples/ddp.rs` is a pair of ranks that trains one model.
//!
//! **Errors, not aborts.** C++ exceptions become [`Error`]s. Tensors that differ in size between ranks make gloo abort the process, so they are
//! [compared before](Checks) each collective. Sends and receives, sums with gradients, and a reducer's gradients are not compared, as their docs say; a
//! reducer's parameters are compared when it is made. After a failed collective, a group is closed: gloo can't repair one. Make a new
//! group, under a new [prefix](TcpStore::prefix) of the store or on a new store.
//!
//! **Time-outs.** Joining, every collective and every call to the store end some seconds after their time-out at the latest. A call that libtorch itself
//! would not let end, to a rank 0 that is frozen or whose machine vanished, leaves a thread behind. All-reduces, broadcasts and all-gathers notice
//! within two seconds that a rank's connection broke (within ten, if they have waited for long); a send or a receive whose message is under way notices
//! only at the time-out, since gloo doesn't report it. A rank that goes without a [barrier](ProcessGroup::leave) while others are in a collective is lost
//! to them. A group that failed may keep its store, and so the port, until its time-out.
//!
//! **GPUs.** The feature `nccl` adds groups over NCCL. Its tests passed on one GPU, which two ranks shared, with libtorch 2.11; **nobody has run it on
//! several GPUs, or with the libtorch that everything else is tested with** (`docs/distributed.md`).
//!
//! **Not here:** starting processes, and reading `RANK` and similar variables from the environment.

mod bounded;
mod check;
mod device;
mod error;
mod ffi;
mod group;
mod groups;
mod reducer;
mod store;

pub use device::GlooDevice;
pub use error::{Cause, Error};
#[cfg(feature = "nccl")]
pub use group::NcclOptions;
pub use group::{Checks, GroupOptions, ProcessGroup, ReduceOp};
pub use groups::Groups;
pub use reducer::{Compression, Reducer, ReducerOptions, StepTimes};
pub use store::{TcpStore, TcpStoreOptions};
pub use tch::Device;
