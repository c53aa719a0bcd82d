use fltk_core::{arrivals::Arrival, experiment::PolicyName, seed::Seed};
use proptest::prelude::*;

use super::{
    capacity::{Closed, Node},
    *,
};
use crate::{Amounts, Pod, Role};

const NANOS: i128 = 1_000_000_000;

fn at(seconds: u64) -> Duration {
    Duration::from_millis(seconds * 1000)
}

/// A job of `workers` + 1 pods with `cores` each.
fn spec(index: u32, arrives: u64, class: &str, priority: i32, workers: u32, cores: i128) -> JobSpec {
    let requests = Amounts::none().with("cpu", cores * NANOS);
    let pod = |role, count| Pod { role, count, requests: requests.clone() };
    JobSpec {
        id: JobId(format!("j{index}")),
        replication: 0,
        arrival: Arrival { index, at: at(arrives), group: 0, position: index, task: 0, priority, preempts: false, seed: Seed(1) },
        class: class.into(),
        pods: vec![pod(Role::Master, 1), pod(Role::Worker, workers)],
    }
}

fn settings(policy: PolicyName, admission: AdmissionConfig) -> Settings {
    Settings { policy, admission, backfill: false }
}

fn node(name: &str, cores: i128, used: i128, closed: Option<&str>) -> Node {
    let allocatable = Amounts::none().with("cpu", cores * NANOS).with("pods", 100 * NANOS);
    Node {
        name: name.into(),
        allocatable,
        used: Amounts::none().with("cpu", used * NANOS),
        closed: closed.map(|reason| Closed { reason: reason.into(), lasts: true }),
    }
}

fn started(actions: &[Action]) -> Vec<&str> {
    let starts = actions.iter().filter_map(|action| match action {
        Action::Start { job, .. } => Some(job.0.as_str()),
        Action::Suspend { .. } => None,
    });
    starts.collect()
}

fn id(name: &str) -> JobId {
    JobId(name.into())
}

fn ended(name: &str) -> Event {
    Event::ended(id(name), Outcome::Succeeded, "")
}

fn running(planner: &mut Planner, now: u64, name: &str) {
    let attempt = planner.job(&id(name)).unwrap().attempt;
    planner.step(at(now), Event::Created { job: id(name), attempt });
    planner.step(at(now), Event::PodRunning { job: id(name), attempt, pod: 0, node: "a".into() });
}

fn waits_at(planner: &Planner, now: u64, name: &str) -> String {
    planner.explain(&id(name), at(now)).map(|wait| wait.to_string()).unwrap_or_default()
}

fn waits(planner: &Planner, name: &str) -> String {
    waits_at(planner, 61, name)
}

#[test]
fn jobs_start_on_arrival_unless_limited() {
    let specs = vec![spec(0, 0, "a", 0, 1, 1), spec(1, 10, "a", 0, 1, 1), spec(2, 10, "a", 0, 1, 1)];
    let mut planner = Planner::new(settings(PolicyName::Fifo, AdmissionConfig::Unlimited {}), specs, BTreeMap::new());
    assert_eq!(planner.next_arrival(), Some(at(0)));
    assert_eq!(started(&planner.step(at(0), Event::Tick)), ["j0"]);
    assert_eq!(planner.next_arrival(), Some(at(10)));
    assert_eq!(started(&planner.step(at(9), Event::Tick)), [""; 0]);
    assert_eq!(started(&planner.step(at(10), Event::Tick)), ["j1", "j2"]);
    assert_eq!((planner.outstanding().len(), planner.next_arrival()), (3, None));
    running(&mut planner, 11, "j1");
    assert_eq!(planner.outstanding().len(), 2);
    for name in ["j0", "j1", "j2"] {
        planner.step(at(20), ended(name));
    }
    assert!(planner.is_finished());
    let record = &planner.job(&id("j1")).unwrap().record;
    assert_eq!((record.queue_seconds(), record.service_seconds(), record.response_seconds()), (Some(1.0), Some(9.0), Some(10.0)));
}

