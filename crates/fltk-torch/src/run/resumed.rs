//! The checkpoint from which an interrupted run resumes: the newest intact one, checked before the new start writes anything.

use fltk::exit::{Exit, OrExit as _, failure};
use fltk_core::{experiment::Setting, milestone::Milestone, model_state::ModelState};
use fltk_data::Dataset;
use fltk_records::{RunRecorder, checkpoint::Checkpoint, history::Unit};
use fltk_train::{
    Model, Optimizer,
    checkpoint::{self, Position},
    nets::InputShape,
    parameters_sha256,
};

use super::{Context, distributed::sharding, job::Job};

/// A checkpoint to resume from.
pub struct Resumed {
    /// The checkpoint's files and position.
    pub checkpoint: Checkpoint,
    /// The digest of the model's parameters and buffers in it, according to the journal.
    parameters_sha256: String,
}

impl Resumed {
    /// The newest intact checkpoint among those that the journal knows. One that it doesn't know was saved just before the process ended, or came
    /// from elsewhere.
    ///
    /// # Errors
    /// If checkpoints can't be listed.
    pub fn latest(records: &RunRecorder, unit: Unit) -> anyhow::Result<Option<Self>> {
        let known = records.history().checkpoints();
        let latest = records.folder().checkpoints(unit).latest(|at| known.contains_key(&at)).or_exit(Exit::Records)?;
        for problem in &latest.skipped {
            tracing::warn!("a checkpoint is skipped: {problem}");
        }
        Ok(latest.checkpoint.and_then(|checkpoint| {
            let parameters_sha256 = known.get(&checkpoint.at)?.clone();
            Some(Self { checkpoint, parameters_sha256 })
        }))
    }

    /// Checks that `job` saved this checkpoint: it fits the net and the optimizer, its parameters are those that the journal knows, and its position
    /// is the one it is stored under. Its manifest alone would also fit another run's checkpoint.
    ///
    /// The checkpoint is loaded for the check, and again by each rank that trains: so a wrong one is refused before any rank resumes from it, and
    /// before the journal records the start.
    ///
    /// # Errors
    /// If the checkpoint is a wrong one, or the net can't be built.
    pub fn check(&self, context: &Context<'_>, job: &Job, dataset: &Dataset) -> anyhow::Result<()> {
        if job.task.network.python().is_some() {
            let position = checkpoint::position(&self.checkpoint.files).map_err(|error| self.refusal(format!(": {error}")))?;
            // Its parameters are checked once a node has said what their layout is.
            return self.check_position(&position, job, dataset);
        }
        fltk_train::init(1);
        let mut model = Model::new(&job.task.network, context.base, InputShape::of(dataset), job.seed, context.device)?;
        let mut optimizer = match &job.task.setting {
            Setting::Federated(_) => None,
            Setting::Distributed(_) => Some(Optimizer::new(&job.task.train.optimizer, &model)?),
        };
        let files = &self.checkpoint.files;
        let position = checkpoint::restore(files, &mut model, optimizer.as_mut()).map_err(|error| self.refusal(format!(": {error}")))?;
        self.check_parameters(&model.state()?)?;
        self.check_position(&position, job, dataset)
    }

    /// Checks that these parameters, which are those of the checkpoint, are the ones that the journal knows.
    ///
    /// # Errors
    /// If they aren't.
    pub fn check_parameters(&self, state: &ModelState) -> anyhow::Result<()> {
        let (loaded, known) = (parameters_sha256(state), &self.parameters_sha256);
        if loaded == *known {
            return Ok(());
        }
        Err(self.refusal(format!(": its parameters have SHA-256 {loaded}, and the journal says {known}")))
    }

    fn check_position(&self, position: &Position, job: &Job, dataset: &Dataset) -> anyhow::Result<()> {
        checkpoint::remembered(&self.checkpoint.files).map_err(|error| self.refusal(format!(": {error}")))?;
        if self.is_of_this_place(position, job, dataset) {
            return Ok(());
        }
        let (seed, place) = (position.seed.0, position.milestone().text("round or epoch"));
        Err(self.refusal(format!(", which is of seed {seed}, after {place}: not of this run, or not of this place")))
    }

    /// True if the checkpoint's own position is the one it is stored under, has the seed of `job`, and isn't beyond the job's end: within an epoch,
    /// at most before its last step.
    fn is_of_this_place(&self, position: &Position, job: &Job, dataset: &Dataset) -> bool {
        let (num_units, num_steps) = match &job.task.setting {
            Setting::Federated(config) => (config.rounds, 0),
            Setting::Distributed(config) => (config.epochs, sharding(&job.task, config).step_sizes(dataset.train.len()).len()),
        };
        let is = position.milestone();
        is == self.checkpoint.at
            && position.seed == job.seed
            && is <= Milestone::from(num_units)
            && (position.part.is_none() || (1..num_steps).contains(&(is.steps as usize)))
    }

    fn refusal(&self, why: String) -> anyhow::Error {
        let message = format!(
            "the run can't resume from the checkpoint after {}{why}\nhint: restore the run's own checkpoint, or remove this one: the run then resumes from the previous one, or from its beginning",
            self.checkpoint.at.text("round or epoch")
        );
        failure(Exit::Records, message)
    }
}
