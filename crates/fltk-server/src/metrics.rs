//! `/metrics` for Prometheus, `/healthz` and `/readyz` for a kubelet.

use std::{fmt, future::pending, sync::Arc, time::Duration};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::{Limits, PROBES, serve};

/// The clients are a kubelet and one or two Prometheus servers. Prometheus scrapes each minute, and so opens a new connection each time.
const LIMITS: Limits = Limits { head: Duration::from_secs(30), stall: Duration::from_secs(30), stop: Duration::ZERO, per_peer: None };

/// The content of the pages.
#[derive(Clone)]
pub struct Pages {
    /// Returns all metrics in the OpenMetrics text format.
    pub metrics: Arc<dyn Fn() -> Result<String, fmt::Error> + Send + Sync>,
    /// Returns the reason why this process isn't ready; `None` if it is.
    pub not_ready: Arc<dyn Fn() -> Option<&'static str> + Send + Sync>,
}

/// Serves on `listener` until the task is dropped.
pub async fn serve_metrics(listener: TcpListener, pages: Pages) {
    let Pages { metrics, not_ready } = pages;
    let [healthy, ready] = PROBES;
    let router = Router::new()
        .route("/metrics", get(move || async move { text(&*metrics) }))
        .route(healthy, get(|| async { "ok" }))
        .route(ready, get(move || async move { readiness(not_ready()) }));
    serve(listener, router, LIMITS, pending()).await;
}

fn text(metrics: &dyn Fn() -> Result<String, fmt::Error>) -> Response {
    match metrics() {
        Ok(text) => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn readiness(not_ready: Option<&'static str>) -> Response {
    match not_ready {
        None => (StatusCode::OK, "ok").into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}