#[test]
fn policies_choose_the_next_job() {
    let specs = || vec![spec(0, 0, "slow", 1, 0, 1), spec(1, 0, "slow", 0, 0, 1), spec(2, 0, "fast", 2, 0, 1), spec(3, 0, "fast", 0, 0, 1)];
    let run = |policy, concurrent: u32, run_times: &[(&str, f64)]| -> Vec<String> {
        let run_times = run_times.iter().map(|(class, seconds)| ((*class).to_owned(), *seconds)).collect();
        let mut planner = Planner::new(settings(policy, AdmissionConfig::MaxConcurrent { jobs: concurrent }), specs(), run_times);
        let mut order: Vec<String> = started(&planner.step(at(0), Event::Tick)).into_iter().map(str::to_owned).collect();
        for next in 0..4 {
            let name = order[next].clone();
            order.extend(started(&planner.step(at(1), ended(&name))).into_iter().map(str::to_owned));
        }
        order
    };
    assert_eq!(run(PolicyName::Fifo, 1, &[]), ["j0", "j1", "j2", "j3"]);
    assert_eq!(run(PolicyName::Priority, 1, &[]), ["j1", "j3", "j0", "j2"]);
    assert_eq!(run(PolicyName::ShortestFirst, 1, &[("slow", 9.0), ("fast", 2.0)]), ["j2", "j3", "j0", "j1"]);
    assert_eq!(run(PolicyName::ShortestFirst, 1, &[("fast", 2.0)]), ["j0", "j1", "j2", "j3"], "what isn't known goes first");
    assert_eq!(run(PolicyName::FairShare, 2, &[]), ["j0", "j2", "j1", "j3"]);
}

#[test]
fn gang_starts_when_all_pods_fit() {
    let specs = vec![spec(0, 0, "a", 0, 2, 1), spec(1, 0, "a", 0, 2, 2), spec(2, 0, "a", 0, 0, 1), spec(3, 0, "a", 0, 0, 9)];
    let capacity = settings(PolicyName::Fifo, AdmissionConfig::Capacity {});
    let mut planner = Planner::new(capacity, specs.clone(), BTreeMap::from([("a".to_owned(), 100.0)]));
    assert_eq!(started(&planner.step(at(0), Event::Tick)), [""; 0]);
    assert_eq!(waits(&planner, "j0"), "the nodes aren't known yet");
    let nodes = vec![node("a", 4, 0, None), node("b", 4, 2, None), node("c", 64, 0, Some("untolerated taint gpu"))];
    assert_eq!(started(&planner.step(at(0), Event::Nodes { nodes: nodes.clone() })), ["j0"]);
    running(&mut planner, 1, "j0");
    // 1 core is left on a, 2 on b; j1 wants 3 pods with 2 cores each.
    assert_eq!(started(&planner.step(at(61), Event::Nodes { nodes: nodes.clone() })), [""; 0]);
    assert_eq!(
        waits(&planner, "j1"),
        "2 of 3 pods unschedulable: insufficient cpu (2 nodes), untolerated taint gpu (1 node); frees in about 40 s when job j0 ends"
    );
    assert_eq!(waits(&planner, "j2"), "job j1 is ahead of it, and waits too");
    // Once every other job ran, the one that can never start says so, and holds up no job.
    assert_eq!(started(&planner.step(at(100), ended("j0"))), ["j1"]);
    assert_eq!(started(&planner.step(at(101), ended("j1"))), ["j2"]);
    let never = waits(&planner, "j3");
    assert!(never.starts_with("1 of 1 pods unschedulable: insufficient cpu") && never.contains("on empty nodes"), "{never}");

    let backfill = Settings { backfill: true, ..capacity };
    let mut planner = Planner::new(backfill, specs, BTreeMap::new());
    assert_eq!(started(&planner.step(at(0), Event::Nodes { nodes })), ["j0", "j2"], "j2 fits beside j0");
}

#[test]
fn job_that_fits_beside_a_later_one_is_looked_at_again() {
    let amounts = |cpu, memory| Amounts::none().with("cpu", cpu * NANOS).with("memory", memory * NANOS);
    let sized = |mut spec: JobSpec, pods: &[(i128, i128)]| {
        spec.pods = pods.iter().map(|(cpu, memory)| Pod { role: Role::Worker, count: 1, requests: amounts(*cpu, *memory) }).collect();
        spec
    };
    // The first pod of j0 goes to the first node that has room, which is the only one for its second; with j1 there, it goes to another.
    let specs = vec![sized(spec(0, 0, "a", 0, 1, 1), &[(4, 1), (1, 8)]), sized(spec(1, 0, "b", 0, 1, 1), &[(1, 1)])];
    let size = |name: &str, cpu, memory, used: Amounts| Node {
        allocatable: amounts(cpu, memory).with("pods", 100 * NANOS),
        used,
        ..node(name, 0, 0, None)
    };
    let nodes = vec![size("a", 4, 10, Amounts::none()), size("b", 8, 2, Amounts::none()), size("c", 4, 100, amounts(4, 100))];
    let settings = Settings { backfill: true, ..settings(PolicyName::Fifo, AdmissionConfig::Capacity {}) };
    let mut planner = Planner::new(settings, specs, BTreeMap::new());
    assert_eq!(started(&planner.step(at(0), Event::Nodes { nodes })), ["j1"]);
    assert_eq!(waits(&planner, "j0"), "its pods fit now, and it is looked at with the next event");
}

