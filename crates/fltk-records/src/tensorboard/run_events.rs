//! Converts a run's description, rows and end to TensorBoard events.

use fltk_core::{
    client_test::ClientTestSummary,
    metrics::{Evaluation, TrainSummary},
};
use jiff::Timestamp;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::proto::{
    Content, Dim, Event, HParam, HParams, HParamsPluginData, Kind, PluginData, SessionEndInfo, SessionStartInfo, SessionStatus, Shape,
    Summary, SummaryMetadata, Tensor, Value, What,
};
use crate::{
    Hyperparameter, RunDescription,
    history::{ACCURACY, End, LEARNING_RATE, LOSS, Row, TRAIN_LOSS, Unit},
};

/// Returns the start of the session.
pub(super) fn session_start(run: &RunDescription) -> Event {
    let wall_time = seconds(run.started_at);
    let hparams = run.hyperparameters.0.iter().map(|(name, value)| (name.clone(), HParam { kind: Some(kind(value)) })).collect();
    let start = SessionStartInfo { hparams, group_name: group_name(run), start_time_secs: wall_time };
    hparams_event(wall_time, "_hparams_/session_start_info", HParams::SessionStart(start))
}

/// Returns all scalars of one round or epoch.
pub(super) fn row(row: &Row) -> Event {
    let Row { unit, step, at, clients, train, learning_rate, test, client_test, train_seconds, virtual_seconds, .. } = row;
    let Row { test_seconds, sent_bytes, parallel, .. } = row;
    let mut scalars = Vec::new();
    if let Some(Evaluation { accuracy, loss, .. }) = test {
        scalars.extend([("accuracy/test", *accuracy), ("loss/test", *loss)]);
    }
    if let Some(ClientTestSummary { accuracy, worst_decile, variance, .. }) = client_test {
        scalars.extend([
            ("clients/accuracy_mean", *accuracy),
            ("clients/accuracy_worst_decile", *worst_decile),
            ("clients/accuracy_variance", *variance),
        ]);
    }
    if test.is_some() || client_test.is_some() {
        scalars.push(("time/test_seconds", *test_seconds));
    }
    if let Some(TrainSummary { num_samples, loss, .. }) = train {
        scalars.extend(loss.map(|loss| ("loss/train", loss)));
        scalars.extend(learning_rate.map(|rate| ("learning_rate", rate)));
        scalars.extend([("time/train_seconds", *train_seconds), ("samples/train", count(*num_samples))]);
        if *unit == Unit::Round {
            scalars.push(("clients/selected", count(clients.len() as u64)));
            scalars.extend(sent_bytes.map(|bytes| ("clients/sent_bytes", count(bytes))));
        }
    }
    scalars.extend(virtual_seconds.map(|seconds| ("time/virtual_seconds", seconds)));
    if let (Some(TrainSummary { num_samples, .. }), Some(parallel)) = (train, parallel) {
        scalars.extend([
            ("parallel/ranks", f64::from(parallel.ranks)),
            ("parallel/samples_per_second", count(*num_samples) / train_seconds),
            ("parallel/compute_seconds", train_seconds - parallel.waiting_seconds),
            ("parallel/communication_seconds", parallel.communication_seconds),
            ("parallel/waiting_seconds", parallel.waiting_seconds),
            ("parallel/sent_bytes", count(parallel.sent_bytes)),
        ]);
    }
    let reported = row.figures.iter().map(|(name, value)| scalar(&reported_tag(name), *value));
    let value = scalars.into_iter().map(|(tag, value)| scalar(tag, value)).chain(reported).collect();
    Event { wall_time: seconds(*at), step: i64::from(*step), what: Some(What::Summary(Summary { value })) }
}

/// Returns the tag of a reported figure: that of the same figure of other runs, if there is one.
fn reported_tag(name: &str) -> String {
    match name {
        ACCURACY => "accuracy/test".to_owned(),
        LOSS => "loss/test".to_owned(),
        TRAIN_LOSS => "loss/train".to_owned(),
        LEARNING_RATE => "learning_rate".to_owned(),
        _ => format!("figures/{name}"),
    }
}

/// Returns the evaluation of a round over simulated time, in whole milliseconds as its step; `None` if time wasn't simulated, or nothing was evaluated.
pub(super) fn over_virtual_time(row: &Row) -> Option<Event> {
    let (Evaluation { accuracy, loss, .. }, seconds_since) = (row.test.as_ref()?, row.virtual_seconds?);
    let value = vec![scalar("virtual_milliseconds/accuracy", *accuracy), scalar("virtual_milliseconds/loss", *loss)];
    #[expect(clippy::cast_possible_truncation, reason = "`as` takes what is out of range to the nearest end")]
    let step = (seconds_since * 1000.0).round() as i64;
    Some(Event { wall_time: seconds(row.at), step, what: Some(What::Summary(Summary { value })) })
}

