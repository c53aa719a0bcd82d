//! The rounds of a case: what they say is checked, and the strategy applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use fltk_core::{
    catalogue::{Choice, Misfit},
    client_terms::{Arrays, Extras, NORMALIZER},
    ids::{ClientId, Round},
    model_state::{ModelState, TensorRole, TensorSpec},
    server_state::ServerState,
    terminal::one_line,
};
use fltk_experiment::{closest, parse_strategy};
use fltk_fed::strategy::{self, Aggregator, Array, CohortFacts, Extra, Kept, Spec, Update};

use super::{
    answer::{Answer, spans},
    case::{Case, Count, RoundText, State, UpdateText, Value},
    tensors::{NotFinite, Numbers, Tensor, Tensors, WHOLE_MAX, role},
};
use crate::output;

/// The limit on characters of a name in a message.
const NAME_CHARS_MAX: usize = 60;

/// Returns the answer to each round of `case`, which was read from `file`.
///
/// # Errors
/// The first problem, with its place.
pub fn play(case: Case, file: &str) -> anyhow::Result<Vec<Answer>> {
    let is_list = case.is_list;
    let place = move |index: usize| Place { file: file.to_owned(), path: if is_list { format!("rounds[{index}]") } else { String::new() } };
    let num_clients = num_clients(&case);
    let mut rounds = case.rounds.into_iter().zip((0..).map(place));
    let (mut first, at) = rounds.next().with_context(|| format!("{file}: there are no rounds"))?;
    let mut server = Server::begin(&mut first, &at, num_clients)?;
    let mut answers = vec![server.round(first, &at)?];
    for (round, at) in rounds {
        let given = [("strategy", round.strategy.is_some()), ("global", round.global.is_some()), ("state", round.state.is_some())];
        let more = [("round", round.round.is_some()), ("clients", round.clients.is_some())];
        if let Some((key, _)) = given.into_iter().chain(more).find(|(_, is_given)| *is_given) {
            bail!("{}", at.key(key).says("only the first round has this\nhint: each round starts from the answer to the one before"));
        }
        answers.push(server.round(round, &at)?);
    }
    Ok(answers)
}

/// Returns the smallest number of clients that has room for all updates.
fn num_clients(case: &Case) -> u64 {
    let of_round = |round: &RoundText| {
        let ids = (0..).zip(&round.updates).map(|(place, update)| update.client.map_or(place, |Count(client)| client));
        ids.max().map_or(0, |largest: u64| largest + 1).max(round.updates.len() as u64)
    };
    case.rounds.iter().map(of_round).max().unwrap_or(0)
}

/// A place in a case.
struct Place {
    file: String,
    /// The keys and indices on the way, such as `rounds[1].updates[0]`; empty for the case itself.
    path: String,
}

impl Place {
    fn key(&self, key: &str) -> Self {
        let key = one_line(key, NAME_CHARS_MAX);
        let path = if self.path.is_empty() { key } else { format!("{}.{key}", self.path) };
        Self { path, file: self.file.clone() }
    }

    fn index(&self, index: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), file: self.file.clone() }
    }

    /// Returns the file and the path in it.
    fn name(&self) -> String {
        if self.path.is_empty() { self.file.clone() } else { format!("{}: {}", self.file, self.path) }
    }

    /// Returns the message about this place.
    fn says(&self, message: impl fmt::Display) -> String {
        format!("{}: {message}", self.name())
    }
}

/// The server between two rounds.
struct Server {
    strategy: &'static Spec,
    settings: Choice,
    /// The round that is next.
    round: Round,
    num_clients: u32,
    client_rate: Option<f64>,
    global: Arc<ModelState>,
    state: ServerState,
}

