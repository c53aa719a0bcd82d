//! Remote reading of a claim's volume: a pod serves the volume for as long as it's needed.
//!
//! ```text
//! this process ── 127.0.0.1 ── forward ── API server, kubelet ── pod's own 127.0.0.1: `fltk serve` ── claim, read-only
//! ```
//!
//! The pod listens on its loopback interface alone, and requires a token that only this process knows. The pod is removed at the end; if this process
//! is killed, the pod's deadline ends it.

mod forward;
mod image;
mod pod;

use std::{cell::Cell, net::SocketAddr, pin::pin, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, Error,
    api::{DeleteParams, ListParams, PostParams},
    runtime::watcher::watch_object,
};
use thiserror::Error as ThisError;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::{
    forward::Forward,
    pod::{Stand, stand},
};
pub use self::{image::image_of_jobs, pod::Reader};
use crate::api::{Failure, Waits, failure, in_time, words};

/// The time limit until the pod runs: an image may have to be pulled, a volume to be attached.
const RUN_LIMIT: Duration = Duration::from_secs(300);
/// The time without a change of the pod after which the cluster's warnings are read.
const QUIET_LIMIT: Duration = Duration::from_secs(10);
/// The time limit for the pod's server to answer after that.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_EVERY: Duration = Duration::from_millis(300);
/// The time limit for removing the pod; somebody who pressed Ctrl-C may be waiting.
const REMOVE_LIMIT: Duration = Duration::from_secs(20);
/// The exit code of our program, in any version, for a command line that it doesn't understand.
const EXIT_USAGE: i32 = 2;

/// The reason why a claim can't be read.
#[derive(Debug, ThisError)]
pub enum ClaimError {
    /// The claim doesn't exist.
    #[error(
        "there is no claim `{claim}` in namespace `{namespace}`\nhint: `kubectl get persistentvolumeclaims --namespace {namespace}` lists the existing ones"
    )]
    NoClaim {
        /// The claim.
        claim: String,
        /// The namespace that was searched.
        namespace: String,
    },
    /// The API server doesn't answer, or doesn't accept the pod.
    #[error(
        "a pod that reads claim `{claim}` can't be made in namespace `{namespace}`: {problem}\nhint: it needs the rights to get, watch, create and delete \
         pods, and to get and create pods/portforward"
    )]
    Refused {
        /// The claim.
        claim: String,
        /// The namespace.
        namespace: String,
        /// The problem, in the server's words.
        problem: String,
    },
    /// The pod doesn't run in time.
    #[error("pod `{pod}`, which reads claim `{claim}`, doesn't run: {reason}")]
    NotRunning {
        /// The claim.
        claim: String,
        /// The pod.
        pod: String,
        /// The reason why it doesn't run.
        reason: String,
    },
    /// The pod ended, or somebody removed it.
    #[error("pod `{pod}`, which reads claim `{claim}`, ended: {reason}{}", if *exit_code == Some(EXIT_USAGE) { "\nhint: its image must be of a version of fltk with `fltk serve`" } else { "" })]
    Ended {
        /// The claim.
        claim: String,
        /// The pod.
        pod: String,
        /// The reason for its end.
        reason: String,
        /// The exit code of its program, if that's known.
        exit_code: Option<i32>,
    },
    /// The pod runs, but its port can't be reached.
    #[error("pod `{pod}` can't be reached: {problem}\nhint: forwarding a port needs the rights to get and create pods/portforward")]
    Unreachable {
        /// The pod.
        pod: String,
        /// The reason why it can't be reached.
        problem: String,
    },
    /// The process was asked to stop.
    #[error("stopped before pod `{pod}` ran; the pod is removed")]
    Stopped {
        /// The pod.
        pod: String,
    },
}

/// A claim that can be read at a local address.
pub struct Opened {
    pods: Api<Pod>,
    name: String,
    address: SocketAddr,
    forward: Forward,
    listening: JoinHandle<()>,
}

/// Creates the pod, and waits until its server can be reached from here. While waiting, `tell` gets the reasons. If opening fails, or `stop`
/// completes first, the pod is removed again.
///
/// # Errors
/// If the pod can't be created, doesn't run, or can't be reached.
pub async fn open(
    client: &Client,
    namespace: &str,
    reader: &Reader,
    tell: &mut dyn FnMut(&str),
    stop: impl Future<Output = ()>,
) -> Result<Opened, ClaimError> {
    let name = reader.name();
    let claim = || reader.claim.clone();
    let refused = |problem: String| ClaimError::Refused { claim: claim(), namespace: namespace.to_owned(), problem };
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let is_asked_for = Cell::new(false);
    let opening = async {
        match in_time(claims.get(&reader.claim)).await {
            Err(error) if failure(&error) == Failure::Missing => {
                return Err(ClaimError::NoClaim { claim: claim(), namespace: namespace.to_owned() });
            }
            // A user who may create pods may lack the right to read claims.
            Err(Error::Api(status)) if status.code == 403 => {}
            Err(error) => return Err(refused(words(&error))),
            Ok(_) => {}
        }
        is_asked_for.set(true);
        in_time(pods.create(&PostParams::default(), &reader.pod())).await.map_err(|error| refused(words(&error)))?;
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        wait(&pods, &events, &name, reader, tell).await?;
        let forward = Forward::new(pods.clone(), name.clone());
        answers(&forward, &pods, &name, reader).await?;
        let unreachable = |error: std::io::Error| ClaimError::Unreachable { pod: name.clone(), problem: error.to_string() };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(unreachable)?;
        let address = listener.local_addr().map_err(unreachable)?;
        let listening = tokio::spawn(forward.clone().serve(listener));
        Ok(Opened { pods: pods.clone(), name: name.clone(), address, forward, listening })
    };
    let opened = tokio::select! {
        opened = opening => opened,
        () = stop => Err(ClaimError::Stopped { pod: name.clone() }),
    };
    if opened.is_err() && is_asked_for.get() {
        // The answer to the create request may have been lost, so the pod is removed whatever the error was.
        if let Err(error) = remove(&pods, &name).await {
            tracing::warn!("{}", left(&name, &error));
        }
    }
    opened
}

