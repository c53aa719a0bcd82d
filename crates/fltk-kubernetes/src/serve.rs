//! `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use fltk_server::{Pages, serve_metrics};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// The state behind the served routes.
#[derive(Clone)]
pub struct Served {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// True once jobs, pods and, if capacity needs them, nodes were listed.
    pub is_ready: Arc<AtomicBool>,
}

/// Serves on `listener` until the task is dropped.
pub async fn serve(listener: TcpListener, served: Served) {
    let Served { metrics, is_ready } = served;
    let not_ready = move || (!is_ready.load(Ordering::Relaxed)).then_some("the API server's objects weren't listed yet");
    serve_metrics(listener, Pages { metrics: Arc::new(move || metrics.text()), not_ready: Arc::new(not_ready) }).await;
}
