//! Groups over NCCL. **They were tested on one GPU alone**, with an older libtorch than the rest: `docs/distributed.md` says with which, and what
//! wasn't tried.

use std::{sync::Arc, time::Duration};

use tch::Device;

use super::{Checks, DEFAULT, ProcessGroup};
use crate::{Error, TcpStore, ffi, store::millis};

/// Settings of a group over NCCL. They must be the same on all ranks, except for the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NcclOptions {
    /// The time limit for joining and for each collective.
    pub timeout: Duration,
    /// The GPU of this rank, from 0. Ranks on one host use different ones.
    pub device: usize,
    /// The choice of whether ranks compare their calls.
    pub checks: Checks,
}

impl ProcessGroup {
    /// Joins the group of `size` ranks that meet at `store`, as `rank`, with a GPU each. Returns when all are connected.
    ///
    /// Calls wait for their results, so that a failure is an error of the call that it hit, and no call waits forever. To get this, the function sets
    /// `TORCH_NCCL_BLOCKING_WAIT`, `TORCH_NCCL_USE_COMM_NONBLOCKING` and `TORCH_NCCL_NONBLOCKING_TIMEOUT` unless the environment already does: call it before
    /// other threads read the environment. The last variable is read once, so the time-out of a process's first group also limits connecting in later groups.
    ///
    /// The GPU becomes the calling thread's current one. Tags of sends and receives are ignored. A rank in Python that sends or receives must give
    /// `init_process_group` its `device_id`.
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
        Self::join(store, (DEFAULT, rank, size), (options.timeout, options.checks), Device::Cuda(options.device), make)
    }
}
