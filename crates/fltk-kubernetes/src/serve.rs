//! `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use fltk_server::{Limits, PROBES};
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// The clients are a kubelet and one or two Prometheus servers. Prometheus scrapes each minute, and so opens a new connection each time.
const LIMITS: Limits = Limits { head: Duration::from_secs(30), stall: Duration::from_secs(30), stop: Duration::ZERO, per_peer: None };

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
    let [healthy, is_ready] = PROBES;
    let router =
        Router::new().route("/metrics", get(metrics)).route(healthy, get(|| async { "ok" })).route(is_ready, get(ready)).with_state(served);
    fltk_server::serve(listener, router, LIMITS, pending()).await;
}

async fn metrics(State(served): State<Served>) -> impl IntoResponse {
    match served.metrics.text() {
        Ok(text) => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ready(State(served): State<Served>) -> impl IntoResponse {
    if served.is_ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server's objects weren't listed yet")
    }
}
