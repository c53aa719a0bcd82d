//! A Kubernetes in memory, for tests: an API server, Kubeflow's operators, and nodes that run pods as a test's script says.
//!
//! ```text
//!   kube::Client ──> server ──> store ──> watches        test ── faults, by hand ──> all of it
//!                                 ↑
//!            tick: nodes run pods, operators reconcile jobs
//! ```
//!
//! Nothing in it happens by itself: time is tokio's, and pods and jobs advance only in [`Scenario::tick`]. Its answers were compared with Kubernetes
//! 1.34, the training operator 1.9.3 and the trainer 2.3.
//!
//! The scenario doesn't model what only a real server knows. There are no schemas and no defaults; a server-side apply is a merge that ignores field
//! owners; lists in patches are replaced whole; resources of nodes aren't counted; the only events that the operators write are about pods that they
//! can't create.

mod admission;
mod answer;
mod asked;
mod deletion;
mod discovery;
mod faults;
mod in_flight;
mod jobs;
mod kinds;
mod kubelet;
mod owners;
mod pytorchjob;
mod script;
mod selector;
mod server;
mod store;
mod trainjob;
mod watch;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};
use tower::BoxError;

use self::{
    answer::Failure,
    asked::Asked,
    faults::{Faults, Mishap},
    in_flight::{InFlight, Step},
    kinds::{Kind, named},
    kubelet::Kubelet,
    store::{Key, Store},
    trainjob::TrainJobs,
};
pub use self::{
    kinds::{KUBEFLOW, TRAINER},
    script::{End, Fate, Run, Start},
};

/// The cluster. Clones share the same state.
#[derive(Clone)]
pub struct Scenario {
    world: Arc<Mutex<World>>,
}

/// A request as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method.
    pub method: String,
    /// The path, without the query string.
    pub path: String,
    /// The query string; empty if there is none.
    pub query: String,
    /// The code of the answer; `None` if the connection broke before an answer.
    pub code: Option<u16>,
}

/// The whole state of the cluster.
struct World {
    store: Store,
    faults: Faults,
    calls: Vec<Call>,
    /// The starts and ends of calls, in order.
    steps: Vec<Step>,
    /// The time that each answer takes.
    latency: Duration,
    /// Attempts to create objects that got as far as storage, including those that found the name taken.
    creates: Vec<(&'static Kind, String)>,
    kubelet: Kubelet,
    train_jobs: TrainJobs,
}

/// Construction and observation.
impl Scenario {
    /// A cluster with the namespaces `default` and `kube-system`, a node, and both operators. Pods succeed after a tick.
    pub fn new() -> Self {
        let (store, faults, kubelet, train_jobs) = (Store::new(), Faults::default(), Kubelet::new(), TrainJobs::default());
        let (calls, steps, creates, latency) = (Vec::new(), Vec::new(), Vec::new(), Duration::ZERO);
        let world = World { store, faults, calls, steps, latency, creates, kubelet, train_jobs };
        let scenario = Self { world: Arc::new(Mutex::new(world)) };
        for namespace in ["default", "kube-system"] {
            scenario.create_by_hand("namespaces", "", json!({ "metadata": { "name": namespace } }));
        }
        scenario.node("node-0", "4", "16Gi");
        scenario
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("whoever held it didn't panic")
    }

    /// A client of its API server. It needs a tokio runtime.
    pub fn client(&self) -> kube::Client {
        self.dying_client(usize::MAX).0
    }

    /// A client whose process is killed when it has the answer to `num_requests` requests: it sends no more, and notifies that it is dead.
    pub fn dying_client(&self, num_requests: usize) -> (kube::Client, Arc<Notify>) {
        let (scenario, num_made, dead) = (self.clone(), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let told = Arc::clone(&dead);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (scenario, dead) = (scenario.clone(), Arc::clone(&dead));
            let num_before = num_made.fetch_add(1, Ordering::Relaxed);
            async move {
                if num_before >= num_requests {
                    dead.notify_one();
                    std::future::pending::<()>().await;
                }
                let (parts, body) = request.into_parts();
                let asked = Asked::read(parts, body).await?;
                let (answer, number, latency) = {
                    let mut world = scenario.world();
                    (world.serve(&asked), world.calls.len() - 1, world.latency)
                };
                let _in_flight = InFlight::begin(&scenario, number);
                if !latency.is_zero() {
                    sleep(latency).await;
                }
                answer.map_err(BoxError::from)
            }
        });
        (kube::Client::new(service, "default"), told)
    }

