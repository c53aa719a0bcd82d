//! A test's script, which decides how pods run and end.

/// A container that is about to run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The name of the job, or of the pod if it belongs to no job.
    pub job: String,
    /// `master`, `worker` or `node`.
    pub role: String,
    /// The index of the pod among those of its role, from 0.
    pub index: u32,
    /// The number of earlier runs with the same job, role and index.
    pub attempt: u32,
}

/// Decides how each run goes.
pub type Script = Box<dyn Fn(&Run) -> Fate + Send>;

/// How a run goes. Times are in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The start.
    pub starts: Start,
    /// The number of ticks that it runs; `None` to run until it is stopped.
    pub runs: Option<u32>,
    /// The end, unless it is stopped before.
    pub ends: End,
}

/// How a pod starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The number of ticks on its node before it runs. With 0, it runs in the tick after its creation.
    After(u32),
    /// No node accepts the pod.
    Unschedulable,
    /// Its image can't be pulled.
    NoImage,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The exit code is 0.
    Succeeded {
        /// The termination message, which may be empty.
        message: String,
    },
    /// The exit code is not 0.
    Failed {
        /// The exit code.
        exit_code: i32,
        /// The termination message, which may be empty.
        message: String,
    },
    /// The container is killed for lack of memory.
    OutOfMemory,
    /// Its node evicts the pod.
    Evicted,
}

impl Fate {
    /// Runs for a tick and succeeds.
    pub fn succeeds(message: &str) -> Self {
        Self::ends(End::Succeeded { message: message.to_owned() })
    }

    /// Runs for a tick and fails.
    pub fn fails(exit_code: i32, message: &str) -> Self {
        Self::ends(End::Failed { exit_code, message: message.to_owned() })
    }

    /// Runs for a tick, and then ends with `ends`.
    pub fn ends(ends: End) -> Self {
        Self { starts: Start::After(0), runs: Some(1), ends }
    }

    /// Runs until it is stopped.
    pub fn runs_on() -> Self {
        Self { runs: None, ..Self::succeeds("") }
    }

    /// Stays pending.
    pub fn never_starts(starts: Start) -> Self {
        Self { starts, ..Self::succeeds("") }
    }

    /// The same, but with `ticks` of running.
    pub fn after(self, ticks: u32) -> Self {
        Self { runs: Some(ticks), ..self }
    }
}
