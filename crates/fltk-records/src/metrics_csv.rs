//! `metrics.csv`: one line per round or epoch, for spreadsheets and notebooks.
//!
//! The format is RFC 4180: comma, double quotes where needed, CR LF, a header first. Numbers are the shortest decimals that read back to
//! the same bits; a loss that is not finite is `NaN`, `inf` or `-inf`; values that weren't measured are empty. `confusion_matrix` is JSON;
//! its rows are the true classes. `figures` is JSON, too: what a program of the user's own reported and no other column has.

use std::collections::BTreeMap;

use crate::history::{Row, Unit};

/// The columns, in order. `timestamp` is the time at which this row was recorded; seconds are of this step alone, but for
/// `virtual_seconds`: the simulated time since the run began.
pub const COLUMNS: [&str; 25] = [
    "timestamp",
    "unit",
    "step",
    "num_selected_clients",
    "trained_items",
    "train_steps",
    "learning_rate",
    "train_loss",
    "test_items",
    "test_loss",
    "test_accuracy",
    "train_seconds",
    "test_seconds",
    "class_recall",
    "confusion_matrix",
    "ranks",
    "communication_seconds",
    "waiting_seconds",
    "sent_bytes",
    "tested_clients",
    "client_accuracy",
    "client_accuracy_worst_decile",
    "client_accuracy_variance",
    "virtual_seconds",
    "figures",
];

/// Returns the header and a line for each row.
#[must_use]
pub fn table<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<u8> {
    let mut bytes = record(COLUMNS.map(str::to_owned));
    for each in rows {
        bytes.extend_from_slice(&row(each));
    }
    bytes
}

/// Returns the line for one row.
#[must_use]
pub fn row(row: &Row) -> Vec<u8> {
    let train = row.train.as_ref();
    let test = row.test.as_ref();
    let clients = row.client_test.as_ref();
    record([
        row.at.to_string(),
        row.unit.name().to_owned(),
        row.step.to_string(),
        optional((row.unit == Unit::Round).then_some(row.clients.len())),
        optional(train.map(|train| train.num_samples)),
        optional(train.map(|train| train.num_steps)),
        optional(row.learning_rate.map(number)),
        optional(row.train_loss().map(number)),
        optional(test.map(|test| test.num_samples)),
        optional(row.loss().map(number)),
        optional(row.accuracy().map(number)),
        optional(train.map(|_| number(row.train_seconds))),
        optional((test.is_some() || clients.is_some()).then(|| number(row.test_seconds))),
        json(test.and_then(fltk_core::metrics::Evaluation::recall).as_ref()),
        json(test.and_then(|test| test.confusion.as_ref())),
        optional(row.parallel.map(|parallel| parallel.ranks)),
        optional(row.parallel.map(|parallel| number(parallel.communication_seconds))),
        optional(row.parallel.map(|parallel| number(parallel.waiting_seconds))),
        optional(row.parallel.map(|parallel| parallel.sent_bytes).or(row.sent_bytes)),
        optional(clients.map(|clients| clients.num_clients)),
        optional(clients.map(|clients| number(clients.accuracy))),
        optional(clients.map(|clients| number(clients.worst_decile))),
        optional(clients.map(|clients| number(clients.variance))),
        optional(row.virtual_seconds.map(number)),
        json(Some(row.other_figures().collect::<BTreeMap<_, _>>()).filter(|figures| !figures.is_empty()).as_ref()),
    ])
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Formats a number as the shortest decimal that reads back to the same bits, with an exponent if that is shorter.
pub(crate) fn number(value: f64) -> String {
    format!("{value:?}")
}

fn json(value: Option<&impl serde::Serialize>) -> String {
    value.map(|value| serde_json::to_string(value).expect("numbers in lists have a JSON form")).unwrap_or_default()
}

fn record(fields: [String; COLUMNS.len()]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(fields).expect("one record of a fixed number of fields, into memory");
    writer.into_inner().expect("flushing into memory")
}

#[cfg(test)]
mod tests {
    use fltk_core::{
        client_test::ClientTestSummary,
        ids::ClientId,
        metrics::{Evaluation, ParallelSummary, TrainSummary},
    };
    use jiff::Timestamp;

    use super::*;

    fn sample() -> Row {
        Row {
            unit: Unit::Round,
            step: 2,
            at: Timestamp::from_millisecond(1_500).unwrap(),
            clients: vec![ClientId(1), ClientId(4)],
            train: Some(TrainSummary { num_samples: 20, num_steps: 4, loss: Some(1.0 / 3.0) }),
            learning_rate: Some(1e-7),
            test: Some(Evaluation { num_samples: 4, loss: f64::NAN, accuracy: 0.75, confusion: Some(vec![vec![2, 0], vec![1, 1]]) }),
            client_test: Some(ClientTestSummary {
                num_clients: 10,
                num_samples: 40,
                accuracy: 0.55,
                worst_decile: 0.1,
                variance: 0.0825,
                weighted_accuracy: 0.5,
            }),
            train_seconds: 0.5,
            virtual_seconds: Some(7.5),
            test_seconds: 0.25,
            sent_bytes: Some(7),
            parallel: Some(ParallelSummary { ranks: 2, communication_seconds: 0.125, waiting_seconds: 0.0625, sent_bytes: 64 }),
            figures: BTreeMap::new(),
        }
    }

    #[test]
    fn format_of_the_file_is_fixed() {
        let text = String::from_utf8(table([&sample()])).unwrap();
        let expected = "timestamp,unit,step,num_selected_clients,trained_items,train_steps,learning_rate,train_loss,test_items,test_loss,\
            test_accuracy,train_seconds,test_seconds,class_recall,confusion_matrix,ranks,communication_seconds,waiting_seconds,sent_bytes,\
            tested_clients,client_accuracy,client_accuracy_worst_decile,client_accuracy_variance,virtual_seconds,figures\r\n\
            1970-01-01T00:00:01.5Z,round,2,2,20,4,1e-7,0.3333333333333333,4,NaN,0.75,0.5,0.25,\"[1.0,0.5]\",\"[[2,0],[1,1]]\",2,0.125,0.0625,64,10,0.55,0.1,0.0825,7.5,\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_bytes_of_updates_are_in_the_column_of_those_of_gradients() {
        let federated = String::from_utf8(row(&Row { parallel: None, ..sample() })).unwrap();
        assert!(federated.contains(",,,,7,10,0.55,"), "{federated}");
    }

    #[test]
    fn missing_measurements_are_empty() {
        let bare = Row {
            unit: Unit::Epoch,
            clients: vec![],
            train: None,
            test: None,
            client_test: None,
            virtual_seconds: None,
            sent_bytes: None,
            parallel: None,
            ..sample()
        };
        assert_eq!(String::from_utf8(row(&bare)).unwrap(), "1970-01-01T00:00:01.5Z,epoch,2,,,,1e-7,,,,,,,,,,,,,,,,,,\r\n");
    }

    #[test]
    fn csv_readers_get_the_exact_numbers() {
        let bytes = table([&sample()]);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        assert_eq!(reader.headers().unwrap(), &csv::StringRecord::from(COLUMNS.to_vec()));
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record[7].parse::<f64>().unwrap().to_bits(), (1.0f64 / 3.0).to_bits());
        assert_eq!(serde_json::from_str::<Vec<Vec<u64>>>(&record[14]).unwrap(), [[2, 0], [1, 1]]);
    }
}
