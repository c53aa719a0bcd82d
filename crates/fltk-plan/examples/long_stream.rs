//! The folder of a long stream, for tests of what shows streams: the orchestrator itself, with jobs that only seem to run.
//!
//! `long_stream ROOT NAME JOBS`. Jobs of four classes arrive for ten hours on 30 nodes; an urgent one pushes out others, and some fail, for a reason that
//! tries to be more than text. The stream stops when a hundredth of its jobs isn't over, so that some wait and some run. It is the same every time.

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    fmt::Write as _,
    path::Path,
};

use fltk_core::{arrivals::read_trace, experiment::Duration};
use fltk_experiment::{SourceFile, parse, to_yaml};
use fltk_plan::{
    Action, Amounts, Event, JobId, Orchestrator, Stream, StreamEvent,
    plan::{Outcome, capacity::Node},
};
use fltk_records::{StreamDescription, StreamFolder, StreamTexts};
use jiff::{SignedDuration, Timestamp};

type Error = Box<dyn std::error::Error>;

/// The pods of all classes are of one size, so that jobs which fit by their number also fit on nodes.
const EXPERIMENT: &str = "
name: long
tasks:
  - { name: small, kind: distributed, network: LeNet5, dataset: fashion-mnist-mini, distributed: { epochs: 1 }, resources: POD }
  - { name: medium, kind: distributed, network: LeNet5, dataset: fashion-mnist, distributed: { epochs: 5, data_parallelism: 2 }, resources: POD }
  - { name: large, kind: distributed, network: Cifar10ResNet, dataset: cifar10, distributed: { epochs: 9, data_parallelism: 4 }, resources: POD }
  - { name: urgent, kind: distributed, network: LeNet5, dataset: fashion-mnist-mini, distributed: { epochs: 1 }, resources: POD }
stream:
  orchestrator: trace
  trace: trace.csv
  policy: priority
  admission: { type: capacity }
  groups: [{ name: urgent, tasks: [urgent], preempt: true }]
";
const POD: &str = "{ master: { cores: 2, memory: 4Gi }, worker: { cores: 2, memory: 4Gi } }";

/// The classes of successive jobs, and their priorities: smaller goes first.
const CLASSES: [(&str, u32); 10] = [
    ("small", 2),
    ("medium", 1),
    ("small", 2),
    ("large", 2),
    ("small", 1),
    ("small", 2),
    ("medium", 2),
    ("small", 2),
    ("urgent", 0),
    ("small", 2),
];

const HOURS_MS: u64 = 10 * 3_600_000;
const NODES: u64 = 30;
/// Pods that fit on a node.
const PER_NODE: u64 = 4;
/// Events are noticed at multiples of this time, several at once, as an edge that polls does.
const STEP_MS: u64 = 15_000;
/// The time from a request to the pods, and from the pods to the first step.
const START_MS: u64 = 6_000;
/// One of so many jobs fails, for this reason.
const FAILED_EVERY: u64 = 37;
const REASON: &str = "rank 0: <img src=x onerror=hacked=1> \"'</script><script>hacked=1</script> \u{202e}";

/// The next event of a job.
enum Next {
    Happens(Event),
    Ends,
    IsSuspended,
}

/// A start of a job that wasn't suspended so far.
struct Running {
    attempt: u32,
    nodes: Vec<u64>,
}

/// The jobs that seem to run.
#[derive(Default)]
struct World {
    agenda: BTreeMap<u64, VecDeque<(JobId, u32, Next)>>,
    running: BTreeMap<JobId, Running>,
    used: BTreeMap<u64, u64>,
    num_ended: u64,
}

impl World {
    /// Carries out an action of the orchestrator.
    fn carry_out(&mut self, now: u64, action: &Action, orchestrator: &Orchestrator<'_>) {
        match action {
            Action::Start { job, attempt } => {
                let spec = orchestrator.job(job).map(|job| &job.spec);
                let pods = spec.map_or(1, fltk_plan::JobSpec::num_pods);
                let nodes: Vec<u64> = (0..pods).map(|_| self.place()).collect();
                // A duration of two minutes and a half in the mean, by the digits of the job's name.
                let random = u64::from_str_radix(&job.0[..8], 16).unwrap_or(0);
                let lasts = 30_000 + random % 220_000 * u64::from(pods).min(2);
                let running_at = now + START_MS;
                self.plan(running_at, job, *attempt, Next::Happens(Event::Created { job: job.clone(), attempt: *attempt }));
                for (pod, node) in (0..pods).zip(&nodes) {
                    let event = Event::PodRunning { job: job.clone(), attempt: *attempt, pod, node: name(*node) };
                    self.plan(running_at, job, *attempt, Next::Happens(event));
                }
                let at = Duration::from_millis(running_at + START_MS);
                self.plan(running_at + START_MS, job, *attempt, Next::Happens(Event::FirstStep { job: job.clone(), at }));
                self.plan(running_at + lasts, job, *attempt, Next::Ends);
                self.running.insert(job.clone(), Running { attempt: *attempt, nodes });
            }
            Action::Suspend { job, attempt, .. } => self.plan(now + START_MS, job, *attempt, Next::IsSuspended),
        }
    }

