//! Simulated time over any transport: answers are delivered in the order, and at the times, in which the clients' devices, links and availability
//! let them arrive. Training itself runs as fast as it can, in any order, since it depends on the order alone.
//!
//! ```text
//!   drive ----order----> arrival time, known at once ----order----> threads
//!         <---answer---- in order of arrival times  <---answer----
//! ```
//!
//! Orders are passed on in the order of their arrival times, only so many at a time that the threads have enough to do: the models of answers that
//! wait for their time are in memory.
//!
//! **Caveats.** Evaluations take no simulated time. A client whose order was revoked stops at once.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use fltk_core::ids::{ClientId, Round};

use crate::{
    drive::{Answer, Transport, TransportError, Wait},
    round::{EvaluationOrder, Event, Federation, LossOrder, ProtocolError, Timestamp, TrainOrder},
    simulation::{Arrival, Fleet, Job},
};

/// The number of orders that each worker may have at a time, and of answers that wait for theirs.
const ORDERS_PER_WORKER: usize = 4;

/// The reason of a client that leaves for good.
const GONE: &str = "it left before it had answered, and never comes back";

/// A transport whose time is simulated.
pub struct Simulated<'a> {
    inner: &'a mut dyn Transport,
    fleet: Arc<Fleet>,
    /// The bytes of an update.
    update_bytes: u64,
    /// The number of samples of each client.
    samples: Vec<u64>,
    now: Timestamp,
    /// The orders without a delivered answer, by the time of its arrival; of one time, by round and client, so that an interruption changes nothing.
    due: BTreeMap<Place, State>,
    places: BTreeMap<Key, Place>,
    /// The number of orders that were passed on, and whose answers weren't delivered.
    num_passed_on: usize,
    passed_on_max: usize,
    /// Evaluations that are there.
    evaluations: VecDeque<Event>,
}

type Place = (Timestamp, Key);

/// The identity of an order to a client: the round, the client, and true if it is to measure a loss.
type Key = (Round, ClientId, bool);

enum State {
    /// Not passed on yet.
    Train(TrainOrder),
    Measure(LossOrder),
    /// Passed on.
    Working,
    Answered(Event),
    /// The client leaves at this time.
    Gone,
}

impl<'a> Simulated<'a> {
    /// Creates the transport for a run whose time is simulated, over one with so many workers; `None` for a run on the wall clock. It starts at the time
    /// at which the run's last round ended.
    pub fn of(federation: &Federation, inner: &'a mut dyn Transport, workers: usize) -> Option<Self> {
        let setup = federation.setup();
        let fleet = Arc::clone(setup.fleet()?);
        Some(Self {
            inner,
            fleet,
            update_bytes: federation.first_model().map_or(0, |model| setup.update_bytes(model)),
            samples: setup.samples().to_vec(),
            now: federation.clock(),
            due: BTreeMap::new(),
            places: BTreeMap::new(),
            num_passed_on: 0,
            passed_on_max: ORDERS_PER_WORKER * workers.max(1),
            evaluations: VecDeque::new(),
        })
    }

    fn samples_of(&self, client: ClientId) -> u64 {
        self.samples.get(client.0 as usize).copied().unwrap_or(0)
    }

    /// Notes an order, and when its answer arrives.
    fn give(&mut self, key: Key, given: Timestamp, job: Job, state: State) -> Result<(), TransportError> {
        let (_, client, _) = key;
        let (at, state) = match self.fleet.arrival(client, given.into(), job) {
            // The server's own training takes no time.
            _ if client.0 as usize >= self.samples.len() => (given, state),
            Arrival::At(at) => (at.into(), state),
            Arrival::Never(at) => (at.into(), State::Gone),
        };
        let place = (at, key);
        self.due.insert(place, state);
        self.places.insert(key, place);
        self.pass_on(false)
    }

