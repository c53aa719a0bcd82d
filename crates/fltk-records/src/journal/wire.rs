//! The journal's form of an event: a mirror of core's types, checked against them by the compiler.
//!
//! The form differs from a plain derive where JSON and hostile files need it: numbers that are not finite (a diverged loss) are the strings
//! `"NaN"`, `"Infinity"`, `"-Infinity"`, since JSON has no number for them; and a confusion matrix must be square.

use std::collections::BTreeMap;

use fltk_core::{
    attendance::Absence,
    client_test::{ClientFigures, ClientTestSummary},
    event::RunEvent,
    experiment::Duration,
    ids::{ClientId, Epoch, Round},
    metrics::{Evaluation, ParallelSummary, TrainSummary},
    milestone::Milestone,
    report::StepUnit,
};
use serde::{Deserialize, Serialize, de::MapAccess};

use super::{JournalEvent, of_kind::OfKind};

impl JournalEvent for RunEvent {
    const KINDS: &[&str] = &[
        "started",
        "epoch_ended",
        "client_trained",
        "client_absent",
        "client_tested",
        "round_ended",
        "reported",
        "program_ended",
        "model_initialized",
        "node_joined",
        "node_left",
        "checkpoint_saved",
        "finished",
        "failed",
    ];

    fn to_wire(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Wire<'a>(#[serde(with = "RunEventWire")] &'a RunEvent);

        Wire(self)
    }

    fn from_wire<'de, A: MapAccess<'de>>(_: Option<Duration>, event: OfKind<'_, A>) -> Result<Self, A::Error> {
        RunEventWire::deserialize(event)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunEvent", rename_all = "snake_case")]
enum RunEventWire {
    Started {
        from: Milestone,
        version: String,
    },
    ModelInitialized {
        parameters_sha256: String,
        node: String,
    },
    EpochEnded {
        epoch: Epoch,
        #[serde(with = "TrainSummaryWire")]
        train: TrainSummary,
        #[serde(with = "number")]
        learning_rate: f64,
        #[serde(with = "EvaluationWire")]
        test: Evaluation,
        #[serde(with = "number")]
        train_seconds: f64,
        #[serde(with = "number")]
        test_seconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parallel: Option<ParallelSummary>,
    },
    ClientTrained {
        round: Round,
        client: ClientId,
        #[serde(with = "TrainSummaryWire")]
        train: TrainSummary,
        #[serde(with = "number")]
        seconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_number")]
        virtual_seconds: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        staleness: Option<u32>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        malicious: bool,
    },
    ClientAbsent {
        round: Round,
        client: ClientId,
        absence: Absence,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    ClientTested {
        round: Round,
        client: ClientId,
        test: ClientFigures,
    },
    RoundEnded {
        round: Round,
        clients: Vec<ClientId>,
        #[serde(with = "optional_train")]
        train: Option<TrainSummary>,
        #[serde(with = "number")]
        learning_rate: f64,
        #[serde(with = "optional_test")]
        test: Option<Evaluation>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_test: Option<ClientTestSummary>,
        #[serde(with = "number")]
        train_seconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_number")]
        virtual_seconds: Option<f64>,
        #[serde(with = "number")]
        test_seconds: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_bytes: Option<u64>,
    },
    Reported {
        unit: StepUnit,
        step: u32,
        figures: BTreeMap<String, f64>,
    },
    ProgramEnded {
        #[serde(with = "number")]
        seconds: f64,
    },
    NodeJoined {
        node: String,
        name: String,
        processor: String,
        workers: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        num_samples: Option<u64>,
        #[serde(default, skip_serializing_if = "is_zero", with = "number")]
        ago_seconds: f64,
    },
    NodeLeft {
        node: String,
        num_updates: u64,
        #[serde(with = "number")]
        busy_seconds: f64,
        bytes_sent: u64,
        bytes_received: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(default, skip_serializing_if = "is_zero", with = "number")]
        ago_seconds: f64,
    },
    CheckpointSaved {
        at: Milestone,
        parameters_sha256: String,
    },
    Finished {
        parameters_sha256: String,
        #[serde(with = "number")]
        seconds: f64,
    },
    Failed {
        reason: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        for_good: bool,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TrainSummary")]
struct TrainSummaryWire {
    num_samples: u64,
    num_steps: u64,
    #[serde(with = "optional_number")]
    loss: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Evaluation")]
struct EvaluationWire {
    num_samples: u64,
    #[serde(with = "number")]
    loss: f64,
    #[serde(with = "number")]
    accuracy: f64,
    #[serde(deserialize_with = "square")]
    confusion: Option<Vec<Vec<u64>>>,
}

/// Checks that the matrix is square: precision and recall use the same index for rows and columns.
fn square<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Vec<u64>>>, D::Error> {
    let matrix = Option::<Vec<Vec<u64>>>::deserialize(deserializer)?;
    if let Some(rows) = &matrix
        && let Some(row) = rows.iter().find(|row| row.len() != rows.len())
    {
        return Err(serde::de::Error::custom(format!("confusion matrix with {} rows has a row of {}", rows.len(), row.len())));
    }
    Ok(matrix)
}

mod optional_train {
    use super::*;

    #[derive(Serialize)]
    struct Ref<'a>(#[serde(with = "TrainSummaryWire")] &'a TrainSummary);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "TrainSummaryWire")] TrainSummary);

    pub fn serialize<S: serde::Serializer>(value: &Option<TrainSummary>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Ref).serialize(serializer)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<TrainSummary>, D::Error> {
        Ok(Option::<Owned>::deserialize(deserializer)?.map(|owned| owned.0))
    }
}

mod optional_test {
    use super::*;

    #[derive(Serialize)]
    struct Ref<'a>(#[serde(with = "EvaluationWire")] &'a Evaluation);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "EvaluationWire")] Evaluation);

    pub fn serialize<S: serde::Serializer>(value: &Option<Evaluation>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().map(Ref).serialize(serializer)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Evaluation>, D::Error> {
        Ok(Option::<Owned>::deserialize(deserializer)?.map(|owned| owned.0))
    }
}

mod optional_number {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Number(#[serde(with = "number")] f64);

    #[expect(clippy::ref_option, reason = "serde's form")]
    pub fn serialize<S: serde::Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
        value.map(Number).serialize(serializer)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        Ok(Option::<Number>::deserialize(deserializer)?.map(|Number(value)| value))
    }
}

mod number {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            serializer.serialize_f64(*value)
        } else if value.is_nan() {
            serializer.serialize_str("NaN")
        } else {
            serializer.serialize_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }

    struct NumberVisitor;

    #[expect(clippy::cast_precision_loss, reason = "a number written without a fraction; JSON has one kind of number")]
    impl de::Visitor<'_> for NumberVisitor {
        type Value = f64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
            Ok(value)
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
            Ok(value as f64)
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
            Ok(value as f64)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
            match text {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
            }
        }
    }
}
