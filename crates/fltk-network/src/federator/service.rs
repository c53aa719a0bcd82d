//! The calls of nodes. Every message is checked here, and passed to the hub.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fltk_core::ids::ClientId;
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::Instrument as _;

use super::{
    Job, Limits,
    desk::{Delivery, Input, MESSAGES_MAX, Said},
    errands::{About, Answer},
    underway::{Underway, next},
};
use crate::{
    errands::ErrandId,
    hub::{Joined, Lost, NodeId, OwnData},
    object::{Content, Digest},
    pki::{Folder, PkiError},
    tls::Peer,
    wire::{
        errand::{InitialMessage, evaluated},
        order::{Key, Malformed},
        update::ReadyMessage,
        v1::{self, federation_server::Federation, from_node, refusal::Reason, to_node},
        version,
    },
};

/// The time that a node has for its first message, and for the next of a transfer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The slowest link that a node may have, in bytes a second: that of a telephone line of the last century, twice.
const SLOWEST_BYTES_A_SECOND: u64 = 16 << 10;

/// The most pieces of work that a node may have: workers of the largest machines, and some that they have just answered.
const WORKERS_MAX: u32 = 4096;

/// The longest text that a node may send: a name, a reason.
const TEXT_BYTES_MAX: usize = 2000;

/// The chunks that are ready to be sent before the network takes them.
const CHUNKS_AHEAD: usize = 2;

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service, whose calls share one state.
pub(super) struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    job: Job,
    limits: Limits,
    inputs: mpsc::Sender<Input>,
    /// The folder of the authority, if nodes may enroll.
    folder: Option<Folder>,
    serial: AtomicU64,
    /// The identity of this start.
    start: [u8; 16],
    /// The sessions that are prepared, by their token.
    sessions: Mutex<BTreeMap<[u8; 16], NodeId>>,
    /// The end of the run, for people, once it is over. An interrupted one isn't.
    ended: Arc<OnceLock<String>>,
}

impl Service {
    /// Creates the service of a federator that begins now. `ended` is set when the run is over.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub(super) fn new(
        job: Job,
        limits: Limits,
        inputs: mpsc::Sender<Input>,
        folder: Option<Folder>,
        ended: Arc<OnceLock<String>>,
    ) -> io::Result<Self> {
        let start = random()?;
        let (serial, sessions) = (AtomicU64::new(0), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { job, limits, inputs, folder, serial, start, sessions, ended }) })
    }
}

#[tonic::async_trait]
impl Federation for Service {
    async fn enroll(&self, request: Request<v1::EnrollRequest>) -> Result<Response<v1::EnrollResponse>, Status> {
        let Some(Peer::Invited { public_key: invitation }) = peer(&request) else {
            return Err(Status::permission_denied("this connection has a certificate already, or needs none"));
        };
        let folder = self.shared.folder.clone().ok_or_else(|| Status::permission_denied("nobody is invited"))?;
        let v1::EnrollRequest { name, public_key } = request.into_inner();
        let name = text(&name);
        match self.shared.admit(folder, invitation, name.clone(), public_key).await {
            Ok((certificate, authority)) => {
                Ok(Response::new(v1::EnrollResponse { certificate: certificate.to_vec(), authority: authority.to_vec() }))
            }
            Err((reason, refusal)) => {
                // Both sides say why.
                self.shared.tell(Input::TurnedAway { name, reason }).await?;
                Err(refusal)
            }
        }
    }

    type SessionStream = Messages<v1::ToNode>;
    type FetchStream = Messages<v1::Chunk>;

