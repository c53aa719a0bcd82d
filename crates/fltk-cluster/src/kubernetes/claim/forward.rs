//! Connections to a local port that end in a pod.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{super::api::words, pod::PORT};

/// Connections at once: there is one client, which asks one thing after another.
const CONNECTIONS_MAX: usize = 8;
/// For a connection to come about, and for an answer to a probe.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// After an error of the local socket.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of an answer to a probe that are looked at.
const ANSWER_BYTES: usize = 1024;

/// The way to a pod.
#[derive(Clone)]
pub struct Forward {
    pods: Api<Pod>,
    name: String,
    problem: Arc<Mutex<Option<String>>>,
}

impl Forward {
    pub fn new(pods: Api<Pod>, name: String) -> Self {
        Self { pods, name, problem: Arc::default() }
    }

    /// The last thing that went wrong.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forwards every connection of `listener`, until it's dropped.
    pub async fn serve(self, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let Ok((local, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let forward = self.clone();
            tokio::spawn(async move {
                let _permit = permit;
                if let Err(problem) = forward.connection(local).await {
                    *forward.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                }
            });
        }
    }

    async fn connection(&self, mut local: TcpStream) -> Result<(), String> {
        let mut remote = self.connect().await?;
        copy_bidirectional(&mut local, &mut remote).await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// A connection of its own: one that breaks takes no other with it.
    async fn connect(&self) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, String> {
        let ports = [PORT];
        let connecting = self.pods.portforward(&self.name, &ports);
        let mut ports = match timeout(CONNECT_LIMIT, connecting).await {
            Ok(ports) => ports.map_err(|error| words(&error))?,
            Err(_) => return Err(format!("the API server gave no connection within {} s", CONNECT_LIMIT.as_secs())),
        };
        ports.take_stream(PORT).ok_or_else(|| "the API server forwards another port".to_owned())
    }

    /// Whether the server in the pod answers.
    pub async fn probe(&self) -> Result<(), String> {
        let asking = async {
            let mut remote = self.connect().await?;
            let ask = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            remote.write_all(ask).await.map_err(|error| error.to_string())?;
            let mut answer = Vec::new();
            remote.take(ANSWER_BYTES as u64).read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
            verdict(&answer)
        };
        timeout(CONNECT_LIMIT, asking).await.unwrap_or_else(|_| Err(format!("no answer within {} s", CONNECT_LIMIT.as_secs())))
    }
}

/// What an answer to a probe says.
fn verdict(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    if text.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    if text.is_empty() {
        return Err("nothing listens in it".to_owned());
    }
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Err(format!("it answers `{}`", plain.split_once("    ").map_or(plain.as_str(), |(_, body)| body).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        assert_eq!(verdict(b"HTTP/1.1 200 OK\r\n\r\nok"), Ok(()));
        assert_eq!(verdict(b""), Err("nothing listens in it".to_owned()));
        assert_eq!(
            verdict(b"HTTP/1.1 503 x\r\na: b\r\n\r\n{\"error\": \"no folder\"}\n"),
            Err("it answers `{\"error\": \"no folder\"}`".to_owned())
        );
        assert_eq!(verdict(b"\x1b220"), Err("it answers `220`".to_owned()));
    }
}
