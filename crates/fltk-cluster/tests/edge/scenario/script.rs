//! What a test decides: how pods go.

/// A container that is about to run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The job's name; that of the pod if it is of none.
    pub job: String,
    /// `master`, `worker` or `node`.
    pub role: String,
    pub index: u32,
    /// How often the same role and index of the job has run before.
    pub attempt: u32,
}

/// Decides how each run goes.
pub type Script = Box<dyn Fn(&Run) -> Fate + Send>;

/// How a run goes. Times are in ticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    pub starts: Start,
    /// `None` to go on until somebody stops it.
    pub runs: Option<u32>,
    pub ends: End,
}

/// How a pod gets to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Ticks with its node before it runs. With 0, it runs in the tick after its creation.
    After(u32),
    /// No node will have it.
    Unschedulable,
    /// Its image can't be had.
    NoImage,
}

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With exit code 0. The termination message may be empty.
    Succeeded { message: String },
    /// With another.
    Failed { exit_code: i32, message: String },
    /// Killed for its memory.
    OutOfMemory,
    /// Its node had to get rid of the pod.
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

    /// Runs for a tick, and then this.
    pub fn ends(ends: End) -> Self {
        Self { starts: Start::After(0), runs: Some(1), ends }
    }

    /// Runs until somebody stops it.
    pub fn runs_on() -> Self {
        Self { runs: None, ..Self::succeeds("") }
    }

    /// Stays pending.
    pub fn never_starts(starts: Start) -> Self {
        Self { starts, ..Self::succeeds("") }
    }

    /// The same with `ticks` of running.
    pub fn after(self, ticks: u32) -> Self {
        Self { runs: Some(ticks), ..self }
    }
}