    async fn session(&self, request: Request<Streaming<v1::FromNode>>) -> Result<Response<Self::SessionStream>, Status> {
        let peer = member(&request)?;
        let (to, messages) = mpsc::channel(MESSAGES_MAX);
        let session = Session { shared: Arc::clone(&self.shared), to, from: request.into_inner(), peer };
        tokio::spawn(session.run());
        Ok(Response::new(Box::pin(ReceiverStream::new(messages).map(Ok))))
    }

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        member(&request)?;
        let v1::FetchRequest { session, digest, offset } = request.into_inner();
        let node = self.shared.node_of(&session)?;
        let digest = <[u8; 32]>::try_from(&digest[..]).map_err(|_| Status::invalid_argument("a digest has 32 bytes"))?;
        let content = match self.shared.job.files.iter().find(|(_, content)| content.object().digest == Digest(digest)) {
            Some((_, content)) => Some(content.clone()),
            None => {
                let (reply, content) = oneshot::channel();
                self.shared.tell(Input::Fetch { node, digest: Digest(digest), offset, reply }).await?;
                content.await.unwrap_or_default()
            }
        };
        let content = content.ok_or_else(|| Status::not_found("nobody needs this object any more"))?;
        let (chunks, sent) = mpsc::channel(CHUNKS_AHEAD);
        tokio::spawn(send(content, offset, chunks));
        Ok(Response::new(Box::pin(ReceiverStream::new(sent).map(Ok))))
    }

    async fn deliver(&self, request: Request<Streaming<v1::DeliverRequest>>) -> Result<Response<v1::DeliverResponse>, Status> {
        member(&request)?;
        let mut chunks = request.into_inner();
        let first = next(&mut chunks).await?.ok_or_else(|| Status::invalid_argument("a delivery has a first message"))?;
        let delivery = first.delivery.ok_or_else(|| Status::invalid_argument("the first message says what is delivered"))?;
        let node = self.shared.node_of(&delivery.session)?;
        if let Some(initial) = delivery.initial {
            self.shared.receive_model(node, initial, first.chunk, chunks).await?;
            return Ok(Response::new(v1::DeliverResponse {}));
        }
        let (key, attempt) = Key::read(delivery.id.as_ref(), false).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (reply, expected) = oneshot::channel();
        self.shared.tell(Input::Delivers { node, key, attempt, reply }).await?;
        let expected = expected.await.map_err(|_| Status::unavailable("the run is over"))?;
        let delivery = expected.map_err(|refused| Status::failed_precondition(refused.to_string()))?;
        let (Key { round, client, .. }, bytes) = (key, delivery.ready.object.num_bytes);
        let span = tracing::debug_span!("delivery", round = round.0, client = client.0, attempt, node = delivery.name, bytes);
        self.shared.receive(node, key, attempt, delivery, first.chunk, chunks).instrument(span).await?;
        Ok(Response::new(v1::DeliverResponse {}))
    }
}

impl Shared {
    async fn tell(&self, input: Input) -> Result<(), Status> {
        self.inputs.send(input).await.map_err(|_| Status::unavailable("the run is over"))
    }

    /// Issues a certificate to whoever has this invitation. The error is the reason, and what the node is told of it.
    async fn admit(
        &self,
        folder: Folder,
        invitation: [u8; 32],
        name: String,
        public_key: Vec<u8>,
    ) -> Result<(CertificateDer<'static>, CertificateDer<'static>), (String, Status)> {
        let clients = &self.job.clients;
        // Who has the certificate of a client trains it.
        let is_client = !clients.is_empty();
        if is_client && !clients.contains(&name) {
            let reason = format!(
                "the clients of this run have data of their own, and none is called `{name}`\nhint: `--client NAME --data DIR` says whose data the node has; there are {}",
                listed(clients)
            );
            return Err((reason.clone(), Status::failed_precondition(reason)));
        }
        // Files are written, which takes a moment.
        let admitted = tokio::task::spawn_blocking(move || folder.admit(invitation, &name, public_key, is_client)).await;
        let admitted = admitted.map_err(|error| (error.to_string(), Status::internal(error.to_string())))?;
        admitted.map_err(|error| {
            let told = match &error {
                // Paths of this machine are nobody else's business.
                PkiError::File { .. } | PkiError::Content { .. } => Status::internal("no certificate can be issued"),
                error => Status::failed_precondition(error.to_string()),
            };
            (error.to_string(), told)
        })
    }

    /// Receives an update, of which `chunk` is there already.
    async fn receive(
        &self,
        node: NodeId,
        key: Key,
        attempt: u32,
        delivery: Delivery,
        chunk: Option<v1::Chunk>,
        mut chunks: Streaming<v1::DeliverRequest>,
    ) -> Result<(), Status> {
        let Delivery { ready, receiving, asked, name } = delivery;
        let limit = PATIENCE + Duration::from_secs(receiving.object().num_bytes / SLOWEST_BYTES_A_SECOND);
        let mut underway = Underway { inputs: self.inputs.clone(), node, key, attempt, receiving: Some(receiving) };
        let received = tokio::time::timeout(limit, underway.receive(chunk, &mut chunks)).await;
        let bundle = match received.map_err(|_| Status::deadline_exceeded("it takes too long"))?? {
            Ok(receiving) => receiving,
            Err(damage) => return self.damaged(node, key, attempt, damage.to_string()).await,
        };
        let num_bytes = bundle.object().num_bytes;
        match bundle.finish().map_err(Malformed::from).and_then(|bundle| ready.with(bundle, &asked)) {
            Ok(update) => {
                tracing::trace!("the update of {key} is here from node `{name}`: {num_bytes} bytes");
                self.tell(Input::Delivered { node, attempt, num_bytes, update: Box::new(update) }).await
            }
            Err(problem) => self.damaged(node, key, attempt, problem.to_string()).await,
        }
    }