#[test]
fn pods_that_outlive_their_job_keep_their_capacity() {
    let specs = vec![spec(0, 0, "a", 0, 1, 2), spec(1, 0, "a", 0, 1, 2)];
    let left = |cores| BTreeMap::from([("a".to_owned(), Amounts::none().with("cpu", cores * NANOS).with("pods", NANOS))]);
    let ends =
        |left| Event::Ended { job: id("j0"), outcome: Outcome::Deleted, reason: String::new(), blame: Blame::Job, left, words: Vec::new() };
    let nodes = |used| Event::Nodes { nodes: vec![node("a", 4, used, None)] };
    let begun = || {
        let mut planner = Planner::new(settings(PolicyName::Fifo, AdmissionConfig::Capacity {}), specs.clone(), BTreeMap::new());
        assert_eq!(started(&planner.step(at(0), nodes(0))), ["j0"]);
        planner
    };
    assert_eq!(started(&begun().step(at(1), ends(BTreeMap::new()))), ["j1"]);
    let mut planner = begun();
    assert_eq!(started(&planner.step(at(1), ends(left(2)))), [""; 0]);
    assert_eq!(waits(&planner, "j1"), "1 of 2 pods unschedulable: insufficient cpu (1 node)");
    let mut next = planner.successor(specs.clone());
    assert_eq!(started(&next.step(at(1), Event::Tick)), [""; 0], "nor in the next replication");
    assert_eq!(started(&planner.step(at(2), nodes(1))), [""; 0]);
    assert_eq!(started(&planner.step(at(3), nodes(0))), ["j1"]);

    let json = |event: &Event| serde_json::to_string(event).unwrap();
    let plain = r#"{"ended":{"job":"j0","outcome":"deleted","reason":""}}"#;
    assert_eq!(json(&ends(BTreeMap::new())), plain, "as before there were any left");
    assert_eq!(serde_json::from_str::<Event>(plain).unwrap(), ends(BTreeMap::new()));
    assert_eq!(serde_json::from_str::<Event>(&json(&ends(left(2)))).unwrap(), ends(left(2)));
}

#[test]
fn pods_on_unplanned_nodes_use_capacity_there() {
    let specs = vec![spec(0, 0, "a", 0, 0, 2), spec(1, 5, "a", 0, 0, 3)];
    let mut planner = Planner::new(settings(PolicyName::Fifo, AdmissionConfig::Capacity {}), specs, BTreeMap::new());
    let nodes = vec![node("a", 3, 0, None), node("b", 3, 0, None)];
    assert_eq!(started(&planner.step(at(0), Event::Nodes { nodes })), ["j0"]);
    planner.step(at(1), Event::PodRunning { job: id("j0"), attempt: 1, pod: 0, node: "b".into() });
    assert_eq!(started(&planner.step(at(5), Event::Tick)), ["j1"]);
    assert_eq!(
        planner.job(&id("j1")).unwrap().placement,
        planner.nodes.as_ref().unwrap().place(&planner.job(&id("j1")).unwrap().spec).unwrap()
    );
}

