//! Federators and nodes in one process, over the dummy model and a socket of this machine.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    num::NonZeroUsize,
    os::unix::net::UnixListener,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fltk_core::{
    catalogue::Choice,
    client_state::ClientState,
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    model_state::ModelState,
    schedule::LearningRates,
    seed::Seed,
};
use fltk_fed::{
    BoxError,
    client::{ClientStates, ClientTrainer, with_state},
    compression::{Compression, RESIDUAL},
    drive::RunError,
    dummy::Dummy,
    round::{ClientUpdate, Federation, LossOrder, Record, SettingsDigest, Setup, TrainOrder},
    transport::in_process,
};
use fltk_network::{
    federator::{Federator, Job, Limits, Listener, NodeReport},
    node::{Access, Address, Call, Carried, Introduction, NodeError, Prepared, Proxy, Trainers},
    pki::Folder,
};

pub const SEED: Seed = Seed(42);
pub const SETTINGS: SettingsDigest = SettingsDigest([9; 32]);
pub const DATA: [u8; 32] = [7; 32];

/// 12 clients, 5 per round, 6 rounds, evaluated every second round, checkpoint every third.
pub fn config() -> FederatedConfig {
    FederatedConfig { evaluate_every: 2, ..FederatedConfig::new(12, 5, 6) }
}

pub fn dummy(clients: u32) -> Dummy {
    Dummy::new(SEED, 1000, (0..clients).map(|client| 1 + client % 5).collect())
}

pub fn federation(config: &FederatedConfig, dummy: &Dummy) -> Federation {
    let rates = LearningRates { initial: 0.1, scheduler: None };
    let setup =
        Setup::new(config.clone(), rates, SEED, dummy.samples.clone(), 3).expect("the settings are possible").for_settings(SETTINGS);
    Federation::new(setup, Arc::new(dummy.initial())).expect("the dummy's state is sound")
}

/// The states of clients in memory, by client and round.
#[derive(Default)]
pub struct States(Mutex<std::collections::BTreeMap<(ClientId, Round), ClientState>>);

impl ClientStates for States {
    fn load(&self, client: ClientId, round: Round) -> Result<ClientState, BoxError> {
        Ok(self.0.lock().expect("no panic").get(&(client, round)).ok_or("no such state")?.clone())
    }

    fn save(&self, client: ClientId, round: Round, state: &ClientState) -> Result<(), BoxError> {
        self.0.lock().expect("no panic").insert((client, round), state.clone());
        Ok(())
    }
}

/// A dummy whose clients keep whatever the strategy wants them to: the model they sent last, which they go on from too.
pub struct Keeping<'a> {
    pub dummy: &'a Dummy,
    pub states: &'a dyn ClientStates,
    pub compression: Option<Compression>,
    /// Called before an order is carried out.
    pub before: &'a (dyn Fn(&TrainOrder) + Sync),
}

impl ClientTrainer for Keeping<'_> {
    fn train(&mut self, order: &TrainOrder) -> Result<ClientUpdate, BoxError> {
        order.check_settings(SETTINGS)?;
        (self.before)(order);
        with_state(Some(self.states), self.compression.as_ref(), order, |kept| {
            let mut update = self.dummy.answer(order)?;
            let num_parameters = update.state.floats.len() - 1;
            for name in order.terms.keeps.iter().filter(|name| *name != RESIDUAL) {
                let own = kept.arrays.entry(name.clone()).or_insert_with(|| vec![0.5; num_parameters]);
                for (own, sent) in own.iter_mut().zip(&mut update.state.floats) {
                    *sent += *own * 1e-3;
                    *own = *sent;
                }
            }
            if !kept.arrays.is_empty() {
                // What SCAFFOLD wants back.
                let change = kept.arrays.values().next().cloned().unwrap_or_default();
                update = update.with_arrays([("control_change".to_owned(), change)].into());
            }
            Ok(update)
        })
    }

    fn measure(&mut self, order: &LossOrder) -> Result<f64, BoxError> {
        self.dummy.loss(order)
    }
}

/// Runs in one process, without a network.
pub fn here(federation: Federation, dummy: &Dummy) -> Arc<ModelState> {
    let states = States::default();
    let compression = federation.setup().compression().cloned();
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> {
        Ok(Box::new(Keeping { dummy, states: &states, compression: compression.clone(), before: &|_| () }))
    };
    let workers = NonZeroUsize::new(2).expect("it isn't 0");
    in_process::run(federation, workers, &make, Box::new(dummy), &AtomicBool::new(false), &mut |_| Ok(())).expect("it runs")
}

