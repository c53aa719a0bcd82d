//! A process group: collectives on CPU tensors over gloo, or on one GPU's tensors over NCCL.

#[cfg(feature = "nccl")]
mod nccl;
mod roll_call;
mod tensors;

use std::{
    ffi::c_char,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tch::{Device, Tensor};

#[cfg(feature = "nccl")]
pub use self::nccl::NcclOptions;
pub(crate) use self::tensors::{dense, differentiable};
use self::{
    roll_call::{failed, left, present, roll_call},
    tensors::contiguous,
};

use crate::{
    Error, GlooDevice, TcpStore,
    bounded::bounded,
    check,
    error::Cause,
    ffi::{self, RawGroup, c_strings, raw, raws},
    store::millis,
};

/// The number of the group that Python's `init_process_group` makes. `new_group` makes the groups 1 and up.
const DEFAULT: u32 = 0;

/// Settings of a group. They must be the same on all ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOptions {
    /// The time limit for joining, and for each message of a collective. PyTorch's default for gloo is 30 minutes; here it must be chosen.
    pub timeout: Duration,
    /// The network interface.
    pub device: GlooDevice,
    /// The choice of whether ranks compare their calls.
    pub checks: Checks,
}

/// The choice of whether ranks compare their calls before they run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Before a collective, shapes and types are compared over all ranks; a difference is an [`Error::Mismatch`] on every rank. The cost is
    /// one small all-gather per call. All ranks must take part in it, so ranks in Python can't join the group.
    EveryCall,
    /// Nothing is compared. **A tensor that differs in size on another rank aborts the process**. This is for groups with ranks in Python,
    /// and for loops whose shapes are known to agree.
    Off,
}

/// The operation that combines the tensors of all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    /// The sum.
    Sum,
    /// The mean: the sum divided by the number of ranks. Floating-point tensors only.
    Avg,
    /// The minimum.
    Min,
    /// The maximum.
    Max,
}