/// Returns the end of the session.
pub(super) fn end(end: &End) -> Event {
    let (at, status) = match end {
        End::Finished { at, .. } => (*at, SessionStatus::Success),
        End::Failed { at, .. } => (*at, SessionStatus::Failure),
    };
    let info = SessionEndInfo { status: status.into(), end_time_secs: seconds(at) };
    hparams_event(seconds(at), "_hparams_/session_end_info", HParams::SessionEnd(info))
}

/// Returns a name that is the same for all runs that differ only in their seed.
fn group_name(run: &RunDescription) -> String {
    let digest = Sha256::digest(run.hyperparameters.key());
    format!("{}/{} {}", run.experiment, run.task, hex::encode(&digest[..4]))
}

fn kind(value: &Hyperparameter) -> Kind {
    match value {
        Hyperparameter::Bool(value) => Kind::Bool(*value),
        Hyperparameter::Number(value) => Kind::Number(*value),
        Hyperparameter::Text(text) => Kind::Text(text.clone()),
    }
}

/// The HParams plugin reads its messages from the metadata of a summary whose tensor is empty.
fn hparams_event(wall_time: f64, tag: &str, data: HParams) -> Event {
    const DT_FLOAT: i32 = 1;
    let content = HParamsPluginData { version: 0, data: Some(data) }.encode_to_vec();
    let metadata = SummaryMetadata { plugin_data: Some(PluginData { plugin_name: "hparams".into(), content }) };
    let nothing = Tensor { dtype: DT_FLOAT, shape: Some(Shape { dim: vec![Dim { size: 0 }] }) };
    let value = Value { tag: tag.into(), metadata: Some(metadata), content: Some(Content::Tensor(nothing)) };
    Event { wall_time, step: 0, what: Some(What::Summary(Summary { value: vec![value] })) }
}

pub(super) fn scalars(wall_time: f64, step: i64, values: impl Iterator<Item = (String, f64)>) -> Event {
    let value = values.map(|(tag, value)| scalar(&tag, value)).collect();
    Event { wall_time, step, what: Some(What::Summary(Summary { value })) }
}

#[expect(clippy::cast_possible_truncation, reason = "TensorBoard's scalars are f32")]
fn scalar(tag: &str, value: f64) -> Value {
    Value { tag: tag.into(), metadata: None, content: Some(Content::SimpleValue(value as f32)) }
}

#[expect(clippy::cast_precision_loss, reason = "a plot needs no more than 53 bits")]
fn count(number: u64) -> f64 {
    number as f64
}

pub(super) fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_clients_have_tags_of_their_own() {
        let clients = ClientTestSummary {
            num_clients: 10,
            num_samples: 40,
            accuracy: 0.5,
            worst_decile: 0.125,
            variance: 0.25,
            weighted_accuracy: 0.75,
        };
        let tested = Row {
            unit: Unit::Round,
            step: 3,
            at: Timestamp::UNIX_EPOCH,
            clients: Vec::new(),
            train: None,
            learning_rate: Some(0.1),
            test: None,
            client_test: Some(clients),
            train_seconds: 0.0,
            virtual_seconds: Some(1.25),
            test_seconds: 2.0,
            sent_bytes: None,
            parallel: None,
            figures: [("accuracy".to_owned(), 0.25), ("wer".to_owned(), 3.0)].into(),
        };
        let Some(What::Summary(Summary { value })) = row(&tested).what else { panic!("a summary") };
        let found: Vec<(String, Option<Content>)> = value.into_iter().map(|value| (value.tag, value.content)).collect();
        let expected = [
            ("clients/accuracy_mean", 0.5),
            ("clients/accuracy_worst_decile", 0.125),
            ("clients/accuracy_variance", 0.25),
            ("time/test_seconds", 2.0),
            ("time/virtual_seconds", 1.25),
            ("accuracy/test", 0.25),
            ("figures/wer", 3.0),
        ];
        assert_eq!(found, expected.map(|(tag, value)| (tag.to_owned(), Some(Content::SimpleValue(value)))));
        assert_eq!(
            row(&Row { client_test: None, virtual_seconds: None, figures: [].into(), ..tested }).what,
            Some(What::Summary(Summary { value: Vec::new() }))
        );
    }
}
