//! Messages and objects as bytes.

use std::{collections::BTreeMap, sync::Arc};

use fltk_core::{
    catalogue::Choice,
    client_state::ClientState,
    client_terms::{Arrays, ClientTerms, LocalWork},
    experiment::FederatedConfig,
    ids::{ClientId, Round},
    metrics::TrainSummary,
    model_state::{ModelState, TensorRole, TensorSpec},
    seed::Seed,
};
use fltk_fed::{
    compression::{CATALOGUE, Compression, RESIDUAL},
    round::{ClientUpdate, LossOrder, SettingsDigest, Timestamp, TrainOrder},
};
use prost::Message as _;

use super::mutate;
use crate::{
    draws::Draws,
    errands::ErrandId,
    object::{CHUNK_BYTES_MAX, Content, Digest, Object, Receiving},
    wire::{
        errand::{self, InitialMessage, PythonJob, evaluated},
        order::{self, Key, MeasureMessage, Model, TermArrays, TrainMessage, TrainObjects},
        update::{self, Asked, ReadyMessage},
        v1::{self, from_node, to_node},
        version,
    },
};

/// The names of what clients keep.
const KEEPS: &str = "own";

/// Valid messages and objects, from which others are made.
pub(super) struct Messages {
    from_nodes: Vec<Vec<u8>>,
    to_nodes: Vec<Vec<u8>>,
    transfers: Vec<Vec<u8>>,
    objects: Vec<Vec<u8>>,
    layout: Arc<Vec<TensorSpec>>,
    /// The things that updates are taken for: as they are, and in each form of compression.
    asked: Vec<Asked>,
    ready: ReadyMessage,
}

impl Messages {
    pub(super) fn new() -> Self {
        let model = model();
        let order = train_order(&model);
        let arrays = Arc::new(Arrays::from([("control".to_owned(), vec![0.5; 3]), ("empty".to_owned(), vec![])]));
        let objects = TrainObjects {
            model: Content::of_numbers(Arc::new(Model(Arc::clone(&model)))),
            arrays: Some(Content::of_numbers(Arc::new(TermArrays(arrays)))),
            kept: Some(Content::of_numbers(Arc::new(order::Kept(kept())))),
        };
        let (update, state) = (update(&model), kept());
        let content = update::content(update.clone(), state);
        let ready = update::ready(&update, 1, content.object());
        let transfers = transfers(&content);
        let whole = [Some(objects.model.clone()), objects.arrays.clone(), objects.kept.clone(), Some(content)];
        let compressed = asked(&model).into_iter().filter_map(|asked| asked.compression).map(|compression| {
            let draws = (Seed(1), update.client, update.round);
            let (encoded, _) = compression.encode(&model, &update.state, None, draws).expect("it fits");
            update::content(ClientUpdate { encoded: Some(Box::new(encoded)), ..update.clone() }, kept())
        });
        let whole: Vec<Vec<u8>> = whole.into_iter().flatten().chain(compressed).filter_map(|content| content.chunk(0)).collect();
        let from_nodes = from_nodes(&ready).into_iter().map(|message| v1::FromNode { message: Some(message) }.encode_to_vec()).collect();
        let to_nodes =
            to_nodes(&order, &objects).into_iter().map(|message| v1::ToNode { message: Some(message) }.encode_to_vec()).collect();
        let ready = ready.try_into().expect("it is an update's own message");
        Self { from_nodes, to_nodes, transfers, objects: whole, layout: Arc::clone(&model.layout), asked: asked(&model), ready }
    }

