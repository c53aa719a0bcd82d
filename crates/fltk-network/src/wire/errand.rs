//! Errands as messages: what a node is to do that is no client's work, and its answers.

use std::{collections::BTreeSet, sync::Arc};

use fltk_core::{
    ids::Round,
    metrics::Evaluation,
    model_state::{ModelState, TensorRole, TensorSpec},
    seed::Seed,
};
use fltk_fed::round::SettingsDigest;

use super::{
    order::{Malformed, nothing_left, take_model},
    v1,
};
use crate::{
    errands::ErrandId,
    object::{Bundle, Content, Object},
};

/// The most tensors of a net: the largest language models have a few thousand.
const TENSORS_MAX: usize = 100_000;

/// The longest name of a tensor, and the most dimensions: PyTorch's own nets stay far below.
const NAME_BYTES_MAX: usize = 1000;
const DIMENSIONS_MAX: usize = 64;

/// The most elements of a net: 256 GiB of them.
const ELEMENTS_MAX: u64 = 64 << 30;

/// The most classes of a matrix of counts, which has their square as entries: those of the largest data set with such records, several times.
const CLASSES_MAX: u32 = 1000;

/// The most samples of an evaluation: those of a million clients together fit into 64 bits.
const SAMPLES_MAX: u64 = 1 << 40;

/// A job that nodes in Python train, as they get it.
#[derive(Clone, Debug, PartialEq)]
pub struct PythonJob {
    /// The path of the file with the code in the job's files; empty, as the name in it and the file's own, if a node has code of its own.
    pub file: String,
    /// The name in it.
    pub name: String,
    /// The file's own name, for messages.
    pub file_name: String,
    /// PyTorch's name of the loss.
    pub loss: String,
    /// The optimizer with its settings, as JSON.
    pub optimizer: String,
    /// The number of samples of a step.
    pub batch_size: u32,
    /// The number of samples of a forward pass in tests.
    pub test_batch_size: u32,
    /// True if a last, smaller batch is dropped.
    pub drop_last: bool,
    /// The root seed.
    pub seed: Seed,
    /// The number of clients.
    pub num_clients: u32,
    /// The name of the data set.
    pub dataset: String,
    /// The tensors that a module of a node's own must have; none if the code makes them.
    pub layout: Arc<Vec<TensorSpec>>,
}

impl PythonJob {
    /// Returns the message, with the digests of the settings and the training samples.
    #[must_use]
    pub fn message(&self, settings: SettingsDigest, data: [u8; 32]) -> v1::PythonJob {
        let Self { file, name, file_name, loss, optimizer, dataset, .. } = self.clone();
        v1::PythonJob {
            file,
            name,
            file_name,
            loss,
            optimizer,
            batch_size: self.batch_size,
            test_batch_size: self.test_batch_size,
            drop_last: self.drop_last,
            seed: self.seed.0,
            num_clients: self.num_clients,
            dataset,
            settings: settings.0.to_vec(),
            data: data.to_vec(),
            layout: self.layout.iter().map(tensor).collect(),
        }
    }
}

fn tensor(TensorSpec { name, shape, role }: &TensorSpec) -> v1::Tensor {
    let role = match role {
        TensorRole::Parameter => v1::tensor::Role::Parameter,
        TensorRole::Buffer => v1::tensor::Role::Buffer,
        TensorRole::Counter => v1::tensor::Role::Counter,
    };
    v1::Tensor { name: name.clone(), shape: shape.iter().map(|side| *side as u64).collect(), role: role.into() }
}

/// Returns the message of the errand to make the model.
#[must_use]
pub fn initialize(id: ErrandId, seed: Seed, settings: SettingsDigest) -> v1::Initialize {
    v1::Initialize { errand: id.0, seed: seed.0, settings: settings.0.to_vec() }
}

/// Returns the message of the errand to evaluate a model.
#[must_use]
pub fn evaluate(id: ErrandId, round: u32, model: &Content, settings: SettingsDigest) -> v1::Evaluate {
    v1::Evaluate { errand: id.0, round, model: Some(model.object().into()), settings: settings.0.to_vec() }
}

