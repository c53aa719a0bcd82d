//! The store: a small map on rank 0 that all ranks read and write over TCP.

use std::{
    net::TcpListener,
    os::fd::IntoRawFd as _,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    Error,
    bounded::bounded,
    error::Cause,
    ffi::{self, RawStore, c_string, c_strings, check, take_bytes},
};

/// The options for serving or reaching a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpStoreOptions {
    /// True if this process serves the store. Exactly one process does: rank 0.
    pub is_server: bool,
    /// The number of ranks, including this one, that the server waits for. 0 means that it doesn't wait.
    pub num_workers: u32,
    /// The time limit for connecting, for waiting for the others, and for [`TcpStore::get`].
    pub timeout: Duration,
}

/// A client of `c10d::TCPStore`, and on rank 0 also its server. Keys are texts, and values are bytes.
///
/// The server ends with the last store, group or autograd graph of rank 0 that uses it, so rank 0 must keep one until the others are done:
/// see [`ProcessGroup::leave`](crate::ProcessGroup::leave).
#[derive(Debug)]
pub struct TcpStore {
    raw: Arc<Owned>,
    port: u16,
    timeout: Duration,
    /// True once a call was given up: its thread, which was left behind, may hold c10d's lock forever.
    lost: Arc<AtomicBool>,
}

/// The C++ store, which is freed when nobody uses it any more.
#[derive(Debug)]
pub(crate) struct Owned(*mut RawStore);

// SAFETY: c10d::TCPStore serializes its calls with a mutex of its own, and nothing in it belongs to a thread.
unsafe impl Send for Owned {}
// SAFETY: as above; calls from several threads wait for each other.
unsafe impl Sync for Owned {}

impl Owned {
    /// Returns the pointer, which is valid as long as `self` lives.
    pub(crate) fn get(&self) -> *mut RawStore {
        self.0
    }
}

impl TcpStore {
    /// Serves or reaches the store at `host:port`. A server with port 0 gets a free port, see [`Self::port`].
    ///
    /// # Errors
    /// [`Error::Listen`] or [`Error::Connect`]; the latter also if not all workers came in time.
    pub fn new(host: &str, port: u16, options: &TcpStoreOptions) -> Result<Self, Error> {
        Self::make(host, port, -1, options)
    }