impl Server {
    /// Takes what only the first round has.
    fn begin(round: &mut RoundText, at: &Place, needed: u64) -> anyhow::Result<Self> {
        let text = round.strategy.take().with_context(|| at.says("`strategy` is missing\nhint: \"strategy\": \"FedAvg\", for example"))?;
        let place = at.key("strategy");
        let settings = parse_strategy(&text.0, &place.name(), crate::catalogues())
            .map_err(|report| anyhow::Error::msg(report.render(output::color_stderr())))?
            .with_newest_defaults();
        let strategy = strategy::by_name(settings.name()).with_context(|| place.says("there is no such strategy"))?;
        let global = round.global.take().with_context(|| at.says("`global` is missing: the model that the clients started from"))?;
        let wrong = NotFinite::first(&global.0);
        let global = Arc::new(model(global.0, &at.key("global"))?);
        if let Some(wrong) = wrong {
            bail!("{}", at.key("global").key(&wrong.tensor).says(format!("it has the value {wrong}")));
        }
        let state = state(round.state.take(), strategy, &global.layout, &at.key("state"))?;
        let num_clients = match round.clients.take() {
            Some(Count(given)) if given < needed => {
                bail!("{}", at.key("clients").says(format!("{given} are fewer than the {needed} that the updates are from")))
            }
            Some(Count(given)) => given,
            None => needed,
        };
        let num_clients = u32::try_from(num_clients).ok().with_context(|| {
            at.key("clients").says(format!("{num_clients} are too many: clients are numbered from 0, up to 4294967294"))
        })?;
        let number = round.round.take().map_or(1, |Count(number)| number);
        let number = u32::try_from(number).ok().filter(|&number| number > 0 && number <= u32::MAX / 2);
        let number = number.with_context(|| at.key("round").says("rounds are numbered from 1, up to 2147483647"))?;
        Ok(Self { strategy, settings, round: Round(number), num_clients, client_rate: None, global, state })
    }

    /// Computes a round.
    fn round(&mut self, text: RoundText, at: &Place) -> anyhow::Result<Answer> {
        if let Some(rate) = text.client_learning_rate {
            let is_rate = rate.0.is_finite() && rate.0 > 0.0;
            ensure!(is_rate, at.key("client_learning_rate").says(format!("it is {}, and must be above 0", rate.0)));
            self.client_rate = Some(rate.0);
        }
        if self.strategy.uses_client_rate && self.client_rate.is_none() {
            let message = format!("`{}` needs `client_learning_rate`", self.strategy.name());
            bail!("{}", at.says(format!("{message}\nhint: that of the clients in this round, such as \"client_learning_rate\": 0.1")));
        }
        let (mut updates, failed) = self.updates(text.updates, &at.key("updates"))?;
        let total_samples = updates.iter().fold(0_u64, |sum, update| sum.saturating_add(update.samples));
        updates.extend(self.root(text.root, at)?);
        // A strategy that reads the rate has one, as just checked.
        let facts = CohortFacts { total_samples, num_clients: self.num_clients };
        let mut aggregator = Aggregator::new(self.strategy, &self.settings, self.round, Arc::clone(&self.global), facts);
        updates.into_iter().for_each(|update| aggregator.take(update));
        let next = aggregator.finish(&mut self.state).with_context(|| at.says("the state doesn't fit the model"))?;
        if let Some((tensor, value)) = not_finite(&next) {
            bail!("{}", at.says(format!("`{tensor}` of the next model has the value {value}, which isn't finite")));
        }
        let round = self.round;
        self.round = Round(round.0.saturating_add(1));
        let before = std::mem::replace(&mut self.global, Arc::new(next));
        Answer::new(self.strategy, round, failed, &before, Arc::clone(&self.global), &self.state)
            .map_err(|problem| anyhow::anyhow!(at.says(problem)))
    }

    /// Returns the server's own update, for a strategy that has it train.
    fn root(&self, text: Option<UpdateText>, at: &Place) -> anyhow::Result<Option<Update>> {
        let (name, place) = (self.strategy.name(), at.key("root"));
        match (text, self.strategy.root) {
            (None, None) => Ok(None),
            (Some(_), None) => bail!("{}", place.says(format!("under `{name}` the server doesn't train"))),
            (None, Some(_)) => {
                bail!(
                    "{}",
                    at.says(format!("`root` is missing: under `{name}` the server trains, too\nhint: \"root\": {{\"values\": ...}}"))
                )
            }
            (Some(text), Some(_)) => {
                ensure!(text.client.is_none(), place.key("client").says("the server's own update has no number"));
                let wrong = NotFinite::first(&text.values.0);
                let update = self.update(ClientId(self.num_clients), text, &place)?;
                if let Some(wrong) = wrong {
                    bail!("{}", place.key("values").key(&wrong.tensor).says(format!("it has the value {wrong}")));
                }
                Ok(Some(update))
            }
        }
    }