    /// Passes orders on, the first answers first, as long as there may be more; that of the next answer in any case if `is_awaited`.
    fn pass_on(&mut self, is_awaited: bool) -> Result<(), TransportError> {
        let mut is_first = is_awaited;
        for state in self.due.values_mut() {
            if self.num_passed_on >= self.passed_on_max && !is_first {
                break;
            }
            is_first = false;
            match std::mem::replace(state, State::Working) {
                State::Train(order) => self.inner.train(order)?,
                State::Measure(order) => self.inner.measure(order)?,
                other => {
                    *state = other;
                    continue;
                }
            }
            self.num_passed_on += 1;
        }
        Ok(())
    }

    /// Removes the next answer.
    fn deliver(&mut self, place: Place) -> Option<Event> {
        let state = self.due.remove(&place)?;
        let (at, key) = place;
        self.places.remove(&key);
        self.now = self.now.max(at);
        let (round, client, is_loss) = key;
        match state {
            State::Answered(event) => {
                self.num_passed_on -= 1;
                Some(event)
            }
            _ if is_loss => Some(Event::LossFailed { round, client, reason: GONE.to_owned() }),
            _ => Some(Event::ClientFailed { round, client, reason: GONE.to_owned() }),
        }
    }

    /// Waits for the next real answer, and keeps it for its time.
    fn fetch(&mut self) -> Result<(), TransportError> {
        let Some(event) = self.inner.receive(Wait::default())? else { return Ok(()) };
        // Its time is known already, however long it is really on its way.
        if let Event::ClientReady { round, client } = event {
            return self.inner.collect(round, client);
        }
        let key = match Answer::of(&event) {
            Some(Answer::Training { round, client }) => (round, client, false),
            Some(Answer::Loss { round, client }) => (round, client, true),
            Some(Answer::Evaluation { .. }) | None => {
                self.evaluations.push_back(event);
                return Ok(());
            }
        };
        // An answer to a revoked order is of no use.
        if let Some(state) = self.places.get(&key).and_then(|place| self.due.get_mut(place)) {
            *state = State::Answered(event);
        }
        Ok(())
    }
}

impl Transport for Simulated<'_> {
    fn train(&mut self, order: TrainOrder) -> Result<(), TransportError> {
        let job = self.fleet.training(&order, self.samples_of(order.client), self.update_bytes);
        self.give((order.round, order.client, false), order.given, job, State::Train(order))
    }

    fn measure(&mut self, order: LossOrder) -> Result<(), TransportError> {
        let job = self.fleet.measurement(&order, self.samples_of(order.client));
        self.give((order.round, order.client, true), order.given, job, State::Measure(order))
    }

    fn hand_over(&mut self) {
        self.inner.hand_over();
    }

    fn evaluate(&mut self, order: EvaluationOrder) -> Result<(), TransportError> {
        self.inner.evaluate(order)
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn receive(&mut self, wait: Wait) -> Result<Option<Event>, TransportError> {
        loop {
            if let Some(event) = self.evaluations.pop_front() {
                return Ok(Some(event));
            }
            let first = self.due.first_key_value().filter(|_| !wait.only_evaluations);
            match (first, wait.until) {
                (Some((place, state)), until) if until.is_none_or(|until| place.0 <= until) => {
                    let place = *place;
                    if matches!(state, State::Answered(_) | State::Gone) {
                        return Ok(self.deliver(place));
                    }
                    self.pass_on(true)?;
                    self.fetch()?;
                }
                (_, Some(until)) => {
                    self.now = self.now.max(until);
                    return Ok(None);
                }
                (_, None) => self.fetch()?,
            }
        }
    }

    fn revoke(&mut self, round: Round) {
        let revoked: Vec<Place> = self.places.iter().filter(|((of, ..), _)| *of <= round).map(|(_, place)| *place).collect();
        for place in revoked {
            if let Some(state) = self.due.remove(&place) {
                self.places.remove(&place.1);
                self.num_passed_on -= usize::from(matches!(state, State::Working | State::Answered(_)));
            }
        }
        self.inner.revoke(round);
    }

    fn refused(&mut self, answer: Answer, reason: &ProtocolError) -> Option<Event> {
        self.inner.refused(answer, reason)
    }
}
