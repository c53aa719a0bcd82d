//! Every round or epoch of several runs as one flat table, for notebooks.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use fltk_core::{
    client_test::ClientFigures,
    ids::{ClientId, Round},
};
use jiff::Timestamp;
use serde::{Serialize, Serializer as _, ser::SerializeSeq as _};

use crate::{
    RunRef,
    history::{Row, Unit},
    summary::network,
};

/// The columns of the CSV, in order: the fields of [`ExportRow`].
pub const COLUMNS: [&str; 28] = [
    "run",
    "experiment",
    "task",
    "kind",
    "network",
    "dataset",
    "seed",
    "replication",
    "status",
    "timestamp",
    "unit",
    "step",
    "num_selected_clients",
    "trained_items",
    "train_steps",
    "learning_rate",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "train_seconds",
    "test_seconds",
    "tested_clients",
    "client_accuracy",
    "client_accuracy_worst_decile",
    "client_accuracy_variance",
    "virtual_seconds",
    "sent_bytes",
    "figures",
];

/// One round or epoch of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportRow {
    /// The name of the run's folder.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// The task's name.
    pub task: String,
    /// `distributed`, `federated` or `command`.
    pub kind: String,
    /// The net.
    pub network: String,
    /// The data set.
    pub dataset: String,
    /// The root seed.
    pub seed: u64,
    /// The seed's index in the experiment.
    pub replication: u32,
    /// The status of the run.
    pub status: &'static str,
    /// The time at which this row was recorded.
    pub timestamp: Timestamp,
    /// The unit of the steps.
    pub unit: Unit,
    /// The round or epoch.
    pub step: u32,
    /// The number of clients that took part; absent for epochs.
    pub num_selected_clients: Option<usize>,
    /// The number of samples trained on.
    pub trained_items: Option<u64>,
    /// The number of optimizer steps.
    pub train_steps: Option<u64>,
    /// The learning rate.
    pub learning_rate: Option<f64>,
    /// The training loss, mean per sample.
    pub train_loss: Option<f64>,
    /// The test loss, mean per prediction.
    pub test_loss: Option<f64>,
    /// The test accuracy, `0..=1`.
    pub test_accuracy: Option<f64>,
    /// Seconds of training in this step alone; absent if nothing was trained.
    pub train_seconds: Option<f64>,
    /// Seconds of evaluation in this step alone; absent if it was not evaluated.
    pub test_seconds: Option<f64>,
    /// The number of clients that were tested on samples of their own; absent if none were.
    pub tested_clients: Option<u32>,
    /// The mean of their accuracies, `0..=1`.
    pub client_accuracy: Option<f64>,
    /// The mean accuracy of the worst tenth of them.
    pub client_accuracy_worst_decile: Option<f64>,
    /// The variance of their accuracies.
    pub client_accuracy_variance: Option<f64>,
    /// The simulated time at which the round's model was complete, in seconds since the run began; absent if time was the wall clock's.
    pub virtual_seconds: Option<f64>,
    /// The bytes of the updates that count, or of the gradients that a rank sent, as they are sent; absent if nothing was sent, and for rounds of earlier versions.
    pub sent_bytes: Option<u64>,
    /// The figures that a program of the user's own reported and no other column has, as a JSON object by name; absent if there are none.
    pub figures: Option<String>,
}

/// The format of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header and the rows (RFC 4180). Numbers that are not finite are `NaN`, `inf`, `-inf`; absent ones are empty.
    Csv,
    /// An array of objects. Numbers that are not finite or are absent are `null`.
    Json,
}

/// The columns of the table of clients, in order: the fields of [`ClientExportRow`].
pub const CLIENT_COLUMNS: [&str; 11] =
    ["run", "experiment", "task", "dataset", "seed", "replication", "round", "client", "test_items", "test_loss", "test_accuracy"];

