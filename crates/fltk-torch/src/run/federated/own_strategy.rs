//! A strategy of the user's own in Python: the edge at which a round asks it, in a process of its own.
//!
//! ```text
//!   hello: file, name ──────────> ready
//!   round: model, state, clients ─> terms
//!   update (once per client) ─────>
//!   end ──────────────────────────> combined: model, state
//! ```
//!
//! Any answer may be `failed`, with a reason. The process keeps nothing that matters between rounds: model and state travel each time, so a run that goes on
//! from a checkpoint asks what an undisturbed one does.

mod frames;
mod process;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use anyhow::Context as _;
use fltk_core::{
    client_terms::LocalWork,
    experiment::FederatedConfig,
    model_state::{ModelState, TensorRole, TensorSpec},
    seed::Seed,
    server_state::Shaped,
};
use fltk_fed::strategy::{OwnAnswer, OwnFailure, OwnRound, OwnStrategy, OwnTerms, Update};
use serde_json::{Value as Json, json};

use self::{
    frames::{Answer, Described, Dtype, Numbers, Sent, Terms},
    process::Process,
};
use crate::run::SettingsAtFault;

/// The largest state of a strategy in bytes, so that an error in the code doesn't fill the disk with checkpoints.
const STATE_BYTES_MAX: u64 = 1 << 36;
/// The largest amounts of local training, as in experiment files.
const EPOCHS_MAX: f64 = 1e6;
const STEPS_MAX: u64 = 1_000_000_000;
/// The beginning of the names of the model's arrays, and of the state's.
const OF_MODEL: &str = "m.";
const OF_STATE: &str = "s.";

/// Starts the strategy that `config` names; `None` if it is one of the catalogue. Paths are relative to `base`. Must be called on the thread that stays until the run is over.
///
/// # Errors
/// If there is no such Python, or the code can't be loaded.
pub fn start(config: &FederatedConfig, seed: Seed, base: &Path, stop: Arc<AtomicBool>) -> anyhow::Result<Option<Arc<dyn OwnStrategy>>> {
    let Some((file, name)) = config.strategy.code() else { return Ok(None) };
    let process = Process::start(super::python::interpreter(config.strategy.environment(), base), stop)?;
    let mut conversation = Conversation { process, is_ready: false, layout: Arc::default() };
    let file = std::path::absolute(base.join(file))?;
    let file = file.to_str().with_context(|| format!("the path `{}` is not UTF-8", file.display()))?;
    let hello = json!({ "kind": "hello", "version": frames::VERSION, "file": file, "name": name, "seed": seed.0, "num_clients": config.clients.num() });
    let ready = conversation.send(hello, &[]).and_then(|()| conversation.answer("ready")).and_then(|answer| match answer.version {
        frames::VERSION => Ok(()),
        other => Err(OwnFailure::Gone(format!("it speaks version {other} of the protocol, and the program version {}", frames::VERSION))),
    });
    match ready {
        Ok(()) => {}
        Err(failure @ OwnFailure::Code(_)) => {
            return Err(SettingsAtFault(anyhow::Error::new(failure).context("the strategy can't be loaded")).into());
        }
        Err(failure @ OwnFailure::Gone(_)) => return Err(anyhow::Error::new(failure).context("the strategy can't be loaded")),
    }
    conversation.is_ready = true;
    Ok(Some(Arc::new(PythonStrategy(Mutex::new(conversation)))))
}

/// The strategy, which is asked by one thread at a time.
#[derive(Debug)]
struct PythonStrategy(Mutex<Conversation>);