    /// Serves the store at a port that `listener` already holds, so that nobody else can take it in between.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Argument`] unless [`is_server`](TcpStoreOptions::is_server) is true.
    pub fn on(listener: TcpListener, options: &TcpStoreOptions) -> Result<Self, Error> {
        if !options.is_server {
            return Err(Error::Argument("only the store's server has a listener".to_owned()));
        }
        let address = listener.local_addr().map_err(|error| Error::Listen { port: 0, message: error.to_string() })?;
        let host = match address.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            ip => ip.to_string(),
        };
        // The store closes the socket.
        Self::make(&host, address.port(), listener.into_raw_fd(), options)
    }

    fn make(host: &str, port: u16, listener: i32, options: &TcpStoreOptions) -> Result<Self, Error> {
        let c_host = c_string(host)?;
        let (is_server, workers, timeout) = (options.is_server, u64::from(options.num_workers), millis(options.timeout));
        // This waits for the server, then for the other workers.
        let made = bounded(options.timeout * 2, move || {
            let (mut raw, mut bound) = (ptr::null_mut(), 0);
            // SAFETY: the text lives through the call; results go to locals; the listener, if one is given, is ours to give away.
            let answer =
                unsafe { ffi::td_store_tcp(c_host.as_ptr(), port, listener, is_server, workers, timeout, &raw mut raw, &raw mut bound) };
            check(answer).map(|()| (Owned(raw), bound))
        });
        match made.unwrap_or_else(|| Err("rank 0 doesn't answer".to_owned())) {
            Ok((raw, port)) => Ok(Self { raw: Arc::new(raw), port, timeout: options.timeout, lost: Arc::default() }),
            Err(message) if message.contains("failed to listen") || message.contains("EADDRINUSE") => Err(Error::Listen { port, message }),
            Err(message) => Err(Error::Connect { host: host.to_owned(), port, message }),
        }
    }

    /// The port that the store is served at.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the same store, seen through keys that begin with `prefix/` (`c10d::PrefixStore`).
    ///
    /// # Errors
    /// If `prefix` contains a zero byte.
    pub fn prefix(&self, prefix: &str) -> Result<Self, Error> {
        let mut raw = ptr::null_mut();
        let prefix = c_string(prefix)?;
        // SAFETY: `self.raw` is a live store, which the prefixed one shares.
        check(unsafe { ffi::td_store_prefix(self.raw.get(), prefix.as_ptr(), &raw mut raw) }).map_err(Error::Torch)?;
        Ok(Self { raw: Arc::new(Owned(raw)), port: self.port, timeout: self.timeout, lost: Arc::clone(&self.lost) })
    }

    /// Changes the time limit of [`Self::get`] and of the requests that groups make.
    ///
    /// # Errors
    /// No error is known to occur.
    pub fn set_timeout(&mut self, timeout: Duration) -> Result<(), Error> {
        // SAFETY: the store is alive.
        check(unsafe { ffi::td_store_set_timeout(self.raw.get(), millis(timeout)) }).map_err(Error::Torch)?;
        self.timeout = timeout;
        Ok(())
    }

    /// Waits until nobody serves the store any more, or rank 0 doesn't answer. Returns `false` if the store is still served after `limit`.
    #[must_use]
    pub fn is_gone_within(&self, limit: Duration) -> bool {
        /// A key that nobody sets.
        const NEVER: &str = "torch_dist/never";
        !matches!(self.wait(&[NEVER], limit), Ok(()) | Err(Error::StoreTimeout { .. }))
    }

    /// Sets `key`. The call doesn't wait for an answer, so the loss of rank 0 may show only in a later call.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        let (c_key, value) = (c_string(key)?, value.to_vec());
        self.call(&format!("set `{key}`"), self.timeout, move |raw| {
            // SAFETY: key and value live through the call.
            check(unsafe { ffi::td_store_set(raw, c_key.as_ptr(), value.as_ptr(), value.len()) })
        })
    }

    /// Returns the value of `key`, once somebody has set it.
    ///
    /// # Errors
    /// [`Error::StoreTimeout`] if nobody sets it in time, [`Error::Store`] if rank 0 is gone.
    pub fn get(&self, key: &str) -> Result<Vec<u8>, Error> {
        let (c_key, timeout) = (c_string(key)?, millis(self.timeout));
        let answer = self.call(&format!("get `{key}`"), self.timeout, move |raw| {
            let (mut value, mut size) = (ptr::null_mut(), 0);
            // SAFETY: the key lives through the call; results go to locals.
            check(unsafe { ffi::td_store_get(raw, c_key.as_ptr(), timeout, &raw mut value, &raw mut size) })?;
            // SAFETY: the call succeeded, so it gave `size` bytes, which nobody else owns.
            Ok(unsafe { take_bytes(value, size) })
        });
        answer.map_err(|error| waited(error, &[key], self.timeout))
    }

    /// Waits until all `keys` are set, for at most `timeout`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn wait(&self, keys: &[&str], timeout: Duration) -> Result<(), Error> {
        let owned: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let limit = millis(timeout);
        let answer = self.call(&format!("wait for `{}`", keys.join(", ")), timeout, move |raw| {
            let keys: Vec<&str> = owned.iter().map(String::as_str).collect();
            let (_texts, pointers) = c_strings(&keys).map_err(|error| error.to_string())?;
            // SAFETY: `_texts` keeps alive what the pointers point to.
            check(unsafe { ffi::td_store_wait(raw, pointers.as_ptr(), pointers.len(), limit) })
        });
        answer.map_err(|error| waited(error, keys, timeout))
    }

    /// Returns true if all `keys` are set now.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone.
    pub fn check(&self, keys: &[&str]) -> Result<bool, Error> {
        let owned: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        self.call("check", self.timeout, move |raw| {
            let keys: Vec<&str> = owned.iter().map(String::as_str).collect();
            let (_texts, pointers) = c_strings(&keys).map_err(|error| error.to_string())?;
            let mut present = false;
            // SAFETY: `_texts` keeps alive what the pointers point to; the result goes to a local.
            check(unsafe { ffi::td_store_check(raw, pointers.as_ptr(), pointers.len(), &raw mut present) })?;
            Ok(present)
        })
    }

    /// Adds `amount` to the number at `key`, which starts at 0, and returns the sum. This is atomic over all ranks.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone, or the value isn't a number.
    pub fn add(&self, key: &str, amount: i64) -> Result<i64, Error> {
        let c_key = c_string(key)?;
        self.call(&format!("add to `{key}`"), self.timeout, move |raw| {
            let mut sum = 0;
            // SAFETY: the key lives through the call; the result goes to a local.
            check(unsafe { ffi::td_store_add(raw, c_key.as_ptr(), amount, &raw mut sum) })?;
            Ok(sum)
        })
    }

    /// Removes `key`, and returns true if it was there.
    ///
    /// # Errors
    /// [`Error::Store`] when rank 0 is gone.
    pub fn delete(&self, key: &str) -> Result<bool, Error> {
        let c_key = c_string(key)?;
        self.call(&format!("delete `{key}`"), self.timeout, move |raw| {
            let mut deleted = false;
            // SAFETY: the key lives through the call; the result goes to a local.
            check(unsafe { ffi::td_store_delete(raw, c_key.as_ptr(), &raw mut deleted) })?;
            Ok(deleted)
        })
    }

    /// The raw store, for groups, which share it.
    pub(crate) fn raw(&self) -> Arc<Owned> {
        Arc::clone(&self.raw)
    }

    /// Calls c10d with a time limit. c10d reads rank 0's answers without one: a frozen or vanished rank 0 would block the call forever.
    fn call<T: Send + 'static>(
        &self,
        operation: &str,
        limit: Duration,
        call: impl FnOnce(*mut RawStore) -> Result<T, String> + Send + 'static,
    ) -> Result<T, Error> {
        let failed = |message: String| Error::Store { operation: operation.to_owned(), message };
        if self.lost.load(Ordering::Relaxed) {
            return Err(failed("rank 0 didn't answer before".to_owned()));
        }
        let raw = self.raw();
        match bounded(limit, move || call(raw.get())) {
            Some(answer) => answer.map_err(failed),
            None => {
                self.lost.store(true, Ordering::Relaxed);
                Err(failed("rank 0 doesn't answer".to_owned()))
            }
        }
    }
}

/// Turns a wait that timed out into an error of its own.
fn waited(error: Error, keys: &[&str], timeout: Duration) -> Error {
    match error {
        Error::Store { message, .. } if Cause::of(&message) == Cause::Timeout => {
            Error::StoreTimeout { keys: keys.join(", "), timeout_ms: timeout.as_millis() }
        }
        other => other,
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the pointer is ours and not used again.
        unsafe { ffi::td_store_free(self.0) };
    }
}

/// Whole milliseconds, at least one: libtorch takes 0 as no limit.
pub(crate) fn millis(timeout: Duration) -> i64 {
    /// About 115 days: longer than any wait, and far below the range where C++ clocks overflow.
    const MILLIS_MAX: i64 = 10_000_000_000;
    i64::try_from(timeout.as_millis()).unwrap_or(MILLIS_MAX).clamp(1, MILLIS_MAX)
}