impl ReduceOp {
    fn code(self) -> i32 {
        match self {
            Self::Sum | Self::Avg => 0,
            Self::Min => 1,
            Self::Max => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// A group on its way to the thread that asked for it.
struct Made(*mut RawGroup);

// SAFETY: as for `ProcessGroup`.
unsafe impl Send for Made {}

impl Made {
    fn free(self) {
        // SAFETY: the pointer is ours and not used again; reducers and graphs share ownership of the parts that they need.
        unsafe { ffi::td_group_free(self.0) };
    }
}

/// One rank's membership in a group. Every rank must call the same collectives in the same order.
///
/// The membership can move to another thread, but can't be shared: the order of calls is part of the protocol.
#[derive(Debug)]
pub struct ProcessGroup {
    raw: *mut RawGroup,
    store: Arc<TcpStore>,
    rank: u32,
    size: u32,
    checks: Checks,
    /// The device of the group's tensors.
    device: Device,
    /// True after the first failure in this group or in one that is [tied](Self::tie) to it. The connections are closed then, so that no other rank
    /// waits for this one.
    closed: Arc<AtomicBool>,
}

// SAFETY: c10d::ProcessGroupGloo hands work to threads of its own under a mutex; nothing in it belongs to the thread that made it.
unsafe impl Send for ProcessGroup {}

impl ProcessGroup {
    /// Joins the group of `size` ranks that meet at `store`, as `rank`. Returns when all are connected.
    ///
    /// # Errors
    /// [`Error::Join`] if some ranks don't come in time or can't reach each other; [`Error::JoinedBefore`] if this rank has joined at this store
    /// before: a new group needs a new [prefix](TcpStore::prefix), or a new store.
    pub fn gloo(store: &Arc<TcpStore>, rank: u32, size: u32, options: &GroupOptions) -> Result<Self, Error> {
        Self::gloo_numbered(store, (DEFAULT, rank, size), options)
    }

    /// Joins group `number` of those that meet at `store`, as [`Self::gloo`] joins the default one.
    pub(crate) fn gloo_numbered(
        store: &Arc<TcpStore>,
        (number, rank, size): (u32, u32, u32),
        options: &GroupOptions,
    ) -> Result<Self, Error> {
        let (kind, names) = options.device.parts();
        let (texts, _) = c_strings(&names)?;
        let (timeout, raw_store) = (millis(options.timeout), store.raw());
        let make = move |rank, size, raw| {
            let names: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
            // SAFETY: the store lives through the call and is shared by the group; `texts` keeps alive what the pointers point to.
            unsafe { ffi::td_group_gloo(raw_store.get(), number, rank, size, timeout, kind, names.as_ptr(), names.len(), raw) }
        };
        Self::join(store, (number, rank, size), (options.timeout, options.checks), Device::Cpu, make)
    }

    /// Makes a group with `make`, whose arguments are the rank, the size, and where to put the group.
    fn join(
        store: &Arc<TcpStore>,
        (number, rank, size): (u32, u32, u32),
        (timeout, checks): (Duration, Checks),
        device: Device,
        make: impl FnOnce(i32, i32, *mut *mut RawGroup) -> *mut c_char + Send + 'static,
    ) -> Result<Self, Error> {
        let (Ok(c_rank), Ok(c_size)) = (i32::try_from(rank), i32::try_from(size)) else {
            return Err(Error::Argument(format!("rank {rank} of {size} is more than libtorch counts")));
        };
        if rank >= size {
            return Err(Error::Argument(format!("there is no rank {rank} in a group of {size}: ranks begin at 0")));
        }
        if store.add(&present(number, rank), 1)? > 1 {
            return Err(Error::JoinedBefore { rank });
        }
        // Connecting reads the ranks' addresses from the store.
        let made = bounded(timeout * 2, move || {
            let mut raw = ptr::null_mut();
            ffi::check(make(c_rank, c_size, &raw mut raw)).map(|()| Made(raw))
        });
        let Made(raw) = made.unwrap_or_else(|| Err("rank 0's store doesn't answer".to_owned())).map_err(|message| {
            let missing = (0..size).filter(|&rank| matches!(store.check(&[&present(number, rank)]), Ok(false))).collect();
            Error::Join { rank, size, missing, message }
        })?;
        Ok(Self { raw, store: Arc::clone(store), rank, size, checks, device, closed: Arc::default() })
    }

    /// Ties `other`, a group of the same ranks that meets at the same store, to this one: when one of them fails, both are closed.
    pub(crate) fn tie(&self, other: &mut Self) -> Result<(), Error> {
        // SAFETY: both groups are alive, and share ownership of what they keep of each other.
        ffi::check(unsafe { ffi::td_group_tie(self.raw, other.raw) }).map_err(Error::Torch)?;
        other.closed = Arc::clone(&self.closed);
        Ok(())
    }

    /// This process's rank, from 0.
    #[must_use]
    pub fn rank(&self) -> u32 {
        self.rank
    }

    /// The device of the group's tensors.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The number of ranks in the group.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// True if an earlier failure closed the group.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// The store that the ranks used for their rendezvous.
    #[must_use]
    pub fn store(&self) -> &Arc<TcpStore> {
        &self.store
    }

    /// Changes the time limit of all later collectives.
    ///
    /// # Errors
    /// [`Error::Closed`] after a failure.
    pub fn set_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.open()?;
        // SAFETY: the group is alive.
        ffi::check(unsafe { ffi::td_group_set_timeout(self.raw, millis(timeout)) }).map_err(Error::Torch)
    }

    /// Reduces `tensor` over all ranks, in place. The result has the same bits on every rank.
    ///
    /// # Errors
    /// [`Error::Mismatch`], [`Error::Collective`] or [`Error::Closed`]; [`Error::Argument`] if the tensor isn't a dense one on the group's device. After an
    /// [`Error::Collective`] the content of the tensor is undefined.
    pub fn all_reduce(&self, tensor: &mut Tensor, op: ReduceOp) -> Result<(), Error> {
        let operation = format!("all_reduce({})", op.name());
        self.prepare(&operation, &[tensor], op)?;
        // SAFETY: group and tensor live through the call. It returns when the backend is done with the tensor, or has failed: work that is left behind then
        // shares ownership of the tensor.
        self.done(&operation, unsafe { ffi::td_group_all_reduce(self.raw, raw(tensor), op.code()) })?;
        self.average(tensor, op)
    }

    /// Gives every rank the `tensor` of rank `root`, in place.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), Error> {
        let root = self.peer(root)?;
        let operation = format!("broadcast(from {root})");
        self.prepare(&operation, &[tensor], ReduceOp::Sum)?;
        // SAFETY: as in `all_reduce`.
        self.done(&operation, unsafe { ffi::td_group_broadcast(self.raw, raw(tensor), root) })
    }

    /// Gives every rank the `tensors` of rank `root`, in place, packed into few messages. The tensors may be strided.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn broadcast_coalesced(&self, tensors: &mut [Tensor], root: u32) -> Result<(), Error> {
        self.open()?;
        let root = self.peer(root)?;
        tensors.iter().try_for_each(|tensor| dense(tensor, self.device))?;
        self.compare(&check::describe("broadcast_coalesced", &tensors.iter().collect::<Vec<_>>()))?;
        let pointers = raws(&*tensors);
        // SAFETY: as in `all_reduce`.
        let answer = unsafe { ffi::td_broadcast_coalesced(self.raw, pointers.as_ptr(), pointers.len(), root) };
        self.done("broadcast_coalesced", answer)
    }

