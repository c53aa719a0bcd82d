//! The evaluations of a federated task in this process: of global models on the whole test set, and of the models that serve clients on the clients' own
//! test samples.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use fltk_core::{
    client_state::ClientState,
    client_test::ClientEvaluation,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
    seed::Seed,
    server_state::ServerState,
};
use fltk_data::{BatchPlan, Dataset, Division, NoiseLevels};
use fltk_fed::{
    BoxError,
    client::{ClientStates, Evaluator},
    strategy::ClientMethod,
};
use fltk_train::{Model, evaluate_plan, losses::Loss};

use super::Stopped;

/// Evaluates models, one after another.
pub struct Evaluations<'a> {
    /// The model that evaluates; its own numbers are never used.
    pub model: Model,
    /// The data set.
    pub dataset: &'a Arc<Dataset>,
    /// The loss.
    pub loss: Loss,
    /// The number of samples per forward pass.
    pub test_batch_size: usize,
    /// The number of threads.
    pub workers: usize,
    /// The root seed, from which the noise on clients' samples follows.
    pub seed: Seed,
    /// The settings of the task.
    pub config: &'a FederatedConfig,
    /// The clients' own samples and models.
    pub clients: ClientTests<'a>,
    /// True once the process is asked to stop.
    pub stop: &'a AtomicBool,
}

/// The test samples of clients, and the models that serve them.
pub struct ClientTests<'a> {
    /// The strategy's part at clients.
    pub method: ClientMethod,
    /// For each client the indices of its test samples in the training set.
    pub parts: &'a Division,
    /// The states that clients keep; `None` if the strategy keeps none.
    pub states: Option<&'a dyn ClientStates>,
}

impl Evaluations<'_> {
    fn of(&self, plan: BatchPlan) -> Result<Evaluation, BoxError> {
        Ok(evaluate_plan(&self.model, plan, self.loss, self.workers)?)
    }

    /// Returns the model of `client`'s own, given the global one; `None` if the global one serves it.
    fn own_model(&self, client: ClientId, global: &ModelState, server: &ServerState) -> Result<Option<ModelState>, BoxError> {
        let (Some(personal), Some(states)) = (self.clients.method.personal, self.clients.states) else { return Ok(None) };
        let kept = match server.last_round(client) {
            Some(round) => states.load(client, round)?,
            None => ClientState::default(),
        };
        Ok(Some(personal(&self.config.strategy, global, &kept)?))
    }
}

