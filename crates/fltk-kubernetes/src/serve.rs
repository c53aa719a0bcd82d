//! `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

use std::{
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
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};

use crate::metrics::Metrics;

/// The maximum number of concurrent connections; more wait until one ends. The clients are a kubelet and one or two Prometheus servers.
const CONNECTIONS_MAX: usize = 64;
/// The time limit for a request's head to arrive, and for the next request to begin. Prometheus scrapes each minute, and so opens a new connection each time.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// The pause after an error of the socket.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

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
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(served);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let _permit = permit;
            // The peer that breaks a connection knows about it, so the error is dropped.
            let _ = connection.await;
        });
    }
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