    /// Returns every rank's `tensor`, in the order of ranks. All must have one shape.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, Error> {
        self.prepare("all_gather", &[tensor], ReduceOp::Sum)?;
        let outputs: Vec<Tensor> = (0..self.size).map(|_| tensor.empty_like()).collect();
        self.gather_into("all_gather", &outputs, tensor)?;
        Ok(outputs)
    }

    /// Reduces `tensors` (one for each rank, all of one shape) over all ranks, and returns this rank's part.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn reduce_scatter(&self, tensors: &[Tensor], op: ReduceOp) -> Result<Tensor, Error> {
        let Some(first) = tensors.first().filter(|_| tensors.len() == self.size as usize) else {
            return Err(Error::Argument(format!("reduce_scatter takes a tensor for each of {} ranks, not {}", self.size, tensors.len())));
        };
        let operation = format!("reduce_scatter({})", op.name());
        self.prepare(&operation, &tensors.iter().collect::<Vec<_>>(), op)?;
        let mut output = first.empty_like();
        let inputs = raws(tensors);
        // SAFETY: as in `all_reduce`.
        let answer = unsafe { ffi::td_group_reduce_scatter(self.raw, raw(&output), inputs.as_ptr(), inputs.len(), op.code()) };
        self.done(&operation, answer)?;
        self.average(&mut output, op)?;
        Ok(output)
    }

    /// Sends `tensor` to rank `to`, which must [receive](Self::recv) one of the same shape and type under the same `tag`. The two are not compared:
    /// **a different size aborts the receiver**.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn send(&self, tensor: &Tensor, to: u32, tag: u32) -> Result<(), Error> {
        self.open()?;
        contiguous(tensor, self.device)?;
        let (to, tag) = (self.other(to)?, tag_code(tag)?);
        // SAFETY: as in `all_reduce`.
        self.done(&format!("send to rank {to}"), unsafe { ffi::td_group_send(self.raw, raw(tensor), to, tag) })
    }

    /// Receives into `tensor` the tensor that rank `from` sends under `tag`.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn recv(&self, tensor: &mut Tensor, from: u32, tag: u32) -> Result<(), Error> {
        self.open()?;
        contiguous(tensor, self.device)?;
        let (from, tag) = (self.other(from)?, tag_code(tag)?);
        // SAFETY: as in `all_reduce`.
        self.done(&format!("recv from rank {from}"), unsafe { ffi::td_group_recv(self.raw, raw(tensor), from, tag) })
    }

    /// Waits until all ranks have made this call.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn barrier(&self) -> Result<(), Error> {
        self.prepare("barrier", &[], ReduceOp::Sum)?;
        // SAFETY: the group is alive.
        self.done("barrier", unsafe { ffi::td_group_barrier(self.raw) })
    }

    /// Returns the sum of every rank's `tensor`, through which gradients flow: the gradient of a rank's tensor is the sum of the gradients of
    /// all ranks' results. It serves statistics over all ranks, such as those of a synchronized batch norm. The tensors are not compared,
    /// forward or backward: **a different size on another rank aborts the process**.
    ///
    /// A failure of the backward pass comes from [`Self::backward`].
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn all_reduce_sum_with_grad(&self, tensor: &Tensor) -> Result<Tensor, Error> {
        self.open()?;
        dense(tensor, self.device)?;
        let mut output = ptr::null_mut();
        // SAFETY: group and tensor live through the call; the graph that it leaves behind shares ownership of the group.
        self.done("all_reduce(sum)", unsafe { ffi::td_all_reduce_sum_autograd(self.raw, raw(tensor), &raw mut output) })?;
        // SAFETY: the call succeeded, so it made a tensor, which nobody else owns.
        Ok(unsafe { ffi::own(output) })
    }

    /// Runs the backward pass of a graph with [sums over ranks](Self::all_reduce_sum_with_grad). Unlike `Tensor::backward`, this returns a
    /// failure as an error.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn backward(&self, loss: &Tensor) -> Result<(), Error> {
        self.open()?;
        differentiable(loss)?;
        // SAFETY: the tensor lives through the call.
        self.done("backward", unsafe { ffi::td_backward(raw(loss)) })
    }

    /// Leaves in good order: waits for all ranks and, on rank 0, which serves the store, until the others have left or `linger` is over. Ranks in
    /// Python don't report that they leave.
    ///
    /// # Errors
    /// As [`Self::all_reduce`].
    pub fn leave(self, linger: Duration) -> Result<(), Error> {
        self.open()?;
        // This isn't compared, since ranks in Python also end with a plain barrier.
        // SAFETY: the group is alive.
        self.done("barrier", unsafe { ffi::td_group_barrier(self.raw) })?;
        if self.rank == 0 {
            let others: Vec<String> = (1..self.size).map(left).collect();
            match self.store.wait(&others.iter().map(String::as_str).collect::<Vec<_>>(), linger) {
                Ok(()) | Err(Error::StoreTimeout { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        } else {
            // Rank 0 may be gone already, if it has lingered long enough.
            let _ = self.store.set(&left(self.rank), b"");
            Ok(())
        }
    }

    /// The raw group, for reducers, which share it.
    pub(crate) fn raw(&self) -> *mut RawGroup {
        self.raw
    }

    pub(crate) fn open(&self) -> Result<(), Error> {
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Turns a return value of the shim into a result. A failure closes the group, with those that are tied to it, and finds out which ranks are still
    /// there.
    pub(crate) fn done(&self, operation: &str, answer: *mut c_char) -> Result<(), Error> {
        let Err(message) = ffi::check(answer) else { return Ok(()) };
        self.closed.store(true, Ordering::Relaxed);
        // This comes before the others can notice the failure, since they ask for this key.
        let is_store_there = self.store.set(&failed(self.rank), b"").is_ok();
        // SAFETY: the group is alive. The answer changes nothing: the group is given up.
        let _ = ffi::check(unsafe { ffi::td_group_hang_up(self.raw) });
        let (cause, operation) = (Cause::of(&message), operation.to_owned());
        let missing = match (cause, is_store_there) {
            (Cause::Other, _) => Vec::new(),
            (_, true) => roll_call(&self.store, self.rank, self.size),
            (_, false) => vec![0],
        };
        Err(Error::Collective { rank: self.rank, operation, cause, missing, message })
    }

    /// Does the checks before every collective: the group can read the tensors, and they are alike on all ranks.
    fn prepare(&self, operation: &str, tensors: &[&Tensor], op: ReduceOp) -> Result<(), Error> {
        self.open()?;
        for tensor in tensors {
            contiguous(tensor, self.device)?;
            if op == ReduceOp::Avg && !tensor.is_floating_point() {
                return Err(Error::Argument(format!("a mean of {:?} isn't one: use floating-point tensors", tensor.kind())));
            }
        }
        self.compare(&check::describe(operation, tensors))
    }

    /// Compares the coming call over all ranks, if the group does that.
    pub(crate) fn compare(&self, here: &str) -> Result<(), Error> {
        match self.checks {
            Checks::Off => Ok(()),
            Checks::EveryCall => {
                let torch = |error: tch::TchError| Error::Torch(error.to_string());
                let lines = check::blanks(self.size, self.device).map_err(torch)?;
                self.gather_into("comparison", &lines, &check::line(here).f_to_device(self.device).map_err(torch)?)?;
                check::compare(self.rank, here, &lines)
            }
        }
    }

    fn gather_into(&self, operation: &str, outputs: &[Tensor], tensor: &Tensor) -> Result<(), Error> {
        let outputs = raws(outputs);
        // SAFETY: as in `all_reduce`.
        self.done(operation, unsafe { ffi::td_group_all_gather(self.raw, outputs.as_ptr(), outputs.len(), raw(tensor)) })
    }

    /// Divides the sum for a mean, which gloo doesn't have.
    fn average(&self, tensor: &mut Tensor, op: ReduceOp) -> Result<(), Error> {
        if op == ReduceOp::Avg {
            let _guard = tch::no_grad_guard();
            let _ = tensor.f_div_scalar_(f64::from(self.size)).map_err(|error| Error::Torch(error.to_string()))?;
        }
        Ok(())
    }

    fn peer(&self, rank: u32) -> Result<i32, Error> {
        let known = i32::try_from(rank).ok().filter(|_| rank < self.size);
        known.ok_or_else(|| Error::Argument(format!("there is no rank {rank} in a group of {}: ranks begin at 0", self.size)))
    }

    fn other(&self, rank: u32) -> Result<i32, Error> {
        if rank == self.rank {
            return Err(Error::Argument(format!("rank {rank} can't send to or receive from itself")));
        }
        self.peer(rank)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let group = Made(self.raw);
        if self.is_closed() {
            // Freeing waits for all collectives: one that a failure left behind ends with its time-out. Without a thread the group is leaked.
            let _ = thread::Builder::new().spawn(move || group.free());
        } else {
            group.free();
        }
    }
}

/// The largest tag. The next one is the shim's own, for the messages that try connections.
const TAG_MAX: i32 = i32::MAX - 1;

fn tag_code(tag: u32) -> Result<i32, Error> {
    i32::try_from(tag).ok().filter(|tag| *tag <= TAG_MAX).ok_or_else(|| Error::Argument(format!("tag {tag} is above {TAG_MAX}")))
}
