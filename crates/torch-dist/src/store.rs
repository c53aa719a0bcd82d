//! The store: a small map in rank 0 that all ranks read and write, over TCP.

use std::{net::TcpListener, os::fd::IntoRawFd as _, ptr, time::Duration};

use crate::{
    Error,
    error::Cause,
    ffi::{self, RawStore, c_string, c_strings, check, take_bytes},
};

/// How to serve or reach a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpStoreOptions {
    /// Whether this process serves the store. Exactly one does: rank 0.
    pub is_server: bool,
    /// Ranks that come, counting this one; serving then waits until all are here. 0: don't wait.
    pub num_workers: u32,
    /// Limit of connecting, of waiting for the others, and of [`TcpStore::get`].
    pub timeout: Duration,
}

/// A client of `c10d::TCPStore`, and in rank 0 its server too. Keys are texts, values bytes.
///
/// The server ends with the last store, group or autograd graph of rank 0 that uses it: rank 0 keeps one until the others are done, see
/// [`ProcessGroup::leave`](crate::ProcessGroup::leave).
#[derive(Debug)]
pub struct TcpStore {
    raw: *mut RawStore,
    port: u16,
    timeout: Duration,
}

// SAFETY: c10d::TCPStore serializes its calls with a mutex of its own, and nothing in it belongs to a thread.
unsafe impl Send for TcpStore {}
// SAFETY: as above; calls from several threads wait for each other.
unsafe impl Sync for TcpStore {}

impl TcpStore {
    /// Serves or reaches the store at `host:port`. A served port of 0 takes a free one, see [`Self::port`].
    ///
    /// # Errors
    /// [`Error::Listen`] or [`Error::Connect`], the latter also when not all workers came in time.
    pub fn new(host: &str, port: u16, options: &TcpStoreOptions) -> Result<Self, Error> {
        Self::make(host, port, -1, options)
    }