    /// Receives the model that an errand asked for, of which `chunk` is there already. One that breaks off is delivered again from its beginning.
    async fn receive_model(
        &self,
        node: NodeId,
        initial: v1::Initial,
        mut chunk: Option<v1::Chunk>,
        mut chunks: Streaming<v1::DeliverRequest>,
    ) -> Result<(), Status> {
        let invalid = |problem: String| Status::invalid_argument(problem);
        let initial = InitialMessage::try_from(initial).map_err(|problem| invalid(format!("the model: {problem}")))?;
        let (id, num_bytes) = (initial.id, initial.object.num_bytes);
        let (reply, receiving) = oneshot::channel();
        self.tell(Input::Errand(About::Delivers { node, initial: Box::new(initial.clone()), reply })).await?;
        let receiving = receiving.await.map_err(|_| Status::unavailable("the run is over"))?;
        let mut receiving = receiving.map_err(Status::failed_precondition)?;
        let limit = PATIENCE + Duration::from_secs(num_bytes / SLOWEST_BYTES_A_SECOND);
        let received = async {
            loop {
                if let Some(v1::Chunk { offset, data }) = chunk.take() {
                    receiving.push(offset, &data).map_err(|damage| invalid(damage.to_string()))?;
                }
                match next(&mut chunks).await? {
                    Some(message) => chunk = message.chunk,
                    None => return receiving.finish().map_err(|damage| invalid(damage.to_string())),
                }
            }
        };
        let bundle = tokio::time::timeout(limit, received).await.map_err(|_| Status::deadline_exceeded("it takes too long"))??;
        let state = initial.with(bundle).map_err(|problem| invalid(format!("the model: {problem}")))?;
        self.tell(Input::Errand(About::Made { node, id, num_bytes, state: Box::new(state) })).await
    }

    /// Tells the hub that what was delivered can't be used, and the node.
    async fn damaged(&self, node: NodeId, key: Key, attempt: u32, problem: String) -> Result<(), Status> {
        self.tell(Input::Damaged { node, key, attempt, problem: problem.clone() }).await?;
        Err(Status::data_loss(problem))
    }

    fn node_of(&self, session: &[u8]) -> Result<NodeId, Status> {
        let token = <[u8; 16]>::try_from(session).map_err(|_| Status::invalid_argument("a session has 16 bytes"))?;
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(&token).copied().ok_or_else(|| Status::permission_denied("there is no such session"))
    }
}

/// Returns the peer of a request.
fn peer<T>(request: &Request<T>) -> Option<Peer> {
    request.extensions().get::<Peer>().cloned()
}

/// Returns the peer of a request that may take part; whoever has only an invitation may not.
fn member<T>(request: &Request<T>) -> Result<Peer, Status> {
    match peer(request) {
        Some(Peer::Invited { .. }) | None => Err(Status::permission_denied("an invitation brings a certificate, and nothing else")),
        Some(peer) => Ok(peer),
    }
}

/// Sends the bytes of an object from `offset` on, for as long as somebody takes them.
async fn send(content: Content, mut offset: u64, to: mpsc::Sender<v1::Chunk>) {
    while let Some(bytes) = content.chunk(offset) {
        let next = offset + bytes.len() as u64;
        if to.send(v1::Chunk { offset, data: bytes.into() }).await.is_err() {
            return;
        }
        offset = next;
    }
}

/// One session of a node.
struct Session {
    shared: Arc<Shared>,
    to: mpsc::Sender<v1::ToNode>,
    from: Streaming<v1::FromNode>,
    peer: Peer,
}

/// The reason why a session ends before the node takes part.
struct TurnedAway {
    reason: Reason,
    text: String,
}

impl TurnedAway {
    fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self { reason, text: text.into() }
    }
}

