//! A distributed task on one of its ranks, or alone: epochs one after another, each evaluated, recorded and checkpointed.
//!
//! All ranks run the same steps; only rank 0 has the recorder.

use std::sync::{Arc, atomic::Ordering};

use fltk_core::{
    event::RunEvent,
    experiment::{self, DistributedConfig, GradientCompression},
    ids::Epoch,
    milestone::Milestone,
    schedule::{LearningRate, LearningRates},
};
use fltk_data::{Batch, BatchPlan, Dataset, EpochKey, Remainder, Sharding, batches};
use fltk_train::{
    EpochOptions, Model, Optimizer, RankOptions, Ranks, TrainError,
    checkpoint::{self, Position},
    evaluate_plan, losses,
    nets::InputShape,
    parameters_sha256,
    ranks::{EpochPart, EpochSoFar, share_files},
};
use torch_dist::Groups;

use super::{Context, Stopped, job::Job, recorder::Recorder, resumed::Resumed, seconds_of};

/// The inputs of a rank's training.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// The state that all jobs share.
    pub context: &'a Context<'a>,
    /// The job.
    pub job: &'a Job,
    /// The job's distributed settings.
    pub config: &'a DistributedConfig,
    /// The job's data set.
    pub dataset: &'a Arc<Dataset>,
    /// The groups of all ranks; `None` for a single process.
    pub groups: Option<&'a Groups>,
}

impl Training<'_> {
    /// Trains from rank 0's checkpoint, which rank 0 has checked, and returns the digest of the final parameters, which is the same on all ranks.
    ///
    /// # Errors
    /// If training diverges, the records can't be written, a rank is lost, or the process was asked to stop ([`Stopped`]).
    pub fn run(self, resumed: Option<&Resumed>, recorder: Option<&mut Recorder>) -> anyhow::Result<String> {
        // Ranks are asked to stop one after another, and a rank that stops first is lost to the others, wherever they are: that is no failure.
        self.train(resumed, recorder).map_err(|error| if self.is_stopping() { Stopped.into() } else { error })
    }

    fn train(self, resumed: Option<&Resumed>, recorder: Option<&mut Recorder>) -> anyhow::Result<String> {
        fltk_train::init(self.job.task.threads as usize);
        let Context { base, device, .. } = *self.context;
        let mut model = Model::new(&self.job.task.network, base, InputShape::of(self.dataset), self.job.seed, device)?;
        let mut optimizer = Optimizer::new(&self.job.task.train.optimizer, &model)?;
        let files = resumed.map(|resumed| &resumed.checkpoint.files);
        let files = match self.groups {
            Some(groups) => share_files(groups.control(), files)?,
            None => files.cloned(),
        };
        let position = files.map(|files| checkpoint::restore(&files, &mut model, Some(&mut optimizer))).transpose()?;
        let sharding = sharding(&self.job.task, self.config);
        let sizes = sharding.step_sizes(self.dataset.train.len());
        let (completed, mut part) = position.map_or((0, None), |position| (position.completed, position.part));
        let ranks = match self.groups {
            Some(groups) => {
                let fp16_gradients = self.config.compression == GradientCompression::Fp16;
                Ranks::join(groups, &mut model, RankOptions { sync_batch_norm: self.config.sync_batch_norm, fp16_gradients })?
            }
            None => Ranks::alone(),
        };
        let mut rank = Rank { training: self, ranks, model, optimizer, sharding, sizes, recorder };
        for epoch in completed + 1..=self.config.epochs {
            rank.epoch(epoch, part.take().as_ref())?;
        }
        Ok(parameters_sha256(&rank.model.state()?))
    }

    fn is_stopping(self) -> bool {
        self.context.stop.load(Ordering::Relaxed)
    }
}

/// One rank during training.
struct Rank<'a> {
    training: Training<'a>,
    ranks: Ranks<'a>,
    model: Model,
    optimizer: Optimizer,
    sharding: Sharding,
    /// The number of samples of every rank, for each step of an epoch.
    sizes: Vec<Vec<usize>>,
    recorder: Option<&'a mut Recorder>,
}