impl Opened {
    /// The local address where the claim can be read.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last error on the way to the pod; local errors don't count.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.forward.problem()
    }

    /// Removes the pod.
    ///
    /// # Errors
    /// If the pod may still exist; the error says so in words.
    pub async fn close(self) -> Result<(), String> {
        self.listening.abort();
        remove(&self.pods, &self.name).await.map_err(|error| left(&self.name, &error))
    }
}

fn left(name: &str, error: &Error) -> String {
    format!("pod `{name}` may still be there: {}\nhint: `kubectl delete pod {name}`; it ends by itself within the hour", words(error))
}

async fn remove(pods: &Api<Pod>, name: &str) -> Result<(), Error> {
    let removing = async {
        let mut waits = Waits::new();
        loop {
            match in_time(pods.delete(name, &DeleteParams::default().grace_period(1))).await {
                Ok(_) => return Ok(()),
                Err(error) if failure(&error) == Failure::Missing => return Ok(()),
                Err(error) if failure(&error) == Failure::Wrong => return Err(error),
                Err(error) => sleep(waits.after(&error)).await,
            }
        }
    };
    let no_answer = || Error::Service(format!("the API server didn't remove it within {} s", REMOVE_LIMIT.as_secs()).into());
    timeout(REMOVE_LIMIT, removing).await.unwrap_or_else(|_| Err(no_answer()))
}

/// Waits until the pod's container is running.
async fn wait(pods: &Api<Pod>, events: &Api<Event>, name: &str, reader: &Reader, tell: &mut dyn FnMut(&str)) -> Result<(), ClaimError> {
    let (claim, pod) = (reader.claim.clone(), name.to_owned());
    let deadline = Instant::now() + RUN_LIMIT;
    let mut watch = pin!(watch_object(pods.clone(), name));
    let mut reason = "its container isn't created yet".to_owned();
    let mut was_there = false;
    loop {
        if Instant::now() >= deadline {
            return Err(ClaimError::NotRunning { claim, pod, reason: format!("timed out after {} s: {reason}", RUN_LIMIT.as_secs()) });
        }
        let now = match timeout(QUIET_LIMIT, watch.next()).await {
            Ok(Some(Ok(Some(seen)))) => {
                was_there = true;
                match stand(&seen) {
                    Stand::Runs => return Ok(()),
                    Stand::Over(reason, exit_code) => return Err(ClaimError::Ended { claim, pod, reason, exit_code }),
                    Stand::Hopeless(reason) => return Err(ClaimError::NotRunning { claim, pod, reason }),
                    Stand::Begins => continue,
                    Stand::Waits(reason) => reason,
                }
            }
            // A watch may begin before the created pod is visible to it.
            Ok(Some(Ok(None))) if was_there => {
                return Err(ClaimError::Ended { claim, pod, reason: "somebody removed it".to_owned(), exit_code: None });
            }
            Ok(Some(Ok(None))) => continue,
            Ok(Some(Err(error))) => {
                sleep(ANSWER_EVERY).await;
                format!("it can't be watched: {}", crate::api::with_causes(&error))
            }
            Ok(None) => {
                sleep(ANSWER_EVERY).await;
                continue;
            }
            // Only a warning event reports a volume that can't be mounted.
            Err(_) => match last_warning(events, name).await {
                Some(warning) => warning,
                None => continue,
            },
        };
        if now != reason {
            tell(&format!("pod `{name}` waits: {now}"));
            reason = now;
        }
    }
}

/// The cluster's last warning event about the pod; `None` if there is none, or if we may not read events.
async fn last_warning(events: &Api<Event>, pod: &str) -> Option<String> {
    let about = ListParams::default().fields(&format!("involvedObject.kind=Pod,involvedObject.name={pod},type=Warning"));
    let warnings = in_time(events.list(&about)).await.ok()?.items;
    let last =
        warnings.into_iter().max_by_key(|event| event.last_timestamp.clone().or_else(|| event.metadata.creation_timestamp.clone()))?;
    Some(crate::status::plain(&last.message?))
}

/// Waits until the server in the pod answers.
async fn answers(forward: &Forward, pods: &Api<Pod>, name: &str, reader: &Reader) -> Result<(), ClaimError> {
    let deadline = Instant::now() + ANSWER_LIMIT;
    loop {
        let Err(problem) = forward.probe().await else { return Ok(()) };
        if let Ok(pod) = in_time(pods.get(name)).await
            && let Stand::Over(reason, exit_code) = stand(&pod)
        {
            return Err(ClaimError::Ended { claim: reader.claim.clone(), pod: name.to_owned(), reason, exit_code });
        }
        if Instant::now() >= deadline {
            return Err(ClaimError::Unreachable { pod: name.to_owned(), problem });
        }
        sleep(ANSWER_EVERY).await;
    }
}
