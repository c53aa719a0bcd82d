//! The server from which metrics are scraped.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use fltk_server::{Pages, serve_metrics};
use tokio::runtime::Runtime;

use super::Metrics;

/// A server of metrics in the background, which ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    runtime: Option<Runtime>,
    address: SocketAddr,
}

impl Server {
    /// Serves `metrics` on a socket that listens already.
    ///
    /// # Errors
    /// If its thread can't be started, or the socket can't be used.
    pub fn start(listener: TcpListener, metrics: Arc<Metrics>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("metrics").enable_all().build()?;
        let inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        runtime.spawn(serve_metrics(listener, Pages { metrics: Arc::new(move || metrics.text()), not_ready: Arc::new(|| None) }));
        drop(inside);
        Ok(Self { runtime: Some(runtime), address })
    }

    /// Returns the address at which it serves.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        /// Nobody waits for an answer that isn't there by then.
        const MOMENT: Duration = Duration::from_millis(100);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(MOMENT);
        }
    }
}