    /// Returns the updates in the order of clients, and the clients that failed.
    fn updates(&self, texts: Vec<UpdateText>, at: &Place) -> anyhow::Result<(Vec<Update>, Vec<ClientId>)> {
        ensure!(!texts.is_empty(), at.says("there are none"));
        let (mut clients, mut updates, mut failed) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (index, text) in texts.into_iter().enumerate() {
            let at = at.index(index);
            let client = text.client.map_or(index as u64, |Count(client)| client);
            let client = u32::try_from(client).ok().map(ClientId).with_context(|| at.key("client").says("there are no such numbers"))?;
            ensure!(clients.insert(client), at.key("client").says(format!("client {client} is there twice")));
            let wrong = NotFinite::first(&text.values.0);
            let update = self.update(client, text, &at)?;
            match wrong {
                None => updates.push(update),
                Some(_) if self.strategy.is_robust() => failed.push(client),
                Some(wrong) => {
                    let message = format!("client {client} sends {wrong}\nhint: only a robust rule counts it as failed");
                    bail!("{}", at.key("values").key(&wrong.tensor).says(message));
                }
            }
        }
        updates.sort_by_key(|update| update.client);
        failed.sort_unstable();
        let num_left = u32::try_from(updates.len()).unwrap_or(u32::MAX);
        ensure!(num_left > 0, at.says("none is finite"));
        if let Err(Misfit { message, hint, .. }) = (self.strategy.entry.cohort)(&self.settings, num_left) {
            let note = "here a round has as many clients as finite updates";
            let note = if message.contains("clients_per_round") || hint.contains("clients_per_round") { note } else { "" };
            let separator = if note.is_empty() { "" } else { "; " };
            bail!("{}", at.says(format!("{message}\nhint: {hint}{separator}{note}")));
        }
        let total = updates.iter().fold(0_u64, |sum, update| sum.saturating_add(update.samples));
        // Under a robust rule samples don't weigh, so that clients which claim too many stop nothing.
        ensure!(self.strategy.is_robust() || total <= WHOLE_MAX, at.says("the clients hold more than 2^53 samples in total"));
        Ok((updates, failed))
    }

    fn update(&self, client: ClientId, text: UpdateText, at: &Place) -> anyhow::Result<Update> {
        let state = like(&self.global, model(text.values.0, &at.key("values"))?, &at.key("values"))?;
        let (samples, steps) = (text.samples.map_or(1, |Count(count)| count), text.steps.map_or(1, |Count(count)| count));
        ensure!(samples > 0, at.key("samples").says("it is 0, and clients without samples don't train"));
        let (base, staleness) = self.stale(text.base, text.staleness, at)?;
        let at = at.key("extra");
        let (mut extras, mut arrays) = (Extras::new(), Arrays::new());
        for (name, value) in text.extra.map(|extra| extra.0).unwrap_or_default() {
            let at = at.key(&name);
            match value {
                Value::Scalar(value) if self.strategy.extras.iter().any(|extra| extra.name == name) => drop(extras.insert(name, value)),
                Value::Array(tensors) if self.strategy.arrays.iter().any(|array| array.name == name) => {
                    let wrong = NotFinite::first(&tensors);
                    let values = parameters(tensors, &self.global.layout, Numbers::single, &at)?;
                    if let Some(wrong) = wrong {
                        bail!("{}", at.key(&wrong.tensor).says(format!("it has the value {wrong}")));
                    }
                    arrays.insert(name, values);
                }
                _ => bail!("{}", at.says(format!("`{}` doesn't want this of clients\nhint: {}", self.strategy.name(), self.wanted()))),
            }
        }
        self.check_extras(&mut extras, steps, &at)?;
        for Array { name, .. } in self.strategy.arrays {
            arrays.get(*name).with_context(|| at.says(format!("`{name}` is missing\nhint: {}", self.wanted())))?;
        }
        let learning_rate = self.client_rate.unwrap_or(1.0);
        Ok(Update { client, state, base, staleness, samples, steps, learning_rate, extras, arrays })
    }

