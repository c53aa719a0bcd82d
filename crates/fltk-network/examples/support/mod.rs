//! The things that the measurements share: a net of any size that is trained by copying it, and the processes' own figures.

#![allow(dead_code, reason = "each example uses its part")]

use std::{
    error::Error,
    fs,
    num::NonZeroUsize,
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use fltk_core::{
    experiment::FederatedConfig,
    ids::Round,
    metrics::{Evaluation, TrainSummary},
    model_state::{ModelState, TensorRole, TensorSpec},
    schedule::LearningRates,
    seed::Seed,
};
use fltk_fed::{
    BoxError,
    client::{ClientTrainer, Evaluator},
    round::{ClientUpdate, Federation, SettingsDigest, Setup, TrainOrder},
};
use fltk_network::{
    federator::{Job, Limits},
    node::{Access, Address, Call, Carried, Introduction, NodeError, Prepared, Proxy, Trainers},
};
use rustix::time::{ClockId, clock_gettime};

/// The settings of glibc's allocator that the program's federator sets when it begins (`fltk-train`'s `process.rs`).
const ALLOCATOR: [(&str, &str); 4] = [
    ("MALLOC_MMAP_THRESHOLD_", "1073741824"),
    ("MALLOC_TRIM_THRESHOLD_", "2147483647"),
    ("MALLOC_TOP_PAD_", "268435456"),
    ("MALLOC_ARENA_MAX", "1"),
];

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const SETTINGS: SettingsDigest = SettingsDigest([9; 32]);
const DATA: [u8; 32] = [7; 32];
const PROGRAM: &str = "example";

/// Returns a net of one tensor with so many parameters.
fn layout(num_parameters: usize) -> Arc<Vec<TensorSpec>> {
    Arc::new(vec![TensorSpec { name: "weight".to_owned(), shape: vec![num_parameters], role: TensorRole::Parameter }])
}

/// Returns rounds of federated averaging of this net, with one test, after the last.
pub fn federation(num_parameters: usize, clients: u32, cohort: u32, rounds: u32) -> Outcome<Federation> {
    let config = FederatedConfig { evaluate_every: rounds, ..FederatedConfig::new(clients, cohort, rounds) };
    let rates = LearningRates { initial: 0.1, scheduler: None };
    let setup = Setup::new(config, rates, Seed(42), vec![1; clients as usize], rounds)?.for_settings(SETTINGS);
    let floats = (0_u16..1000).map(|value| f32::from(value) * 1e-3).cycle().take(num_parameters).collect();
    Ok(Federation::new(setup, Arc::new(ModelState { layout: layout(num_parameters), floats, counters: Vec::new() }))?)
}

pub fn job() -> Job {
    Job {
        run: "a run".to_owned(),
        experiment: "name: measured\n".to_owned(),
        files: Vec::new(),
        settings: SETTINGS,
        data: DATA,
        clients: Vec::new(),
        python: None,
        twin: Err("it has none".to_owned()),
        program: PROGRAM.to_owned(),
        processor: "a processor".to_owned(),
    }
}

/// Returns the limits of `fltk run`. A node that only waits for its cores isn't lost.
pub fn limits(workers: u32) -> Limits {
    let workers = NonZeroUsize::new(workers as usize).unwrap_or(NonZeroUsize::MIN);
    Limits { silence: Duration::from_secs(60), workers, ..Limits::default() }
}

/// Trains a client by copying the model; `trained` is called with every copy before it is hashed.
pub struct Copying<'a> {
    pub trained: &'a (dyn Fn(&TrainOrder) + Sync),
}

impl ClientTrainer for Copying<'_> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        let mut state = order.state.as_ref().clone();
        // Updates differ, so that none is another's object.
        if let Some(first) = state.floats.first_mut() {
            *first += f32::from(u16::try_from(order.client.0 % 1000)?);
        }
        (self.trained)(order);
        Ok(ClientUpdate::answer(order, state, TrainSummary { num_samples: 1, num_steps: 1, loss: Some(1.0) }, [].into()))
    }
}

/// An evaluator that looks at nothing.
pub struct Untested;

impl Evaluator for Untested {
    fn evaluate(&mut self, _: Round, _: &ModelState) -> Result<Evaluation, BoxError> {
        Ok(Evaluation { num_samples: 1, loss: 1.0, accuracy: 0.0, confusion: None })
    }
}

/// Works as a node with one worker until the run is over.
pub fn node(index: usize, address: Address, num_parameters: usize, trained: &(dyn Fn(&TrainOrder) + Sync)) -> Result<String, NodeError> {
    node_with(index, address, &Access::Open, num_parameters, trained)
}

/// Does the same with a proof that it may take part.
pub fn node_with(
    index: usize,
    address: Address,
    access: &Access,
    num_parameters: usize,
    trained: &(dyn Fn(&TrainOrder) + Sync),
) -> Result<String, NodeError> {
    let patience = Duration::from_secs(60);
    let introduction = Introduction {
        name: format!("node-{index}"),
        client: None,
        program: PROGRAM.to_owned(),
        processor: "a processor".to_owned(),
        patience,
        proxy: Proxy::None,
    };
    let call = Call::join(address, introduction, access, &mut |_| (), &|| false)?;
    let prepared = Prepared { settings: SETTINGS, data: DATA, num_samples: 0, layout: layout(num_parameters), workers: 1 };
    let states = Carried::default();
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> { Ok(Box::new(Copying { trained })) };
    call.work(&prepared, &Trainers { make: &make, states: &states, is_of_settings: &|_, _| false, evaluate: None, links: None }, &|| false)
}

/// Starts this example once more, in another mode, and returns its process and its output.
pub fn start(arguments: &[String]) -> Outcome<(Running, ChildStdout)> {
    let mut child =
        Command::new(std::env::current_exe()?).args(arguments).envs(ALLOCATOR).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("its output is piped")?;
    Ok((Running(child), output))
}

/// A process that doesn't outlive its parent's interest in it.
pub struct Running(Child);

impl Running {
    /// Returns the memory of the process at present, in bytes; 0 once it has ended.
    pub fn memory_bytes(&self) -> u64 {
        size_of(&format!("/proc/{}/status", self.0.id()), "VmRSS").unwrap_or(0)
    }

    pub fn end(mut self) -> Outcome {
        let status = self.0.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a process ended with {status}").into()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a size of this process, such as `VmHWM`, the peak of its memory, in bytes.
pub fn memory_bytes(name: &str) -> Outcome<u64> {
    size_of("/proc/self/status", name)
}

fn size_of(path: &str, name: &str) -> Outcome<u64> {
    let status = fs::read_to_string(path)?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).ok_or("no such size")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}

/// Returns the processor time of this process, in seconds.
pub fn processor_seconds() -> f64 {
    seconds_of(ClockId::ProcessCPUTime)
}

/// Returns the time since the machine began, in seconds: the same clock in every process.
pub fn clock_seconds() -> f64 {
    seconds_of(ClockId::Monotonic)
}

fn seconds_of(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    #[expect(clippy::cast_precision_loss, reason = "times of days, in nanoseconds")]
    let seconds = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    seconds
}

/// Returns the median, the upper one if there are two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