impl PythonStrategy {
    fn with<T>(&self, ask: impl FnOnce(&mut Conversation) -> Result<T, OwnFailure>) -> Result<T, OwnFailure> {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OwnStrategy for PythonStrategy {
    fn begin(&self, round: &OwnRound<'_>) -> Result<Vec<OwnTerms>, OwnFailure> {
        self.with(|conversation| conversation.begin(round))
    }

    fn take(&self, update: &Update) -> Result<(), OwnFailure> {
        let Update { client, samples, steps, learning_rate, state, .. } = update;
        let header = json!({
            "kind": "update", "client": client.0, "num_samples": samples, "num_steps": steps, "learning_rate": learning_rate
        });
        self.with(|conversation| conversation.send(header, &arrays(state)))
    }

    fn finish(&self) -> Result<OwnAnswer, OwnFailure> {
        self.with(|conversation| {
            conversation.send(json!({ "kind": "end" }), &[])?;
            let answer = conversation.answer("combined")?;
            conversation.combined(&answer)
        })
    }
}

/// The exchange of messages with the process.
#[derive(Debug)]
struct Conversation {
    process: Process,
    /// True once the code is loaded.
    is_ready: bool,
    /// The layout of the model of the round.
    layout: Arc<Vec<TensorSpec>>,
}

impl Conversation {
    fn begin(&mut self, begun: &OwnRound<'_>) -> Result<Vec<OwnTerms>, OwnFailure> {
        self.layout = Arc::clone(&begun.global.layout);
        let of_client = |(client, terms): &(fltk_core::ids::ClientId, Arc<fltk_core::client_terms::ClientTerms>)| {
            let OwnTerms { learning_rate, proximal_mu, work } = OwnTerms::of(terms);
            let (work, amount): (_, Json) = match work {
                LocalWork::Epochs(epochs) => ("epochs", epochs.into()),
                LocalWork::Steps(steps) => ("steps", steps.into()),
            };
            json!({ "client": client.0, "learning_rate": learning_rate, "proximal_mu": proximal_mu, work: amount })
        };
        let roles: Vec<TensorRole> = begun.global.layout.iter().map(|spec| spec.role).collect();
        let clients: Vec<Json> = begun.clients.iter().map(of_client).collect();
        let header = json!({ "kind": "round", "round": begun.round.0, "is_first": begun.round.0 == 1, "roles": roles, "clients": clients });
        let mut sent = arrays(begun.global);
        sent.extend(begun.state.iter().map(|(name, Shaped { shape, values })| Sent {
            prefix: OF_STATE,
            name,
            shape,
            numbers: Numbers::F64(values),
        }));
        self.send(header, &sent)?;
        self.answer("terms")?.terms.iter().map(own_terms).collect()
    }

    fn send(&mut self, header: Json, arrays: &[Sent<'_>]) -> Result<(), OwnFailure> {
        frames::write(&mut self.process, header, arrays).map_err(|error| self.gone(&error))
    }

    /// Reads an answer, which has to be of this kind.
    fn answer(&mut self, kind: &str) -> Result<Answer, OwnFailure> {
        let answer = frames::read_header(&mut self.process).map_err(|error| self.gone(&error))?;
        match answer.kind.as_str() {
            "failed" if answer.is_of_machine => Err(OwnFailure::Gone(answer.reason)),
            "failed" => Err(OwnFailure::Code(answer.reason)),
            given if given == kind => Ok(answer),
            other => Err(OwnFailure::Gone(format!("the process of the strategy answered `{other}` in place of `{kind}`"))),
        }
    }

    /// Reads the model and the state that `answer` announces.
    fn combined(&mut self, answer: &Answer) -> Result<OwnAnswer, OwnFailure> {
        let layout = Arc::clone(&self.layout);
        let split = answer.arrays.len().saturating_sub(answer.num_state);
        let (of_model, of_state) = answer.arrays.split_at(split);
        check_layout(&layout, of_model).map_err(OwnFailure::Gone)?;
        check_state(of_state).map_err(OwnFailure::Code)?;
        let (mut model, mut state) = (ModelState { layout, floats: Vec::new(), counters: Vec::new() }, BTreeMap::new());
        for array in of_model {
            let count = array.num_elements().unwrap_or_default();
            match array.dtype {
                Dtype::I64 => model.counters.extend(self.numbers(count, i64::from_le_bytes)?),
                Dtype::F32 | Dtype::F64 => model.floats.extend(self.numbers(count, f32::from_le_bytes)?),
            }
        }
        for array in of_state {
            let values = self.numbers(array.num_elements().unwrap_or_default(), f64::from_le_bytes)?;
            state.insert(array.name.clone(), Shaped { shape: array.shape.clone(), values });
        }
        Ok(OwnAnswer { model, state })
    }

    fn numbers<T, const N: usize>(&mut self, count: usize, number: impl Fn([u8; N]) -> T) -> Result<Vec<T>, OwnFailure> {
        frames::read_numbers(&mut self.process, count, number).map_err(|error| self.gone(&error))
    }

    fn gone(&mut self, error: &io::Error) -> OwnFailure {
        OwnFailure::Gone(self.process.end(error, self.is_ready))
    }
}

/// Returns the arrays of a model, in its order.
fn arrays(model: &ModelState) -> Vec<Sent<'_>> {
    let (mut floats, mut counters) = (&model.floats[..], &model.counters[..]);
    let array = |spec: &'_ TensorSpec| {
        let len = spec.num_elements();
        if spec.role == TensorRole::Counter {
            let (own, rest) = counters.split_at(len.min(counters.len()));
            counters = rest;
            return Numbers::I64(own);
        }
        let (own, rest) = floats.split_at(len.min(floats.len()));
        floats = rest;
        Numbers::F32(own)
    };
    let numbers: Vec<Numbers<'_>> = model.layout.iter().map(array).collect();
    let sent = |(spec, numbers)| {
        let TensorSpec { name, shape, .. }: &TensorSpec = spec;
        Sent { prefix: OF_MODEL, name, shape, numbers }
    };
    model.layout.iter().zip(numbers).map(sent).collect()
}

/// Returns the terms that an answer has for a client.
fn own_terms(terms: &Terms) -> Result<OwnTerms, OwnFailure> {
    let Terms { learning_rate, proximal_mu, epochs, steps } = *terms;
    let wrong = |what: &str, value: f64| Err(OwnFailure::Code(format!("`{what}` of the terms of a client can't be {value}")));
    if !(learning_rate.is_finite() && learning_rate > 0.0) {
        return wrong("learning_rate", learning_rate);
    }
    if !(proximal_mu.is_finite() && proximal_mu >= 0.0) {
        return wrong("proximal_mu", proximal_mu);
    }
    let work = match (epochs, steps) {
        (Some(epochs), None) if epochs > 0.0 && epochs <= EPOCHS_MAX => LocalWork::Epochs(epochs),
        (None, Some(steps)) if (1..=STEPS_MAX).contains(&steps) => LocalWork::Steps(steps),
        (Some(epochs), _) => return wrong("epochs", epochs),
        #[expect(clippy::cast_precision_loss, reason = "a number for an error")]
        (None, steps) => return wrong("steps", steps.unwrap_or_default() as f64),
    };
    Ok(OwnTerms { learning_rate, proximal_mu, work })
}

/// Checks that the arrays of an answer are those of the model. The package has checked them before: what is wrong here isn't the user's fault.
fn check_layout(layout: &[TensorSpec], arrays: &[Described]) -> Result<(), String> {
    if layout.len() != arrays.len() {
        return Err(format!("the process of the strategy answered with {} arrays, and the model has {}", arrays.len(), layout.len()));
    }
    let differs = |(spec, array): &(&TensorSpec, &Described)| {
        let dtype = if spec.role == TensorRole::Counter { Dtype::I64 } else { Dtype::F32 };
        spec.name != array.name || spec.shape != array.shape || dtype != array.dtype
    };
    match layout.iter().zip(arrays).find(differs) {
        Some((spec, array)) => Err(format!(
            "the process of the strategy answered with `{}` of shape {:?} in place of `{}`",
            array.name, array.shape, spec.name
        )),
        None => Ok(()),
    }
}

/// Checks that the arrays of a state can be kept.
fn check_state(arrays: &[Described]) -> Result<(), String> {
    if let Some(array) = arrays.iter().find(|array| array.dtype != Dtype::F64) {
        return Err(format!("`{}` of the state isn't float64", array.name));
    }
    let num_bytes: u64 = arrays.iter().map(|array| array.num_elements().unwrap_or(usize::MAX) as u64).fold(0, u64::saturating_add);
    if num_bytes > STATE_BYTES_MAX / 8 {
        return Err(format!("its state has {num_bytes} numbers, and a checkpoint keeps at most {}", STATE_BYTES_MAX / 8));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(name: &str, dtype: Dtype, shape: &[usize]) -> Described {
        Described { name: name.to_owned(), dtype, shape: shape.to_vec() }
    }

    #[test]
    fn answers_of_another_model_are_refused() {
        let spec = |name: &str, shape: &[usize], role| TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role };
        let layout = [spec("w", &[2, 3], TensorRole::Parameter), spec("n", &[], TensorRole::Counter)];
        let (w, n) = (described("w", Dtype::F32, &[2, 3]), described("n", Dtype::I64, &[]));
        assert_eq!(check_layout(&layout, &[w.clone(), n.clone()]), Ok(()));
        let check = |arrays: &[Described]| assert!(check_layout(&layout, arrays).is_err(), "{arrays:?}");
        check(std::slice::from_ref(&w));
        check(&[n.clone(), w.clone()]);
        check(&[described("w", Dtype::F32, &[6]), n.clone()]);
        check(&[described("w", Dtype::F64, &[2, 3]), n]);
        check(&[w, described("n", Dtype::F32, &[])]);
        assert!(check_state(&[described("v", Dtype::F32, &[1])]).is_err());
        assert!(check_state(&[described("v", Dtype::F64, &[usize::MAX])]).is_err());
        assert_eq!(check_state(&[described("v", Dtype::F64, &[1 << 20])]), Ok(()));
    }

    #[test]
    fn impossible_terms_are_refused() {
        let usual = Terms { learning_rate: 0.1, proximal_mu: 0.0, epochs: Some(1.0), steps: None };
        assert_eq!(own_terms(&usual), Ok(OwnTerms { learning_rate: 0.1, proximal_mu: 0.0, work: LocalWork::Epochs(1.0) }));
        let check = |terms: Terms, expected: &str| assert!(own_terms(&terms).unwrap_err().to_string().contains(expected), "{expected}");
        check(Terms { learning_rate: 0.0, ..usual.clone() }, "`learning_rate` of the terms of a client can't be 0");
        check(Terms { proximal_mu: f64::NAN, ..usual.clone() }, "`proximal_mu`");
        check(Terms { epochs: Some(f64::INFINITY), ..usual.clone() }, "`epochs`");
        check(Terms { epochs: Some(1.0), steps: Some(3), ..usual.clone() }, "`epochs`");
        check(Terms { epochs: None, steps: Some(0), ..usual }, "`steps`");
    }
}