/// One client's test after one round of one run. Figures that weren't to be recorded are absent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientExportRow {
    /// The name of the run's folder.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// The task's name.
    pub task: String,
    /// The data set.
    pub dataset: String,
    /// The root seed.
    pub seed: u64,
    /// The seed's index in the experiment.
    pub replication: u32,
    /// The round; 0 is the initial model.
    pub round: u32,
    /// The client.
    pub client: u32,
    /// The number of predictions.
    pub test_items: Option<u64>,
    /// The mean loss per prediction.
    pub test_loss: Option<f64>,
    /// The accuracy, `0..=1`.
    pub test_accuracy: Option<f64>,
}

/// Writes the rows of all runs, one run after another; each run is read only when its turn comes.
///
/// # Errors
/// If `out` can't be written, or the first error that `runs` yields.
pub fn write(format: Format, runs: impl Iterator<Item = io::Result<RunRef>>, out: &mut dyn Write) -> io::Result<()> {
    write_table(format, &COLUMNS, rows, runs, out)
}

/// Writes what is recorded of the tests of clients on samples of their own, in the same way.
///
/// # Errors
/// Those of [`write()`].
pub fn write_clients(format: Format, runs: impl Iterator<Item = io::Result<RunRef>>, out: &mut dyn Write) -> io::Result<()> {
    write_table(format, &CLIENT_COLUMNS, client_rows, runs, out)
}

fn write_table<R: Serialize>(
    format: Format,
    columns: &[&str],
    rows: impl Fn(&RunRef) -> Vec<R>,
    runs: impl Iterator<Item = io::Result<RunRef>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Csv => write_csv(columns, rows, runs, out),
        Format::Json => write_json(rows, runs, out),
    }
}

fn client_rows(run: &RunRef) -> Vec<ClientExportRow> {
    let description = run.folder.description();
    let name = run.folder.name();
    let row = |(&(round, client), test): (&(Round, ClientId), &ClientFigures)| ClientExportRow {
        run: name.clone(),
        experiment: description.experiment.to_string(),
        task: description.task.to_string(),
        dataset: description.hyperparameters.dataset(),
        seed: description.seed.0,
        replication: description.replication,
        round: round.0,
        client: client.0,
        test_items: test.num_samples,
        test_loss: test.loss,
        test_accuracy: test.accuracy,
    };
    run.history.client_tests().iter().map(row).collect()
}

fn rows(run: &RunRef) -> Vec<ExportRow> {
    let description = run.folder.description();
    let settings = &description.hyperparameters;
    let name = run.folder.name();
    let row = |row: &Row| ExportRow {
        run: name.clone(),
        experiment: description.experiment.to_string(),
        task: description.task.to_string(),
        kind: settings.text("kind").to_owned(),
        network: network(settings),
        dataset: settings.dataset(),
        seed: description.seed.0,
        replication: description.replication,
        status: run.status.name(),
        timestamp: row.at,
        unit: row.unit,
        step: row.step,
        num_selected_clients: (row.unit == Unit::Round).then_some(row.clients.len()),
        trained_items: row.train.map(|train| train.num_samples),
        train_steps: row.train.map(|train| train.num_steps),
        learning_rate: row.learning_rate,
        train_loss: row.train_loss(),
        test_loss: row.loss(),
        test_accuracy: row.accuracy(),
        train_seconds: row.train.map(|_| row.train_seconds),
        test_seconds: (row.test.is_some() || row.client_test.is_some()).then_some(row.test_seconds),
        tested_clients: row.client_test.map(|clients| clients.num_clients),
        client_accuracy: row.client_test.map(|clients| clients.accuracy),
        client_accuracy_worst_decile: row.client_test.map(|clients| clients.worst_decile),
        client_accuracy_variance: row.client_test.map(|clients| clients.variance),
        virtual_seconds: row.virtual_seconds,
        sent_bytes: row.parallel.map(|parallel| parallel.sent_bytes).or(row.sent_bytes),
        figures: figures(row),
    };
    run.history.rows().map(row).collect()
}

fn figures(row: &Row) -> Option<String> {
    let figures: BTreeMap<&str, f64> = row.other_figures().collect();
    (!figures.is_empty()).then(|| serde_json::to_string(&figures).expect("names and finite numbers have a JSON form"))
}

