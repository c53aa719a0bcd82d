//! The loop of a node that is prepared: messages in, messages and orders for the threads out.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use fltk_core::{
    client_terms::Arrays,
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::{ModelState, TensorSpec},
};
use fltk_fed::{round::SettingsDigest, transport::worker::Order};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::{
    Call, Carried, NodeError,
    call::{Session, deliver, fetch},
    links::Links,
    objects::Objects,
    tasks::{Tasks, Todo},
    trainers::{CarriedOut, Numbered, Outcome, Piece, Test, Trainers, train},
};
use crate::{
    object::{Bundle, Damage, Object, Receiving},
    wire::{
        errand::{self, EvaluateMessage},
        order::{self, Key, Malformed, MeasureMessage, TrainMessage},
        v1::{self, from_node, to_node},
    },
};

/// The interval at which the flag to stop and the silence of the federator are checked: short for a person who stops a node, and a node that waits wakes seldom.
const CHECK: Duration = Duration::from_millis(200);

/// The time after which a fetch that failed goes on.
const FETCH_AGAIN: Duration = Duration::from_millis(50);

/// The largest object of an order: models of tens of billions of parameters.
const OBJECT_BYTES_MAX: u64 = 256 << 30;

/// The digests and the layout of the things that a node has loaded.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The digest of its settings.
    pub settings: SettingsDigest,
    /// The digest of its training samples; zeros if clients have data of their own.
    pub data: [u8; 32],
    /// The number of training samples of its own client; 0 if every node has all data.
    pub num_samples: u64,
    /// The tensors of its net.
    pub layout: Arc<Vec<TensorSpec>>,
    /// The number of clients that it trains at a time.
    pub workers: u32,
}

impl Call {
    /// Works until the run is over, and returns how it ended, for people. `stop` is asked often whether to end sooner.
    ///
    /// # Errors
    /// If the federator refuses what was prepared, can't be reached any more, or has another run; if a trainer can't be made; or if this process is asked to stop.
    pub fn work(self, prepared: &Prepared, trainers: &Trainers<'_, '_>, stop: &dyn Fn() -> bool) -> Result<String, NodeError> {
        let workers = prepared.workers as usize;
        let (to_workers, pieces) = channel();
        let pieces = Mutex::new(pieces);
        let (to_loop, outcomes) = mpsc::unbounded_channel();
        let (is_ready, ready) = channel();
        let session_number = AtomicU64::new(0);
        thread::scope(|scope| {
            for index in 0..workers {
                let (pieces, to_loop, is_ready) = (&pieces, to_loop.clone(), is_ready.clone());
                let session = &session_number;
                let body = move || train(index, trainers, pieces, &is_ready, &to_loop, session);
                let spawned = thread::Builder::new().name(format!("node-worker-{index}")).spawn_scoped(scope, body);
                spawned.map_err(|error| NodeError::Here(format!("could not start a thread: {error}")))?;
            }
            drop(is_ready);
            for (worker, outcome) in ready.iter().take(workers) {
                outcome.map_err(|reason| NodeError::Worker { worker, reason })?;
            }
            let identity = self.identity();
            let run = self.job().run.clone();
            let Self { runtime, address, introduction, tls, session, .. } = self;
            let mut node = Loop {
                prepared,
                states: trainers.states,
                is_of_settings: trainers.is_of_settings,
                to_workers,
                tasks: Tasks::default(),
                objects: Objects::default(),
                pending: VecDeque::new(),
                running: BTreeSet::new(),
                fetching: None,
                partial: None,
                links: Links::new(trainers.links),
                evaluates: trainers.evaluate.is_some(),
                tests: VecDeque::new(),
                session: &session_number,
            };
            runtime.block_on(async {
                let mut outcomes = outcomes;
                let mut session = session;
                loop {
                    match node.attend(&mut session, &mut outcomes, stop).await? {
                        End::Finished(text) => return Ok(text),
                        End::Lost(reason) => tracing::warn!("the federator is lost: {reason}; this node calls it again"),
                    }
                    node.abandon();
                    let start = session.start.clone();
                    // Its signs of life may still arrive where nothing comes back from: the federator would go on waiting for it.
                    drop(session);
                    session = Self::again(&address, &introduction, identity, tls.as_ref(), &run, stop).await?;
                    if session.start != start {
                        node.begin_anew();
                    }
                    tracing::info!("the federator is there again");
                }
            })
        })
    }
}