/// The job of these tests, whose experiment is only the name of a compression, or nothing.
pub fn job(compression: Option<&Compression>) -> Job {
    Job {
        run: "a run".to_owned(),
        experiment: compression.map_or_else(String::new, |compression| compression.settings().name().to_owned()),
        files: vec![],
        settings: SETTINGS,
        data: DATA,
        clients: vec![],
        python: None,
        twin: Err("it has none".to_owned()),
        program: "0.1.0".to_owned(),
        processor: "a processor".to_owned(),
    }
}

pub fn limits() -> Limits {
    Limits { heartbeat: Duration::from_millis(50), silence: Duration::from_secs(2), nodes_max: 100, workers: NonZeroUsize::MIN }
}

pub fn introduction(name: &str) -> Introduction {
    Introduction {
        name: name.to_owned(),
        client: None,
        program: "0.1.0".to_owned(),
        processor: "a processor".to_owned(),
        patience: Duration::from_secs(10),
        proxy: Proxy::None,
    }
}

/// Runs a federator on the socket `path`.
pub fn federate(
    federation: Federation,
    dummy: &Dummy,
    path: &Path,
    report: &(dyn Fn(NodeReport) + Sync),
    stop: &AtomicBool,
    records: &mut Vec<Record>,
) -> Result<Arc<ModelState>, RunError> {
    // An earlier federator may have left it.
    let _ = std::fs::remove_file(path);
    let listener = Listener::Unix(UnixListener::bind(path).expect("the folder is there"));
    federate_on(listener, None, federation, dummy, report, stop, records)
}

/// Runs a federator on a listener.
pub fn federate_on(
    listener: Listener,
    folder: Option<Folder>,
    federation: Federation,
    dummy: &Dummy,
    report: &(dyn Fn(NodeReport) + Sync),
    stop: &AtomicBool,
    records: &mut Vec<Record>,
) -> Result<Arc<ModelState>, RunError> {
    let states = States::default();
    let job = job(federation.setup().compression());
    let federator = Federator {
        job,
        listener,
        limits: limits(),
        folder,
        states: Some(&states),
        report,
        is_of_settings: &|_, _| (),
        metrics: Arc::default(),
    };
    federator.run(federation, Box::new(dummy), stop, &mut |record| {
        records.push(record.clone());
        Ok(())
    })
}

/// Runs a node until the run is over, or `stop` is raised.
pub fn node(
    introduction: Introduction,
    dummy: &Dummy,
    path: &Path,
    before: &(dyn Fn(&TrainOrder) + Sync),
    stop: &AtomicBool,
) -> Result<String, NodeError> {
    node_at(Address::Unix(path.to_owned()), &Access::Open, &mut |_| (), introduction, dummy, before, stop)
}

/// Runs a node that calls at an address.
pub fn node_at(
    address: Address,
    access: &Access,
    enrolled: &mut dyn FnMut(&str),
    introduction: Introduction,
    dummy: &Dummy,
    before: &(dyn Fn(&TrainOrder) + Sync),
    stop: &AtomicBool,
) -> Result<String, NodeError> {
    let stop = || stop.load(Ordering::Relaxed);
    let call = Call::join(address, introduction, access, enrolled, &stop)?;
    let prepared = Prepared { settings: SETTINGS, data: DATA, num_samples: 0, layout: dummy.initial().layout, workers: 1 };
    let states = Carried::default();
    let compression = Some(&call.job().experiment).filter(|name| !name.is_empty()).map(|name| Choice::new(name));
    let clients = u32::try_from(dummy.samples.len()).expect("they are few");
    let compression =
        Compression::of(&FederatedConfig { compression, ..FederatedConfig::new(clients, 1, 1) }).expect("it is in the catalogue");
    let make = |_| -> Result<Box<dyn ClientTrainer + '_>, BoxError> {
        Ok(Box::new(Keeping { dummy, states: &states, compression: compression.clone(), before }))
    };
    call.work(&prepared, &Trainers { make: &make, states: &states, is_of_settings: &|_, _| false, evaluate: None, links: None }, &stop)
}

pub fn bits(state: &ModelState) -> Vec<u32> {
    state.floats.iter().map(|value| value.to_bits()).collect()
}
