//! Groups over NCCL. **Untested: nobody has run this on a GPU yet.** What is known is that it compiles against CUDA's headers, and that a machine without
//! a GPU gets an error.

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
    /// Joins the group of `size` ranks that meet at `store`, as `rank`, with a GPU each. Calls wait for their results, so that failures are errors of the
    /// call that they hit: for that this sets `TORCH_NCCL_BLOCKING_WAIT` unless the environment does, so call it before other threads read the
    /// environment. Tags of sends and receives are not heeded.
    ///
    /// # Errors
    /// As [`ProcessGroup::gloo`]; [`Error::Join`] also if there is no such GPU.
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