/// The end of a session.
enum End {
    Finished(String),
    Lost(String),
}

/// An order whose objects aren't all there.
struct Pending {
    work: Numbered,
    message: Message,
    came: tokio::time::Instant,
}

/// The message of an order.
enum Message {
    Train(TrainMessage),
    Measure(MeasureMessage),
}

/// An object as far as it came, and whether all of it did.
type Fetched = (Receiving, Result<(), String>);

/// The kind of an object that is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Model,
    Arrays,
    /// The state that this client keeps.
    Kept(ClientId, Round),
}

struct Loop<'a> {
    prepared: &'a Prepared,
    states: &'a Carried,
    is_of_settings: &'a (dyn Fn(Round, ClientId) -> bool + Sync),
    to_workers: Sender<Piece>,
    tasks: Tasks,
    objects: Objects,
    /// The orders that wait for objects, in the order in which they came.
    pending: VecDeque<Pending>,
    /// The work that threads have. Another order of the same round and client waits for its end: both would use the same state of the client.
    running: BTreeSet<Key>,
    /// The object that is on its way.
    fetching: Option<(Kind, mpsc::Receiver<Fetched>)>,
    /// The object of which some bytes are there.
    partial: Option<(Kind, Receiving)>,
    links: Links<'a>,
    /// True if the node evaluates models on its own samples.
    evaluates: bool,
    /// The models to evaluate that aren't all there, in the order in which they came.
    tests: VecDeque<EvaluateMessage>,
    /// The number of the session, from 0.
    session: &'a AtomicU64,
}

