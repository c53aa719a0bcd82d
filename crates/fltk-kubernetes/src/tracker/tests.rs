//! Tests of the tracker as a value: no cluster, no runtime, and times that the tests choose.

use fltk_plan::Stream;
use jiff::Timestamp;

use super::*;
use crate::{manifest::tests::context, view::NotRunning};

/// A tracker and the orchestrator of its stream, in which two jobs may start.
struct Case {
    tracker: Tracker,
    orchestrator: Orchestrator<'static>,
    now: Instant,
}

impl Case {
    fn new() -> Self {
        let mut context = context("kubernetes: {}");
        context.experiment.tasks.truncate(2);
        let stream = Stream { experiment: context.experiment.clone(), trace: Vec::new(), run: context.run.parse().unwrap() };
        let orchestrator = Orchestrator::new(stream, |spec| spec, None, &[]).unwrap();
        Self { tracker: Tracker::new(Arc::new(context), 0, false), orchestrator, now: Instant::now() }
    }

    /// A case in which both jobs arrived after everything was listed. Returns the orders too.
    fn begun() -> (Self, Vec<Order>) {
        let mut case = Self::new();
        case.lists_jobs(&[]);
        case.lists_pods();
        case.tracker.arrive(&case.orchestrator, case.now);
        case.take();
        let orders = case.tracker.orders();
        (case, orders)
    }

    fn see(&mut self, message: Message) {
        self.tracker.see(message, &self.orchestrator, self.now);
    }

    fn lists_jobs(&mut self, jobs: &[SeenJob]) {
        self.see(Message::Job(Seen::Listing(self.now)));
        jobs.iter().for_each(|job| self.see(Message::Job(Seen::There(job.clone(), true))));
        self.see(Message::Job(Seen::Listed));
    }

    fn lists_pods(&mut self) {
        self.see(Message::Pod(Seen::Listing(self.now)));
        self.see(Message::Pod(Seen::Listed));
    }

    fn hear(&mut self, report: Report) {
        self.tracker.hear(report, &self.orchestrator, self.now);
    }

    fn has_done(&mut self, action: &Action) {
        self.hear(Report::Done { action: action.clone(), uid: Some("uid".to_owned()), at: self.now });
    }

    /// Tells the orchestrator the new events, and the tracker its actions. Returns the events.
    fn take(&mut self) -> Vec<Event> {
        let events = self.tracker.events(&self.orchestrator);
        let actions =
            self.orchestrator.take(fltk_core::experiment::Duration::from_millis(0), events.clone(), Timestamp::UNIX_EPOCH).unwrap();
        self.tracker.follow(actions, &self.orchestrator);
        events
    }

    fn passes(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

/// The actions that begin by `orders`.
fn begun(orders: &[Order]) -> Vec<Action> {
    orders.iter().filter_map(|order| if let Order::Begin { action, .. } = order { Some(action.clone()) } else { None }).collect()
}

/// The object of the job that `action` started.
fn object(action: &Action) -> SeenJob {
    let (id, uid) = (action.job().clone(), "uid".to_owned());
    SeenJob { id, uid, attempt: 1, suspend: false, is_suspended: false, suspended_ms: None, is_taken_up: false, end: None }
}

fn deleted(events: &[Event]) -> Vec<JobId> {
    let is_deleted = |event: &&Event| matches!(event, Event::Ended { outcome: Outcome::Deleted, .. });
    events.iter().filter(is_deleted).filter_map(Event::job).cloned().collect()
}

#[test]
fn no_event_is_reported_before_all_lists_are_complete() {
    let mut case = Case::new();
    case.tracker.arrive(&case.orchestrator, case.now);
    assert_eq!(case.take(), []);
    case.lists_jobs(&[]);
    assert_eq!((case.tracker.is_ready(), case.take()), (false, Vec::new()));
    case.lists_pods();
    assert_eq!((case.tracker.is_ready(), case.take()), (true, vec![Event::Tick]));
    assert_eq!(begun(&case.tracker.orders()).len(), 2, "both jobs start");
}

#[test]
fn job_is_started_once() {
    let (mut case, orders) = Case::begun();
    let [start, other] = &begun(&orders)[..] else { panic!("{orders:?}") };
    case.lists_pods();
    assert_eq!(case.tracker.orders(), [], "both starts are under way");
    case.has_done(start);
    let id = start.job().clone();
    assert_eq!(case.tracker.orders(), [Order::Stop(id), Order::Publish(start.clone(), "uid".to_owned())]);
    case.has_done(start);
    assert_eq!(case.tracker.orders(), [], "it is no news");
    case.lists_pods();
    assert_eq!(case.tracker.orders(), [], "one was carried out and isn't seen yet, the other is under way");
    case.see(Message::Job(Seen::There(object(start), false)));
    assert_eq!(case.take(), [Event::Created { job: start.job().clone(), attempt: 1 }]);
    case.see(Message::Job(Seen::There(object(other), false)));
    assert_eq!(case.take(), [], "an object without the other objects of its start is none");
    case.has_done(other);
    assert_eq!(case.take(), [Event::Created { job: other.job().clone(), attempt: 1 }]);
}

#[test]
fn results_of_canceled_actions_are_ignored() {
    let (mut case, orders) = Case::begun();
    let start = begun(&orders).remove(0);
    case.see(Message::Job(Seen::Gone(object(&start))));
    assert_eq!(deleted(&case.take()), [start.job().clone()]);
    assert_eq!(case.tracker.orders(), [Order::Stop(start.job().clone())]);
    case.has_done(&start);
    case.hear(Report::Refused { action: start, reason: "it is invalid".to_owned() });
    assert_eq!((case.take(), case.tracker.orders()), (Vec::new(), Vec::new()));
}

#[test]
fn refused_action_ends_the_job() {
    let (mut case, orders) = Case::begun();
    let start = begun(&orders).remove(0);
    case.hear(Report::Refused { action: start.clone(), reason: "it is invalid".to_owned() });
    assert_eq!(case.take(), [Event::ended(start.job().clone(), Outcome::Failed, "it is invalid")]);
    assert_eq!(case.tracker.orders(), [Order::Stop(start.job().clone())]);
}

#[test]
fn object_missing_from_a_list_is_gone_unless_newer() {
    let (mut case, orders) = Case::begun();
    let starts = begun(&orders);
    case.has_done(&starts[0]);
    case.lists_jobs(&[]);
    assert_eq!(deleted(&case.take()), [], "it was made when the list began");
    case.passes(1);
    case.lists_jobs(&[]);
    assert_eq!(deleted(&case.take()), [starts[0].job().clone()], "the other job isn't made yet");
}

#[test]
fn job_that_does_not_run_is_reported_once() {
    let (mut case, orders) = Case::begun();
    let start = begun(&orders).remove(0);
    case.has_done(&start);
    case.see(Message::Job(Seen::There(object(&start), false)));
    case.take();
    case.tracker.orders();
    let mut reported = Vec::new();
    for second in 0..200 {
        case.tracker.keep_house(&case.orchestrator, case.now);
        reported.extend(case.tracker.orders().into_iter().map(|order| (second, order)));
        case.passes(1);
    }
    let why = Stuck::Start(NotRunning::NoOperator);
    assert_eq!(reported, [(65, Order::Stuck(start.job().clone(), why))], "5 s for the operator, and then a minute");
}
