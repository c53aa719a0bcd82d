//! The two groups of a rank that trains: one for tensors of its device, one for everything else.
//!
//! A group over NCCL carries only tensors of a GPU, and what ranks say to each other besides gradients lies in host memory. So a rank has two groups:
//!
//! ```text
//!  TcpStore ──┬── gradients: the backend of the device (gloo, NCCL)     what torch.distributed.init_process_group makes
//!             └── control:   always gloo                                what torch.distributed.new_group(backend="gloo") makes after it
//! ```
//!
//! The groups are tied: a failure in one closes both, since ranks that wait for the failed one may wait in either.

use std::{sync::Arc, time::Duration};

use tch::Device;

#[cfg(feature = "nccl")]
use crate::NcclOptions;
use crate::{Error, GroupOptions, ProcessGroup, TcpStore};

/// The number of the control group, as Python counts: the gradient group is 0, the default group.
const CONTROL: u32 = 1;

/// One rank's membership in two groups of the same ranks. Every rank must call the same collectives in the same order, over both groups together.
///
/// A rank in Python that has the default group alone can't take part: it makes the control group by `new_group(backend="gloo")`.
#[derive(Debug)]
pub struct Groups {
    control: ProcessGroup,
    gradients: ProcessGroup,
}

impl Groups {
    /// Joins the groups of `size` ranks that meet at `store`, as `rank`. The tensors of the gradient group are on `device`. Returns when all ranks are
    /// connected in both groups, each of which has the time limit of `options` for it.
    ///
    /// # Errors
    /// As [`ProcessGroup::gloo`]; [`Error::Argument`] if there is no backend for the device: GPUs need the feature `nccl`.
    pub fn join(store: &Arc<TcpStore>, rank: u32, size: u32, options: &GroupOptions, device: Device) -> Result<Self, Error> {
        let gradients = match device {
            Device::Cpu => ProcessGroup::gloo(store, rank, size, options)?,
            #[cfg(feature = "nccl")]
            Device::Cuda(device) => {
                ProcessGroup::nccl(store, rank, size, &NcclOptions { timeout: options.timeout, device, checks: options.checks })?
            }
            other => return Err(Error::Argument(format!("there are no groups for tensors on {other:?} here"))),
        };
        let mut control = ProcessGroup::gloo_numbered(store, (CONTROL, rank, size), options)?;
        gradients.tie(&mut control)?;
        Ok(Self { control, gradients })
    }

    /// The group for everything but gradients: its tensors are in host memory, whatever the device.
    #[must_use]
    pub fn control(&self) -> &ProcessGroup {
        &self.control
    }

    /// The group for tensors on the device: gradients, and the model's parameters, buffers and statistics.
    #[must_use]
    pub fn gradients(&self) -> &ProcessGroup {
        &self.gradients
    }

    /// This process's rank, from 0.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.control.rank()
    }

    /// The number of ranks.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.control.size()
    }

    /// Leaves both groups in good order, as [`ProcessGroup::leave`] leaves one.
    ///
    /// # Errors
    /// As [`ProcessGroup::all_reduce`].
    pub fn leave(self, linger: Duration) -> Result<(), Error> {
        // The gradient group ends after this call: when all ranks are here, nobody waits in it.
        self.control.leave(linger)
    }
}
