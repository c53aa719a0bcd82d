//! A client that says whatever it likes, beside a node that does what nodes do.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use fltk_core::experiment::FederatedConfig;
use fltk_fed::round::{Record, TrainOrder};
use fltk_network::{
    federator::NodeReport,
    wire::v1::{self, federation_client::FederationClient, from_node, refusal::Reason, to_node},
};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::support::{DATA, SETTINGS, bits, dummy, federate, federation, here, introduction, node};

/// The time in which a federator says what it has to say.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection to the federator.
pub struct Hostile {
    pub client: FederationClient<Channel>,
}

/// A session of it.
pub struct Session {
    to: mpsc::Sender<v1::FromNode>,
    from: Streaming<v1::ToNode>,
    /// The token that it was welcomed with.
    pub token: Vec<u8>,
}

/// The reports and records of a run.
pub struct Outcome {
    pub reports: Vec<NodeReport>,
    pub records: Vec<Record>,
}

impl Outcome {
    /// Returns the reasons why this client was turned away.
    pub fn turned_away(&self, of: &str) -> Vec<String> {
        let reason = |report: &NodeReport| match report {
            NodeReport::TurnedAway { name, reason } if name == of => Some(reason.clone()),
            _ => None,
        };
        self.reports.iter().filter_map(reason).collect()
    }

    /// Returns what was refused of this client.
    pub fn refused(&self, of: &str) -> Vec<String> {
        let reason = |report: &NodeReport| match report {
            NodeReport::Refused { name, reason } if name == of => Some(reason.to_string()),
            _ => None,
        };
        self.reports.iter().filter_map(reason).collect()
    }
}

/// Runs a federation with one node that works, and an attack. The node has its first order before the attack begins, and answers nothing before the attack has `begun` in
/// earnest, which it says by raising the flag, or is over. The model has to be the one of a single process.
pub fn beside(config: &FederatedConfig, attack: impl AsyncFnOnce(Hostile, &AtomicBool) + Send) -> Outcome {
    let dummy = dummy(config.clients.num());
    let expected = bits(&here(federation(config, &dummy), &dummy));
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("socket");
    let (never, has_order, goes_on) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
    let reports = Mutex::new(Vec::new());
    let mut records = Vec::new();
    thread::scope(|scope| {
        let (dummy, path, never, has_order, goes_on) = (&dummy, &path, &never, &has_order, &goes_on);
        scope.spawn(move || {
            let before = |_: &TrainOrder| {
                has_order.store(true, Ordering::Relaxed);
                wait_for(goes_on);
                // The other gets work too.
                thread::sleep(Duration::from_millis(2));
            };
            let ended = node(introduction("honest"), dummy, path, &before, never);
            assert_eq!(ended.expect("it goes to the end"), "the run is complete");
        });
        scope.spawn(move || {
            // The run has to end even if an assertion fails.
            let _raise = RaiseOnDrop(goes_on);
            wait_for(has_order);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are files left");
            runtime.block_on(async { attack(Hostile::connect(path).await, goes_on).await });
        });
        let report = |report| reports.lock().expect("no panic").push(report);
        let state = federate(federation(config, dummy), dummy, path, &report, never, &mut records).expect("it runs");
        assert_eq!(bits(&state), expected);
    });
    Outcome { reports: reports.into_inner().expect("no panic"), records }
}

fn wait_for(flag: &AtomicBool) {
    while !flag.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
}

struct RaiseOnDrop<'a>(&'a AtomicBool);

impl Drop for RaiseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Hostile {
    pub async fn connect(path: &Path) -> Self {
        let path = path.to_owned();
        let connect = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://federator.invalid").connect_with_connector(connect).await.expect("somebody listens");
        Self { client: FederationClient::new(channel) }
    }

    /// Opens a session, and says nothing yet.
    pub async fn open(&self) -> Session {
        let (to, messages) = mpsc::channel(100);
        let from = self.client.clone().session(ReceiverStream::new(messages)).await.expect("sessions are taken").into_inner();
        Session { to, from, token: Vec::new() }
    }

    /// Opens a session, and introduces itself like a node.
    pub async fn greet(&self, name: &str) -> Session {
        let mut session = self.open().await;
        session.say(hello(name)).await;
        match session.next().await {
            Some(to_node::Message::Welcome(welcome)) => session.token = welcome.session,
            other => panic!("{other:?}"),
        }
        session
    }

    /// Takes part like a node.
    pub async fn join(&self, name: &str) -> Session {
        let session = self.greet(name).await;
        session.say(prepared()).await;
        session
    }