impl Session {
    async fn run(mut self) {
        let mut name = "a node".to_owned();
        if let Err(Some(TurnedAway { reason, text })) = self.take_part(&mut name).await {
            let _ = self.shared.tell(Input::TurnedAway { name, reason: text.clone() }).await;
            let refusal = v1::Refusal { reason: reason.into(), text };
            let _ = self.to.send(v1::ToNode { message: Some(to_node::Message::Refusal(refusal)) }).await;
        }
    }

    /// Goes through the session; the error is `None` if it just ended.
    async fn take_part(&mut self, name: &mut String) -> Result<(), Option<TurnedAway>> {
        let Some(from_node::Message::Hello(hello)) = self.next(PATIENCE).await? else {
            return Err(Some(TurnedAway::new(Reason::Message, "a session begins with `Hello`")));
        };
        // A certificate is worth more than a word.
        *name = match &self.peer {
            Peer::Node { name } => name.clone(),
            Peer::Here | Peer::Invited { .. } => text(&hello.name),
        };
        let (node, joined) = self.check_hello(&hello, name.clone())?;
        let token = random().map_err(|error| TurnedAway::new(Reason::Limit, error.to_string()))?;
        let Job { run, experiment, files, python, twin, settings, data, .. } = &self.shared.job;
        let twin = twin.as_ref().ok().filter(|_| hello.has_twin);
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let welcome = v1::Welcome {
            version: version::common(&hello.versions).unwrap_or_default(),
            session: token.to_vec(),
            run: run.clone(),
            experiment: experiment.clone(),
            files: files.iter().map(|(path, content)| v1::File { path: path.clone(), object: Some(content.object().into()) }).collect(),
            heartbeat_ms: millis(self.shared.limits.heartbeat),
            silence_ms: millis(self.shared.limits.silence),
            start: self.shared.start.to_vec(),
            python: python.as_ref().map(|job| job.message(*settings, *data)),
            twin: twin.map(|job| job.message(*settings, *data)),
        };
        let _guard = Token { shared: Arc::clone(&self.shared), token };
        {
            // Files are fetched before the node is prepared.
            let mut sessions = self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            if sessions.len() >= self.shared.limits.nodes_max {
                return Err(Some(TurnedAway::new(Reason::Limit, "there are as many nodes as there may be")));
            }
            sessions.insert(token, node);
        }
        self.say(to_node::Message::Welcome(welcome)).await?;
        let prepared = self.await_prepared().await?;
        self.check_prepared(&prepared)?;
        let own = joined.own.map(|own| OwnData { num_samples: prepared.num_samples, ..own });
        let joined = Joined { workers: prepared.workers, own, ..joined };
        let held = prepared.held.iter().map(|id| Key::read(Some(id), false)).collect::<Result<_, _>>();
        let held = held.map_err(|error| TurnedAway::new(Reason::Message, error.to_string()))?;
        let serial = self.shared.serial.fetch_add(1, Ordering::Relaxed);
        let (link, mut unlinked) = oneshot::channel();
        let joined = self.tell(Input::Joined { node, joined, held, to: self.to.clone(), serial, link }).await;
        // It was about to take part when this federator ended. If the run isn't over, the node calls the next start.
        if let (Err(_), Some(text)) = (&joined, self.shared.ended.get()) {
            self.say(to_node::Message::Finished(v1::Finished { text: text.clone() })).await?;
        }
        joined?;
        let outcome = self.listen(node, serial, &mut unlinked).await;
        // The hub may have ended without having taken notice of this node; one that has heard of the end is gone.
        if let (Err(None), Some(text)) = (&outcome, self.shared.ended.get()) {
            let _ = self.say(to_node::Message::Finished(v1::Finished { text: text.clone() })).await;
        }
        let reason = if matches!(outcome, Err(Some(_))) { Lost::Misbehaved } else { Lost::Disconnected };
        self.tell(Input::Left { node, serial, reason }).await?;
        outcome
    }