impl Loop<'_> {
    /// Attends one session to its end.
    async fn attend(
        &mut self,
        session: &mut Session,
        outcomes: &mut mpsc::UnboundedReceiver<CarriedOut>,
        stop: &dyn Fn() -> bool,
    ) -> Result<End, NodeError> {
        let held = self.tasks.held();
        let Prepared { settings, data, num_samples, workers, .. } = *self.prepared;
        let prepared = v1::Prepared { settings: settings.0.to_vec(), data: data.to_vec(), held, workers, num_samples };
        let mut lost = session.say(from_node::Message::Prepared(prepared)).await.is_err();
        for ready in self.tasks.all_done() {
            lost |= session.say(from_node::Message::Ready(ready)).await.is_err();
        }
        let mut heard = tokio::time::Instant::now();
        while !lost {
            if stop() {
                return Err(NodeError::Stopped);
            }
            if heard.elapsed() > session.silence {
                return Ok(End::Lost(format!("nothing was heard of it for {} s", session.silence.as_secs_f64())));
            }
            let said = tokio::select! {
                message = session.from.message() => {
                    heard = tokio::time::Instant::now();
                    match message {
                        Ok(Some(message)) => match self.hear(session, message).await? {
                            Heard::Goes(said) => said,
                            Heard::Ends(end) => return Ok(end),
                        },
                        Ok(None) => return Ok(End::Lost("it ended the session".to_owned())),
                        Err(status) => return Ok(End::Lost(status.message().to_owned())),
                    }
                }
                Some(carried_out) = outcomes.recv() => match carried_out {
                    CarriedOut::Order(work, outcome) => self.done(work, outcome),
                    CarriedOut::Test(test, outcome) => self.tested(test, outcome),
                },
                fetched = next_fetched(&mut self.fetching) => self.fetched(fetched)?,
                () = tokio::time::sleep_until(self.links.next(tokio::time::Instant::now() + CHECK)) => None,
            };
            for (work, outcome) in self.links.arrived(tokio::time::Instant::now()) {
                if let Some(message) = self.answer(work, outcome) {
                    lost |= session.say(message).await.is_err();
                }
            }
            self.begin_complete();
            self.fetch_next(session);
            if let Some(message) = said {
                lost |= session.say(message).await.is_err();
            }
        }
        Ok(End::Lost("the connection ended".to_owned()))
    }

    /// Ends what belongs to a session that ended. What is done, or being done, stays.
    fn abandon(&mut self) {
        self.fetching = None;
        // The federator asks again for what it still needs.
        self.tests.clear();
        self.session.fetch_add(1, Ordering::Relaxed);
        for pending in std::mem::take(&mut self.pending) {
            self.tasks.release(pending.work.key, u32::MAX);
            self.forget(&pending);
        }
    }

    /// Ends what belongs to an earlier start of the federator: what comes of it is of no use.
    fn begin_anew(&mut self) {
        self.abandon();
        self.tasks.clear();
    }

    /// Forgets the state that came for an order which nobody needs any more.
    fn forget(&self, pending: &Pending) {
        if let Message::Train(message) = &pending.message
            && let Some((client, round)) = self.kept_of(message)
        {
            drop(self.states.take(client, round));
        }
    }

    async fn hear(&mut self, session: &Session, message: v1::ToNode) -> Result<Heard, NodeError> {
        let malformed = |error: Malformed| NodeError::Malformed(error.to_string());
        let said = match message.message {
            Some(to_node::Message::Train(message)) => {
                let message = TrainMessage::try_from(message).map_err(malformed)?;
                self.order(message.key, message.attempt, Message::Train(message))
            }
            Some(to_node::Message::Measure(message)) => {
                let message = MeasureMessage::try_from(message).map_err(malformed)?;
                self.order(message.key, message.attempt, Message::Measure(message))
            }
            Some(to_node::Message::Collect(v1::Collect { id, offset })) => {
                let (key, attempt) = Key::read(id.as_ref(), false).map_err(malformed)?;
                match self.tasks.content(key, attempt) {
                    Some(content) => {
                        let sending = deliver(session.client.clone(), session.token.clone(), key.id(attempt), content.clone(), offset);
                        let (bytes, Key { round, client, .. }) = (content.object().num_bytes, key);
                        let span = tracing::debug_span!("delivery", round = round.0, client = client.0, attempt, bytes);
                        // If it breaks off, the federator asks once more.
                        let sending = async move {
                            if let Err(reason) = sending.await {
                                tracing::debug!("the update of {key} wasn't delivered: {reason}");
                            }
                        };
                        tokio::spawn(sending.instrument(span));
                        None
                    }
                    None => Some(failed(key, attempt, "the update isn't at this node any more".to_owned(), false)),
                }
            }
            Some(to_node::Message::Release(v1::Release { id, is_measurement })) => {
                let (key, attempt) = Key::read(id.as_ref(), is_measurement).map_err(malformed)?;
                self.tasks.release(key, attempt);
                let needed = |pending: &Pending| self.tasks.holds(pending.work.key, pending.work.number);
                let (pending, released): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.pending).into_iter().partition(needed);
                self.pending = pending;
                released.iter().for_each(|pending| self.forget(pending));
                self.links.retain(|work| self.tasks.holds(work.key, work.number));
                if self.tasks.is_empty() {
                    // Mostly the round is over, and the next one has another model.
                    self.forget_large();
                }
                None
            }
            Some(to_node::Message::Finished(v1::Finished { text })) => return Ok(Heard::Ends(End::Finished(text))),
            Some(to_node::Message::Refusal(refusal)) => {
                return if refusal.reason() == v1::refusal::Reason::Silent {
                    Ok(Heard::Ends(End::Lost(refusal.text)))
                } else {
                    Err(NodeError::Refused(refusal.text))
                };
            }
            Some(to_node::Message::Heartbeat(_)) => None,
            Some(to_node::Message::Evaluate(message)) if self.evaluates => {
                let message = EvaluateMessage::try_from(message).map_err(malformed)?;
                if message.settings != self.prepared.settings {
                    return Err(NodeError::Malformed("a model to evaluate is for other settings".to_owned()));
                }
                // One model is evaluated at a time: nobody waits for an earlier one.
                self.tests = VecDeque::from([message]);
                None
            }
            Some(to_node::Message::Welcome(_) | to_node::Message::Initialize(_) | to_node::Message::Evaluate(_)) | None => {
                return Err(NodeError::Malformed("it isn't one that comes now".to_owned()));
            }
        };
        Ok(Heard::Goes(said))
    }

    fn order(&mut self, key: Key, attempt: u32, message: Message) -> Option<from_node::Message> {
        match self.tasks.order(key, attempt) {
            Todo::Begin(number) => {
                self.pending.push_back(Pending { work: Numbered { key, number }, message, came: tokio::time::Instant::now() });
                None
            }
            Todo::Say(ready) => Some(from_node::Message::Ready(*ready)),
            Todo::Nothing => None,
        }
    }

    /// Passes on what a thread has done, unless it is on its way for a while.
    fn done(&mut self, work: Numbered, outcome: Outcome) -> Option<from_node::Message> {
        self.running.remove(&work.key);
        let outcome = self.links.leaves(work, outcome, tokio::time::Instant::now())?;
        self.answer(work, outcome)
    }

    /// Returns the answer to an evaluation, if the session in which it was asked for goes on.
    fn tested(&self, Test { id, session }: Test, outcome: Result<Evaluation, String>) -> Option<from_node::Message> {
        let message = match outcome {
            Ok(evaluation) => from_node::Message::Evaluated(errand::figures(id, &evaluation)),
            Err(reason) => from_node::Message::ErrandFailed(v1::ErrandFailed { errand: id.0, reason, is_of_settings: false }),
        };
        (session == self.session.load(Ordering::Relaxed)).then_some(message)
    }

    /// Answers an order, if somebody still needs it.
    fn answer(&mut self, Numbered { key, number }: Numbered, outcome: Outcome) -> Option<from_node::Message> {
        match outcome {
            Outcome::Update { ready, content } => self.tasks.done(key, number, ready, content).map(from_node::Message::Ready),
            Outcome::Loss(loss) => {
                let attempt = self.tasks.attempt(key, number)?;
                self.tasks.release(key, attempt);
                Some(from_node::Message::Measured(v1::Measured { id: Some(key.id(attempt)), loss }))
            }
            Outcome::Failed(reason) => {
                let attempt = self.tasks.attempt(key, number)?;
                self.tasks.release(key, attempt);
                Some(failed(key, attempt, reason, (self.is_of_settings)(key.round, key.client)))
            }
        }
    }

    /// Takes an object that was fetched, or as much of it as came.
    fn fetched(&mut self, fetched: Option<Fetched>) -> Result<Option<from_node::Message>, NodeError> {
        let Some((kind, _)) = self.fetching.take() else { return Ok(None) };
        let Some((receiving, outcome)) = fetched else { return Ok(None) };
        let object = receiving.object();
        if let Err(reason) = outcome {
            tracing::debug!("an object wasn't fetched: {reason}");
            self.partial = Some((kind, receiving));
            // It goes on where it was; and if nobody has the object any more, nobody needs the order either.
            return Ok(None);
        }
        let damage = |damage: Damage| NodeError::Malformed(format!("an object of an order: {damage}"));
        let bundle = receiving.finish().map_err(damage)?;
        match kind {
            Kind::Model => self.objects.add_model(object.digest, order::model(bundle, &self.prepared.layout).map_err(damage)?),
            Kind::Arrays => {
                let Bundle { floats, .. } = bundle;
                self.objects.add_arrays(object.digest, floats);
            }
            Kind::Kept(client, round) => self.states.put(client, round, order::kept(bundle)),
        }
        Ok(None)
    }

    /// Gives orders to the threads whose objects are all there.
    fn begin_complete(&mut self) {
        for message in std::mem::take(&mut self.tests) {
            match self.objects.model(message.model.digest) {
                Some(model) => {
                    let test = Test { id: message.id, session: self.session.load(Ordering::Relaxed) };
                    let _ = self.to_workers.send(Piece::Test { test, round: message.round, model });
                }
                None => self.tests.push_back(message),
            }
        }
        let mut waiting = VecDeque::new();
        for pending in std::mem::take(&mut self.pending) {
            let (key, now) = (pending.work.key, tokio::time::Instant::now());
            let order = self.complete(&pending).filter(|_| !self.running.contains(&key));
            match order.filter(|order| self.links.arrives(key, order, pending.came, now)) {
                Some(order) => {
                    self.running.insert(key);
                    // The threads live as long as this loop.
                    let _ = self.to_workers.send(Piece::Order { work: pending.work, order });
                }
                None => waiting.push_back(pending),
            }
        }
        self.pending = waiting;
    }

    fn complete(&self, pending: &Pending) -> Option<Order> {
        match &pending.message {
            Message::Train(message) => {
                let model: Arc<ModelState> = self.objects.model(message.objects.model.digest)?;
                let arrays: Option<Arc<Arrays>> = match &message.objects.arrays {
                    Some(arrays) => Some(self.objects.arrays(arrays.digest)?),
                    None => None,
                };
                if message.objects.kept.is_some() {
                    self.kept_of(message).filter(|(client, round)| self.states.has(*client, *round))?;
                }
                Some(Order::Train(message.with(model, arrays)))
            }
            Message::Measure(message) => Some(Order::Measure(message.with(self.objects.model(message.model.digest)?))),
        }
    }

    /// Forgets large models that no order waits for or is carried out with.
    fn forget_large(&mut self) {
        let model_of = |pending: &Pending| match &pending.message {
            Message::Train(message) => message.objects.model.digest,
            Message::Measure(message) => message.model.digest,
        };
        let (pending, tests) = (&self.pending, &self.tests);
        self.objects.forget_large(|digest| {
            pending.iter().any(|pending| model_of(pending) == digest) || tests.iter().any(|test| test.model.digest == digest)
        });
    }

    /// Returns the client and the round whose state an order goes on from.
    fn kept_of(&self, message: &TrainMessage) -> Option<(ClientId, Round)> {
        message.kept_round().map(|round| (message.key.client, round))
    }

    /// Begins to fetch the next object that an order waits for.
    fn fetch_next(&mut self, session: &Session) {
        if self.fetching.is_some() {
            return;
        }
        let of_orders = self.pending.iter().find_map(|pending| self.missing(pending));
        let of_tests =
            || self.tests.iter().map(|test| (Kind::Model, test.model)).find(|(_, model)| self.objects.model(model.digest).is_none());
        let Some((kind, object)) = of_orders.or_else(of_tests) else {
            self.partial = None;
            return;
        };
        if kind == Kind::Model {
            // There needn't be room for the last one too.
            self.forget_large();
        }
        let partial = self.partial.take().filter(|(of, partial)| *of == kind && partial.object() == object).map(|(_, partial)| partial);
        let receiving = partial.map_or_else(|| Receiving::bundle(object, OBJECT_BYTES_MAX), Ok);
        let Ok(mut receiving) = receiving else { return };
        let (to, fetched) = mpsc::channel(1);
        let (mut client, token) = (session.client.clone(), session.token.clone());
        tokio::spawn(async move {
            let outcome = fetch(&mut client, &token, &mut receiving).await;
            if outcome.is_err() {
                // Not at once again and again.
                tokio::time::sleep(FETCH_AGAIN).await;
            }
            let _ = to.send((receiving, outcome)).await;
        });
        self.fetching = Some((kind, fetched));
    }

    fn missing(&self, pending: &Pending) -> Option<(Kind, Object)> {
        let (model, arrays, kept) = match &pending.message {
            Message::Measure(message) => (message.model, None, None),
            Message::Train(message) => {
                let kept = message.objects.kept.zip(self.kept_of(message));
                (message.objects.model, message.objects.arrays, kept)
            }
        };
        if self.objects.model(model.digest).is_none() {
            return Some((Kind::Model, model));
        }
        if let Some(arrays) = arrays.filter(|arrays| self.objects.arrays(arrays.digest).is_none()) {
            return Some((Kind::Arrays, arrays));
        }
        let (object, (client, round)) = kept?;
        (!self.states.has(client, round)).then_some((Kind::Kept(client, round), object))
    }
}

enum Heard {
    Goes(Option<from_node::Message>),
    Ends(End),
}

fn failed(key: Key, attempt: u32, reason: String, is_of_settings: bool) -> from_node::Message {
    from_node::Message::Failed(v1::Failed { id: Some(key.id(attempt)), reason, is_of_settings, is_measurement: key.is_loss })
}

/// Waits for the object that is on its way; for ever if there is none.
async fn next_fetched(fetching: &mut Option<(Kind, mpsc::Receiver<Fetched>)>) -> Option<Fetched> {
    match fetching {
        Some((_, fetched)) => fetched.recv().await,
        None => std::future::pending().await,
    }
}
