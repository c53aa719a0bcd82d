//! A case of each strategy, to copy.

use fltk_core::{
    catalogue::{Choice, Kind, Parameter, Preset, Value},
    client_terms::NORMALIZER,
};
use fltk_fed::strategy::Spec;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};

/// The steps of each client.
const STEPS: u64 = 5;

/// The limit on clients of a case, far above what a strategy needs with its defaults.
const CLIENTS_MAX: u32 = 100;

/// A case: its rounds.
pub struct Sample(Vec<Json>);

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Returns a case of one round; of two if the first leaves something on the server. All settings are given, and those with a default have it.
pub fn of(strategy: &'static Spec) -> Sample {
    let settings = settings(strategy);
    // Two clients, unless the strategy can't do with two.
    let num_clients = [2, 1].into_iter().chain(3..CLIENTS_MAX).find(|&num| (strategy.entry.cohort)(&settings, num).is_ok()).unwrap_or(2);
    let updates = |round: u32| -> Vec<Json> { (0..num_clients).map(|client| update(strategy, round, client)).collect() };
    let mut first = json!({ "strategy": settings, "clients": 2 * num_clients });
    if strategy.uses_client_rate {
        first["client_learning_rate"] = json!(0.1);
    }
    first["global"] = json!({ "x": [0.0, 1.0] });
    first["updates"] = json!(updates(0));
    if strategy.root.is_some() {
        first["root"] = json!({ "values": { "x": [0.5, 1.0] } });
    }
    let second = (!strategy.state.is_empty()).then(|| json!({ "updates": updates(1) }));
    Sample(std::iter::once(first).chain(second).collect())
}

fn update(strategy: &Spec, round: u32, client: u32) -> Json {
    let place = f64::from(client);
    let mut extra = Map::new();
    for scalar in strategy.extras {
        let steps = STEPS as f64;
        let candidates = if scalar.name == NORMALIZER { [steps, steps] } else { [1.0 + place, steps] };
        let possible = candidates.into_iter().find(|&value| (scalar.is_possible)(value, STEPS)).unwrap_or(0.0);
        extra.insert(scalar.name.to_owned(), json!(possible));
    }
    for array in strategy.arrays {
        extra.insert(array.name.to_owned(), json!({ "x": [0.5, 0.5 - 0.25 * place] }));
    }
    let x = [f64::from(round) + 1.0 + place, 1.0 - 0.5 * place];
    let mut update = json!({ "client": client, "samples": 10 * (client + 1), "steps": STEPS, "values": { "x": x } });
    if strategy.entry.buffer.is_some() && client > 0 {
        update["base"] = json!({ "x": [0.0, 0.5] });
        update["staleness"] = json!(client);
    }
    if !extra.is_empty() {
        update["extra"] = Json::Object(extra);
    }
    update
}

/// Returns the defaults, and values for the parameters without one.
fn settings(strategy: &Spec) -> Choice {
    let entry = &strategy.entry.entry;
    let required = entry.parameters.iter().filter(|parameter| parameter.preset == Preset::Required);
    let given = required.fold(Choice::new(entry.name), |choice, parameter| choice.with(parameter.name, some_value(parameter)));
    given.clone().settled(entry).unwrap_or(given).with_newest_defaults()
}

/// Returns a value that a parameter can have.
fn some_value(parameter: &Parameter) -> Value {
    let within = |range: fltk_core::catalogue::Range| [1.0, 0.5, 0.1].into_iter().find(|&value| range.contains(value)).unwrap_or(0.0);
    match parameter.kind {
        Kind::Number(range) => Value::Number(within(range)),
        Kind::Whole { min, max } => Value::Whole(1.clamp(min, max)),
        Kind::Switch => Value::Switch(true),
        Kind::Word(words) => Value::Word(words.first().copied().unwrap_or_default().into()),
        Kind::Numbers { count_min, each, .. } => Value::Numbers(vec![within(each); count_min]),
        Kind::Wholes { min, .. } => Value::Wholes(vec![min]),
        Kind::Text => Value::Word("text".into()),
        Kind::Path => Value::Path("file.json".into()),
        Kind::Choice { entries, .. } => Choice::new(entries.first().map_or("", |entry| entry.name)).into(),
    }
}

impl Sample {
    /// Returns the JSON with a line for each key of a round, and for each update.
    pub fn to_text(&self) -> String {
        let rounds: Vec<String> = self.0.iter().map(round_text).collect();
        format!("[{}]", rounds.join(", "))
    }
}

fn round_text(round: &Json) -> String {
    let lines = round.as_object().into_iter().flatten().map(|(key, value)| {
        let value = match value {
            Json::Array(updates) => format!("[\n    {}\n  ]", updates.iter().map(Json::to_string).collect::<Vec<_>>().join(",\n    ")),
            value => value.to_string(),
        };
        format!("  \"{key}\": {value}")
    });
    format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
}
