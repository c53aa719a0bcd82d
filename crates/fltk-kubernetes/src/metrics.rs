//! The metrics for Prometheus.

use std::{sync::Mutex, time::Duration};

use fltk_plan::{Orchestrator, plan::STATE_NAMES};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerbLabel {
    verb: &'static str,
    outcome: &'static str,
}

/// The orchestrator's metrics.
pub struct Metrics {
    registry: Registry,
    jobs: Family<StateLabel, Gauge>,
    arrivals: Counter,
    /// The number of arrivals counted so far, and the jobs whose times were observed already.
    counted: Mutex<Counted>,
    queue_seconds: Histogram,
    response_seconds: Histogram,
    api_seconds: Family<VerbLabel, Histogram>,
    api_retries: Counter,
    watch_errors: Counter,
}

#[derive(Default)]
struct Counted {
    arrivals: u64,
    queued: Vec<bool>,
    ended: Vec<bool>,
}

impl Metrics {
    /// Creates the metrics, all at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("fltk");
        let jobs = Family::<StateLabel, Gauge>::default();
        registry.register("jobs", "Jobs of the stream by state", jobs.clone());
        let arrivals = Counter::default();
        registry.register("arrivals", "Jobs that have arrived", arrivals.clone());
        let seconds = || Histogram::new(exponential_buckets(0.1, 2.0, 18));
        let queue_seconds = seconds();
        registry.register_with_unit("job_queue", "From a job's arrival to its first pod", Unit::Seconds, queue_seconds.clone());
        let response_seconds = seconds();
        registry.register_with_unit("job_response", "From a job's arrival to its end", Unit::Seconds, response_seconds.clone());
        let api_seconds = Family::<VerbLabel, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15)));
        registry.register_with_unit("api_request", "Requests to the API server", Unit::Seconds, api_seconds.clone());
        let api_retries = Counter::default();
        registry.register("api_retries", "Requests that failed and were retried", api_retries.clone());
        let watch_errors = Counter::default();
        registry.register("watch_errors", "Watches that failed and were restarted", watch_errors.clone());
        let counted = Mutex::new(Counted::default());
        Self { registry, jobs, arrivals, counted, queue_seconds, response_seconds, api_seconds, api_retries, watch_errors }
    }

    /// Records a request that took `elapsed`.
    pub fn requested(&self, verb: &'static str, elapsed: Duration, is_ok: bool) {
        let outcome = if is_ok { "ok" } else { "error" };
        self.api_seconds.get_or_create(&VerbLabel { verb, outcome }).observe(elapsed.as_secs_f64());
    }

    /// Records that a request is tried again.
    pub fn retried(&self) {
        self.api_retries.inc();
    }

    /// Records that a watch failed.
    pub fn watch_failed(&self) {
        self.watch_errors.inc();
    }

    /// Updates the metrics to the state of the stream.
    pub fn stands(&self, orchestrator: &Orchestrator<'_>) {
        let mut states = std::collections::BTreeMap::from(STATE_NAMES.map(|state| (state, 0i64)));
        let mut counted = self.counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut arrivals = 0;
        for (index, job) in orchestrator.all_jobs().enumerate() {
            *states.entry(job.state_name()).or_default() += 1;
            arrivals += u64::from(job.record.arrived.is_some());
            if counted.queued.len() <= index {
                counted.queued.push(false);
                counted.ended.push(false);
            }
            if let Some(seconds) = job.record.queue_seconds().filter(|_| !counted.queued[index]) {
                counted.queued[index] = true;
                self.queue_seconds.observe(seconds);
            }
            if let Some(seconds) = job.record.response_seconds().filter(|_| !counted.ended[index]) {
                counted.ended[index] = true;
                self.response_seconds.observe(seconds);
            }
        }
        self.arrivals.inc_by(arrivals.saturating_sub(counted.arrivals));
        counted.arrivals = counted.arrivals.max(arrivals);
        for (state, count) in states {
            self.jobs.get_or_create(&StateLabel { state }).set(count);
        }
    }

    /// All metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// If formatting in memory fails.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