    /// The time in the cluster: tokio's clock, counted from the beginning of 2026.
    pub fn now(&self) -> Timestamp {
        self.world().store.now()
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// The peak number of concurrent requests among those that `which` selects. It is more than one only where answers take time.
    pub fn peak(&self, which: impl Fn(&Call) -> bool) -> usize {
        let world = self.world();
        in_flight::peak(&world.calls, &world.steps, which)
    }

    /// Names of objects in creation attempts, in order: a name that exists already is listed once per attempt. Attempts that failed earlier
    /// for another reason, and dry runs, are left out.
    pub fn creates(&self, kind: &str) -> Vec<String> {
        let kind = named(kind);
        self.world().creates.iter().filter(|(other, _)| *other == kind).map(|(_, name)| name.clone()).collect()
    }

    /// Returns an object, if it exists. The namespace is empty for objects without one.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        self.world().store.get(&Key::new(named(kind), namespace, name)).cloned()
    }

    /// Names of the objects of a kind in a namespace, or in all namespaces.
    pub fn names(&self, kind: &str, namespace: Option<&str>) -> Vec<String> {
        self.world().store.keys(named(kind), namespace).into_iter().map(|key| key.name).collect()
    }

    /// The number of open watches.
    pub fn num_watches(&self) -> usize {
        let world = self.world();
        world.store.watches.iter().filter(|watch| watch.is_read()).count()
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self::new()
    }
}