    /// Returns the model that a client started from, if that isn't the current one, and the number of models made since.
    fn stale(
        &self,
        base: Option<super::case::Model>,
        staleness: Option<Count>,
        at: &Place,
    ) -> anyhow::Result<(Option<Arc<ModelState>>, u32)> {
        for (key, is_given) in [("base", base.is_some()), ("staleness", staleness.is_some())] {
            if is_given && self.strategy.entry.buffer.is_none() {
                let hint = "only asynchronous strategies have clients that started from earlier models";
                bail!("{}", at.key(key).says(format!("`{}` isn't asynchronous\nhint: {hint}", self.strategy.name())));
            }
        }
        let staleness = staleness.map_or(0, |Count(count)| count);
        let staleness = u32::try_from(staleness).ok().with_context(|| at.key("staleness").says("that many models were never made"))?;
        let base = base.map(|base| like(&self.global, model(base.0, &at.key("base"))?, &at.key("base")).map(Arc::new)).transpose()?;
        if let Some((tensor, value)) = base.as_deref().and_then(not_finite) {
            bail!("{}", at.key("base").key(tensor).says(format!("it has the value {value}, which isn't finite")));
        }
        ensure!(
            base.is_some() == (staleness > 0),
            at.says("a stale update has both `base`, the model that it started from, and `staleness`, at least 1")
        );
        Ok((base, staleness))
    }

    /// Checks the scalars of a client, and adds the one with a default.
    fn check_extras(&self, extras: &mut Extras, steps: u64, at: &Place) -> anyhow::Result<()> {
        for Extra { name, is_possible, .. } in self.strategy.extras {
            #[expect(clippy::cast_precision_loss, reason = "counts are at most 2^53")]
            let default = (*name == NORMALIZER).then_some(steps as f64);
            let value = extras.get(*name).copied().or(default);
            let value = value.with_context(|| at.says(format!("`{name}` is missing\nhint: {}", self.wanted())))?;
            ensure!(
                value.is_finite() && is_possible(value, steps),
                at.key(name).says(format!("{value} is impossible for a client that took {}", output::counted(steps_of(steps), "step")))
            );
            extras.insert((*name).to_owned(), value);
        }
        Ok(())
    }

    /// Returns what the strategy wants in `extra`, in words.
    fn wanted(&self) -> String {
        let scalars = self.strategy.extras.iter().map(|extra| format!("\"{}\": NUMBER", extra.name));
        let arrays = self.strategy.arrays.iter().map(|array| format!("\"{}\": {{TENSOR: VALUES}}", array.name));
        let all: Vec<String> = scalars.chain(arrays).collect();
        if all.is_empty() { "it wants nothing".to_owned() } else { format!("it wants {{{}}}", all.join(", ")) }
    }
}

fn steps_of(steps: u64) -> usize {
    usize::try_from(steps).unwrap_or(usize::MAX)
}

/// Returns the model that consists of these tensors.
fn model(tensors: Tensors, at: &Place) -> anyhow::Result<ModelState> {
    ensure!(!tensors.0.is_empty(), at.says("it has no tensors"));
    let (mut layout, mut floats, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    for (name, tensor) in tensors.0 {
        match tensor.numbers {
            Numbers::Single(numbers) => floats.extend(numbers),
            Numbers::Whole(numbers) => counters.extend(numbers),
            Numbers::Double(_) => bail!("{}", at.key(&name).says("a model is f32")),
        }
        layout.push(TensorSpec { role: role(&name), name, shape: tensor.shape });
    }
    Ok(ModelState { layout: Arc::new(layout), floats, counters })
}

/// Returns `state` in the layout of `global`.
fn like(global: &ModelState, state: ModelState, at: &Place) -> anyhow::Result<ModelState> {
    check_names(global.layout.iter(), &state.layout, at)?;
    if global.layout == state.layout {
        return Ok(ModelState { layout: Arc::clone(&global.layout), ..state });
    }
    let (mut floats, mut counters) = (Vec::with_capacity(global.floats.len()), Vec::with_capacity(global.counters.len()));
    let places: BTreeMap<&str, _> = spans(&state.layout).map(|(spec, span)| (spec.name.as_str(), span)).collect();
    for spec in global.layout.iter() {
        let span = places.get(spec.name.as_str()).cloned().with_context(|| at.key(&spec.name).says("it is missing"))?;
        if spec.role == TensorRole::Counter { counters.extend(&state.counters[span]) } else { floats.extend(&state.floats[span]) }
    }
    Ok(ModelState { layout: Arc::clone(&global.layout), floats, counters })
}

/// Checks that `found` has the tensors of `expected`, in any order.
fn check_names<'a>(expected: impl IntoIterator<Item = &'a TensorSpec>, found: &[TensorSpec], at: &Place) -> anyhow::Result<()> {
    let expected: Vec<&TensorSpec> = expected.into_iter().collect();
    let known: BTreeSet<&str> = expected.iter().map(|spec| spec.name.as_str()).collect();
    let unknown: Vec<&str> = found.iter().map(|spec| spec.name.as_str()).filter(|name| !known.contains(name)).collect();
    let found: BTreeMap<&str, &TensorSpec> = found.iter().map(|spec| (spec.name.as_str(), spec)).collect();
    for expected in expected {
        let place = at.key(&expected.name);
        let Some(found) = found.get(expected.name.as_str()) else { bail!("{}", place.says(missing(&expected.name, &unknown))) };
        let message = || format!("its shape is {:?}, and in `global` it is {:?}", found.shape, expected.shape);
        ensure!(found.shape == expected.shape, place.says(message()));
    }
    if let Some(name) = unknown.first() {
        bail!("{}", at.key(name).says("`global` has no such parameter"));
    }
    Ok(())
}