    /// Passes on what a prepared node says, until its session ends, or the node is lost.
    async fn listen(&mut self, node: NodeId, serial: u64, unlinked: &mut oneshot::Receiver<()>) -> Result<(), Option<TurnedAway>> {
        let mut heartbeat = tokio::time::interval(self.shared.limits.heartbeat);
        loop {
            let message = tokio::select! {
                message = self.from.message() => message.map_err(|status| unreadable(&status))?.ok_or(None)?.message,
                _ = &mut *unlinked => return Err(None),
                _ = heartbeat.tick() => {
                    // If its channel is full it reads nothing, and that is noticed elsewhere.
                    let _ = self.to.try_send(v1::ToNode { message: Some(to_node::Message::Heartbeat(v1::Heartbeat {})) });
                    continue;
                }
            };
            let said = match message {
                Some(from_node::Message::Evaluated(message)) => {
                    let id = ErrandId(message.errand);
                    let (answer, said) = match evaluated(message) {
                        Ok((_, evaluation)) => (Answer::Evaluated(evaluation), Ok(Said::Alive)),
                        // The node has done its part: nobody would answer the errand any more.
                        Err(malformed) => (Answer::Failed { reason: malformed.to_string(), is_of_settings: true }, Err(malformed)),
                    };
                    self.tell(Input::Errand(About::Said { node, id, answer })).await?;
                    said
                }
                Some(from_node::Message::ErrandFailed(v1::ErrandFailed { errand, reason, is_of_settings })) => {
                    let answer = Answer::Failed { reason: text(&reason), is_of_settings };
                    self.tell(Input::Errand(About::Said { node, id: ErrandId(errand), answer })).await?;
                    Ok(Said::Alive)
                }
                Some(from_node::Message::Heartbeat(_)) => Ok(Said::Alive),
                Some(from_node::Message::Ready(ready)) => ReadyMessage::try_from(ready).map(Said::Ready),
                Some(from_node::Message::Measured(v1::Measured { id, loss })) => {
                    Key::read(id.as_ref(), true).map(|(key, attempt)| Said::Measured { key, attempt, loss })
                }
                Some(from_node::Message::Failed(v1::Failed { id, reason, is_of_settings, is_measurement })) => {
                    let reason = text(&reason);
                    Key::read(id.as_ref(), is_measurement).map(|(key, attempt)| Said::Failed { key, attempt, reason, is_of_settings })
                }
                Some(from_node::Message::Hello(_) | from_node::Message::Prepared(_)) | None => {
                    return Err(Some(TurnedAway::new(Reason::Message, "a message that a node doesn't send now")));
                }
            };
            let said = said.unwrap_or_else(|malformed| Said::Malformed(malformed.to_string()));
            self.tell(Input::Said { node, serial, said }).await?;
        }
    }

    fn check_hello(&self, hello: &v1::Hello, name: String) -> Result<(NodeId, Joined), TurnedAway> {
        let needs = match &self.shared.job {
            job if job.python.is_some() => Some("the net of this run is a module in Python"),
            job if !job.clients.is_empty() => Some("the clients of this run have data of their own"),
            _ => None,
        };
        if let Some(needs) = needs.filter(|_| !hello.versions.contains(&version::ERRANDS)) {
            let text = format!(
                "{needs}, which needs version {} of the protocol, and the node speaks {:?}\nhint: use the same version of fltk on both sides",
                version::ERRANDS,
                hello.versions
            );
            return Err(TurnedAway::new(Reason::Protocol, text));
        }
        if version::common(&hello.versions).is_none() {
            let text = format!(
                "the federator speaks the versions {:?} of the protocol, and the node {:?}\nhint: use the same version of fltk on both sides",
                version::SPOKEN,
                hello.versions
            );
            return Err(TurnedAway::new(Reason::Protocol, text));
        }
        let own = &self.shared.job.program;
        if hello.program != *own {
            let text = format!(
                "the federator is fltk {own}, and the node {}\nhint: use the same version of fltk on both sides",
                text(&hello.program)
            );
            return Err(TurnedAway::new(Reason::Program, text));
        }
        if let (true, Err(reason)) = (hello.has_twin, &self.shared.job.twin) {
            return Err(TurnedAway::new(Reason::Settings, reason.clone()));
        }
        let node =
            <[u8; 16]>::try_from(&hello.node[..]).map_err(|_| TurnedAway::new(Reason::Message, "a node has an identity of 16 bytes"))?;
        let own = self.check_client(hello)?.map(|client| OwnData { client, num_samples: 0 });
        Ok((NodeId(node), Joined { name, processor: text(&hello.processor), workers: 0, own }))
    }