/// Actions of others in the cluster.
impl Scenario {
    /// Adds a node that takes pods.
    pub fn node(&self, name: &str, cpu: &str, memory: &str) {
        let resources = json!({ "cpu": cpu, "memory": memory, "pods": "110" });
        let node = json!({ "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } }, "spec": {} });
        self.create_by_hand("nodes", "", node);
        let ready = json!({ "type": "Ready", "status": "True", "reason": "KubeletReady" });
        self.set_status_by_hand("nodes", "", name, json!({ "capacity": resources, "allocatable": resources, "conditions": [ready] }));
    }

    /// Creates an object without any checks.
    pub fn create_by_hand(&self, kind: &str, namespace: &str, object: Value) {
        self.world().store.create(named(kind), namespace, object, false).expect("the test creates it once");
    }

    /// Sets the status of an object that exists.
    pub fn set_status_by_hand(&self, kind: &str, namespace: &str, name: &str, status: Value) {
        let kind = named(kind);
        self.world().store.set_status(kind, &Key::new(kind, namespace, name), status);
    }

    /// Deletes an object that exists, as `kubectl delete` does. An object that has to stop first is gone after the next tick.
    pub fn delete_by_hand(&self, kind: &str, namespace: &str, name: &str) {
        let kind = named(kind);
        let options = deletion::Options::default();
        self.world().store.delete(kind, &Key::new(kind, namespace, name), &options).expect("the test deletes what is there");
    }

    /// Sets the script for runs that begin from now on.
    pub fn operator(&self, script: impl Fn(&Run) -> Fate + Send + 'static) {
        self.world().kubelet.script = Box::new(script);
    }

    /// Lets the nodes and then the operators do their pending work, `n` times.
    ///
    /// A new job gets its pods in the first tick; they run in the second; with the initial script, they and the job succeed in the third.
    pub fn tick(&self, n: usize) {
        for _ in 0..n {
            let mut world = self.world();
            let World { store, kubelet, .. } = &mut *world;
            kubelet.step(store);
            drop(world);
            self.reconcile();
        }
    }

    /// Lets the operators do their pending work, while the nodes do nothing.
    pub fn reconcile(&self) {
        let mut world = self.world();
        let World { store, faults, train_jobs, .. } = &mut *world;
        if faults.operators_away {
            return;
        }
        if faults.serves(named("pytorchjobs")) {
            pytorchjob::reconcile(store);
        }
        if faults.serves(named("trainjobs")) {
            train_jobs.reconcile(store);
        }
    }

    /// Sends a bookmark with the current version to all watches that asked for bookmarks.
    pub fn bookmark(&self) {
        let mut world = self.world();
        let version = world.store.version();
        world.store.watches.retain_mut(|watch| watch.bookmark(version, json!({})));
    }
}

/// Faults.
impl Scenario {
    /// The next `n` requests are refused with 429, 500, 503 or 504, and with the header `Retry-After` if there are seconds for it.
    pub fn fail_next(&self, n: usize, code: u16, retry_after: Option<u32>) {
        let mishap = Mishap::Refused { code, retry_after };
        self.world().faults.mishaps.extend(std::iter::repeat_n(mishap, n));
    }

    /// The next `n` requests are carried out, but the connection breaks before the answer.
    pub fn lose_answers(&self, n: usize) {
        self.world().faults.mishaps.extend(std::iter::repeat_n(Mishap::AnswerLost, n));
    }

    /// From now on each answer takes this long, after the request was carried out. A watch starts with the same delay.
    pub fn answers_take(&self, latency: Duration) {
        self.world().latency = latency;
    }

    /// While the API server is away, connections to it fail. Open watches break off. Pods and operators continue.
    pub fn away(&self, away: bool) {
        let mut world = self.world();
        world.faults.away = away;
        if away {
            world.store.watches.drain(..).for_each(watch::Watch::break_off);
        }
    }

    /// The history until now is lost: open watches end with 410, and none can start from an earlier version.
    pub fn expire_watches(&self) {
        let mut world = self.world();
        let seen = world.store.version();
        world.store.forget_history();
        let failure = Failure::expired(seen, world.store.horizon());
        world.store.watches.drain(..).for_each(|watch| watch.end(&failure));
    }

    /// Open watches end without an error.
    pub fn cut_watches(&self) {
        self.world().store.watches.clear();
    }

    /// Operators can create no pods while there is a reason `why`, as when a quota is exceeded.
    pub fn refuse_pods(&self, why: Option<&str>) {
        self.world().store.pods_refused = why.map(str::to_owned);
    }

    /// The object of this name is refused whenever it's created: with 422 by its schema, with 403 by a web hook.
    pub fn refuse(&self, kind: &str, name: &str, code: u16) {
        self.world().faults.refuse(named(kind), name, code);
    }

    /// Forbids everybody to do this from now on. `verb` is a verb of access rules, such as `create` or `deletecollection`.
    pub fn forbid(&self, verb: &str, kind: &str) {
        self.world().faults.forbid(verb, named(kind));
    }

    /// Reverts [`Scenario::forbid`].
    pub fn allow(&self, verb: &str, kind: &str) {
        self.world().faults.allow(verb, named(kind));
    }

    /// Removes the definitions of a group with all objects, and its operator.
    pub fn uninstall(&self, group: &str) {
        let mut world = self.world();
        let of_group: Vec<Key> = world.store.all().map(|(key, _)| key).filter(|key| key.group == group).cloned().collect();
        of_group.iter().for_each(|key| world.store.remove(key));
        world.store.watches.retain(|watch| !watch.is_of(group));
        world.faults.uninstall(group);
    }

    /// Reverts [`Scenario::uninstall`], except for the objects.
    pub fn install(&self, group: &str) {
        self.world().faults.install(group);
    }

    /// While the web hooks are down, jobs can be neither created nor changed.
    pub fn webhook_down(&self, down: bool) {
        self.world().faults.webhook_down = down;
    }

    /// While the operators are away, jobs don't follow their pods.
    pub fn operators_away(&self, away: bool) {
        self.world().faults.operators_away = away;
    }
}

impl World {
    /// Answers a request, or breaks the connection.
    fn serve(&mut self, asked: &Asked) -> io::Result<Response<Body>> {
        let mishap = if self.faults.away { None } else { self.faults.mishaps.pop_front() };
        let answer = match mishap {
            _ if self.faults.away => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")),
            Some(Mishap::Refused { code, retry_after }) => Ok(Failure::ailing(code, retry_after).into_response()),
            Some(Mishap::AnswerLost) => {
                // The request is carried out, whatever its result.
                let _ = server::answer(self, asked);
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer"))
            }
            None => Ok(server::answer(self, asked).unwrap_or_else(Failure::into_response)),
        };
        self.calls.push(Call {
            method: asked.method.to_string(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            code: answer.as_ref().ok().map(|response| response.status().as_u16()),
        });
        answer
    }
}