/// A model to evaluate, without its numbers, as nodes get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluateMessage {
    /// The number under which the node answers.
    pub id: ErrandId,
    /// The round after which it is the global model; 0 for the initial model.
    pub round: Round,
    /// The object with its numbers.
    pub model: Object,
    /// The digest of the settings that the node must have.
    pub settings: SettingsDigest,
}

impl TryFrom<v1::Evaluate> for EvaluateMessage {
    type Error = Malformed;

    fn try_from(v1::Evaluate { errand, round, model, settings }: v1::Evaluate) -> Result<Self, Malformed> {
        let model = Object::try_from(model.as_ref().ok_or(Malformed::Missing("model"))?)?;
        let settings = settings.try_into().map_err(|_| Malformed::Invalid("settings aren't a digest".to_owned()))?;
        Ok(Self { id: ErrandId(errand), round: Round(round), model, settings: SettingsDigest(settings) })
    }
}

/// Returns the message with the figures of a model that a node evaluated. Counts of more classes than a message may have are left out.
#[must_use]
pub fn figures(id: ErrandId, evaluation: &Evaluation) -> v1::Evaluated {
    let Evaluation { num_samples, loss, accuracy, confusion } = evaluation;
    let counts = confusion.as_ref().and_then(|rows| Some((rows, u32::try_from(rows.len()).ok().filter(|num| *num <= CLASSES_MAX)?)));
    let (confusion, num_classes) = counts.map_or((Vec::new(), 0), |(rows, num)| (rows.concat(), num));
    v1::Evaluated { errand: id.0, num_samples: *num_samples, loss: *loss, accuracy: *accuracy, confusion, num_classes }
}

/// The model that a node made, without its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct InitialMessage {
    /// The errand that asked for it.
    pub id: ErrandId,
    /// The object with its numbers.
    pub object: Object,
    layout: Arc<Vec<TensorSpec>>,
}

impl TryFrom<v1::Initial> for InitialMessage {
    type Error = Malformed;

    fn try_from(message: v1::Initial) -> Result<Self, Malformed> {
        let object = Object::try_from(message.object.as_ref().ok_or(Malformed::Missing("model"))?)?;
        if message.layout.len() > TENSORS_MAX {
            return Err(Malformed::Invalid(format!("model has more than {TENSORS_MAX} tensors")));
        }
        let mut names = BTreeSet::new();
        let mut num_elements = 0u64;
        let mut layout = Vec::with_capacity(message.layout.len());
        for tensor in message.layout {
            let spec = spec(tensor)?;
            num_elements = spec
                .shape
                .iter()
                .try_fold(1u64, |product, side| product.checked_mul(*side as u64))
                .map_or(u64::MAX, |own| num_elements.saturating_add(own));
            if num_elements > ELEMENTS_MAX {
                return Err(Malformed::Invalid(format!("model has more than {ELEMENTS_MAX} numbers")));
            }
            if !names.insert(spec.name.clone()) {
                return Err(Malformed::Invalid(format!("model has two tensors `{}`", spec.name)));
            }
            layout.push(spec);
        }
        Ok(Self { id: ErrandId(message.errand), object, layout: Arc::new(layout) })
    }
}

impl InitialMessage {
    /// Returns the largest size that the object may have: its numbers, and names.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        /// The room for names.
        const HEADER: u64 = 1 << 20;
        HEADER + self.layout.iter().map(|spec| spec.num_elements() as u64 * 8).sum::<u64>()
    }

    /// Returns the model with its numbers.
    ///
    /// # Errors
    /// If they aren't those of its layout, or aren't finite.
    pub fn with(self, mut bundle: Bundle) -> Result<ModelState, Malformed> {
        let state = take_model(&mut bundle, &self.layout)?;
        nothing_left(&bundle)?;
        let num_of = |is_counter: bool| -> usize {
            let wanted = self.layout.iter().filter(|spec| (spec.role == TensorRole::Counter) == is_counter);
            wanted.map(TensorSpec::num_elements).sum()
        };
        let (floats, counters) = (num_of(false), num_of(true));
        if (state.floats.len(), state.counters.len()) != (floats, counters) {
            return Err(Malformed::Invalid(format!(
                "model has {} floats and {} counters, and its layout {floats} and {counters}",
                state.floats.len(),
                state.counters.len()
            )));
        }
        if state.floats.iter().any(|value| !value.is_finite()) {
            return Err(Malformed::Invalid("model has a number that isn't finite".to_owned()));
        }
        Ok(state)
    }
}