    /// Returns the client whose data the node has.
    fn check_client(&self, hello: &v1::Hello) -> Result<Option<ClientId>, TurnedAway> {
        let refuse = |problem: String| Err(TurnedAway::new(Reason::Data, problem));
        let (names, client) = (&self.shared.job.clients, text(&hello.client));
        if names.is_empty() {
            let problem = format!(
                "the clients of this run have no data of their own, and the node has that of `{client}`\nhint: leave `--client` out"
            );
            return if client.is_empty() { Ok(None) } else { refuse(problem) };
        }
        if client.is_empty() {
            return refuse(
                "the clients of this run have data of their own\nhint: `--client NAME --data DIR` says whose data the node has, and where"
                    .to_owned(),
            );
        }
        let Some((number, _)) = (0..).zip(names).find(|(_, name)| **name == client) else {
            return refuse(format!(
                "the clients of this run have data of their own, and none is called `{client}`\nhint: there are {}",
                listed(names)
            ));
        };
        match &self.peer {
            Peer::Node { name } if *name != client => refuse(format!(
                "the certificate is that of `{name}`, and not of client `{client}`\nhint: use the credentials that were issued to `{client}`"
            )),
            _ => Ok(Some(ClientId(number))),
        }
    }

    fn check_prepared(&self, prepared: &v1::Prepared) -> Result<(), TurnedAway> {
        let job = &self.shared.job;
        // Code in Python may have samples of its own: a node that has read none yet says zeros, and compares when it does.
        let has_own = job.python.is_some() && prepared.data == [0; 32];
        if prepared.data != job.data && !has_own {
            let text =
                "the node has other training data than the federator\nhint: give both the same data set; `fltk data verify` checks it";
            return Err(TurnedAway::new(Reason::Data, text));
        }
        if prepared.settings != job.settings.0 {
            let text = "the node makes something else of the experiment than the federator\nhint: use the same build of fltk on both sides";
            return Err(TurnedAway::new(Reason::Settings, text));
        }
        if prepared.workers == 0 || prepared.workers > WORKERS_MAX {
            return Err(TurnedAway::new(Reason::Limit, format!("a node has 1 to {WORKERS_MAX} workers")));
        }
        if prepared.num_samples == 0 && !job.clients.is_empty() {
            return Err(TurnedAway::new(Reason::Data, "the node has no training samples"));
        }
        if prepared.held.len() > WORKERS_MAX as usize * 2 {
            return Err(TurnedAway::new(Reason::Limit, "the node holds more than a node may"));
        }
        Ok(())
    }

    /// Waits until the node has loaded its data; it says that it is alive meanwhile.
    async fn await_prepared(&mut self) -> Result<v1::Prepared, Option<TurnedAway>> {
        let silence = self.shared.limits.silence;
        loop {
            match self.next(silence).await? {
                Some(from_node::Message::Prepared(prepared)) => return Ok(prepared),
                Some(from_node::Message::Heartbeat(_)) => self.say(to_node::Message::Heartbeat(v1::Heartbeat {})).await?,
                _ => return Err(Some(TurnedAway::new(Reason::Message, "a node says that it is prepared first"))),
            }
        }
    }

    async fn next(&mut self, patience: Duration) -> Result<Option<from_node::Message>, Option<TurnedAway>> {
        match tokio::time::timeout(patience, self.from.message()).await {
            Ok(Ok(Some(message))) => Ok(message.message),
            Ok(Ok(None)) => Err(None),
            Ok(Err(status)) => Err(unreadable(&status)),
            Err(_) => Err(Some(TurnedAway::new(Reason::Silent, format!("nothing was heard of it for {} s", patience.as_secs_f64())))),
        }
    }

    async fn say(&self, message: to_node::Message) -> Result<(), Option<TurnedAway>> {
        self.to.send(v1::ToNode { message: Some(message) }).await.map_err(|_| None)
    }

    async fn tell(&self, input: Input) -> Result<(), Option<TurnedAway>> {
        self.shared.tell(input).await.map_err(|_| None)
    }
}

/// Returns what to tell a node whose message is too large; `None` if its connection ended.
fn unreadable(status: &Status) -> Option<TurnedAway> {
    (status.code() == Code::OutOfRange).then(|| TurnedAway::new(Reason::Message, format!("a message can't be read: {}", status.message())))
}

/// Removes a session when it ends.
struct Token {
    shared: Arc<Shared>,
    token: [u8; 16],
}

impl Drop for Token {
    fn drop(&mut self) {
        self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

/// Returns the first of these names, and how many more there are.
fn listed(names: &[String]) -> String {
    const MOST: usize = 5;
    let more = names.len().saturating_sub(MOST);
    let first = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

/// Returns text of a node in one line, of a length that can be shown.
fn text(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    Ok(bytes)
}