    /// Decodes bytes as a message, and reads what it says.
    pub(super) fn decode(&self, draws: &mut Draws) {
        let kinds = [&self.from_nodes, &self.to_nodes, &self.transfers];
        let kind = draws.index(kinds.len());
        let bytes = generate(draws, kinds[kind]);
        // Now and then it is taken for something else.
        match if draws.once_in(20) { draws.index(kinds.len()) } else { kind } {
            0 => drop(v1::FromNode::decode(&bytes[..]).map(|message| message.message.map(hear_node))),
            1 => drop(v1::ToNode::decode(&bytes[..]).map(|message| message.message.map(hear_federator))),
            _ => {
                let _ = v1::FetchRequest::decode(&bytes[..]).map(|request| <[u8; 32]>::try_from(&request.digest[..]).is_ok());
                let Ok(request) = v1::DeliverRequest::decode(&bytes[..]) else { return };
                if let Some(delivery) = request.delivery {
                    let _ = Key::read(delivery.id.as_ref(), false);
                    let initial = delivery.initial.and_then(|initial| InitialMessage::try_from(initial).ok());
                    let _ = initial.map(|initial| Receiving::bundle(initial.object, initial.bytes_max()).is_ok());
                }
                if let Some(v1::Chunk { offset, data }) = request.chunk {
                    let _ = Receiving::bundle(self.ready.object, 1 << 20).map(|mut receiving| receiving.push(offset, &data));
                }
            }
        }
    }

    /// Receives bytes as an object, in any pieces, and reads what it has.
    pub(super) fn receive(&self, draws: &mut Draws) {
        let bytes = generate(draws, &self.objects);
        let digest = if draws.once_in(20) { Digest([0; 32]) } else { Digest::of(&bytes) };
        let num_bytes = match draws.below(20) {
            0 => draws.next(),
            1 => u64::MAX,
            2 => bytes.len() as u64 / 2,
            _ => bytes.len() as u64,
        };
        let object = Object { digest, num_bytes };
        let is_file = draws.once_in(10);
        let receiving = if is_file { Receiving::bytes(object, num_bytes) } else { Receiving::bundle(object, u64::MAX) };
        let Ok(mut receiving) = receiving else { return };
        let piece_max = 1 + draws.index(bytes.len().max(1));
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, left) = rest.split_at((1 + draws.index(piece_max)).min(rest.len()));
            if draws.once_in(50) {
                // Only after another offset it goes on.
                drop(receiving.push(receiving.num_received() ^ (1 + draws.below(100)), piece));
            }
            if receiving.push(receiving.num_received(), piece).is_err() {
                return;
            }
            rest = left;
        }
        if draws.once_in(1000) {
            let _ = receiving.push(receiving.num_received(), &vec![0; CHUNK_BYTES_MAX + 1]);
        }
        if is_file {
            drop(receiving.finish_bytes());
            return;
        }
        let Ok(bundle) = receiving.finish() else { return };
        drop(order::model(bundle.clone(), &self.layout));
        for asked in &self.asked {
            drop(self.ready.clone().with(bundle.clone(), asked));
        }
        let _ = order::kept(bundle).not_finite();
    }
}

/// Returns what updates of this model are taken for: as they are, and in each form of compression.
fn asked(model: &Arc<ModelState>) -> Vec<Asked> {
    let choices = CATALOGUE.iter().map(|compressor| Some(Choice::new(compressor.entry.entry.name)));
    let of = |compression: Option<Choice>| {
        let config = FederatedConfig { compression, ..FederatedConfig::new(1, 1, 1) };
        let compression = Compression::of(&config).expect("it is in the catalogue");
        Asked { base: Arc::clone(model), keeps: vec![KEEPS.to_owned(), RESIDUAL.to_owned()], compression }
    };
    choices.chain([None]).map(of).collect()
}

/// Returns one of these, changed a bit, or bytes that mean nothing.
fn generate(draws: &mut Draws, from: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = from[draws.index(from.len())].clone();
    if draws.once_in(10) {
        let len = draws.index(64);
        bytes = (0..len).map(|_| draws.next().to_le_bytes()[0]).collect();
    }
    mutate(draws, &mut bytes);
    bytes
}

/// Reads a node's message as a federator does.
fn hear_node(message: from_node::Message) {
    match message {
        from_node::Message::Hello(hello) => {
            let _ = version::common(&hello.versions);
        }
        from_node::Message::Prepared(prepared) => drop(prepared.held.iter().map(|id| Key::read(Some(id), false)).collect::<Vec<_>>()),
        from_node::Message::Heartbeat(_) => {}
        from_node::Message::Ready(ready) => drop(ReadyMessage::try_from(ready)),
        from_node::Message::Measured(measured) => drop(Key::read(measured.id.as_ref(), true)),
        from_node::Message::Failed(failed) => drop(Key::read(failed.id.as_ref(), failed.is_measurement)),
        from_node::Message::Evaluated(message) => drop(evaluated(message)),
        from_node::Message::ErrandFailed(_) => {}
    }
}