    fn plan(&mut self, at: u64, job: &JobId, attempt: u32, next: Next) {
        self.agenda.entry(at).or_default().push_back((job.clone(), attempt, next));
    }

    fn place(&mut self) -> u64 {
        let node = (0..NODES).min_by_key(|node| self.used.get(node).copied().unwrap_or(0)).unwrap_or(0);
        *self.used.entry(node).or_default() += 1;
        node
    }

    /// Returns what has happened until `now`.
    fn events(&mut self, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| *entry.key() <= now) {
            for (job, attempt, next) in entry.remove() {
                if self.running.get(&job).is_none_or(|running| running.attempt != attempt) {
                    continue;
                }
                match next {
                    Next::Happens(event) => events.push(event),
                    Next::Ends => {
                        self.free(&job);
                        self.num_ended += 1;
                        let failed = self.num_ended.is_multiple_of(FAILED_EVERY);
                        let (outcome, reason) =
                            if failed { (Outcome::Failed, REASON) } else { (Outcome::Succeeded, "it trained to its end") };
                        events.push(Event::ended(job, outcome, reason));
                    }
                    Next::IsSuspended => {
                        self.free(&job);
                        events.push(Event::Suspended { job, attempt });
                    }
                }
            }
        }
        events
    }

    fn free(&mut self, job: &JobId) {
        for node in self.running.remove(job).map(|running| running.nodes).unwrap_or_default() {
            if let Some(used) = self.used.get_mut(&node) {
                *used -= 1;
            }
        }
    }
}

fn name(node: u64) -> String {
    format!("node-{node:02}")
}

fn nodes() -> Event {
    const BILLION: i128 = 1_000_000_000;
    let pods = i128::from(PER_NODE);
    let allocatable =
        Amounts::none().with("cpu", 2 * pods * BILLION).with("memory", (4 * pods * BILLION) << 30).with("pods", 100 * BILLION);
    let node = |number| Node { name: name(number), allocatable: allocatable.clone(), used: Amounts::none(), closed: None };
    Event::Nodes { nodes: (0..NODES).map(node).collect() }
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [root, run, jobs] = arguments.as_slice() else { return Err("usage: long_stream ROOT NAME JOBS".into()) };
    let jobs: u64 = jobs.parse()?;
    let mut trace = "time,class,priority\n".to_owned();
    for (job, (class, priority)) in (0..jobs).zip(CLASSES.iter().cycle()) {
        writeln!(trace, "{}ms,{class},{priority}", job * HOURS_MS / jobs)?;
    }
    let file = SourceFile { name: "long.yaml".to_owned(), text: EXPERIMENT.replace("POD", POD) };
    let experiment = parse(&[file], &[], fltk_catalogue::catalogues()).map_err(|report| report.render(false))?.experiment;
    let started_at: Timestamp = "2026-01-02T03:04:05Z".parse()?;
    let description =
        StreamDescription { fltk_version: "0.1.0".to_owned(), run: run.parse()?, experiment: experiment.name.clone(), started_at };
    let texts = StreamTexts { experiment: to_yaml(&experiment), trace: Some(trace.clone()), ..StreamTexts::default() };
    let folder = StreamFolder::create::<StreamEvent>(Path::new(root), &description, &texts)?;
    let (journal, _) = folder.journal::<StreamEvent>()?;
    let stream = Stream { experiment, trace: read_trace("trace.csv", &trace)?, run: description.run };
    let mut orchestrator = Orchestrator::new(stream, |spec| spec, Some(journal), &[])?;
    let (mut world, mut now, mut events) = (World::default(), 1, vec![nodes(), Event::Tick]);
    // A hundredth of the jobs isn't over at the end.
    while world.num_ended < jobs - jobs / 100 {
        let at = started_at.checked_add(SignedDuration::from_millis(i64::try_from(now)?))?;
        for action in orchestrator.take(Duration::from_millis(now), events, at)? {
            world.carry_out(now, &action, &orchestrator);
        }
        let arrival = orchestrator.next_arrival().map(|at| at.as_millis());
        let happening = world.agenda.keys().next().copied();
        let Some(next) = arrival.into_iter().chain(happening).min() else { break };
        now = next.max(now + 1).next_multiple_of(STEP_MS);
        events = world.events(now);
        events.push(Event::Tick);
    }
    Ok(())
}
