//! Groups over NCCL. **Tested on one GPU alone**, with an older libtorch than the rest: `docs/distributed.md` says with which, and what wasn't tried.

use std::{sync::Arc, time::Duration};

use tch::Device;

use super::{Checks, ProcessGroup};
use crate::{Error, TcpStore, ffi, store::millis};

/// Settings of a group over NCCL. All ranks give the same, but for the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NcclOptions {
    /// Limit of joining and of each collective.
    pub timeout: Duration,
    /// The GPU of this rank, from 0. Ranks of one host take different ones.
    pub device: usize,
    /// Whether calls are compared over ranks.
    pub checks: Checks,
}

impl ProcessGroup {
    /// Joins the group of `size` ranks that meet at `store`, as `rank`, with a GPU each. Returns when all are connected.
    ///
    /// Calls wait for their results, so that failures are errors of the call that they hit, and none waits without end. For that this sets
    /// `TORCH_NCCL_BLOCKING_WAIT`, `TORCH_NCCL_USE_COMM_NONBLOCKING` and `TORCH_NCCL_NONBLOCKING_TIMEOUT` unless the environment does: call it before
    /// other threads read the environment. The last is read once, so the time-out of a process's first group limits connecting in later ones too.
    ///
    /// The GPU becomes the calling thread's current one. Tags of sends and receives are not heeded. A rank of Python that sends or receives has to give `init_process_group` its `device_id`.
    ///
    /// # Errors
    /// As [`ProcessGroup::gloo`]; [`Error::Join`] also if there is no such GPU, or if another rank of this host has it.
    pub fn nccl(store: &Arc<TcpStore>, rank: u32, size: u32, options: &NcclOptions) -> Result<Self, Error> {
        let Ok(device) = i32::try_from(options.device) else {
            return Err(Error::Argument(format!("there is no GPU {}", options.device)));
        };
        let (timeout, raw_store) = (millis(options.timeout), store.raw());
        // SAFETY: the store lives through the call and is shared by the group.
        let make = move |rank, size, raw| unsafe { ffi::td_group_nccl(raw_store.get(), rank, size, timeout, device, raw) };
        Self::join(store, (rank, size), (options.timeout, options.checks), Device::Cuda(options.device), make)
    }
}