#[test]
fn preemption_suspends_as_few_jobs_as_needed() {
    let mut urgent = spec(3, 10, "urgent", 0, 1, 2);
    urgent.arrival.preempts = true;
    let specs = vec![spec(0, 0, "a", 5, 0, 1), spec(1, 0, "a", 9, 0, 3), spec(2, 0, "a", 7, 0, 2), urgent];
    let mut planner = Planner::new(settings(PolicyName::Priority, AdmissionConfig::Capacity {}), specs, BTreeMap::new());
    assert_eq!(started(&planner.step(at(0), Event::Nodes { nodes: vec![node("a", 6, 0, None)] })), ["j0", "j2", "j1"]);
    for name in ["j0", "j1", "j2"] {
        running(&mut planner, 1, name);
    }
    // The new job wants 4 of 6 cores; the job of lowest priority has 3, the next 2: both have to go.
    let actions = planner.step(at(10), Event::Tick);
    let suspended: Vec<_> = actions.iter().map(|action| format!("{action:?}")).collect();
    assert_eq!(suspended.len(), 2, "{suspended:?}");
    assert!(suspended[0].contains("j1") && suspended[1].contains("j2"), "{suspended:?}");
    assert_eq!(waits(&planner, "j3"), "jobs of lower priority are being preempted for it: j1, j2");
    assert_eq!(planner.outstanding(), actions);
    assert_eq!(
        planner.step(at(11), Event::Suspended { job: id("j1"), attempt: 1 }),
        [],
        "no other job is preempted meanwhile, and nobody takes the place"
    );
    assert_eq!(started(&planner.step(at(12), Event::Suspended { job: id("j2"), attempt: 1 })), ["j3"]);
    running(&mut planner, 13, "j3");
    assert!(waits(&planner, "j2").contains("insufficient cpu"));
    assert_eq!(started(&planner.step(at(20), ended("j3"))), ["j2", "j1"], "they go on in order of priority");
    let record = &planner.job(&id("j1")).unwrap().record;
    assert_eq!((record.suspensions, record.first_pod, record.run_seconds()), (1, Some(at(1)), Some(10.0)));
    // No job of equal or higher priority is preempted.
    let mut equal = spec(1, 1, "a", 5, 0, 1);
    equal.arrival.preempts = true;
    let one = settings(PolicyName::Priority, AdmissionConfig::MaxConcurrent { jobs: 1 });
    let mut planner = Planner::new(one, vec![spec(0, 0, "a", 5, 0, 1), equal], BTreeMap::new());
    planner.step(at(0), Event::Tick);
    assert_eq!(planner.step(at(1), Event::Tick), []);
    assert_eq!(waits(&planner, "j1"), "another job runs, and only one may; frees when job j0 ends");
}

#[test]
fn repeated_events_change_nothing() {
    let mut planner =
        Planner::new(settings(PolicyName::Fifo, AdmissionConfig::Unlimited {}), vec![spec(0, 0, "a", 0, 0, 1)], BTreeMap::new());
    let mut check = |event: Event, is_new: bool| {
        let before = planner.clone();
        planner.step(at(1), event.clone());
        assert_eq!(planner != before, is_new, "{event:?}");
    };
    check(Event::Suspended { job: id("j0"), attempt: 1 }, true);
    check(Event::Created { job: id("other"), attempt: 1 }, false);
    check(Event::Created { job: id("j0"), attempt: 1 }, true);
    check(Event::Created { job: id("j0"), attempt: 1 }, false);
    check(Event::Suspended { job: id("j0"), attempt: 1 }, false);
    check(Event::ended(id("j0"), Outcome::Deleted, "deleted by hand"), true);
    for event in [
        ended("j0"),
        Event::Created { job: id("j0"), attempt: 1 },
        Event::PodRunning { job: id("j0"), attempt: 1, pod: 7, node: "x".into() },
    ] {
        check(event, false);
    }
}

/// A simulated cluster that carries out each request later, in arbitrary order.
struct World {
    planner: Planner,
    log: Vec<(Duration, Event)>,
    /// The events that it will report.
    told: Vec<Event>,
    starts: BTreeMap<JobId, u32>,
}

impl World {
    fn step(&mut self, now: Duration, event: Event) {
        self.log.push((now, event.clone()));
        for action in self.planner.step(now, event) {
            match action {
                Action::Start { job, attempt } => {
                    *self.starts.entry(job.clone()).or_default() += 1;
                    // A scheduler finds room where the planner did.
                    let node = self.planner.job(&job).unwrap().placement.node_of(0).unwrap_or("a").to_owned();
                    self.told.extend([
                        Event::Created { job: job.clone(), attempt },
                        Event::PodRunning { job: job.clone(), attempt, pod: 0, node },
                        Event::ended(job, Outcome::Succeeded, ""),
                    ]);
                }
                Action::Suspend { job, attempt, .. } => {
                    self.told.retain(|event| !matches!(event, Event::Ended { job: ended, .. } | Event::PodRunning { job: ended, .. } | Event::Created { job: ended, .. } if *ended == job));
                    self.told.push(Event::Suspended { job, attempt });
                }
            }
        }
    }
}

