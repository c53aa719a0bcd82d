//! Data-parallel training: each gradient becomes its mean over all ranks while the backward pass still computes other gradients.

use std::{cell::Cell, collections::BTreeMap, marker::PhantomData, ptr};

use tch::Tensor;

use crate::{
    Error, ProcessGroup, check,
    error::Cause,
    ffi::{self, RawReducer, c_strings, raw, raws},
    group::{dense, differentiable},
};

/// Settings of a reducer, with the defaults of `DistributedDataParallel`. They must be the same on all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReducerOptions {
    /// The bytes of gradients that are sent together.
    pub bucket_bytes: u32,
    /// The bytes of the first bucket, which is small so that communication starts early.
    pub first_bucket_bytes: u32,
    /// True if each step looks for parameters that the outputs don't depend on. Otherwise, a parameter without a gradient is an error in the
    /// next step.
    pub find_unused_parameters: bool,
    /// The form in which gradients are sent.
    pub compression: Compression,
}

impl Default for ReducerOptions {
    fn default() -> Self {
        const MIB: u32 = 1 << 20;
        Self { bucket_bytes: 25 * MIB, first_bucket_bytes: MIB, find_unused_parameters: false, compression: Compression::None }
    }
}

/// The form in which gradients are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Unchanged.
    #[default]
    None,
    /// Half precision (PyTorch's `fp16_compress_hook`): half the bytes, and gradients are rounded before they are summed.
    Fp16,
}

/// The time that the parts of a step took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepTimes {
    /// The time from before forward to before backward.
    pub forward: u64,
    /// The time for computing gradients.
    pub backward: u64,
    /// The time from the start of the first bucket's transfer to the end of the last one's.
    pub communication: u64,
    /// The part of `communication` that overlapped `backward`.
    pub overlap: u64,
}

/// The `c10d::Reducer` that `DistributedDataParallel` is built on. The calls of a step are:
///
/// ```text
/// before_forward()   forward   before_backward(outputs)   backward(loss)   (gradients are means now)   optimizer
/// ```
///
/// A step without the two `before_` calls is PyTorch's `no_sync`: its gradients stay on this rank and add up until a step with them, which
/// reduces the sum.
///
/// The gradients are views into buckets: zero them in place, or read them, but don't detach them (as `Tensor::zero_grad` does).
///
/// A backward pass over the parameters must not be running on another thread when the reducer is dropped.
#[derive(Debug)]
pub struct Reducer<'a> {
    raw: *mut RawReducer,
    group: &'a ProcessGroup,
    names: Vec<String>,
    /// True if the next backward pass reduces.
    armed: Cell<bool>,
    /// The autograd nodes of the parameters point to the reducer, which is therefore used on one thread.
    _not_send: PhantomData<*const ()>,
}

impl<'a> Reducer<'a> {
    /// Compares the parameters over all ranks, gives all ranks the values of rank 0, and hooks into the gradients.
    ///
    /// `parameters`: names and tensors that require gradients, in the order of PyTorch's `Module.parameters()`, the same on every rank.
    ///
    /// # Errors
    /// [`Error::Parameters`] if the ranks' parameters differ; otherwise as [`ProcessGroup::all_reduce`].
    pub fn new(group: &'a ProcessGroup, parameters: &[(String, Tensor)], options: &ReducerOptions) -> Result<Self, Error> {
        group.open()?;
        let leaf = |tensor: &Tensor| tensor.requires_grad() && tensor.device() == group.device() && tensor.is_leaf();
        if let Some((name, _)) = parameters.iter().find(|(_, tensor)| !leaf(tensor)) {
            return Err(Error::Argument(format!("parameter `{name}` isn't a leaf on {:?} that requires a gradient", group.device())));
        }
        let mut names_by_memory = BTreeMap::new();
        for (name, tensor) in parameters {
            dense(tensor, group.device())?;
            // An empty tensor has no memory to share.
            if let Some(other) = names_by_memory.insert(tensor.data_ptr() as usize, name).filter(|_| tensor.numel() > 0) {
                return Err(Error::Argument(format!(
                    "parameters `{other}` and `{name}` are one tensor: give it once, as `Module.parameters()` does"
                )));
            }
        }
        if parameters.is_empty() {
            return Err(Error::Argument("there are no parameters to reduce gradients of".to_owned()));
        }
        let (_texts, names) = c_strings(&parameters.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())?;
        let tensors: Vec<&Tensor> = parameters.iter().map(|(_, tensor)| tensor).collect();
        group.compare(&check::describe(&format!("{options:?}"), &tensors))?;
        let tensors = raws(tensors);
        let hook = match options.compression {
            Compression::None => 0,
            Compression::Fp16 => 1,
        };
        let mut raw = ptr::null_mut();
        // SAFETY: group, tensors and names live through the call; the reducer shares ownership of the C++ objects of the group and the
        // tensors.
        let answer = unsafe {
            ffi::td_reducer_new(
                group.raw(),
                tensors.as_ptr(),
                tensors.len(),
                names.as_ptr(),
                i64::from(options.bucket_bytes.max(1)),
                i64::from(options.first_bucket_bytes.max(1)),
                options.find_unused_parameters,
                hook,
                &raw mut raw,
            )
        };
        match group.done("DDP set-up", answer) {
            Ok(()) => {
                let names = parameters.iter().map(|(name, _)| name.clone()).collect();
                Ok(Self { raw, group, names, armed: Cell::new(false), _not_send: PhantomData })
            }
            Err(Error::Collective { rank, cause: Cause::Other, message, .. }) if is_of_models(&message) => {
                Err(Error::Parameters { rank, message })
            }
            Err(error) => Err(error),
        }
    }

