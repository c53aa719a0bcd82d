//! Data-parallel jobs on a real cluster that lose a rank and continue: it is deleted, killed, or drained off its node, once or as often as allowed, in
//! either kind of job. Each job ends with the same bits as an undisturbed one.
//!
//! All jobs of a stream run side by side: they mostly wait, since the kubelet restarts a repeatedly failing container after 10 s, then 20.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value as Json;

use super::streams::{Job, Streams};
use crate::{
    cluster::{NODE, TestCluster},
    outcome::Outcome,
    sh,
};

/// The number of ranks in each job.
const RANKS: u32 = 3;
/// The number of losses that `backoff_limit` allows by default.
const LOSSES_MAX: u32 = 3;
/// The time limit for a restarted rank to make progress, with 10, 20 and 40 s that the kubelet waits in between.
const LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(300);
/// The number of concurrent jobs in the full table: each has three processes that need two cores and some hundred MB.
const AT_ONCE: usize = 6;

/// The way in which a rank is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Its pod is deleted.
    Deleted,
    /// Its process is killed.
    Killed,
    /// Its node is cordoned, and its pod evicted. Since there is no other node, this one takes pods again once the pod is gone.
    Drained,
}

/// A job, and the loss that it suffers.
#[derive(Clone, Copy, Debug)]
struct Case {
    rank: u32,
    how: How,
    times: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            0 => f.write_str("undisturbed"),
            _ => write!(f, "rank-{}-{}-{}", self.rank, format!("{:?}", self.how).to_lowercase(), self.times),
        }
    }
}

const UNDISTURBED: Case = Case { rank: 0, how: How::Deleted, times: 0 };

/// The result of a case.
struct Lost {
    backend: &'static str,
    case: Case,
    job: Job,
    /// The restarts of containers, as reported by its pods and added up by its operator.
    restarts: u64,
    /// The digest of the parameters, if it has finished.
    digest: Option<String>,
}

/// Tests the minimum: the master once, and a worker as often as allowed, in both kinds of jobs.
pub fn few(streams: &Streams<'_>) -> anyhow::Result<Outcome> {
    let cases = [UNDISTURBED, Case { rank: 0, how: How::Deleted, times: 1 }, Case { rank: 2, how: How::Killed, times: LOSSES_MAX }];
    // One undisturbed job is enough.
    let trainjobs = &cases[1..];
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| run(streams, "losses-pytorchjob", "pytorchjob", &cases));
        let other = run(streams, "losses-trainjob", "trainjob", trainjobs);
        (one.join(), other)
    });
    let Ok(one) = one else { bail!("the thread of a stream panicked") };
    let lost: Vec<Lost> = one?.into_iter().chain(other?).collect();
    check(&lost)?;
    Ok(Outcome::Passed(format!("{} jobs lost {} ranks", lost.len() - 1, lost.iter().map(|lost| lost.case.times).sum::<u32>())))
}

/// Tests all cases, and one that loses more ranks than allowed; prints a table.
pub fn all(streams: &Streams<'_>) -> anyhow::Result<()> {
    let mut cases = vec![UNDISTURBED];
    for how in [How::Deleted, How::Killed, How::Drained] {
        for rank in 0..RANKS {
            cases.extend([1, LOSSES_MAX].map(|times| Case { rank, how, times }));
        }
    }
    cases.push(Case { rank: 1, how: How::Killed, times: LOSSES_MAX + 1 });
    let mut lost = Vec::new();
    println!("| job | rank | lost | times | ended | restarts | seconds | |\n|---|---|---|---|---|---|---|---|");
    for backend in ["pytorchjob", "trainjob"] {
        for (number, cases) in cases.chunks(AT_ONCE).enumerate() {
            for lost_now in run(streams, &format!("losses-{backend}-{number}"), backend, cases)? {
                println!("{}", lost_now.row());
                lost.push(lost_now);
            }
        }
    }
    check(&lost)?;
    println!("every job that lost at most {LOSSES_MAX} ranks has the parameters of the undisturbed ones");
    Ok(())
}