    /// Delivers these messages, and returns what the federator says to it.
    pub async fn deliver(&self, messages: Vec<v1::DeliverRequest>) -> Result<(), Status> {
        let mut client = self.client.clone();
        let sent = client.deliver(tokio_stream::iter(messages));
        tokio::time::timeout(PATIENCE, sent).await.expect("it is answered").map(drop)
    }

    /// Begins a delivery that goes on as long as what is returned.
    pub fn begin_delivery(&self, first: v1::DeliverRequest) -> (mpsc::Sender<v1::DeliverRequest>, tokio::task::JoinHandle<()>) {
        let (to, messages) = mpsc::channel(10);
        to.try_send(first).expect("there is room");
        let mut client = self.client.clone();
        let underway = tokio::spawn(async move { drop(client.deliver(ReceiverStream::new(messages)).await) });
        (to, underway)
    }

    /// Fetches an object, and returns its bytes.
    pub async fn fetch(&self, session: &[u8], digest: &[u8], offset: u64) -> Result<Vec<u8>, Status> {
        let request = v1::FetchRequest { session: session.to_vec(), digest: digest.to_vec(), offset };
        let mut chunks = self.client.clone().fetch(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await? {
            bytes.extend_from_slice(&chunk.data);
        }
        Ok(bytes)
    }
}

impl Session {
    pub async fn say(&self, message: from_node::Message) {
        self.say_raw(v1::FromNode { message: Some(message) }).await;
    }

    pub async fn say_raw(&self, message: v1::FromNode) {
        // What was said before may have ended the session.
        let _ = self.to.send(message).await;
    }

    /// Returns the next message that isn't a heartbeat; `None` at the end.
    pub async fn next(&mut self) -> Option<to_node::Message> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.from.message()).await.expect("something comes");
            match next.ok().flatten()?.message {
                Some(to_node::Message::Heartbeat(_)) => {}
                message => return message,
            }
        }
    }

    /// Checks that the session ends for this reason.
    pub async fn is_turned_away(&mut self, what: &str, expected: Reason, text: &str) {
        loop {
            match self.next().await {
                Some(to_node::Message::Refusal(refusal)) => {
                    assert!(refusal.reason() == expected && refusal.text.contains(text), "{what}: {refusal:?}");
                    break;
                }
                // Whoever was taken for a node has got orders.
                Some(to_node::Message::Train(_) | to_node::Message::Release(_) | to_node::Message::Welcome(_)) => {}
                other => panic!("{what}: {other:?}"),
            }
        }
        // An order may have been on its way.
        while let Some(message) = self.next().await {
            assert!(matches!(message, to_node::Message::Train(_) | to_node::Message::Release(_)), "{what}: {message:?}");
        }
    }

    /// Waits for an order to train.
    pub async fn order(&mut self) -> v1::Train {
        loop {
            match self.next().await {
                Some(to_node::Message::Train(train)) => return train,
                Some(to_node::Message::Release(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until the update of this order is asked for, and returns from which byte on.
    pub async fn collect(&mut self, id: v1::OrderId) -> u64 {
        loop {
            match self.next().await {
                Some(to_node::Message::Collect(collect)) => {
                    assert_eq!(collect.id, Some(id));
                    return collect.offset;
                }
                // The next client's turn.
                Some(to_node::Message::Train(_) | to_node::Message::Release(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until an answer is released.
    pub async fn is_released(&mut self, what: &str, id: v1::OrderId) {
        match self.next().await {
            Some(to_node::Message::Release(release)) => assert_eq!(release.id, Some(id), "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// Checks that a call was refused for this reason.
pub fn is_refused<T: std::fmt::Debug>(what: &str, result: Result<T, Status>, code: Code, text: &str) {
    let status = result.expect_err(what);
    assert!(status.code() == code && status.message().contains(text), "{what}: {status:?}");
}

/// The first message of an honest node.
pub fn hello(name: &str) -> from_node::Message {
    let (program, processor) = ("0.1.0".to_owned(), "a processor".to_owned());
    // The smallest identity gets work first.
    from_node::Message::Hello(v1::Hello {
        versions: vec![1],
        program,
        node: vec![0; 16],
        name: name.to_owned(),
        processor,
        client: String::new(),
        has_twin: false,
    })
}

/// The second.
pub fn prepared() -> from_node::Message {
    from_node::Message::Prepared(v1::Prepared {
        settings: SETTINGS.0.to_vec(),
        data: DATA.to_vec(),
        held: vec![],
        workers: 1,
        num_samples: 0,
    })
}