fn write_csv<R: Serialize>(
    columns: &[&str],
    rows: impl Fn(&RunRef) -> Vec<R>,
    runs: impl Iterator<Item = io::Result<RunRef>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).has_headers(false).from_writer(out);
    writer.write_record(columns)?;
    for run in runs {
        for row in rows(&run?) {
            writer.serialize(row)?;
        }
    }
    writer.flush()
}

fn write_json<R: Serialize>(
    rows: impl Fn(&RunRef) -> Vec<R>,
    runs: impl Iterator<Item = io::Result<RunRef>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::pretty(&mut *out);
    let mut array = serializer.serialize_seq(None)?;
    for run in runs {
        for row in rows(&run?) {
            array.serialize_element(&row)?;
        }
    }
    array.end()?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use fltk_core::event::RunEvent;

    use super::*;
    use crate::samples::{recorded, round, started};

    #[test]
    fn csv_and_json_have_the_same_rows() {
        let root = tempfile::tempdir().unwrap();
        let runs: Vec<_> =
            [1, 2].map(|seed| recorded(root.path(), seed, &[started(0), round(0, 0.1), round(1, f64::NAN)]).read().unwrap()).into();
        let rows: Vec<_> = runs.iter().flat_map(super::rows).collect();
        assert_eq!(rows.len(), 4);
        assert_eq!((rows[0].train_seconds, rows[0].test_seconds), (None, Some(0.25)), "the initial model was not trained");
        assert_eq!(rows[1].train_seconds, Some(0.5));

        let mut json = Vec::new();
        write(Format::Json, runs.iter().cloned().map(Ok), &mut json).unwrap();
        let json: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(&json).unwrap();
        let mut text = Vec::new();
        write(Format::Csv, runs.into_iter().map(Ok), &mut text).unwrap();
        let mut reader = csv::Reader::from_reader(&text[..]);
        assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(json[0].keys().map(String::as_str).collect::<Vec<_>>()));
        for (record, object) in reader.records().zip(&json) {
            for (field, (name, value)) in record.unwrap().iter().zip(object) {
                let expected = match value {
                    serde_json::Value::Null if name.starts_with("test_") => "NaN".into(),
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                assert_eq!(field, expected, "{name}");
            }
        }
    }

    #[test]
    fn empty_table_has_a_header() {
        for (format, expected) in [(Format::Csv, format!("{}\r\n", COLUMNS.join(","))), (Format::Json, "[]\n".to_owned())] {
            let mut text = Vec::new();
            write(format, std::iter::empty(), &mut text).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    #[test]
    fn tests_of_clients_are_a_table_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let tested = |client, loss| RunEvent::ClientTested {
            round: Round(1),
            client: ClientId(client),
            test: ClientFigures { num_samples: None, loss, accuracy: Some(0.5) },
        };
        let run = recorded(root.path(), 1, &[started(0), tested(2, Some(1.5)), tested(7, None), round(1, 0.1)]).read().unwrap();
        let mut text = Vec::new();
        write_clients(Format::Csv, std::iter::once(Ok(run.clone())), &mut text).unwrap();
        let name = run.folder.name();
        let expected =
            format!("{}\r\n{name},exp,task,mnist,1,0,1,2,,1.5,0.5\r\n{name},exp,task,mnist,1,0,1,7,,,0.5\r\n", CLIENT_COLUMNS.join(","));
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let mut json = Vec::new();
        write_clients(Format::Json, std::iter::once(Ok(run)), &mut json).unwrap();
        let json: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(&json).unwrap();
        assert_eq!(json[0].keys().collect::<Vec<_>>(), CLIENT_COLUMNS);
        assert_eq!(json[1]["test_loss"], serde_json::Value::Null);
        let mut empty = Vec::new();
        write_clients(Format::Csv, std::iter::empty(), &mut empty).unwrap();
        assert_eq!(String::from_utf8(empty).unwrap(), format!("{}\r\n", CLIENT_COLUMNS.join(",")));
    }

    #[test]
    fn unreadable_run_ends_the_export() {
        let mut text = Vec::new();
        let error = write(Format::Csv, std::iter::once(Err(io::Error::other("damaged"))), &mut text).unwrap_err();
        assert_eq!(error.to_string(), "damaged");
    }
}