impl Lost {
    fn row(&self) -> String {
        let Self { backend, case, job, restarts, digest } = self;
        let seconds = job.ended.zip(job.first_pod).map_or(0.0, |(end, begin)| end - begin);
        let note = digest.as_deref().map_or_else(|| job.reason.clone().unwrap_or_default(), |digest| format!("sha256 {}", &digest[..12]));
        let (rank, how) = if case.times == 0 {
            ("-".to_owned(), "-".to_owned())
        } else {
            (case.rank.to_string(), format!("{:?}", case.how).to_lowercase())
        };
        format!("| {backend} | {rank} | {how} | {} | {} | {restarts} | {seconds:.0} | {note} |", case.times, job.state)
    }
}

/// Checks that each job ended as it should.
fn check(lost: &[Lost]) -> anyhow::Result<()> {
    let expected =
        lost.iter().find(|lost| lost.case.times == 0).and_then(|lost| lost.digest.clone()).context("the undisturbed job has no digest")?;
    for lost in lost {
        let Lost { backend, case, job, digest, restarts } = lost;
        if case.times <= LOSSES_MAX {
            ensure!(job.state == "succeeded", "{backend} {case} is {}: {:?}", job.state, job.reason);
            ensure!(digest.as_ref() == Some(&expected), "{backend} {case} ended with other parameters: {digest:?} in place of {expected}");
            let most = u64::from(case.times * RANKS);
            ensure!(*restarts <= most, "{backend} {case} cost {restarts} restarts in place of {most} at most");
        } else {
            let reason = job.reason.as_deref().unwrap_or_default();
            ensure!(job.state == "failed", "{backend} {case} is {}, though it lost more than it may", job.state);
            ensure!(reason.starts_with(&format!("rank {}: killed, exit code 137", case.rank)), "{backend} {case} says: {reason}");
        }
    }
    Ok(())
}

/// Runs a stream with a job for each of `cases`, and causes the losses of each case.
fn run(streams: &Streams<'_>, name: &str, backend: &'static str, cases: &[Case]) -> anyhow::Result<Vec<Lost>> {
    let volume = streams.cluster.claim(name)?;
    // This allows counting the restarts of all pods. `TrainJob`s keep their completed pods anyway.
    let policy = if backend == "pytorchjob" { ", run_policy: { clean_pod_policy: None }" } else { "" };
    let config = format!(
        "kubernetes: {{ namespace: {name}, image: 'localhost/fltk:dev', image_pull_policy: Never, backend: {backend}, node_selector: {{ kubernetes.io/hostname: {NODE} }}{policy} }}\n"
    );
    let config = streams.write(&format!("{name}-config.yaml"), &config)?;
    let task = |case: &Case| {
        format!(
            "  - {{ name: {case}, kind: distributed, network: FashionMNISTCNN, dataset: fashion-mnist-mini, train: {{ batch_size: 16 }}, distributed: {{ epochs: 6, data_parallelism: {RANKS}, timeout: 60s }} }}\n"
        )
    };
    let experiment = format!("name: losses\ntasks:\n{}stream: {{ orchestrator: batch }}\n", cases.iter().map(task).collect::<String>());
    let experiment = streams.write(&format!("{name}.yaml"), &experiment)?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not UTF-8");
    let mut running = streams.start(&[&text(&config)?, &text(&experiment)?, "--id", name])?;
    let jobs =
        streams.wait(name, &mut running, "its jobs", |jobs| jobs.len() == cases.len() && jobs.iter().all(|job| job.created.is_some()))?;
    let jobs: BTreeMap<String, String> = jobs.into_iter().map(|job| (job.class, job.job)).collect();
    let draining = Mutex::new(());
    thread::scope(|scope| {
        let threads: Vec<_> = cases
            .iter()
            .map(|case| {
                let (jobs, volume, draining) = (&jobs, &volume, &draining);
                scope.spawn(move || {
                    let job = jobs.get(&case.to_string()).with_context(|| format!("there is no job {case}"))?;
                    let victim = Victim { cluster: streams.cluster, namespace: name, backend, job, volume, draining };
                    victim.loses(case).with_context(|| format!("{backend} {case}"))
                })
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(done) => done?,
                Err(_) => bail!("the thread of a case panicked"),
            }
        }
        Ok(())
    })?;
    running.over()?;
    let mut lost = Vec::new();
    for job in streams.jobs(name)? {
        let case = *cases.iter().find(|case| case.to_string() == job.class).with_context(|| format!("a job `{}`", job.class))?;
        let victim = Victim { cluster: streams.cluster, namespace: name, backend, job: &job.job, volume: &volume, draining: &draining };
        let restarts = victim.restarts()?;
        let digest = victim.digest()?;
        lost.push(Lost { backend, case, restarts, digest, job });
    }
    streams.run(&["--down", name])?;
    Ok(lost)
}

