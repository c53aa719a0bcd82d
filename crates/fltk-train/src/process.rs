//! The process in the hands of the C library: the settings of its allocator, and its end. This is the only unsafe code of the crate.

use std::sync::Once;

/// Keeps freed memory in the process instead of handing every large block back to the kernel.
///
/// By default, glibc maps each block above 128 KiB anew, so every activation in every step costs page faults: a third of the step time of a
/// small convolutional net. The function does nothing where the C library is not glibc.
pub(crate) fn keep_large_blocks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: mallopt takes two integers and may be called at any time from any thread; a refused value changes nothing.
        unsafe {
            // Blocks up to this size, larger than any activation here, come from the heap and can be reused.
            libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
            // The top of the heap is never given back.
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
            // The heap grows in few, large steps.
            libc::mallopt(libc::M_TOP_PAD, 256 << 20);
        }
    });
}

/// Has all threads that begin from now on share one heap.
///
/// By default, glibc gives threads heaps of their own, of 64 MiB each: whoever receives models in one thread, adds them up in another and keeps what it freed has
/// room for each of them in each heap. Threads that train want heaps of their own; a process that only adds up what others trained doesn't. The function does nothing where the
/// C library is not glibc.
pub fn share_one_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers and may be called at any time from any thread; a refused value changes nothing.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Ends the process with `status`, as `return` from `main` does, but at once.
///
/// Otherwise libtorch takes its thousands of operators down one by one, which takes a fifth of the time of a small command and helps nobody: the kernel
/// frees the memory anyway. What standard output holds back is lost: whoever calls this has flushed it.
pub fn exit(status: u8) -> ! {
    // SAFETY: _exit takes an integer and may be called at any time from any thread. What it leaves out is of no use: no file is written by destructors.
    unsafe { libc::_exit(i32::from(status)) }
}
