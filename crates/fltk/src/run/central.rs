//! A distributed task on one rank: epochs one after another, each evaluated, recorded and checkpointed.

use std::sync::{Arc, atomic::Ordering};

use fltk_core::{event::RunEvent, experiment::DistributedConfig, ids::Epoch};
use fltk_data::{BatchPlan, Dataset, EpochKey, batches};
use fltk_records::checkpoint::Checkpoint;
use fltk_train::{
    EpochOptions, Model, Optimizer, Targets, TrainError,
    checkpoint::{self, Position},
    evaluate, parameters_sha256,
    schedule::learning_rate,
    train_epoch,
};

use super::{Context, Stopped, job::Job, recorder::Recorder, seconds_of};

/// Trains `job` from `resumed` on and returns the digest of the final parameters.
///
/// # Errors
/// If training diverges, the records can't be written, or the process was asked to stop ([`Stopped`]).
pub fn run(
    context: &Context<'_>,
    job: &Job,
    config: &DistributedConfig,
    dataset: &Arc<Dataset>,
    resumed: Option<&Checkpoint>,
    recorder: &mut Recorder,
) -> anyhow::Result<String> {
    let train = &job.task.train;
    fltk_train::init(job.task.threads as usize);
    let mut model = Model::new(&job.task.network, context.base, Targets::of(dataset), job.seed)?;
    let mut optimizer = Optimizer::new(&train.optimizer, &model)?;
    let mut completed = 0;
    if let Some(resumed) = resumed {
        completed = checkpoint::restore(&resumed.files, &mut model, Some(&mut optimizer))?.completed;
    }
    let input = model.image_input();
    for epoch in completed + 1..=config.epochs {
        let rate = learning_rate(train.scheduler.as_ref(), train.optimizer.learning_rate(), u64::from(epoch - 1));
        optimizer.set_learning_rate(rate.value);
        recorder.warn_of_held_rate(rate);
        let key = EpochKey { seed: job.seed, client: 0, round: 0, epoch: u64::from(epoch) };
        let plan = BatchPlan::train(dataset, None, key, input, train.batch_size as usize, train.drop_last)?;
        // Checked at every batch, so that Ctrl-C doesn't wait for the end of an epoch; the epoch is then done again.
        let stop = &context.stop;
        let until_stopped = batches(plan).take_while(|_| !stop.load(Ordering::Relaxed));
        let options = EpochOptions { loss: job.task.loss, key };
        let (summary, train_seconds) = seconds_of(|| train_epoch(&mut model, &mut optimizer, until_stopped, options));
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped.into());
        }
        let test = batches(BatchPlan::test(dataset, input, train.test_batch_size as usize)?);
        let (test, test_seconds) = seconds_of(|| evaluate(&model, test, job.task.loss, context.workers.get()));
        let (summary, test) = (summary?, test?);
        // The next step would notice; without one, a model that is no model any more would end as a success.
        if !test.loss.is_finite() {
            return Err(TrainError::Diverged { step: summary.num_steps, loss: test.loss }.into());
        }
        recorder.record(RunEvent::EpochEnded {
            epoch: Epoch(epoch),
            train: summary,
            learning_rate: rate.value,
            test,
            train_seconds,
            test_seconds,
        })?;
        if epoch % job.task.checkpoint_every == 0 || epoch == config.epochs {
            let state = model.state()?;
            let position = Position { completed: epoch, seed: job.seed, learning_rate: rate.value };
            recorder.checkpoint(epoch, &checkpoint::save(&state, Some(&optimizer), &position)?, parameters_sha256(&state))?;
        }
    }
    Ok(parameters_sha256(&model.state()?))
}
