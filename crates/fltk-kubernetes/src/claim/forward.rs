//! Connections to a local port that end in a pod.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fltk_core::terminal;
use fltk_server::accept;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use super::{super::api::words, pod::PORT};

/// The maximum number of concurrent connections: there is one client, which makes one request after another.
const CONNECTIONS_MAX: usize = 8;
/// The time limit for a connection, and for an answer to a probe.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The size of the copy buffer, in bytes.
const PIECE: usize = 64 << 10;
/// The maximum number of bytes read from an answer to a probe.
const ANSWER_BYTES: usize = 1024;

/// A port forward to a pod.
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

    /// The last error on the way to the pod; local errors don't count.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forwards every connection of `listener`, until it's dropped.
    pub async fn serve(self, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let (local, _) = accept(&listener).await;
            let forward = self.clone();
            tokio::spawn(async move {
                let _permit = permit;
                if let Err(problem) = forward.connection(local).await {
                    *forward.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                }
            });
        }
    }

    async fn connection(&self, local: TcpStream) -> Result<(), String> {
        relay(local, self.connect().await?).await
    }

    /// Opens a separate connection, so that one that breaks takes no other with it.
    async fn connect(&self) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, String> {
        let ports = [PORT];
        let connecting = self.pods.portforward(&self.name, &ports);
        let mut ports = match timeout(CONNECT_LIMIT, connecting).await {
            Ok(ports) => ports.map_err(|error| words(&error))?,
            Err(_) => return Err(format!("the API server gave no connection within {} s", CONNECT_LIMIT.as_secs())),
        };
        ports.take_stream(PORT).ok_or_else(|| "the API server forwards another port".to_owned())
    }

    /// Checks that the server in the pod answers.
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

/// Copies data in both directions until both sides have ended. Only an error of the remote side counts: the local side may hang up at any time, and
/// knows why.
async fn relay(mut local: impl AsyncRead + AsyncWrite + Unpin, remote: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), String> {
    let ((mut from_local, mut to_local), (mut from_remote, mut to_remote)) = (split(&mut local), split(remote));
    let sent = copy(&mut from_local, &mut to_remote);
    let received = copy(&mut from_remote, &mut to_local);
    let done = tokio::try_join!(
        async { sent.await.map_err(|broken| if let Broken::To(error) = broken { Some(error.to_string()) } else { None }) },
        async { received.await.map_err(|broken| if let Broken::From(error) = broken { Some(error.to_string()) } else { None }) },
    );
    match done {
        Err(Some(problem)) => Err(problem),
        Err(None) | Ok(_) => Ok(()),
    }
}

/// The side of a copy that broke.
enum Broken {
    From(std::io::Error),
    To(std::io::Error),
}

/// Copies until the end of the input, then shuts the output down.
async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> Result<(), Broken> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece).await.map_err(Broken::From)? {
            0 => return to.shutdown().await.map_err(Broken::To),
            read => to.write_all(&piece[..read]).await.map_err(Broken::To)?,
        }
    }
}

/// Interprets an answer to a probe.
fn verdict(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    if text.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    if text.is_empty() {
        return Err("nothing listens in it".to_owned());
    }
    let plain = terminal::one_line(&text, text.len());
    Err(format!("it answers `{}`", plain.split_once("    ").map_or(plain.as_str(), |(_, body)| body).trim()))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn data_is_forwarded_and_only_the_remote_end_can_fail() {
        let ((mut here, local), (remote, mut there)) = (duplex(16), duplex(16));
        let talk = async {
            here.write_all(b"a question, longer than the pipe").await.unwrap();
            here.shutdown().await.unwrap();
            let (mut asked, mut answer) = (Vec::new(), Vec::new());
            there.read_to_end(&mut asked).await.unwrap();
            there.write_all(b"answer").await.unwrap();
            drop(there);
            here.read_to_end(&mut answer).await.unwrap();
            (asked.len(), answer)
        };
        assert_eq!(tokio::join!(relay(local, remote), talk), (Ok(()), (32, b"answer".to_vec())));

        // The local client hangs up, for example because its disk is full.
        let ((here, local), (remote, mut there)) = (duplex(16), duplex(16));
        drop(here);
        let write = async {
            // The data is more than fits in buffers before the hang-up is noticed.
            let _ = there.write_all(&[0; 1000]).await;
        };
        assert_eq!(tokio::join!(relay(local, remote), write).0, Ok(()));

        let ((mut here, local), (remote, there)) = (duplex(16), duplex(16));
        drop(there);
        here.write_all(b"question").await.unwrap();
        assert!(relay(local, remote).await.is_err());
    }

    #[test]
    fn answers_of_the_pod_are_judged() {
        assert_eq!(verdict(b"HTTP/1.1 200 OK\r\n\r\nok"), Ok(()));
        assert_eq!(verdict(b""), Err("nothing listens in it".to_owned()));
        assert_eq!(
            verdict(b"HTTP/1.1 503 x\r\na: b\r\n\r\n{\"error\": \"no folder\"}\n"),
            Err("it answers `{\"error\": \"no folder\"}`".to_owned())
        );
        assert_eq!(verdict(b"\x1b220"), Err("it answers `220`".to_owned()));
    }
}
