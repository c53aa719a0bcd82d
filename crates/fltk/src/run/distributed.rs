//! A distributed task as one of its ranks sees it, or alone: epochs one after another, each evaluated, recorded and checkpointed.
//!
//! All ranks do the same; rank 0 has the recorder.

use std::sync::{Arc, atomic::Ordering};

use fltk_core::{
    event::RunEvent,
    experiment::{DistributedConfig, GradientCompression, Task},
    ids::Epoch,
};
use fltk_data::{BatchPlan, Dataset, EpochKey, Remainder, Sharding, batches};
use fltk_records::checkpoint::Checkpoint;
use fltk_train::{
    EpochOptions, Model, Optimizer, RankOptions, Ranks, Targets, TrainError,
    checkpoint::{self, Position},
    evaluate, parameters_sha256,
    ranks::share_files,
    schedule::learning_rate,
};
use torch_dist::ProcessGroup;

use super::{Context, Stopped, job::Job, recorder::Recorder, seconds_of};

/// Trains `job` from rank 0's checkpoint on and returns the digest of the final parameters, the same on all ranks.
///
/// # Errors
/// If training diverges, the records can't be written, a rank is lost, or the process was asked to stop ([`Stopped`]).
pub fn run(
    context: &Context<'_>,
    job: &Job,
    config: &DistributedConfig,
    dataset: &Arc<Dataset>,
    group: Option<&ProcessGroup>,
    resumed: Option<&Checkpoint>,
    recorder: Option<&mut Recorder>,
) -> anyhow::Result<String> {
    // Ranks are asked to stop one after another, and those that stop first are lost to the others, wherever these are: that is no failure.
    train(context, job, config, dataset, group, resumed, recorder)
        .map_err(|error| if context.stop.load(Ordering::Relaxed) { Stopped.into() } else { error })
}

fn train(
    context: &Context<'_>,
    job: &Job,
    config: &DistributedConfig,
    dataset: &Arc<Dataset>,
    group: Option<&ProcessGroup>,
    resumed: Option<&Checkpoint>,
    mut recorder: Option<&mut Recorder>,
) -> anyhow::Result<String> {
    let train = &job.task.train;
    fltk_train::init(job.task.threads as usize);
    let mut model = Model::new(&job.task.network, context.base, Targets::of(dataset), job.seed)?;
    let mut optimizer = Optimizer::new(&train.optimizer, &model)?;
    let files = resumed.map(|resumed| &resumed.files);
    let files = match group {
        Some(group) => share_files(group, files)?,
        None => files.cloned(),
    };
    let completed = match files {
        Some(files) => checkpoint::restore(&files, &mut model, Some(&mut optimizer))?.completed,
        None => 0,
    };
    let ranks = match group {
        Some(group) => {
            let fp16_gradients = config.compression == GradientCompression::Fp16;
            Ranks::join(group, &mut model, RankOptions { sync_batch_norm: config.sync_batch_norm, fp16_gradients })?
        }
        None => Ranks::alone(),
    };
    let (rank, num_ranks) = (ranks.rank() as usize, group.map_or(1, ProcessGroup::size) as usize);
    let sharding = sharding(&job.task, config);
    let sizes = sharding.step_sizes(dataset.train.len());
    let input = model.image_input();
    for epoch in completed + 1..=config.epochs {
        let rate = learning_rate(train.scheduler.as_ref(), train.optimizer.learning_rate(), u64::from(epoch - 1));
        optimizer.set_learning_rate(rate.value);
        if let Some(recorder) = &mut recorder {
            recorder.warn_of_held_rate(rate);
        }
        let key = EpochKey { seed: job.seed, client: 0, round: 0, epoch: u64::from(epoch) };
        let plan = BatchPlan::train_shard(dataset, &sharding, rank, key, input)?;
        // Checked at every batch, so that Ctrl-C doesn't wait for the end of an epoch; the epoch is then done again.
        let stop = &context.stop;
        let until_stopped = batches(plan).take_while(|_| !stop.load(Ordering::Relaxed));
        let options = EpochOptions { loss: job.task.loss, key };
        let (trained, train_seconds) = seconds_of(|| ranks.train_epoch(&mut model, &mut optimizer, until_stopped, &sizes, options));
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped.into());
        }
        let (summary, parallel) = trained?;
        ranks.share_buffers(&mut model)?;
        let plan = BatchPlan::test_shard(dataset, (rank, num_ranks), input, train.test_batch_size as usize)?;
        let (test, test_seconds) = seconds_of(|| {
            let own = evaluate(&model, batches(plan), job.task.loss, context.workers.get())?;
            ranks.sum(own)
        });
        let test = test?;
        // The next step would notice; without one, a model that is no model any more would end as a success.
        if !test.loss.is_finite() {
            return Err(TrainError::Diverged { step: summary.num_steps, loss: test.loss }.into());
        }
        let Some(recorder) = &mut recorder else { continue };
        recorder.record(RunEvent::EpochEnded {
            epoch: Epoch(epoch),
            train: summary,
            learning_rate: rate.value,
            test,
            train_seconds,
            test_seconds,
            parallel,
        })?;
        if epoch % job.task.checkpoint_every == 0 || epoch == config.epochs {
            let state = model.state()?;
            let position = Position { completed: epoch, seed: job.seed, learning_rate: rate.value };
            recorder.checkpoint(epoch, &checkpoint::save(&state, Some(&optimizer), &position)?, parameters_sha256(&state))?;
        }
    }
    Ok(parameters_sha256(&model.state()?))
}

/// Who takes how many samples of a step.
#[must_use]
pub fn sharding(task: &Task, config: &DistributedConfig) -> Sharding {
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