impl Rank<'_> {
    /// Trains one epoch, or the rest of it after `part`; then evaluates and records.
    fn epoch(&mut self, epoch: u32, part: Option<&EpochPart>) -> anyhow::Result<()> {
        let Training { job, config, .. } = self.training;
        let train = &job.task.train;
        let rate = LearningRates::of(train).after(u64::from(epoch - 1));
        self.optimizer.set_learning_rate(rate.value);
        if let Some(recorder) = &mut self.recorder {
            recorder.warn_of_held_rate(rate);
        }
        let trained = self.train(epoch, rate, part)?;
        let (summary, parallel) = self.ranks.summary(&trained)?;
        self.ranks.share_buffers(&mut self.model)?;
        let (test, test_seconds) = seconds_of(|| self.evaluate());
        let test = test?;
        // A next step would notice the divergence; without one, a diverged model would end as a success.
        if !test.loss.is_finite() {
            return Err(TrainError::Diverged { step: summary.num_steps, loss: test.loss }.into());
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.record(RunEvent::EpochEnded {
                epoch: Epoch(epoch),
                train: summary,
                learning_rate: rate.value,
                test,
                train_seconds: trained.seconds(),
                test_seconds,
                parallel,
            })?;
        }
        // Steps are counted within each epoch, so with step checkpoints the end of an epoch is always a checkpoint.
        if epoch.is_multiple_of(job.task.checkpoint_every) || epoch == config.epochs || config.checkpoint_every_steps.is_some() {
            self.checkpoint(epoch.into(), rate, None)?;
        }
        Ok(())
    }

    /// Trains the steps of an epoch, with checkpoints in between if they are configured.
    fn train(&mut self, epoch: u32, rate: LearningRate, part: Option<&EpochPart>) -> anyhow::Result<EpochSoFar> {
        let Training { context, job, config, dataset, .. } = self.training;
        let mut so_far = part.map(|part| self.ranks.take_up(part)).transpose()?.unwrap_or_default();
        let key = EpochKey { seed: job.seed, client: 0, round: 0, epoch: u64::from(epoch) };
        let rank = self.ranks.rank() as usize;
        let plan = BatchPlan::train_shard(dataset, &self.sharding, rank, key, so_far.steps() as usize, self.model.image_input())?;
        // The stop flag is checked at every batch, so that Ctrl-C doesn't wait for the end of an epoch; the steps after the last checkpoint are then
        // repeated on resume.
        let progress = self.recorder.as_ref().map(|recorder| recorder.progress());
        let tell = |_: &Batch| progress.iter().for_each(|progress| progress.part());
        let mut until_stopped = batches(plan).take_while(|_| !context.stop.load(Ordering::Relaxed)).inspect(tell);
        let options = EpochOptions { loss: losses::find(&job.task.loss)?, key };
        loop {
            let done = so_far.steps() as usize;
            let Some(left) = self.sizes.get(done..).filter(|left| !left.is_empty()) else { return Ok(so_far) };
            let pause = config.checkpoint_every_steps.map(|every| every as usize - done % every as usize);
            let next = &left[..pause.map_or(left.len(), |pause| pause.min(left.len()))];
            let mut steps =
                |sizes| self.ranks.train_steps(&mut self.model, &mut self.optimizer, &mut until_stopped, sizes, options, &mut so_far);
            let (first, others) = next.split_at(1);
            let (trained, seconds) = seconds_of(|| {
                steps(first)?;
                context.termination.stepped();
                steps(others)
            });
            so_far.add_seconds(seconds);
            if self.training.is_stopping() {
                return Err(Stopped.into());
            }
            trained?;
            if next.len() < left.len() {
                let part = self.ranks.part(&so_far)?;
                self.checkpoint(Milestone { completed: epoch - 1, steps: part.steps }, rate, Some(part))?;
            }
        }
    }

    fn evaluate(&self) -> anyhow::Result<fltk_core::metrics::Evaluation> {
        let Training { context, job, dataset, groups, .. } = self.training;
        let place = (self.ranks.rank() as usize, groups.map_or(1, Groups::size) as usize);
        let plan = BatchPlan::test_shard(dataset, place, self.model.image_input(), job.task.train.test_batch_size as usize)?;
        let own = evaluate_plan(&self.model, plan, losses::find(&job.task.loss)?, context.workers.get())?;
        Ok(self.ranks.sum(own)?)
    }

    /// Saves a checkpoint, on the rank that records.
    fn checkpoint(&mut self, at: Milestone, rate: LearningRate, part: Option<EpochPart>) -> anyhow::Result<()> {
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        let state = self.model.state()?;
        let position = Position { completed: at.completed, seed: self.training.job.seed, learning_rate: rate.value, part };
        recorder.checkpoint(at, &checkpoint::save(&state, Some(&self.optimizer), &position)?, parameters_sha256(&state))?;
        Ok(())
    }
}

/// The division of each step's samples among the ranks.
#[must_use]
pub fn sharding(task: &experiment::Training, config: &DistributedConfig) -> Sharding {
    let first = task.train.batch_size as usize;
    let others = task.train_other_role.as_ref().map_or(first, |train| train.batch_size as usize);
    let batch_sizes = (0..config.data_parallelism).map(|rank| if rank == 0 { first } else { others }).collect();
    let remainder = match (task.train.drop_last, config.pad_last) {
        (true, _) => Remainder::Drop,
        (false, true) => Remainder::Pad,
        (false, false) => Remainder::Share,
    };
    Sharding { batch_sizes, remainder }
}
