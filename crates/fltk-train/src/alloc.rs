//! Settings of the C allocator, made once per process. The only unsafe code of this crate.

use std::sync::Once;

/// Keeps freed memory in the process instead of handing every large block back to the kernel.
///
/// By default glibc maps each block above 128 KiB afresh, so every activation of every step costs page faults: a third of the step of a
/// small convolutional net. Does nothing where the C library is not glibc.
pub(crate) fn keep_large_blocks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: mallopt takes two integers and may be called at any time from any thread; a refused value changes nothing.
        unsafe {
            // Blocks up to this size, larger than any activation here, come from the heap and can be used again.
            libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
            // The heap's top is never given back.
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            // It grows in few, large steps.
            libc::mallopt(libc::M_TOP_PAD, 256 << 20);
        }
    });
}