/// Reads a federator's message as a node does.
fn hear_federator(message: to_node::Message) {
    match message {
        to_node::Message::Welcome(welcome) => {
            drop(welcome.files.iter().map(|file| file.object.as_ref().map(Object::try_from)).collect::<Vec<_>>())
        }
        to_node::Message::Train(train) => {
            if let Ok(message) = TrainMessage::try_from(train) {
                drop((message.kept_round(), message.with(empty(), None)));
            }
        }
        to_node::Message::Measure(measure) => drop(MeasureMessage::try_from(measure).map(|message| message.with(empty()))),
        to_node::Message::Collect(collect) => drop(Key::read(collect.id.as_ref(), false)),
        to_node::Message::Release(release) => drop(Key::read(release.id.as_ref(), release.is_measurement)),
        to_node::Message::Refusal(refusal) => {
            let _ = refusal.reason();
        }
        to_node::Message::Evaluate(evaluate) => drop(evaluate.model.as_ref().map(Object::try_from)),
        to_node::Message::Heartbeat(_) | to_node::Message::Finished(_) | to_node::Message::Initialize(_) => {}
    }
}

fn empty() -> Arc<ModelState> {
    Arc::new(ModelState { layout: Arc::default(), floats: vec![], counters: vec![] })
}

fn model() -> Arc<ModelState> {
    let spec = |name: &str, shape, role| TensorSpec { name: name.to_owned(), shape, role };
    let layout = vec![spec("weight", vec![3], TensorRole::Parameter), spec("num_steps", vec![], TensorRole::Counter)];
    Arc::new(ModelState { layout: Arc::new(layout), floats: vec![0.5, f32::NAN, -1.0], counters: vec![7] })
}

fn kept() -> ClientState {
    let (arrays, counters) = (BTreeMap::from([(KEEPS.to_owned(), vec![1.0; 3])]), BTreeMap::from([(KEEPS.to_owned(), vec![1, -1])]));
    ClientState { arrays, counters, scalars: BTreeMap::from([(KEEPS.to_owned(), 0.1)]) }
}

fn update(model: &ModelState) -> ClientUpdate {
    let train = TrainSummary { num_samples: 10, num_steps: 3, loss: Some(0.5) };
    let (extras, arrays) = (BTreeMap::from([("normalizer".to_owned(), 3.0)]), Arrays::from([("control_change".to_owned(), vec![0.1; 3])]));
    ClientUpdate { round: Round(1), client: ClientId(2), state: model.clone(), train, extras, arrays, encoded: None, seconds: 0.5 }
}

fn train_order(model: &Arc<ModelState>) -> TrainOrder {
    let (extras, keeps) = (vec!["normalizer".to_owned()], vec![KEEPS.to_owned()]);
    let terms = ClientTerms { learning_rate: 0.1, work: LocalWork::Epochs(1.5), proximal_mu: 0.01, arrays: Arc::default(), extras, keeps };
    TrainOrder {
        round: Round(2),
        client: ClientId(3),
        seed: Seed(42),
        state: Arc::clone(model),
        terms: Arc::new(terms),
        kept: Some(Round(1)),
        flips_labels: true,
        given: Timestamp::default(),
        settings: SettingsDigest([9; 32]),
    }
}

fn from_nodes(ready: &v1::Ready) -> Vec<from_node::Message> {
    let id = ready.id;
    let (program, name, processor) = ("0.1.0".to_owned(), "a node".to_owned(), "a processor".to_owned());
    vec![
        from_node::Message::Hello(v1::Hello {
            versions: vec![1, 2],
            program,
            node: vec![1; 16],
            name,
            processor,
            client: String::new(),
            has_twin: true,
        }),
        from_node::Message::Prepared(v1::Prepared {
            settings: vec![9; 32],
            data: vec![7; 32],
            held: id.into_iter().collect(),
            workers: 2,
            num_samples: 3,
        }),
        from_node::Message::Heartbeat(v1::Heartbeat {}),
        from_node::Message::Ready(ready.clone()),
        from_node::Message::Measured(v1::Measured { id, loss: 0.5 }),
        from_node::Message::Failed(v1::Failed { id, reason: "no memory".to_owned(), is_of_settings: true, is_measurement: true }),
        from_node::Message::Evaluated(v1::Evaluated {
            errand: 1,
            num_samples: 4,
            loss: 0.5,
            accuracy: 0.75,
            confusion: vec![2, 0, 1, 1],
            num_classes: 2,
        }),
        from_node::Message::ErrandFailed(v1::ErrandFailed { errand: 1, reason: "no module".to_owned(), is_of_settings: true }),
    ]
}

