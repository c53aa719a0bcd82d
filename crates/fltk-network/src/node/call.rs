//! Calls to a federator: a connection, a session on it, and transfers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::ClientConfig;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::{
    Access, Address, Introduction, Job, NodeError,
    connect::{CONNECT, connect},
    enroll::enroll,
};
use crate::{
    object::{Content, Object, Receiving},
    pki::Invitation,
    wire::{
        v1::{self, federation_client::FederationClient, from_node, to_node},
        version,
    },
};

/// The largest message that is taken: a chunk, or a welcome with a long experiment.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// The messages that may wait to be sent.
const MESSAGES_MAX: usize = 1024;
/// The time between two calls of a federator that doesn't answer: at first, and at most.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// The largest file that an experiment may name.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// A node that has called a federator and knows the job.
pub struct Call {
    pub(super) runtime: Runtime,
    pub(super) address: Address,
    pub(super) introduction: Introduction,
    /// The certificate that it shows, and whom it trusts.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// The identity, which stays the same.
    node: [u8; 16],
    pub(super) session: Session,
    job: Job,
}

/// An open session.
pub(super) struct Session {
    pub(super) client: FederationClient<Channel>,
    pub(super) to: mpsc::Sender<v1::FromNode>,
    pub(super) from: Streaming<v1::ToNode>,
    pub(super) token: Vec<u8>,
    /// The start of the federator: another one decides anew what the one before hadn't recorded.
    pub(super) start: Vec<u8>,
    /// The time of silence after which the federator counts as lost.
    pub(super) silence: Duration,
    heartbeats: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.heartbeats.abort();
    }
}

impl Session {
    pub(super) async fn say(&self, message: from_node::Message) -> Result<(), NodeError> {
        let sent = self.to.send(v1::FromNode { message: Some(message) }).await;
        sent.map_err(|_| NodeError::Here("the connection ended".to_owned()))
    }
}

impl Call {
    /// Calls the federator until it answers, and learns of the job. `stop` is asked often whether to give up.
    ///
    /// A node with an invitation enrolls first. `enrolled` gets the text of its credentials, with which it can come again.
    ///
    /// # Errors
    /// If it doesn't answer for too long, refuses the node, or this process is asked to stop.
    pub fn join(
        address: Address,
        introduction: Introduction,
        access: &Access,
        enrolled: &mut dyn FnMut(&str),
        stop: &dyn Fn() -> bool,
    ) -> Result<Self, NodeError> {
        let here = |error: &dyn std::fmt::Display| NodeError::Here(error.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("node-network").enable_all().build();
        let runtime = runtime.map_err(|error| here(&error))?;
        let mut node = [0; 16];
        getrandom::fill(&mut node).map_err(|error| here(&error))?;
        let bad = |error: crate::pki::PkiError| NodeError::Refused(error.to_string());
        let tls = match access {
            Access::Open => None,
            Access::Credentials(own) => Some(crate::tls::node(own).map_err(bad)?),
            Access::Invitation(invitation) => {
                let own =
                    runtime.block_on(until(&address, introduction.patience, stop, &|| enroll(&address, &introduction, invitation)))?;
                enrolled(&own);
                let own = crate::pki::Credentials::parse(&own, "what the federator sent").map_err(bad)?;
                Some(crate::tls::node(&own).map_err(bad)?)
            }
        };
        let (session, welcome) = runtime.block_on(open_until(&address, &introduction, node, tls.as_ref(), stop))?;
        let mut job = Job { run: welcome.run, experiment: welcome.experiment, files: Vec::new(), is_python: welcome.python.is_some() };
        for file in welcome.files {
            let object = file.object.as_ref().ok_or("a file has no object").and_then(Object::try_from);
            let object = object.map_err(|problem| NodeError::Malformed(problem.to_owned()))?;
            let bytes = runtime.block_on(async {
                let mut receiving = Receiving::bytes(object, FILE_BYTES_MAX).map_err(|damage| NodeError::Malformed(damage.to_string()))?;
                let mut client = session.client.clone();
                fetch(&mut client, &session.token, &mut receiving).await.map_err(NodeError::Here)?;
                receiving.finish_bytes().map_err(|damage| NodeError::Malformed(damage.to_string()))
            })?;
            job.files.push((file.path, bytes));
        }
        Ok(Self { runtime, address, introduction, tls, node, session, job })
    }

    /// Only enrolls with an invitation, and returns the text of the credentials that it brings.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn enroll(
        address: &Address,
        introduction: &Introduction,
        invitation: &Invitation,
        stop: &dyn Fn() -> bool,
    ) -> Result<String, NodeError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| NodeError::Here(error.to_string()))?;
        runtime.block_on(until(address, introduction.patience, stop, &|| enroll(address, introduction, invitation)))
    }

    /// Returns the job.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Calls again after the connection broke.
    pub(super) async fn again(
        address: &Address,
        introduction: &Introduction,
        node: [u8; 16],
        tls: Option<&Arc<ClientConfig>>,
        run: &str,
        stop: &dyn Fn() -> bool,
    ) -> Result<Session, NodeError> {
        let (session, welcome) = open_until(address, introduction, node, tls, stop).await?;
        if welcome.run != run {
            return Err(NodeError::OtherRun(welcome.run));
        }
        Ok(session)
    }

    pub(super) const fn identity(&self) -> [u8; 16] {
        self.node
    }
}