fn spec(v1::Tensor { name, shape, role }: v1::Tensor) -> Result<TensorSpec, Malformed> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Malformed::Invalid(format!("model has a tensor whose name isn't 1 to {NAME_BYTES_MAX} bytes of plain text")));
    }
    if shape.len() > DIMENSIONS_MAX {
        return Err(Malformed::Invalid(format!("tensor `{name}` has more than {DIMENSIONS_MAX} dimensions")));
    }
    let role = match v1::tensor::Role::try_from(role) {
        Ok(v1::tensor::Role::Parameter) => TensorRole::Parameter,
        Ok(v1::tensor::Role::Buffer) => TensorRole::Buffer,
        Ok(v1::tensor::Role::Counter) => TensorRole::Counter,
        Ok(v1::tensor::Role::Unspecified) | Err(_) => return Err(Malformed::Invalid(format!("tensor `{name}` has no role"))),
    };
    let shape: Result<Vec<usize>, _> = shape.into_iter().map(usize::try_from).collect();
    let shape = shape.map_err(|_| Malformed::Invalid(format!("tensor `{name}` is too large")))?;
    Ok(TensorSpec { name, shape, role })
}

/// Returns the figures of a model that a node evaluated, with the errand that asked for them.
///
/// # Errors
/// If they can't be.
pub fn evaluated(message: v1::Evaluated) -> Result<(ErrandId, Evaluation), Malformed> {
    let v1::Evaluated { errand, num_samples, loss, accuracy, confusion, num_classes } = message;
    if num_classes > CLASSES_MAX || confusion.len() as u64 != u64::from(num_classes).pow(2) {
        return Err(Malformed::Invalid(format!("figures have {} counts for {num_classes} classes", confusion.len())));
    }
    if num_samples > SAMPLES_MAX {
        return Err(Malformed::Invalid(format!("figures are of {num_samples} samples")));
    }
    // Sums of counts are recorded, and computed with.
    let total = confusion.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
    if num_classes > 0 && total != Some(num_samples) {
        return Err(Malformed::Invalid(format!("figures have other counts than their {num_samples} samples")));
    }
    // A loss that isn't finite is the run's business, as everywhere.
    if !(0.0..=1.0).contains(&accuracy) {
        return Err(Malformed::Invalid(format!("figures have the accuracy {accuracy}")));
    }
    let rows = confusion.chunks_exact((num_classes as usize).max(1)).map(<[u64]>::to_vec).collect();
    let confusion = (num_classes > 0).then_some(rows);
    Ok((ErrandId(errand), Evaluation { num_samples, loss, accuracy, confusion }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn tensor(name: &str, shape: &[u64], role: v1::tensor::Role) -> v1::Tensor {
        v1::Tensor { name: name.to_owned(), shape: shape.to_vec(), role: role.into() }
    }

    fn read(layout: Vec<v1::Tensor>) -> Result<InitialMessage, Malformed> {
        let object = Some(v1::Object { digest: vec![0; 32], num_bytes: 10 });
        v1::Initial { errand: 3, object, layout }.try_into()
    }

    #[test]
    fn a_model_has_the_numbers_of_its_layout() {
        use v1::tensor::Role::{Buffer, Counter, Parameter, Unspecified};
        let layout = || vec![tensor("w", &[2, 3], Parameter), tensor("mean", &[], Buffer), tensor("count", &[], Counter)];
        let with = |floats: Vec<f32>, counters: Vec<i64>| {
            let floats = BTreeMap::from([("model".to_owned(), floats)]);
            let counters = BTreeMap::from([("model".to_owned(), counters)]);
            read(layout()).and_then(|message| message.with(Bundle { floats, counters, ..Bundle::default() }))
        };
        let state = with(vec![1.0; 7], vec![2]).expect("a model");
        assert_eq!((state.layout.len(), state.floats.len(), &state.counters[..]), (3, 7, &[2][..]));
        for (floats, counters) in [(vec![1.0; 6], vec![2]), (vec![1.0; 7], vec![]), (vec![f32::NAN; 7], vec![2])] {
            with(floats, counters).expect_err("another size, or no number");
        }
        for wrong in [
            tensor("w", &[1], Parameter),
            tensor("", &[1], Parameter),
            tensor("a\nb", &[1], Parameter),
            tensor("x", &[1], Unspecified),
            tensor("x", &[u64::MAX, 2], Parameter),
            tensor("x", &[1 << 40], Buffer),
            tensor("x", &[1; 65], Parameter),
        ] {
            read([layout(), vec![wrong.clone()]].concat()).expect_err(&format!("{wrong:?}"));
        }
        InitialMessage::try_from(v1::Initial { errand: 3, object: None, layout: layout() }).expect_err("no object");
    }

    #[test]
    fn figures_have_a_square_of_counts_or_none() {
        let message = |confusion: Vec<u64>, num_classes, accuracy| v1::Evaluated {
            errand: 2,
            num_samples: 4,
            loss: 0.5,
            accuracy,
            confusion,
            num_classes,
        };
        let (id, evaluation) = evaluated(message(vec![2, 0, 1, 1], 2, 0.75)).expect("figures");
        assert_eq!((id, evaluation.confusion), (ErrandId(2), Some(vec![vec![2, 0], vec![1, 1]])));
        assert_eq!(evaluated(message(vec![], 0, 1.0)).expect("figures").1.confusion, None);
        let too_many = v1::Evaluated { num_samples: u64::MAX, ..message(vec![], 0, 0.5) };
        let counts = [vec![1, 0, 1, 1], vec![u64::MAX, 5, 0, 0]].map(|counts| message(counts, 2, 0.5));
        let shapes = [message(vec![1], 2, 0.5), message(vec![1], 0, 0.5), message(vec![], 0, 1.5), message(vec![], 0, f64::NAN)];
        for wrong in shapes.into_iter().chain(counts).chain([too_many]) {
            evaluated(wrong.clone()).expect_err(&format!("{wrong:?}"));
        }
        evaluated(message(vec![], u32::MAX, 0.5)).expect_err("too many classes");
    }

    #[test]
    fn a_node_reads_what_it_is_to_evaluate_and_says_what_it_found() {
        let object = Content::of_bytes(vec![1, 2, 3]);
        let settings = SettingsDigest([7; 32]);
        let message = evaluate(ErrandId(4), 9, &object, settings);
        let expected = EvaluateMessage { id: ErrandId(4), round: Round(9), model: object.object(), settings };
        assert_eq!(EvaluateMessage::try_from(message.clone()).expect("it is whole"), expected);
        EvaluateMessage::try_from(v1::Evaluate { model: None, ..message.clone() }).expect_err("no model");
        EvaluateMessage::try_from(v1::Evaluate { settings: vec![7; 31], ..message }).expect_err("no digest");
        let found = |num_classes: usize| {
            let confusion = Some(vec![vec![1; num_classes]; num_classes]);
            let evaluation = Evaluation { num_samples: (num_classes * num_classes) as u64, loss: 0.5, accuracy: 0.75, confusion };
            let read = evaluated(figures(ErrandId(4), &evaluation)).expect("figures");
            (evaluation, read)
        };
        let (evaluation, read) = found(3);
        assert_eq!(read, (ErrandId(4), evaluation));
        assert_eq!(found(1001).1.1.confusion, None);
    }
}