fn to_nodes(order: &TrainOrder, objects: &TrainObjects<Content>) -> Vec<to_node::Message> {
    let TrainOrder { round, client, seed, state, given, settings, .. } = order.clone();
    let measure = LossOrder { round, client, seed, state: Arc::clone(&state), num_samples: 5, given, settings };
    let train = order::train(order, 1, objects);
    let id = train.id;
    let files = vec![v1::File { path: "a/file".to_owned(), object: train.model.clone() }];
    let python = PythonJob {
        file: "files/0".to_owned(),
        name: "make_model".to_owned(),
        file_name: "model.py".to_owned(),
        loss: "CrossEntropyLoss".to_owned(),
        optimizer: "{}".to_owned(),
        batch_size: 10,
        test_batch_size: 100,
        drop_last: false,
        seed,
        num_clients: 3,
        dataset: "mnist".to_owned(),
        layout: Arc::clone(&state.layout),
    };
    let (run, experiment, session) = ("a run".to_owned(), "name: a run\n".to_owned(), vec![3; 16]);
    vec![
        to_node::Message::Welcome(v1::Welcome {
            version: 1,
            session,
            run,
            experiment,
            files,
            heartbeat_ms: 2000,
            silence_ms: 20_000,
            start: vec![3; 16],
            python: Some(python.message(settings, [7; 32])),
            twin: Some(python.message(settings, [7; 32])),
        }),
        to_node::Message::Refusal(v1::Refusal { reason: 3, text: "another data set".to_owned() }),
        to_node::Message::Heartbeat(v1::Heartbeat {}),
        to_node::Message::Train(train),
        to_node::Message::Measure(order::measure(&measure, 1, &objects.model)),
        to_node::Message::Collect(v1::Collect { id, offset: 100 }),
        to_node::Message::Release(v1::Release { id, is_measurement: false }),
        to_node::Message::Initialize(errand::initialize(ErrandId(1), seed, settings)),
        to_node::Message::Evaluate(errand::evaluate(ErrandId(2), 1, &objects.model, settings)),
        to_node::Message::Finished(v1::Finished { text: "the run is complete".to_owned() }),
    ]
}

fn initial(content: &Content) -> v1::Initial {
    let tensor = |name: &str, shape, role: v1::tensor::Role| v1::Tensor { name: name.to_owned(), shape, role: role.into() };
    let layout = vec![tensor("weight", vec![3], v1::tensor::Role::Parameter), tensor("num_steps", vec![], v1::tensor::Role::Counter)];
    v1::Initial { errand: 1, object: Some(content.object().into()), layout }
}

fn transfers(content: &Content) -> Vec<Vec<u8>> {
    let (session, digest) = (vec![3; 16], content.object().digest.0.to_vec());
    let id = Some(v1::OrderId { round: 1, client: 2, attempt: 1 });
    let chunk = v1::Chunk { offset: 0, data: content.chunk(0).unwrap_or_default().into() };
    vec![
        v1::FetchRequest { session: session.clone(), digest, offset: 5 }.encode_to_vec(),
        v1::DeliverRequest { delivery: Some(v1::Delivery { session: session.clone(), id, initial: None }), chunk: Some(chunk.clone()) }
            .encode_to_vec(),
        v1::DeliverRequest {
            delivery: Some(v1::Delivery { session, id: None, initial: Some(initial(content)) }),
            chunk: Some(chunk.clone()),
        }
        .encode_to_vec(),
        v1::DeliverRequest { delivery: None, chunk: Some(chunk) }.encode_to_vec(),
    ]
}
