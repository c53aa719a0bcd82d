//! The border to C++ (`shim/`): the raw functions, and the few ways in which values cross it.
//!
//! Every function of the shim catches all exceptions and returns the exception's text, or null.

use std::ffi::{CStr, CString, c_char};

use tch::Tensor;

use crate::Error;

/// A store, owned through a pointer.
#[repr(C)]
pub struct RawStore {
    _private: [u8; 0],
}

/// A process group, owned through a pointer.
#[repr(C)]
pub struct RawGroup {
    _private: [u8; 0],
}

/// A reducer, owned through a pointer.
#[repr(C)]
pub struct RawReducer {
    _private: [u8; 0],
}

/// A C++ tensor, to which `tch` holds a pointer.
#[repr(C)]
pub struct RawTensor {
    _private: [u8; 0],
}

// SAFETY: the declarations match `extern "C"` definitions in `shim/`, argument by argument.
unsafe extern "C" {
    fn td_string_free(text: *mut c_char);

    pub fn td_store_tcp(
        host: *const c_char,
        port: u16,
        listener: i32,
        is_server: bool,
        num_workers: u64,
        timeout_ms: i64,
        store: *mut *mut RawStore,
        bound: *mut u16,
    ) -> *mut c_char;
    pub fn td_store_set_timeout(store: *mut RawStore, timeout_ms: i64) -> *mut c_char;
    pub fn td_store_prefix(store: *const RawStore, prefix: *const c_char, prefixed: *mut *mut RawStore) -> *mut c_char;
    pub fn td_store_set(store: *mut RawStore, key: *const c_char, value: *const u8, size: usize) -> *mut c_char;
    pub fn td_store_get(
        store: *mut RawStore,
        key: *const c_char,
        timeout_ms: i64,
        value: *mut *mut c_char,
        size: *mut usize,
    ) -> *mut c_char;
    pub fn td_store_wait(store: *mut RawStore, keys: *const *const c_char, num_keys: usize, timeout_ms: i64) -> *mut c_char;
    pub fn td_store_check(store: *mut RawStore, keys: *const *const c_char, num_keys: usize, present: *mut bool) -> *mut c_char;
    pub fn td_store_add(store: *mut RawStore, key: *const c_char, amount: i64, sum: *mut i64) -> *mut c_char;
    pub fn td_store_delete(store: *mut RawStore, key: *const c_char, deleted: *mut bool) -> *mut c_char;
    pub fn td_store_free(store: *mut RawStore);

    pub fn td_group_gloo(
        store: *const RawStore,
        number: u32,
        rank: i32,
        size: i32,
        timeout_ms: i64,
        device_kind: i32,
        devices: *const *const c_char,
        num_devices: usize,
        group: *mut *mut RawGroup,
    ) -> *mut c_char;
    #[cfg(feature = "nccl")]
    pub fn td_group_nccl(
        store: *const RawStore,
        rank: i32,
        size: i32,
        timeout_ms: i64,
        device: i32,
        group: *mut *mut RawGroup,
    ) -> *mut c_char;
    pub fn td_group_tie(one: *mut RawGroup, other: *mut RawGroup) -> *mut c_char;
    pub fn td_group_set_timeout(group: *mut RawGroup, timeout_ms: i64) -> *mut c_char;
    pub fn td_group_all_reduce(group: *mut RawGroup, tensor: *mut RawTensor, op: i32) -> *mut c_char;
    pub fn td_group_broadcast(group: *mut RawGroup, tensor: *mut RawTensor, root: i32) -> *mut c_char;
    pub fn td_group_all_gather(
        group: *mut RawGroup,
        outputs: *const *mut RawTensor,
        num_outputs: usize,
        input: *mut RawTensor,
    ) -> *mut c_char;
    pub fn td_group_reduce_scatter(
        group: *mut RawGroup,
        output: *mut RawTensor,
        inputs: *const *mut RawTensor,
        num_inputs: usize,
        op: i32,
    ) -> *mut c_char;
    pub fn td_group_send(group: *mut RawGroup, tensor: *mut RawTensor, to: i32, tag: i32) -> *mut c_char;
    pub fn td_group_recv(group: *mut RawGroup, tensor: *mut RawTensor, from: i32, tag: i32) -> *mut c_char;
    pub fn td_group_barrier(group: *mut RawGroup) -> *mut c_char;
    pub fn td_group_hang_up(group: *mut RawGroup) -> *mut c_char;
    pub fn td_group_free(group: *mut RawGroup);

    pub fn td_broadcast_coalesced(group: *mut RawGroup, tensors: *const *mut RawTensor, num_tensors: usize, root: i32) -> *mut c_char;
    pub fn td_all_reduce_sum_autograd(group: *mut RawGroup, input: *mut RawTensor, output: *mut *mut RawTensor) -> *mut c_char;
    pub fn td_backward(loss: *mut RawTensor) -> *mut c_char;

    pub fn td_reducer_new(
        group: *mut RawGroup,
        tensors: *const *mut RawTensor,
        num_tensors: usize,
        names: *const *const c_char,
        bucket_bytes: i64,
        first_bucket_bytes: i64,
        find_unused_parameters: bool,
        hook: i32,
        reducer: *mut *mut RawReducer,
    ) -> *mut c_char;
    pub fn td_reducer_before_forward(reducer: *mut RawReducer) -> *mut c_char;
    pub fn td_reducer_before_backward(reducer: *mut RawReducer, outputs: *const *mut RawTensor, num_outputs: usize) -> *mut c_char;
    pub fn td_reducer_times(reducer: *mut RawReducer, times: *mut i64) -> *mut c_char;
    pub fn td_reducer_free(reducer: *mut RawReducer);
}