    /// Prepares the forward pass of a step whose gradients are to be reduced; call it before that pass.
    ///
    /// # Errors
    /// [`Error::UnusedParameters`] if the last step left parameters without a gradient; otherwise [`Error::Collective`].
    pub fn before_forward(&self) -> Result<(), Error> {
        self.group.open()?;
        // SAFETY: the reducer is alive.
        let answer = unsafe { ffi::td_reducer_before_forward(self.raw) };
        self.group.done("DDP forward", answer).map_err(|error| match &error {
            Error::Collective { rank, message, .. } => {
                let names: Vec<String> = unused(message).filter_map(|index| self.names.get(index).cloned()).collect();
                if names.is_empty() { error } else { Error::UnusedParameters { rank: *rank, names } }
            }
            _ => error,
        })
    }

    /// Prepares the backward pass of such a step; call it between forward and backward. The `outputs` of the forward pass are used to find
    /// unused parameters, if the options ask for that.
    ///
    /// # Errors
    /// As [`Self::before_forward`].
    pub fn before_backward(&self, outputs: &[Tensor]) -> Result<(), Error> {
        self.group.open()?;
        let outputs = raws(outputs);
        // SAFETY: reducer and tensors live through the call.
        self.group.done("DDP backward", unsafe { ffi::td_reducer_before_backward(self.raw, outputs.as_ptr(), outputs.len()) })?;
        self.armed.set(true);
        Ok(())
    }

    /// Runs the backward pass: gradients of `loss` are added to those of the parameters, and reduced if this step reduces. Errors of
    /// communication come from here.
    ///
    /// # Errors
    /// [`Error::Collective`]; [`Error::Argument`] if `loss` isn't one number with a gradient; [`Error::Torch`] if the pass fails in a step
    /// that doesn't reduce.
    pub fn backward(&self, loss: &Tensor) -> Result<(), Error> {
        self.group.open()?;
        differentiable(loss)?;
        // SAFETY: the tensor lives through the call.
        let answer = unsafe { ffi::td_backward(raw(loss)) };
        if self.armed.replace(false) { self.group.done("reduction of gradients", answer) } else { ffi::check(answer).map_err(Error::Torch) }
    }

    /// Returns the times of the last step; `None` before the first.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn times(&self) -> Result<Option<StepTimes>, Error> {
        let mut times = [0_i64; 4];
        // SAFETY: the reducer is alive; the shim writes four numbers.
        ffi::check(unsafe { ffi::td_reducer_times(self.raw, times.as_mut_ptr()) }).map_err(Error::Torch)?;
        let [Ok(forward), Ok(backward), Ok(communication), Ok(overlap)] = times.map(u64::try_from) else { return Ok(None) };
        Ok(Some(StepTimes { forward, backward, communication, overlap }))
    }
}

impl Drop for Reducer<'_> {
    fn drop(&mut self) {
        // SAFETY: the pointer is ours and not used again.
        unsafe { ffi::td_reducer_free(self.raw) };
    }
}

/// Returns the indices in c10d's error about parameters without a gradient.
fn unused(message: &str) -> impl Iterator<Item = usize> {
    const LIST: &str = "Parameter indices which did not receive grad for rank ";
    let list = message.split_once(LIST).and_then(|(_, rest)| rest.split_once(": ")).map_or("", |(_, list)| list);
    list.lines().next().unwrap_or_default().split_whitespace().map_while(|index| index.parse().ok())
}

/// True if c10d reports that the ranks' parameters differ; its other errors are local.
fn is_of_models(message: &str) -> bool {
    message.contains("same model across all ranks") || message.contains("appears not to match")
}