/// Returns the message about a tensor that is missing where others are `unknown`: one of these may be meant.
fn missing(name: &str, unknown: &[&str]) -> String {
    let shown = |name: &str| one_line(name, NAME_CHARS_MAX);
    let others = |other: &str| format!("it is missing, and `global` has no `{}`, which is there", shown(other));
    match (closest(name, unknown.iter().copied()), unknown.first()) {
        (Some(near), _) => format!("{}\nhint: did you mean `{}` by `{}`?", others(near), shown(name), shown(near)),
        (None, Some(first)) => others(first),
        (None, None) => "it is missing".to_owned(),
    }
}

/// Returns the elements of an array over all parameters, in their order; `take` returns those of one tensor.
fn parameters<T>(tensors: Tensors, layout: &[TensorSpec], take: fn(Numbers) -> Option<Vec<T>>, at: &Place) -> anyhow::Result<Vec<T>> {
    let specs: Vec<&TensorSpec> = layout.iter().filter(|spec| spec.role == TensorRole::Parameter).collect();
    let spec =
        |(name, tensor): &(String, Tensor)| TensorSpec { name: name.clone(), shape: tensor.shape.clone(), role: TensorRole::Parameter };
    let found: Vec<TensorSpec> = tensors.0.iter().map(spec).collect();
    check_names(specs.iter().copied(), &found, at)?;
    let mut by_name: BTreeMap<String, Numbers> = tensors.0.into_iter().map(|(name, tensor)| (name, tensor.numbers)).collect();
    let mut values = Vec::new();
    for spec in specs {
        let numbers = by_name.remove(&spec.name).and_then(take).with_context(|| at.key(&spec.name).says("it is missing"))?;
        values.extend(numbers);
    }
    Ok(values)
}

/// Returns the strategy's state that a case begins with.
fn state(text: Option<State>, strategy: &Spec, layout: &[TensorSpec], at: &Place) -> anyhow::Result<ServerState> {
    let mut state = ServerState::default();
    for (name, value) in text.map(|state| state.0).unwrap_or_default() {
        let at = at.key(&name);
        let names: Vec<String> = strategy.state.iter().map(|kept| format!("`{}`", kept.name)).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let unknown = || at.says(format!("`{}` doesn't keep this on the server\nhint: it keeps {names}", strategy.name()));
        let Kept { is_array, .. } = strategy.state.iter().find(|kept| kept.name == name).with_context(unknown)?;
        match value {
            Value::Array(tensors) if *is_array => {
                let values = parameters(tensors, layout, Numbers::double, &at)?;
                ensure!(values.iter().all(|value| value.is_finite()), at.says("it has a value that isn't finite"));
                state.arrays.insert(name, values);
            }
            Value::Scalar(value) if !is_array => {
                ensure!(value.is_finite(), at.says(format!("{value} isn't finite")));
                state.scalars.insert(name, value);
            }
            Value::Array(_) => bail!("{}", at.says("it is a number, not tensors")),
            Value::Scalar(_) => bail!("{}", at.says("it is an array, such as {\"x\": [1, 2]}, not a number")),
        }
    }
    Ok(state)
}

/// Returns the first tensor with a value that isn't finite, and the value.
fn not_finite(state: &ModelState) -> Option<(&str, f32)> {
    let mut floats = spans(&state.layout).filter(|(spec, _)| spec.role != TensorRole::Counter);
    floats.find_map(|(spec, span)| Some((spec.name.as_str(), *state.floats[span].iter().find(|value| !value.is_finite())?)))
}