/// Turns the return value of a shim function into a result. `Err` holds the first paragraph of the text of the exception that it caught.
pub fn check(answer: *mut c_char) -> Result<(), String> {
    if answer.is_null() {
        return Ok(());
    }
    // SAFETY: a text that the shim returns ends with a zero byte and is ours until it is freed, which is done once, right here.
    let text = unsafe { CStr::from_ptr(answer) }.to_string_lossy().into_owned();
    unsafe { td_string_free(answer) };
    Err(plain(&text).to_owned())
}

/// Strips a C++ error of its call stack, of the place in libtorch's source, and of gloo's general advice.
fn plain(text: &str) -> &str {
    let text = text.split("\nException raised from").next().unwrap_or_default();
    let text = text.split(" This is typically caused by a remote worker").next().unwrap_or_default().trim();
    match text.strip_prefix("[/").and_then(|rest| rest.split_once("] ")) {
        Some((_place, rest)) => rest,
        None => text,
    }
}

/// Copies bytes that the shim allocated, and frees them.
///
/// # Safety
/// `value` must point to `size` bytes that `td_store_get` returned, and must not be used afterwards.
pub unsafe fn take_bytes(value: *mut c_char, size: usize) -> Vec<u8> {
    // SAFETY: by this function's contract.
    let bytes = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) }.to_vec();
    unsafe { td_string_free(value) };
    bytes
}

/// Returns a text for C++.
pub fn c_string(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::Argument(format!("`{}` holds a zero byte", text.escape_debug())))
}

/// Returns texts for C++ and pointers to them, which are valid while the texts live.
pub fn c_strings(texts: &[&str]) -> Result<(Vec<CString>, Vec<*const c_char>), Error> {
    let texts = texts.iter().map(|text| c_string(text)).collect::<Result<Vec<_>, _>>()?;
    let pointers = texts.iter().map(|text| text.as_ptr()).collect();
    Ok((texts, pointers))
}

/// Returns the C++ tensor inside `tensor`, which is valid while `tensor` lives.
pub fn raw(tensor: &Tensor) -> *mut RawTensor {
    tensor.as_ptr().cast_mut().cast()
}

/// Returns the C++ tensors inside `tensors`, which are valid while those live.
pub fn raws<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<*mut RawTensor> {
    tensors.into_iter().map(raw).collect()
}

/// Takes over a C++ tensor.
///
/// # Safety
/// `pointer` must come from `new at::Tensor` and belong to nobody else.
pub unsafe fn own(pointer: *mut RawTensor) -> Tensor {
    // SAFETY: by this function's contract.
    unsafe { Tensor::from_ptr(pointer.cast()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_sentence() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text), expected);
        check("wrong\nException raised from x (most recent call first):\nframe #0", "wrong");
        check(
            "[/src/pair.cc:537] Read error [127.0.0.1]:9: reset. This is typically caused by a remote worker hanging or bugs",
            "Read error [127.0.0.1]:9: reset.",
        );
        check("[127.0.0.1] is no interface", "[127.0.0.1] is no interface");
    }
}