    /// Serves the store at a port that `listener` holds already, so that nobody else can take it in between.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Argument`] unless [`is_server`](TcpStoreOptions::is_server).
    pub fn on(listener: TcpListener, options: &TcpStoreOptions) -> Result<Self, Error> {
        if !options.is_server {
            return Err(Error::Argument("only the store's server has a listener".to_owned()));
        }
        let address = listener.local_addr().map_err(|error| Error::Listen { port: 0, message: error.to_string() })?;
        let host = match address.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            ip => ip.to_string(),
        };
        // The store closes it.
        Self::make(&host, address.port(), listener.into_raw_fd(), options)
    }

    fn make(host: &str, port: u16, listener: i32, options: &TcpStoreOptions) -> Result<Self, Error> {
        let (mut raw, mut bound) = (ptr::null_mut(), 0);
        let c_host = c_string(host)?;
        let (is_server, workers, timeout) = (options.is_server, u64::from(options.num_workers), millis(options.timeout));
        // SAFETY: the text lives through the call; results go to locals; the listener, if one is given, is ours to give away.
        let answer =
            unsafe { ffi::td_store_tcp(c_host.as_ptr(), port, listener, is_server, workers, timeout, &raw mut raw, &raw mut bound) };
        match check(answer) {
            Ok(()) => Ok(Self { raw, port: bound, timeout: options.timeout }),
            Err(message) if message.contains("failed to listen") || message.contains("EADDRINUSE") => Err(Error::Listen { port, message }),
            Err(message) => Err(Error::Connect { host: host.to_owned(), port, message }),
        }
    }

    /// The port that the store is served at.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same store, seen through keys that begin with `prefix/` (`c10d::PrefixStore`).
    ///
    /// # Errors
    /// If `prefix` holds a zero byte.
    pub fn prefix(&self, prefix: &str) -> Result<Self, Error> {
        let mut raw = ptr::null_mut();
        let prefix = c_string(prefix)?;
        // SAFETY: `self.raw` is a live store, which the prefixed one shares.
        self.answer("prefix", unsafe { ffi::td_store_prefix(self.raw, prefix.as_ptr(), &raw mut raw) })?;
        Ok(Self { raw, port: self.port, timeout: self.timeout })
    }

    /// Sets `key`. It is sent without waiting for an answer, so that rank 0 is gone may show only in a later call.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        let c_key = c_string(key)?;
        // SAFETY: key and value live through the call.
        self.answer(&format!("set `{key}`"), unsafe { ffi::td_store_set(self.raw, c_key.as_ptr(), value.as_ptr(), value.len()) })
    }

    /// The value of `key`, once somebody has set it.
    ///
    /// # Errors
    /// [`Error::StoreTimeout`] when nobody does in time, [`Error::Store`] when rank 0 is gone.
    pub fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        let c_key = c_string(key)?;
        let (mut value, mut size) = (ptr::null_mut(), 0);
        // SAFETY: the key lives through the call; results go to locals.
        let answer = unsafe { ffi::td_store_get(self.raw, c_key.as_ptr(), millis(self.timeout), &raw mut value, &raw mut size) };
        self.waited(&[key], self.timeout, answer)?;
        // SAFETY: the call went through, so it gave `size` bytes, which nobody else has.
        Ok(unsafe { take_bytes(value, size) })
    }

    /// Waits until all `keys` are set, at most `timeout`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn wait(&self, keys: &[&str], timeout: Duration) -> Result<(), Error> {
        let (_texts, pointers) = c_strings(keys)?;
        // SAFETY: `_texts` keeps what the pointers point to.
        let answer = unsafe { ffi::td_store_wait(self.raw, pointers.as_ptr(), pointers.len(), millis(timeout)) };
        self.waited(keys, timeout, answer)
    }

    /// Whether all `keys` are set now.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone.
    pub fn check(&self, keys: &[&str]) -> Result<bool, Error> {
        let (_texts, pointers) = c_strings(keys)?;
        let mut present = false;
        // SAFETY: `_texts` keeps what the pointers point to; the result goes to a local.
        let answer = unsafe { ffi::td_store_check(self.raw, pointers.as_ptr(), pointers.len(), &raw mut present) };
        self.answer("check", answer)?;
        Ok(present)
    }

    /// Adds `amount` to the number at `key`, which begins at 0, and returns the sum. Atomic over all ranks.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone, or the key holds no number.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, Error> {
        let c_key = c_string(key)?;
        let mut sum = 0;
        // SAFETY: the key lives through the call; the result goes to a local.
        self.answer(&format!("add to `{key}`"), unsafe { ffi::td_store_add(self.raw, c_key.as_ptr(), amount, &raw mut sum) })?;
        Ok(sum)
    }

    /// Removes `key` and says whether it was there.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone.
    pub fn delete(&self, key: &str) -> Result<bool, Error> {
        let c_key = c_string(key)?;
        let mut deleted = false;
        // SAFETY: the key lives through the call; the result goes to a local.
        self.answer(&format!("delete `{key}`"), unsafe { ffi::td_store_delete(self.raw, c_key.as_ptr(), &raw mut deleted) })?;
        Ok(deleted)
    }

    /// For groups, which share the store.
    pub(crate) fn raw(&self) -> *const RawStore {
        self.raw
    }

    fn answer(&self, operation: &str, answer: *mut std::ffi::c_char) -> Result<(), Error> {
        check(answer).map_err(|message| Error::Store { operation: operation.to_owned(), message })
    }

    fn waited(&self, keys: &[&str], timeout: Duration, answer: *mut std::ffi::c_char) -> Result<(), Error> {
        check(answer).map_err(|message| match Cause::of(&message) {
            Cause::Timeout => Error::StoreTimeout { keys: keys.join(", "), timeout_ms: timeout.as_millis() },
            _ => Error::Store { operation: format!("wait for `{}`", keys.join(", ")), message },
        })
    }
}

impl Drop for TcpStore {
    fn drop(&mut self) {
        // SAFETY: the pointer is ours and not used again.
        unsafe { ffi::td_store_free(self.raw) };
    }
}

/// Whole milliseconds, at least one: to libtorch 0 means without limit.
pub(crate) fn millis(timeout: Duration) -> i64 {
    /// About 115 days: more than any wait, and far from where C++ clocks overflow.
    const MILLIS_MAX: i64 = 10_000_000_000;
    i64::try_from(timeout.as_millis()).unwrap_or(MILLIS_MAX).clamp(1, MILLIS_MAX)
}