fn admissions() -> impl Strategy<Value = AdmissionConfig> {
    prop_oneof![
        Just(AdmissionConfig::Unlimited {}),
        (1..4u32).prop_map(|jobs| AdmissionConfig::MaxConcurrent { jobs }),
        Just(AdmissionConfig::Capacity {})
    ]
}

fn policies() -> impl Strategy<Value = PolicyName> {
    prop_oneof![Just(PolicyName::Fifo), Just(PolicyName::Priority), Just(PolicyName::ShortestFirst), Just(PolicyName::FairShare)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Checks that every job ends once, no limit is exceeded, and a planner rebuilt from the events is equal.
    #[test]
    fn jobs_run_once_within_the_limits(
        jobs in prop::collection::vec((0..50u64, 0..3usize, 0..3i32, 0..3u32, 1..3i128, any::<bool>()), 1..25),
        (policy, admission, backfill) in (policies(), admissions(), any::<bool>()),
        choices in prop::collection::vec(any::<u16>(), 400),
    ) {
        let mut arrivals: Vec<u64> = jobs.iter().map(|job| job.0).collect();
        arrivals.sort_unstable();
        let specs: Vec<JobSpec> = (0..).zip(arrivals).zip(&jobs).map(|((index, arrives), job)| {
            let mut spec = spec(index, arrives, ["a", "b", "c"][job.1], job.2, job.3, job.4);
            spec.arrival.preempts = job.5;
            spec
        }).collect();
        let settings = Settings { policy, admission, backfill };
        let new = || Planner::new(settings, specs.clone(), BTreeMap::new());
        let mut world = World { planner: new(), log: Vec::new(), told: Vec::new(), starts: BTreeMap::new() };
        world.step(at(0), Event::Nodes { nodes: vec![node("a", 4, 0, None), node("b", 4, 1, None)] });
        let mut now = 0;
        let mut choices = choices.into_iter().cycle();
        for _ in 0..2000 {
            if world.planner.is_finished() {
                break;
            }
            // The next step is some event that is due, or the passing of time.
            let choice = usize::from(choices.next().unwrap());
            if world.told.is_empty() || choice % 4 == 0 {
                now += 1;
                world.step(at(now), Event::Tick);
            } else {
                // The job's own events stay in order: Created before Ended.
                let event = world.told[choice % world.told.len()].clone();
                let name = |event: &Event| match event {
                    Event::Created { job, .. } | Event::PodRunning { job, .. } | Event::Suspended { job, .. } | Event::Ended { job, .. } => job.clone(),
                    _ => unreachable!(),
                };
                let first = world.told.iter().position(|other| name(other) == name(&event)).unwrap();
                let event = world.told.remove(first);
                world.step(at(now), event);
                // An earlier event may be repeated at any time.
                if choice % 3 == 0 && let Some((_, old)) = world.log.get(choice % world.log.len()).cloned() {
                    world.step(at(now), old);
                }
            }
            let active: Vec<&Job> = world.planner.jobs().iter().filter(|job| job.state.is_active()).collect();
            if let AdmissionConfig::MaxConcurrent { jobs } = admission {
                prop_assert!(active.len() <= jobs as usize);
            }
            if admission == (AdmissionConfig::Capacity {}) {
                for (name, cores) in [("a", 4), ("b", 3)] {
                    let on = |job: &&Job| -> i128 {
                        let pods = job.spec.each_pod().enumerate();
                        pods.filter(|(pod, _)| job.placement.node_of(*pod) == Some(name)).map(|(_, (_, asked))| asked.get("cpu") / NANOS).sum()
                    };
                    let taken: i128 = active.iter().map(on).sum();
                    prop_assert!(taken <= cores, "{taken} of {cores} cores of {name}");
                }
            }
            let mut again = new();
            let replay = choice % 16 == 1;
            if replay {
                for (now, event) in &world.log {
                    // The event makes a round trip through JSON, as in a journal.
                    let json = serde_json::to_string(event).unwrap();
                    again.step(*now, serde_json::from_str(&json).unwrap());
                }
                prop_assert_eq!(&again, &world.planner);
            }
        }
        prop_assert!(world.planner.is_finished(), "{:?}", world.planner.jobs().iter().map(|job| (&job.spec.id, &job.state)).collect::<Vec<_>>());
        for job in world.planner.jobs() {
            prop_assert_eq!(world.starts[&job.spec.id], job.record.suspensions + 1);
        }
    }
}

#[test]
fn burst_of_thousands_is_planned_incrementally() {
    // The test isn't timed: if the cost of a step grew with the square of the number of jobs, it would take too long to finish.
    for (policy, admission) in [
        (PolicyName::FairShare, AdmissionConfig::Unlimited {}),
        (PolicyName::Priority, AdmissionConfig::MaxConcurrent { jobs: 100 }),
        (PolicyName::ShortestFirst, AdmissionConfig::Capacity {}),
    ] {
        let specs: Vec<JobSpec> =
            (0..5000).map(|index| spec(index, 0, ["a", "b", "c"][index as usize % 3], index as i32 % 5, 1, 1)).collect();
        let mut planner = Planner::new(settings(policy, admission), specs, BTreeMap::new());
        let nodes = (0..20).map(|number| node(&format!("n{number:02}"), 32, 0, None)).collect();
        let mut actions = planner.step(at(0), Event::Nodes { nodes });
        while let Some(action) = actions.pop() {
            let Action::Start { job, attempt } = action else { panic!("no job is preempted") };
            planner.step(at(1), Event::Created { job: job.clone(), attempt });
            actions.extend(planner.step(at(2), Event::ended(job, Outcome::Succeeded, "")));
        }
        assert!(planner.is_finished(), "{policy:?}");
    }
}

#[test]
fn best_fit_is_tried_after_first_fit() {
    // Largest pod first, to the first node: 3 on a, then 2 on b, and the last 2 find no place.
    let mut tight = spec(0, 0, "a", 0, 2, 2);
    tight.pods[0].requests = Amounts::none().with("cpu", 3 * NANOS);
    let mut planner = Planner::new(settings(PolicyName::Fifo, AdmissionConfig::Capacity {}), vec![tight], BTreeMap::new());
    assert_eq!(started(&planner.step(at(0), Event::Nodes { nodes: vec![node("a", 4, 0, None), node("b", 3, 0, None)] })), ["j0"]);
}

#[test]
fn returning_node_is_waited_for() {
    let away = Node { closed: Some(Closed { reason: "not ready".into(), lasts: false }), ..node("a", 4, 0, None) };
    let specs = vec![spec(0, 0, "a", 0, 0, 4), spec(1, 0, "a", 0, 0, 1)];
    let mut planner = Planner::new(settings(PolicyName::Fifo, AdmissionConfig::Capacity {}), specs, BTreeMap::new());
    assert_eq!(started(&planner.step(at(0), Event::Nodes { nodes: vec![away, node("b", 1, 0, None)] })), [""; 0], "nobody gets past it");
    assert_eq!(waits(&planner, "j0"), "1 of 1 pods unschedulable: insufficient cpu (1 node), not ready (1 node)");
    assert_eq!(started(&planner.step(at(1), Event::Nodes { nodes: vec![node("a", 4, 0, None), node("b", 1, 0, None)] })), ["j0", "j1"]);
}

#[test]
fn among_equals_the_job_with_the_least_loss_is_preempted() {
    let mut urgent = spec(2, 100, "urgent", 0, 0, 1);
    urgent.arrival.preempts = true;
    let specs = vec![spec(0, 0, "a", 5, 0, 1), spec(1, 50, "a", 5, 0, 1), urgent];
    let mut planner = Planner::new(settings(PolicyName::Priority, AdmissionConfig::MaxConcurrent { jobs: 2 }), specs, BTreeMap::new());
    planner.step(at(0), Event::Tick);
    running(&mut planner, 1, "j0");
    planner.step(at(50), Event::Tick);
    planner.step(at(51), Event::Created { job: id("j1"), attempt: 1 });
    // j1 has no pod yet; j0 has run for 99 seconds.
    let actions = planner.step(at(100), Event::Tick);
    assert_eq!(actions, [Action::Suspend { job: id("j1"), attempt: 1, for_job: id("j2") }]);
}

#[test]
fn held_job_does_not_run_and_keeps_its_place() {
    let specs = vec![spec(0, 0, "a", 1, 0, 1), spec(1, 50, "a", 1, 0, 1)];
    let mut planner = Planner::new(settings(PolicyName::Priority, AdmissionConfig::MaxConcurrent { jobs: 1 }), specs, BTreeMap::new());
    planner.step(at(0), Event::Tick);
    let held = |planner: &mut Planner, now, since| {
        planner.step(at(now), Event::Held { job: id("j0"), attempt: 1, at: Some(at(since)) });
        let Job { state, record, .. } = planner.job(&id("j0")).unwrap();
        (state.clone(), record.suspensions)
    };
    // A hold before any pod runs loses nothing.
    assert_eq!(held(&mut planner, 1, 1), (State::Held, 0));
    planner.step(at(2), Event::Released { job: id("j0"), attempt: 1 });
    running(&mut planner, 10, "j0");
    // This hold was noticed only later.
    assert_eq!(held(&mut planner, 30, 20), (State::Held, 1));
    assert_eq!(held(&mut planner, 31, 20), (State::Held, 1), "nothing new");
    planner.step(at(32), Event::PodRunning { job: id("j0"), attempt: 1, pod: 0, node: "a".into() });
    assert_eq!(planner.job(&id("j0")).unwrap().state, State::Held, "a pod on its way out");
    assert_eq!(started(&planner.step(at(50), Event::Tick)), [""; 0], "it keeps its place");
    planner.step(at(60), Event::Released { job: id("j0"), attempt: 1 });
    assert_eq!(planner.job(&id("j0")).unwrap().state, State::Starting);
    running(&mut planner, 70, "j0");
    planner.step(at(100), ended("j0"));
    let record = &planner.job(&id("j0")).unwrap().record;
    assert_eq!((record.run_seconds(), record.service_seconds(), record.suspensions), (Some(40.0), Some(90.0), 1));
}

#[test]
fn held_job_is_not_preempted() {
    let mut urgent = spec(2, 100, "urgent", 0, 0, 1);
    urgent.arrival.preempts = true;
    let specs = vec![spec(0, 0, "a", 5, 0, 1), spec(1, 0, "a", 4, 0, 1), urgent];
    let two = || Planner::new(settings(PolicyName::Priority, AdmissionConfig::MaxConcurrent { jobs: 2 }), specs.clone(), BTreeMap::new());
    let hold = |planner: &mut Planner, name| planner.step(at(60), Event::Held { job: id(name), attempt: 1, at: None });
    let suspend = |name| [Action::Suspend { job: id(name), attempt: 1, for_job: id("j2") }];
    let mut planner = two();
    planner.step(at(0), Event::Tick);
    running(&mut planner, 1, "j0");
    running(&mut planner, 1, "j1");
    // The held job has lower priority, but the stream can't suspend it.
    hold(&mut planner, "j0");
    assert_eq!(planner.step(at(100), Event::Tick), suspend("j1"));

    let mut planner = two();
    planner.step(at(0), Event::Tick);
    running(&mut planner, 1, "j0");
    running(&mut planner, 1, "j1");
    hold(&mut planner, "j0");
    hold(&mut planner, "j1");
    assert_eq!(planner.step(at(100), Event::Tick), []);
    assert!(waits_at(&planner, 100, "j2").starts_with("2 jobs run, and no more may"));
    assert_eq!(planner.step(at(120), Event::Released { job: id("j1"), attempt: 1 }), suspend("j1"), "as soon as it may");
    // The journal of an earlier version may have suspended a held job.
    assert_eq!(planner.step(at(130), Event::Suspended { job: id("j0"), attempt: 1 }), [Action::Start { job: id("j2"), attempt: 1 }]);
    assert_eq!(planner.job(&id("j0")).unwrap().state, State::Waiting);
}

#[test]
fn wall_clock_times_are_clamped_between_job_start_and_now() {
    let check = |said: u64, expected: u64| {
        let mut planner =
            Planner::new(settings(PolicyName::Fifo, AdmissionConfig::Unlimited {}), vec![spec(0, 10, "a", 0, 0, 1)], BTreeMap::new());
        planner.step(at(10), Event::Tick);
        running(&mut planner, 15, "j0");
        planner.step(at(20), Event::FirstStep { job: id("j0"), at: at(said) });
        assert_eq!(planner.job(&id("j0")).unwrap().record.first_step, Some(at(expected)), "{said}");
    };
    check(17, 17);
    // The object of this job is seen only now, but the job was able to start earlier.
    check(12, 12);
    check(3, 10);
    check(3600, 20);
}
