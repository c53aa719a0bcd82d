//! The results that `fltk run` prints: one object per run, made from its records alone.

use std::path::PathBuf;

use fltk::{
    exit::{Exit, OrExit as _},
    output,
};
use fltk_core::client_test::ClientTestSummary;
use fltk_records::{
    RunFolder,
    history::{End, Unit},
};
use serde::Serialize;

/// The outcome of one run.
#[derive(Debug, Serialize)]
pub struct RunResult {
    /// The run's folder.
    pub run: PathBuf,
    /// The experiment's name.
    pub experiment: String,
    /// The task's name.
    pub task: String,
    /// `distributed` or `federated`.
    pub kind: String,
    /// The root seed.
    pub seed: u64,
    /// The unit of the steps: `round` or `epoch`.
    pub unit: Unit,
    /// Every round or epoch, ascending; 0 is the initial model.
    pub steps: Vec<Step>,
    /// Test accuracy after the last step, `0..=1`.
    pub accuracy: Option<f64>,
    /// Mean test loss per prediction after the last step.
    pub loss: Option<f64>,
    /// The figures of the last test of the clients on samples of their own; absent if they weren't tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_test: Option<ClientTestSummary>,
    /// Wall clock of the run since it last started, in seconds.
    pub seconds: f64,
    /// SHA-256 of the final parameters and buffers; `docs/parity.md` specifies the bytes.
    pub parameters_sha256: String,
}

/// A round or epoch.
#[derive(Debug, Serialize)]
pub struct Step {
    /// The step, counted from 1; 0 is the initial model.
    pub step: u32,
    /// Test accuracy, `0..=1`; absent if the step was not evaluated.
    pub accuracy: Option<f64>,
    /// Mean test loss per prediction; absent likewise.
    pub loss: Option<f64>,
    /// Mean training loss per sample in this step; absent for step 0, and if no client took a step.
    pub train_loss: Option<f64>,
    /// Wall-clock time of training in this step alone, in seconds.
    pub seconds: f64,
    /// Wall-clock time of the evaluation after this step, in seconds; in a federated run it may overlap the next round's training.
    pub test_seconds: f64,
}

impl RunResult {
    /// Reads the result of the finished run in `folder`.
    ///
    /// # Errors
    /// If its records can't be read, or it hasn't finished.
    pub fn read(folder: RunFolder) -> anyhow::Result<Self> {
        let run = folder.read().or_exit(Exit::Records)?;
        let Some(End::Finished { parameters_sha256: Some(parameters_sha256), seconds, .. }) = run.history.end() else {
            return Err(fltk::exit::failure(Exit::Records, format!("`{}` has not finished", run.folder.path().display())));
        };
        let description = run.folder.description();
        let steps: Vec<Step> = run
            .history
            .rows()
            .map(|row| Step {
                step: row.step,
                accuracy: row.test.as_ref().map(|test| test.accuracy),
                loss: row.test.as_ref().map(|test| test.loss),
                train_loss: row.train.and_then(|train| train.loss),
                seconds: row.train_seconds,
                test_seconds: row.test_seconds,
            })
            .collect();
        Ok(Self {
            experiment: description.experiment.to_string(),
            task: description.task.to_string(),
            kind: description.hyperparameters.text("kind").to_owned(),
            seed: description.seed.0,
            unit: run.history.unit().unwrap_or(Unit::Epoch),
            accuracy: steps.last().and_then(|step| step.accuracy),
            loss: steps.last().and_then(|step| step.loss),
            client_test: run.history.last_client_test(),
            seconds: *seconds,
            parameters_sha256: parameters_sha256.clone(),
            steps,
            run: run.folder.path().to_owned(),
        })
    }

    /// The table for people to read.
    #[must_use]
    pub fn to_table(&self) -> String {
        let mut table = output::table(&[self.unit.name(), "accuracy", "loss", "train loss", "train s", "test s"], &[0, 1, 2, 3, 4, 5]);
        let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.4}"));
        for step in &self.steps {
            table.add_row([
                step.step.to_string(),
                number(step.accuracy),
                number(step.loss),
                number(step.train_loss),
                format!("{:.2}", step.seconds),
                format!("{:.2}", step.test_seconds),
            ]);
        }
        let accuracy = number(self.accuracy);
        let clients = self.client_test.map_or_else(String::new, |clients| {
            let ClientTestSummary { num_clients, accuracy, worst_decile, .. } = clients;
            format!(
                "\nclients   {accuracy:.4} on test samples of their own: the mean of {num_clients}; {worst_decile:.4} for the worst tenth"
            )
        });
        format!(
            "{}, seed {}\n{table}\n\naccuracy  {accuracy} on the whole test set, {:.1} s since the start{clients}\nmodel     sha256 {}\nrun       {}\n",
            self.task,
            self.seed,
            self.seconds,
            self.parameters_sha256,
            self.run.display()
        )
    }
}