impl Evaluator for Evaluations<'_> {
    fn evaluate(&mut self, _round: Round, state: &ModelState) -> Result<Evaluation, BoxError> {
        self.model.set_state(state)?;
        self.of(BatchPlan::test(self.dataset, self.model.image_input(), self.test_batch_size)?)
    }

    fn evaluate_clients(&mut self, _round: Round, state: &ModelState, server: &ServerState) -> Result<Vec<ClientEvaluation>, BoxError> {
        self.model.set_state(state)?;
        let noise = NoiseLevels { level: self.config.feature_noise, clients: self.config.clients.num() };
        let mut evaluated = Vec::new();
        for (place, client) in
            (0..self.clients.parts.num_clients()).zip(0..).filter(|(place, _)| self.clients.parts.num_samples(*place) > 0)
        {
            let samples = &*self.clients.parts.of(place);
            if self.stop.load(Ordering::Relaxed) {
                return Err(Stopped.into());
            }
            if let Some(own) = self.own_model(ClientId(client), state, server)? {
                self.model.set_state(&own)?;
            }
            let noise = noise.of_client(self.seed, client);
            let plan = BatchPlan::held_out(self.dataset, samples, noise, self.model.image_input(), self.test_batch_size)?;
            let Evaluation { num_samples, loss, accuracy, .. } = self.of(plan)?;
            evaluated.push(ClientEvaluation { client: ClientId(client), num_samples, loss, accuracy });
        }
        Ok(evaluated)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

    use std::{collections::BTreeMap, path::Path};

    use fltk_core::{
        catalogue::Choice,
        experiment::{DatasetConfig, NetworkConfig},
    };
    use fltk_data::{Locations, Origin, Provenance, Split, TextSet, load, sources::shakespeare};
    use fltk_fed::strategy;
    use fltk_train::{Device, losses, nets::InputShape};

    use super::*;

    const SEED: Seed = Seed(7);
    const CLASSES: usize = 10;
    /// The size of LeNet5's last layer: weight and bias.
    const HEAD_LEN: usize = 84 * CLASSES + CLASSES;

    fn mini() -> Arc<Dataset> {
        let config = DatasetConfig::named("fashion-mnist-mini");
        Arc::new(load(&config, Path::new(""), &Locations { cache: None, local: vec![] }).unwrap())
    }

    fn new_model(net: &str, dataset: &Dataset) -> Model {
        fltk_train::init(1);
        Model::new(&NetworkConfig::named(net), Path::new(""), InputShape::of(dataset), SEED, Device::Cpu).unwrap()
    }

    /// A last layer that answers `class` whatever it is asked.
    fn head(class: usize) -> Vec<f32> {
        let mut head = vec![0.0; HEAD_LEN];
        head[84 * CLASSES + class] = 1.0;
        head
    }

    /// The states of clients, by client and round.
    struct Kept(BTreeMap<(ClientId, Round), ClientState>);

    impl ClientStates for Kept {
        fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError> {
            Ok(self.0.get(&(client, round)).ok_or("no such state")?.clone())
        }

        fn save(&self, _: ClientId, _: Round, _: &ClientState) -> Result<(), BoxError> {
            Err("nothing is trained".into())
        }
    }

    /// Evaluates clients under `strategy`. The global model answers class 0, and what client 0 kept in round 2 answers class 3.
    fn accuracies(strategy: &Choice, parts: &[Vec<u32>], noise: f64, kept: Vec<f32>) -> Vec<ClientEvaluation> {
        let dataset = &mini();
        let model = new_model("LeNet5", dataset);
        let mut global = model.state().unwrap();
        let first = global.floats.len() - HEAD_LEN;
        global.floats[first..].copy_from_slice(&head(0));
        let state = |values| ClientState { arrays: BTreeMap::from([("personal".to_owned(), values)]), ..ClientState::default() };
        // A later state, of a round that isn't the one that is evaluated, mustn't matter.
        let kept = Kept(BTreeMap::from([
            ((ClientId(0), Round(2)), state(kept.clone())),
            ((ClientId(0), Round(4)), state(vec![f32::NAN; kept.len()])),
        ]));
        let mut server = ServerState::default();
        server.took_part(Round(2), &[ClientId(0)], 3);
        let config = FederatedConfig { feature_noise: noise, strategy: strategy.clone(), ..FederatedConfig::new(3, 1, 9) };
        let method = strategy::by_name(strategy.name()).unwrap().client;
        let parts = &parts.to_vec().into();
        let clients = ClientTests { method, parts, states: Some(&kept) };
        let (loss, stop) = (losses::find("CrossEntropyLoss").unwrap(), &AtomicBool::new(false));
        let (test_batch_size, workers, config) = (16, 2, &config);
        let mut evaluations = Evaluations { model, dataset, loss, test_batch_size, workers, seed: SEED, config, clients, stop };
        evaluations.evaluate_clients(Round(3), &global, &server).unwrap()
    }

    /// The share of samples of this class, counted.
    fn share(part: &[u32], class: u16) -> f64 {
        let dataset = mini();
        let Split::Images(set) = &dataset.train else { panic!("images") };
        let count = part.iter().filter(|&&sample| set.labels[sample as usize] == class).count();
        count as f64 / part.len() as f64
    }

    #[test]
    fn a_client_is_evaluated_with_the_model_that_serves_it() {
        let parts: [Vec<u32>; 3] = [(0..50).collect(), vec![], (100..140).collect()];
        let mut whole = new_model("LeNet5", &mini()).state().unwrap().floats;
        let first = whole.len() - HEAD_LEN;
        whole[first..].copy_from_slice(&head(3));
        for (strategy, kept, class) in [
            (Choice::new("FedPer").with("personal_layers", 1), head(3), 3),
            (Choice::new("Ditto"), whole, 3),
            // Its clients keep a state and no model.
            (Choice::new("MOON"), head(3), 0),
            (Choice::new("FedAvg"), head(3), 0),
        ] {
            let found = accuracies(&strategy, &parts, 0.0, kept);
            // Client 1 has no test samples; client 2 has never trained, so that the global model serves it.
            let summary: Vec<_> = found.iter().map(|of| (of.client.0, of.num_samples, of.accuracy)).collect();
            assert_eq!(summary, [(0, 50, share(&parts[0], class)), (2, 40, share(&parts[2], 0))], "{strategy:?}");
            // One logit is 1, and nine are 0.
            let right = (std::f64::consts::E / (std::f64::consts::E + 9.0)).ln();
            let expected = -right * summary[1].2 - (right - 1.0) * (1.0 - summary[1].2);
            assert!((found[1].loss - expected).abs() < 1e-5, "{} instead of {expected}", found[1].loss);
        }
        assert_ne!(share(&parts[0], 0), share(&parts[0], 3));
    }

    #[test]
    fn a_clients_own_noise_is_on_its_test_samples_too() {
        let parts = [(0..50).collect(), vec![], vec![]];
        let strategy = Choice::new("Ditto");
        let kept = new_model("LeNet5", &mini()).state().unwrap().floats;
        let loss = |noise| accuracies(&strategy, &parts, noise, kept.clone())[0].loss;
        assert_ne!(loss(0.0), loss(4.0));
        assert_eq!(loss(4.0), loss(4.0));
    }

    #[test]
    fn a_text_is_evaluated_by_its_predictions() {
        let text =
            TextSet { tokens: (0..60).map(|token| token % 7).collect(), starts: vec![0, 20, 40], window: 15, clients: vec![0, 0, 1] };
        let class_names = (b'a'..b'h').map(|letter| char::from(letter).to_string()).collect();
        let provenance = Provenance { origin: Origin::Embedded, files: Vec::new(), normalization: None };
        let train = Split::Text(text.clone());
        let dataset =
            &Arc::new(Dataset { preparation: shakespeare::SOURCE.preparation(), class_names, train, test: Split::Text(text), provenance });
        let model = new_model("CharLSTM", dataset);
        let state = model.state().unwrap();
        let (config, parts) = (&FederatedConfig::new(2, 1, 1), &vec![vec![0, 2], vec![1]].into());
        let clients = ClientTests { method: ClientMethod::PLAIN, parts, states: None };
        let (loss, stop) = (losses::find("CrossEntropyLoss").unwrap(), &AtomicBool::new(false));
        let mut evaluations = Evaluations { model, dataset, loss, test_batch_size: 1, workers: 1, seed: SEED, config, clients, stop };
        let found = evaluations.evaluate_clients(Round(0), &state, &ServerState::default()).unwrap();
        let whole = evaluations.evaluate(Round(0), &state).unwrap();
        assert_eq!(found.iter().map(|of| of.num_samples).collect::<Vec<_>>(), [30, 15]);
        // Training and test text are the same here: the clients' predictions together are those of the whole.
        let right: f64 = found.iter().map(|of| of.accuracy * of.num_samples as f64).sum();
        assert!((right / 45.0 - whole.accuracy).abs() < 1e-12);
        stop.store(true, Ordering::Relaxed);
        assert!(evaluations.evaluate_clients(Round(0), &state, &ServerState::default()).is_err());
    }
}