async fn open_until(
    address: &Address,
    introduction: &Introduction,
    node: [u8; 16],
    tls: Option<&Arc<ClientConfig>>,
    stop: &dyn Fn() -> bool,
) -> Result<(Session, v1::Welcome), NodeError> {
    until(address, introduction.patience, stop, &|| open(address, introduction, node, tls)).await
}

/// Calls until the federator answers, for as long as `patience`.
async fn until<T, F: Future<Output = Result<T, NodeError>>>(
    address: &Address,
    patience: Duration,
    stop: &dyn Fn() -> bool,
    call: &dyn Fn() -> F,
) -> Result<T, NodeError> {
    let began = Instant::now();
    let mut pause = AGAIN;
    loop {
        // A call may wait for long, as when an address is gone.
        let answer = tokio::select! {
            answer = call() => answer,
            () = stopped(stop) => return Err(NodeError::Stopped),
        };
        let reason = match answer {
            Ok(answer) => return Ok(answer),
            Err(NodeError::NoAnswer { reason, .. } | NodeError::Here(reason)) => reason,
            Err(error) => return Err(error),
        };
        if began.elapsed() >= patience {
            return Err(NodeError::NoAnswer { address: address.to_string(), reason });
        }
        let until = Instant::now() + pause.min(patience.saturating_sub(began.elapsed()));
        pause = (pause * 2).min(AGAIN_MAX);
        while Instant::now() < until {
            if stop() {
                return Err(NodeError::Stopped);
            }
            tokio::time::sleep(AGAIN.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }
}

/// Waits until `stop` says so.
async fn stopped(stop: &dyn Fn() -> bool) {
    while !stop() {
        tokio::time::sleep(AGAIN).await;
    }
}

async fn open(
    address: &Address,
    introduction: &Introduction,
    node: [u8; 16],
    tls: Option<&Arc<ClientConfig>>,
) -> Result<(Session, v1::Welcome), NodeError> {
    let no_answer = |error: &(dyn std::error::Error + 'static)| failed(address, error);
    let channel = connect(address, &introduction.proxy, tls).await.map_err(|error| no_answer(&error))?;
    let mut client = FederationClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let (to, messages) = mpsc::channel(MESSAGES_MAX);
    let hello = v1::Hello {
        versions: version::SPOKEN.to_vec(),
        program: introduction.program.clone(),
        node: node.to_vec(),
        name: introduction.name.clone(),
        processor: introduction.processor.clone(),
        client: introduction.client.clone().unwrap_or_default(),
        has_twin: false,
    };
    let _ = to.send(v1::FromNode { message: Some(from_node::Message::Hello(hello)) }).await;
    let opened = tokio::time::timeout(CONNECT, client.session(ReceiverStream::new(messages))).await;
    let silent = || NodeError::NoAnswer { address: address.to_string(), reason: "it accepts the connection and says nothing".to_owned() };
    let mut from = opened.map_err(|_| silent())?.map_err(|status| no_answer(&status))?.into_inner();
    let first = tokio::time::timeout(CONNECT, from.message()).await.map_err(|_| silent())?.map_err(|status| no_answer(&status))?;
    match first.and_then(|message| message.message) {
        Some(to_node::Message::Welcome(welcome)) => {
            let (beats, interval) = (to.clone(), Duration::from_millis(welcome.heartbeat_ms.max(1).into()));
            let heartbeats = tokio::spawn(async move {
                let mut interval = tokio::time::interval(interval);
                loop {
                    interval.tick().await;
                    if beats.send(v1::FromNode { message: Some(from_node::Message::Heartbeat(v1::Heartbeat {})) }).await.is_err() {
                        return;
                    }
                }
            });
            let silence = Duration::from_millis(welcome.silence_ms.max(1).into());
            let (token, start) = (welcome.session.clone(), welcome.start.clone());
            Ok((Session { client, to, from, token, start, silence, heartbeats }, welcome))
        }
        Some(to_node::Message::Refusal(refusal)) => Err(NodeError::Refused(refusal.text)),
        Some(_) => Err(NodeError::Malformed("its first message isn't `Welcome`".to_owned())),
        None => Err(silent()),
    }
}

/// Fetches what is missing of an object.
pub(super) async fn fetch(client: &mut FederationClient<Channel>, session: &[u8], receiving: &mut Receiving) -> Result<(), String> {
    let (digest, offset) = (receiving.object().digest.0.to_vec(), receiving.num_received());
    let request = v1::FetchRequest { session: session.to_vec(), digest, offset };
    let mut chunks = client.fetch(request).await.map_err(|status| status.message().to_owned())?.into_inner();
    while receiving.num_received() < receiving.object().num_bytes {
        let chunk = chunks.message().await.map_err(|status| status.message().to_owned())?;
        let Some(v1::Chunk { offset, data }) = chunk else { return Err("it ended too soon".to_owned()) };
        receiving.push(offset, &data).map_err(|damage| damage.to_string())?;
    }
    Ok(())
}

/// Delivers an update from `offset` on.
pub(super) async fn deliver(
    mut client: FederationClient<Channel>,
    session: Vec<u8>,
    id: v1::OrderId,
    content: Content,
    mut offset: u64,
) -> Result<(), String> {
    /// The chunks that are ready before the network takes them.
    const CHUNKS_AHEAD: usize = 2;
    let (to, messages) = mpsc::channel(CHUNKS_AHEAD);
    let sending = tokio::spawn(async move {
        let mut delivery = Some(v1::Delivery { session, id: Some(id), initial: None });
        loop {
            let chunk = content.chunk(offset).map(|bytes| v1::Chunk { offset, data: bytes.into() });
            offset += chunk.as_ref().map_or(0, |chunk| chunk.data.len() as u64);
            if chunk.is_none() && delivery.is_none() {
                return;
            }
            if to.send(v1::DeliverRequest { delivery: delivery.take(), chunk }).await.is_err() {
                return;
            }
        }
    });
    let outcome = client.deliver(ReceiverStream::new(messages)).await;
    sending.abort();
    outcome.map(drop).map_err(|status| status.message().to_owned())
}

/// Returns the error of a call that got no answer. If one side doesn't accept the other's certificate, the next call won't do better.
pub(super) fn failed(address: &Address, error: &(dyn std::error::Error + 'static)) -> NodeError {
    use rustls::Error as Tls;
    let refused = |alert: &str| {
        NodeError::Refused(format!(
            "it doesn't accept this node's certificate ({alert})\nhint: an invitation admits one node, once; other certificates are of its authority, have the role of a node, and weren't revoked"
        ))
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref()).and_then(|inner| inner.downcast_ref::<Tls>());
        match inner.or_else(|| error.downcast_ref::<Tls>()) {
            Some(Tls::Other(other)) => return NodeError::Refused(other.to_string()),
            Some(Tls::InvalidCertificate(problem)) => {
                return NodeError::Refused(format!(
                    "its certificate isn't one of the authority that this node trusts ({problem})\nhint: use the credentials or the invitation of this federator"
                ));
            }
            Some(Tls::AlertReceived(alert)) => return refused(&format!("{alert:?}")),
            Some(_) | None => cause = error.source(),
        }
    }
    let reason = with_causes(error);
    // HTTP/2 keeps only the text of errors below it.
    match reason.rsplit_once("received fatal alert: ") {
        Some((_, alert)) => refused(alert),
        None => NodeError::NoAnswer { address: address.to_string(), reason },
    }
}

pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
