//! The answer to a round of a case: the next global model and the state on the server, as JSON and as a table.

use std::{ops::Range, sync::Arc};

use fltk_core::{
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole, TensorSpec},
    server_state::ServerState,
    terminal::one_line,
};
use fltk_fed::strategy::Spec;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::tensors::{Elements, Written};
use crate::output;

/// The number of a tensor's elements that a table shows.
const ELEMENTS_SHOWN_MAX: usize = 6;

/// The number of characters of a tensor's name that a table shows.
const NAME_CHARS_MAX: usize = 40;

/// The answer to a round.
pub struct Answer {
    round: Round,
    /// The clients whose updates aren't finite, and were left out.
    failed: Vec<ClientId>,
    before: Arc<ModelState>,
    global: Arc<ModelState>,
    /// The values that the strategy keeps, in the order of its list.
    state: Vec<(&'static str, Kept)>,
}

/// A value that a strategy keeps.
enum Kept {
    Array(Vec<f64>),
    Scalar(f64),
}

impl Answer {
    /// Creates the answer of `strategy` to a round that led from `before` to `global` and left `state`.
    ///
    /// # Errors
    /// If the state holds a number that isn't finite.
    pub fn new(
        strategy: &Spec,
        round: Round,
        failed: Vec<ClientId>,
        before: &Arc<ModelState>,
        global: Arc<ModelState>,
        state: &ServerState,
    ) -> Result<Self, String> {
        let mut kept = Vec::new();
        for &fltk_fed::strategy::Kept { name, is_array, .. } in strategy.state {
            let value = if is_array {
                state.arrays.get(name).cloned().map(Kept::Array)
            } else {
                state.scalars.get(name).copied().map(Kept::Scalar)
            };
            let Some(value) = value else { continue };
            let numbers = match &value {
                Kept::Array(values) => values.as_slice(),
                Kept::Scalar(value) => std::slice::from_ref(value),
            };
            if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
                return Err(format!("`{name}` of the next state has the value {number}, which isn't finite"));
            }
            kept.push((name, value));
        }
        Ok(Self { round, failed, before: Arc::clone(before), global, state: kept })
    }

    /// Returns the answer for people.
    pub fn to_text(&self) -> String {
        let mut table = output::table(&["", "shape", "before", "after"], &[]);
        let first = |elements: Elements<'_>| elements.first(ELEMENTS_SHOWN_MAX);
        for (spec, span) in spans(&self.global.layout) {
            let [before, after] = [&self.before, &self.global].map(|model| first(elements(model, spec, span.clone())));
            table.add_row([one_line(&spec.name, NAME_CHARS_MAX), format!("{:?}", spec.shape), before, after]);
        }
        for (name, kept) in &self.state {
            match kept {
                Kept::Array(values) => {
                    for (spec, span) in spans(&self.global.layout).filter(|(spec, _)| spec.role == TensorRole::Parameter).scan(0, place) {
                        let shown = format!("{name} of {}", one_line(&spec.name, NAME_CHARS_MAX));
                        table.add_row([shown, format!("{:?}", spec.shape), String::new(), first(Elements::Double(&values[span]))]);
                    }
                }
                Kept::Scalar(value) => drop(table.add_row([(*name).to_owned(), "[]".to_owned(), String::new(), value.to_string()])),
            }
        }
        let failed: String = self.failures().map(|failure| format!("\n{failure}")).collect();
        format!("round {}{failed}\n{table}", self.round)
    }

    /// Returns the round.
    pub fn round(&self) -> Round {
        self.round
    }

    /// Returns what became of clients that failed, in words.
    pub fn failures(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|client| format!("client {client} failed: its update isn't finite"))
    }
}

/// Returns the place of a parameter among all parameters, given the number of elements of those before.
fn place<'a>(before: &mut usize, (spec, span): (&'a TensorSpec, Range<usize>)) -> Option<(&'a TensorSpec, Range<usize>)> {
    let start = *before;
    *before += span.len();
    Some((spec, start..*before))
}

/// Returns every tensor with its place among the floats, or among the counters.
pub fn spans(layout: &[TensorSpec]) -> impl Iterator<Item = (&TensorSpec, Range<usize>)> {
    let (mut floats, mut counters) = (0, 0);
    layout.iter().map(move |spec| {
        let start = if spec.role == TensorRole::Counter { &mut counters } else { &mut floats };
        let span = *start..*start + spec.num_elements();
        *start = span.end;
        (spec, span)
    })
}

fn elements<'a>(model: &'a ModelState, spec: &TensorSpec, span: Range<usize>) -> Elements<'a> {
    if spec.role == TensorRole::Counter { Elements::Whole(&model.counters[span]) } else { Elements::Single(&model.floats[span]) }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("global", &Model(&self.global))?;
        map.serialize_entry("state", &State(self))?;
        map.end()
    }
}

struct Model<'a>(&'a ModelState);

impl Serialize for Model<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tensors =
            spans(&self.0.layout).map(|(spec, span)| (&spec.name, Written { shape: &spec.shape, elements: elements(self.0, spec, span) }));
        serializer.collect_map(tensors)
    }
}

struct State<'a>(&'a Answer);

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.state.len()))?;
        for (name, kept) in &self.0.state {
            match kept {
                Kept::Array(values) => map.serialize_entry(name, &OverParameters { layout: &self.0.global.layout, values })?,
                Kept::Scalar(value) => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// An array over the elements of all parameters.
struct OverParameters<'a> {
    layout: &'a [TensorSpec],
    values: &'a [f64],
}

impl Serialize for OverParameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parameters = spans(self.layout).filter(|(spec, _)| spec.role == TensorRole::Parameter).scan(0, place);
        let tensors =
            parameters.map(|(spec, span)| (&spec.name, Written { shape: &spec.shape, elements: Elements::Double(&self.values[span]) }));
        serializer.collect_map(tensors)
    }
}