/// A job that loses ranks.
pub(super) struct Victim<'a> {
    cluster: &'a TestCluster,
    namespace: &'a str,
    backend: &'a str,
    job: &'a str,
    volume: &'a Path,
    /// The lock that is held while the node takes no pods.
    draining: &'a Mutex<()>,
}

impl<'a> Victim<'a> {
    /// A job that runs alone, so that nobody drains the node.
    pub(super) fn new(cluster: &'a TestCluster, namespace: &'a str, backend: &'a str, job: &'a str, volume: &'a Path) -> Self {
        static DRAINING: Mutex<()> = Mutex::new(());
        Self { cluster, namespace, backend, job, volume, draining: &DRAINING }
    }
}

impl Victim<'_> {
    /// Loses a rank each time that another epoch is complete.
    fn loses(&self, case: &Case) -> anyhow::Result<()> {
        for time in 1..=case.times {
            self.wait("an epoch after its last start", || {
                let journal = self.journal()?;
                let starts = count(&journal, "started");
                let since = journal.rsplit_once("\"event\":\"started\"").map_or("", |(_, since)| since);
                ensure!(!journal.contains("\"event\":\"finished\""), "it has finished before it was lost {time} times");
                Ok(starts >= time as usize && count(since, "epoch_ended") > 0)
            })?;
            match case.how {
                How::Deleted => self.delete(case.rank)?,
                How::Killed => self.kill(case.rank)?,
                How::Drained => self.drain(case.rank)?,
            }
        }
        Ok(())
    }

    pub(super) fn wait(&self, what: &str, is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !is_so()? {
            ensure!(Instant::now() < deadline, "{what} never came of job {}", self.job);
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Deletes the pod of `rank`.
    pub(super) fn delete(&self, rank: u32) -> anyhow::Result<()> {
        let pod = self.pod(rank)?;
        self.kubectl(&["delete", "pod", &pod.name, "--wait=false"]).map(drop)
    }

    pub(super) fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster.kubectl(&[&["--namespace", self.namespace][..], arguments].concat())
    }

    /// Returns the folder of its run, once it exists.
    fn folder(&self) -> anyhow::Result<Option<PathBuf>> {
        let is_its =
            |path: &PathBuf| fs::read_to_string(path.join("run.json")).is_ok_and(|text| text.contains(&format!("trainjob-{}\"", self.job)));
        Ok(fs::read_dir(self.volume)?.flatten().map(|entry| entry.path()).find(is_its))
    }

    pub(super) fn journal(&self) -> anyhow::Result<String> {
        let folder = self.folder()?;
        Ok(folder.and_then(|folder| fs::read_to_string(folder.join("journal.jsonl")).ok()).unwrap_or_default())
    }

    pub(super) fn digest(&self) -> anyhow::Result<Option<String>> {
        let journal = self.journal()?;
        let finished =
            journal.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok()).find(|event| event["event"] == "finished");
        Ok(finished.and_then(|event| Some(event["parameters_sha256"].as_str()?.to_owned())))
    }

    fn pods(&self) -> anyhow::Result<Vec<Json>> {
        let pods = self.kubectl(&["get", "pods", "--selector", &format!("fltk.node/job={}", self.job), "--output", "json"])?;
        let pods: Json = serde_json::from_str(&pods).context("`kubectl get` printed no JSON")?;
        Ok(pods["items"].as_array().cloned().unwrap_or_default())
    }

    fn restarts(&self) -> anyhow::Result<u64> {
        let pods = self.pods()?;
        let statuses = |pod: &Json| {
            ["initContainerStatuses", "containerStatuses"].map(|all| pod["status"][all].as_array().cloned().unwrap_or_default())
        };
        Ok(pods.iter().flat_map(statuses).flatten().filter_map(|status| status["restartCount"].as_u64()).sum())
    }

    /// Returns the pod of `rank` that isn't being deleted.
    fn pod(&self, rank: u32) -> anyhow::Result<Pod> {
        let pods = self.pods()?;
        let label = |pod: &Json, name: &str| pod["metadata"]["labels"][name].as_str().map(str::to_owned);
        let rank_of = |pod: &Json| match label(pod, "training.kubeflow.org/replica-type").as_deref() {
            Some("worker") => Some(label(pod, "training.kubeflow.org/replica-index")?.parse::<u32>().ok()? + 1),
            Some(_) => Some(0),
            None => label(pod, "batch.kubernetes.io/job-completion-index")?.parse().ok(),
        };
        let found = pods.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null() && rank_of(pod) == Some(rank));
        let metadata = &found.with_context(|| format!("job {} has no pod of rank {rank}", self.job))?["metadata"];
        let text = |field: &str| metadata[field].as_str().map(str::to_owned).with_context(|| format!("a pod without {field}"));
        Ok(Pod { name: text("name")?, uid: text("uid")? })
    }

    /// Kills the process of `rank`, which is visible on this machine. The kernel does the same to a process that takes too much memory.
    fn kill(&self, rank: u32) -> anyhow::Result<()> {
        let variable = if self.backend == "pytorchjob" { format!("RANK={rank}") } else { format!("PET_NODE_RANK={rank}") };
        let has = |path: PathBuf, word: &dyn Fn(&str) -> bool| {
            fs::read(path).is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|text| std::str::from_utf8(text).is_ok_and(word)))
        };
        let job = format!("trainjob-{}", self.job);
        let is_its = |process: &PathBuf| {
            has(process.join("cmdline"), &|word| word.ends_with(&job)) && has(process.join("environ"), &|word| word == variable)
        };
        let process = fs::read_dir("/proc")?.flatten().map(|entry| entry.path()).find(is_its);
        let process = process.with_context(|| format!("no process of rank {rank} runs"))?;
        let pid = process.file_name().and_then(|name| name.to_str()).context("a process without a number")?;
        sh::run(Command::new("kill").args(["-KILL", pid]), sh::LOOKUP_LIMIT)
    }

    /// Does the same as `kubectl drain`, but only for this pod: the node has others.
    fn drain(&self, rank: u32) -> anyhow::Result<()> {
        let _alone = self.draining.lock().map_err(|_| anyhow::anyhow!("another case panicked"))?;
        let pod = self.pod(rank)?;
        self.cluster.kubectl(&["cordon", NODE])?;
        let evicted = self.evict(&pod);
        self.cluster.kubectl(&["uncordon", NODE])?;
        evicted
    }

    fn evict(&self, pod: &Pod) -> anyhow::Result<()> {
        let eviction = serde_json::json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod.name, "namespace": self.namespace },
        });
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), eviction.to_string())?;
        let path = format!("/api/v1/namespaces/{}/pods/{}/eviction", self.namespace, pod.name);
        self.kubectl(&["create", "--raw", &path, "--filename", file.path().to_str().context("a path that is not UTF-8")?])?;
        self.wait("the end of an evicted pod", || {
            Ok(self.pods()?.iter().all(|there| there["metadata"]["uid"].as_str() != Some(pod.uid.as_str())))
        })
    }
}

struct Pod {
    name: String,
    uid: String,
}

pub(super) fn count(journal: &str, event: &str) -> usize {
    journal.matches(&format!("\"event\":\"{event}\"")).count()
}
