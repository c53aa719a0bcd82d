//! The status of a stream, served over HTTP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use fltk_kubernetes::serve::{Served, serve};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::harness::{Cluster, PARALLEL, task};

/// Serves `cluster` and returns the port.
async fn served(cluster: &Cluster) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve(listener, Served { metrics: Arc::clone(&cluster.metrics), is_ready: Arc::clone(&cluster.is_ready) }));
    port
}

/// Returns the code and the whole answer. The request is made on another thread, so that the tests' clock stands still meanwhile.
async fn get(port: u16, path: &'static str) -> (u16, String) {
    let request = move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = spawn_blocking(request).await.unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_complete_lists() {
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    let port = served(&cluster).await;
    cluster.scenario.forbid("list", "pods");
    let told = cluster
        .run(async |told| {
            sleep(Duration::from_secs(2)).await;
            assert_eq!(get(port, "/readyz").await.0, 503);
            assert_eq!(get(port, "/healthz").await.0, 200);
            cluster.scenario.allow("list", "pods");
            told.until("a", "starting").await;
            assert_eq!(get(port, "/readyz").await.0, 200);
        })
        .await;
    told.assert_all_succeeded();
}

#[tokio::test(start_paused = true)]
async fn metrics_count_events() {
    let cluster = Cluster::new(&[task("a", 2, ""), task("b", 1, "")], PARALLEL, "");
    let port = served(&cluster).await;
    cluster.scenario.refuse("pytorchjobs", &cluster.object("b"), 422);
    cluster.run(async |_| {}).await;
    let (code, text) = get(port, "/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "fltk_jobs{state=\"succeeded\"} 1",
        "fltk_jobs{state=\"failed\"} 1",
        "fltk_jobs{state=\"running\"} 0",
        "fltk_arrivals_total 2",
        "fltk_job_queue_seconds_count 2",
        "fltk_job_response_seconds_count 2",
        "fltk_api_request_seconds_count{verb=\"create\",outcome=\"ok\"} 3",
        "fltk_api_request_seconds_count{verb=\"create\",outcome=\"error\"} 1",
        "fltk_watch_errors_total 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    assert!(text.contains("content-type: application/openmetrics-text; version=1.0.0"));
}

#[tokio::test(start_paused = true)]
async fn silent_connections_are_closed() {
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    let port = served(&cluster).await;
    for said in [&b""[..], b"GET /healthz HTTP/1.1\r\n"] {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(said).await.unwrap();
        let ended = timeout(Duration::from_secs(120), stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "it waits for ever");
    }
}

#[tokio::test]
async fn silent_connections_keep_no_probe_out() {
    let cluster = Cluster::new(&[task("a", 1, "")], PARALLEL, "");
    let port = served(&cluster).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    // Well before the server disconnects them for being silent.
    let (code, _) = timeout(Duration::from_secs(15), get(port, "/healthz")).await.expect("the probe is answered");
    assert_eq!(code, 200);
}
