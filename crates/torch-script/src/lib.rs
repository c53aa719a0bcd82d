//! TorchScript modules for Rust: a module's parameters and buffers, its mode, and its forward pass.
//!
//! `tch` has modules too, but not their buffers, without which the running statistics of batch norms are lost when a module is saved, averaged or moved. These
//! are safe types over libtorch's `torch::jit::Module`.
//!
//! **Not here:** making modules, which is done in Python, and deciding which of them may be loaded: a module is a program, which runs with the rights of this
//! process.

mod ffi;

use std::{
    ffi::{CStr, c_char, c_void},
    fmt,
    ptr::{NonNull, null_mut},
};

use tch::{Device, Tensor};

/// An error of libtorch, with its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

/// A parameter or buffer of a module.
#[derive(Debug)]
pub struct NamedTensor {
    /// The name, as in `state_dict()`.
    pub name: String,
    /// True for a buffer.
    pub is_buffer: bool,
    /// The tensor, shared with the module.
    pub tensor: Tensor,
}

/// A module with its own parameters and buffers.
pub struct Module {
    module: NonNull<ffi::RawModule>,
    is_training: bool,
}

// SAFETY: a `torch::jit::Module` isn't tied to a thread.
unsafe impl Send for Module {}
// SAFETY: a shared module is in evaluation mode, in which libtorch's interpreters allow forward passes in several threads: each has a state of its own, and none
// changes the module.
unsafe impl Sync for Module {}

impl Module {
    /// Loads the module of an archive, as `torch.jit.save` writes it, onto `device`, in evaluation mode.
    ///
    /// # Errors
    /// If it isn't an archive of a module, or there is no such device.
    pub fn load(archive: &[u8], device: Device) -> Result<Self, Error> {
        let gpu = match device {
            Device::Cuda(index) => i32::try_from(index).map_err(|_| Error(format!("there is no GPU {index}")))?,
            _ => -1,
        };
        let mut module = null_mut();
        // SAFETY: the bytes live as long as the call, and the shim gives a module that is ours.
        ffi::check(unsafe { ffi::ts_module_load(archive.as_ptr(), archive.len(), gpu, &raw mut module) }).map_err(Error)?;
        let module = NonNull::new(module).ok_or_else(|| Error("there is no module".to_owned()))?;
        let mut module = Self { module, is_training: true };
        module.set_training(false)?;
        Ok(module)
    }

    /// Returns the parameters and buffers, in the order in which the module declares them: that of `state_dict()` for modules that declare their own tensors first.
    ///
    /// A forward pass may put another tensor in the place of a buffer; a parameter stays the same.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn tensors(&self) -> Result<Vec<NamedTensor>, Error> {
        unsafe extern "C" fn each(context: *mut c_void, name: *const c_char, is_buffer: bool, tensor: *mut ffi::RawTensor) {
            // SAFETY: the shim passes on the context of the call below, a name that ends with a zero byte, and a tensor that is ours.
            let (all, name, tensor) = unsafe { (&mut *context.cast::<Vec<NamedTensor>>(), CStr::from_ptr(name), ffi::own(tensor)) };
            all.push(NamedTensor { name: name.to_string_lossy().into_owned(), is_buffer, tensor });
        }
        let mut all: Vec<NamedTensor> = Vec::new();
        // SAFETY: the module lives as long as `self`, and the list as long as the call.
        ffi::check(unsafe { ffi::ts_module_tensors(self.module.as_ptr(), (&raw mut all).cast(), each) }).map_err(Error)?;
        Ok(all)
    }

    /// Sets training or evaluation mode.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn set_training(&mut self, is_training: bool) -> Result<(), Error> {
        if self.is_training != is_training {
            // SAFETY: the module lives as long as `self`, which nobody else uses meanwhile.
            ffi::check(unsafe { ffi::ts_module_set_training(self.module.as_ptr(), is_training) }).map_err(Error)?;
            self.is_training = is_training;
        }
        Ok(())
    }

    /// Returns true if the module is in training mode.
    #[must_use]
    pub const fn is_training(&self) -> bool {
        self.is_training
    }

    /// Computes the module's `forward` of one tensor. In training mode it may change its buffers.
    ///
    /// # Errors
    /// If the module doesn't take the input, or its result isn't one tensor.
    pub fn forward(&mut self, input: &Tensor) -> Result<Tensor, Error> {
        self.compute(input)
    }

    /// Computes the module's `forward` in evaluation mode, in which several threads may do that at a time.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); or if the module is in training mode.
    pub fn evaluate(&self, input: &Tensor) -> Result<Tensor, Error> {
        if self.is_training { Err(Error("the module is in training mode".to_owned())) } else { self.compute(input) }
    }

    fn compute(&self, input: &Tensor) -> Result<Tensor, Error> {
        let mut output = null_mut();
        // SAFETY: the module and the input live as long as the call. Either nobody else uses the module, or it is in evaluation mode.
        ffi::check(unsafe { ffi::ts_module_forward(self.module.as_ptr(), ffi::raw(input), &raw mut output) }).map_err(Error)?;
        // SAFETY: the shim made the tensor for us.
        Ok(unsafe { ffi::own(output) })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: the module is ours, and nobody uses it any more.
        unsafe { ffi::ts_module_free(self.module.as_ptr()) }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("is_training", &self.is_training).finish_non_exhaustive()
    }
}
