//! The border to C++ (`shim/`): the raw functions, and the few ways in which values cross it.
//!
//! Every function of the shim catches all exceptions and returns the exception's text, or null.

use std::ffi::{CStr, c_char, c_void};

use tch::Tensor;

/// A module, owned through a pointer.
#[repr(C)]
pub struct RawModule {
    _private: [u8; 0],
}

/// A C++ tensor, to which `tch` holds a pointer.
#[repr(C)]
pub struct RawTensor {
    _private: [u8; 0],
}

/// A function that is called with each tensor of a module: with the context, the name, true for a buffer, and the tensor, which it takes over.
pub type Each = unsafe extern "C" fn(*mut c_void, *const c_char, bool, *mut RawTensor);

// SAFETY: the declarations match `extern "C"` definitions in `shim/`, argument by argument.
unsafe extern "C" {
    fn ts_string_free(text: *mut c_char);

    pub fn ts_module_load(bytes: *const u8, size: usize, gpu: i32, loaded: *mut *mut RawModule) -> *mut c_char;
    pub fn ts_module_tensors(module: *mut RawModule, context: *mut c_void, each: Each) -> *mut c_char;
    pub fn ts_module_set_training(module: *mut RawModule, on: bool) -> *mut c_char;
    pub fn ts_module_forward(module: *mut RawModule, input: *const RawTensor, output: *mut *mut RawTensor) -> *mut c_char;
    pub fn ts_module_free(module: *mut RawModule);
}

/// Turns the return value of a shim function into a result. `Err` holds the text of the exception that it caught.
pub fn check(answer: *mut c_char) -> Result<(), String> {
    if answer.is_null() {
        return Ok(());
    }
    // SAFETY: a text that the shim returns ends with a zero byte and is ours until it is freed, which is done once, right here.
    let text = unsafe { CStr::from_ptr(answer) }.to_string_lossy().into_owned();
    unsafe { ts_string_free(answer) };
    Err(text.split("\nException raised from").next().unwrap_or_default().trim().to_owned())
}

/// Returns the C++ tensor inside `tensor`, which is valid while `tensor` lives.
pub fn raw(tensor: &Tensor) -> *const RawTensor {
    tensor.as_ptr().cast()
}

/// Takes over a C++ tensor.
///
/// # Safety
/// `pointer` must come from `new at::Tensor` and belong to nobody else.
pub unsafe fn own(pointer: *mut RawTensor) -> Tensor {
    // SAFETY: by this function's contract.
    unsafe { Tensor::from_ptr(pointer.cast()) }
}
