//! Tests of errands: a run whose net is at nodes alone, with clients that answer what nobody asked, and a federation that begins with what one of them makes.

use std::{
    os::unix::net::UnixListener,
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread,
};

use fltk_core::{model_state::ModelState, seed::Seed};
use fltk_fed::{BoxError, drive::RunError, round::Federation};
use fltk_network::{
    federator::{AtNodesOnly, Federator, Job, Listener},
    object::Content,
    wire::{
        errand::PythonJob,
        order::Model,
        v1::{self, from_node, refusal::Reason, tensor::Role, to_node},
    },
};
use tonic::Code;

use super::client::{Hostile, Session, beside, hello, is_refused, prepared};
use crate::support::{DATA, SETTINGS, config, dummy, federation, job, limits};

fn python() -> PythonJob {
    PythonJob {
        file: "files/0".to_owned(),
        name: "make_model".to_owned(),
        file_name: "model.py".to_owned(),
        loss: "CrossEntropyLoss".to_owned(),
        optimizer: "{\"type\":\"SGD\"}".to_owned(),
        batch_size: 8,
        test_batch_size: 8,
        drop_last: false,
        seed: Seed(7),
        num_clients: 12,
        dataset: "mnist".to_owned(),
        layout: Arc::default(),
    }
}

/// Runs a federation that begins with the model of a node, with these nodes, and returns how it ended, and the models that it could begin with.
fn at_nodes(nodes: impl AsyncFnOnce(Hostile) + Send) -> (RunError, Vec<(ModelState, String)>) {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("socket");
    let listener = Listener::Unix(UnixListener::bind(&path).expect("the folder is there"));
    let (config, stop, failed_of_settings) = (config(), AtomicBool::new(false), AtomicBool::new(false));
    let federation = federation(&config, &dummy(config.clients.num()));
    let mut made = Vec::new();
    let ended = thread::scope(|scope| {
        let path = &path;
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there are files left");
            runtime.block_on(async { nodes(Hostile::connect(path).await).await });
        });
        let federator = Federator {
            job: Job { python: Some(python()), ..job(None) },
            listener,
            limits: limits(),
            folder: None,
            states: None,
            report: &|_| (),
            is_of_settings: &|_, _| (),
            metrics: Arc::default(),
        };
        let mut begin = |state: ModelState, by: &str| -> Result<Federation, BoxError> {
            made.push((state, by.to_owned()));
            Err("that is enough".into())
        };
        let setup = federation.setup();
        let rounds = AtNodesOnly { setup, seed: Seed(7), begin: &mut begin, failed_of_settings: &failed_of_settings };
        federator.run_at_nodes(rounds, &stop, &mut |_| Ok(())).expect_err("it never begins")
    });
    (ended, made)
}

fn hello_of(name: &str, number: u8) -> from_node::Message {
    let from_node::Message::Hello(mut message) = hello(name) else { unreachable!("it is one") };
    (message.versions, message.node) = (vec![1, 2], vec![number; 16]);
    from_node::Message::Hello(message)
}

async fn join(hostile: &Hostile, name: &str, number: u8) -> (Session, v1::Welcome) {
    let mut session = hostile.open().await;
    session.say(hello_of(name, number)).await;
    let Some(to_node::Message::Welcome(welcome)) = session.next().await else { panic!("it is welcomed") };
    session.token.clone_from(&welcome.session);
    session.say(prepared()).await;
    (session, welcome)
}

async fn errand(session: &mut Session) -> u32 {
    match session.next().await {
        Some(to_node::Message::Initialize(v1::Initialize { errand, seed, settings })) => {
            assert_eq!((seed, settings), (7, SETTINGS.0.to_vec()));
            errand
        }
        other => panic!("{other:?}"),
    }
}

fn model() -> Content {
    let state = ModelState { layout: Arc::default(), floats: vec![0.5; 6], counters: vec![3] };
    Content::of_numbers(Arc::new(Model(Arc::new(state))))
}

fn layout() -> Vec<v1::Tensor> {
    let tensor = |name: &str, shape: &[u64], role: Role| v1::Tensor { name: name.to_owned(), shape: shape.to_vec(), role: role.into() };
    vec![tensor("weight", &[2, 3], Role::Parameter), tensor("steps", &[], Role::Counter)]
}

fn delivery(session: &Session, errand: u32, layout: Vec<v1::Tensor>, content: &Content) -> Vec<v1::DeliverRequest> {
    let initial = v1::Initial { errand, object: Some(content.object().into()), layout };
    let delivery = v1::Delivery { session: session.token.clone(), id: None, initial: Some(initial) };
    let chunk = v1::Chunk { offset: 0, data: content.chunk(0).unwrap_or_default().into() };
    vec![v1::DeliverRequest { delivery: Some(delivery), chunk: Some(chunk) }]
}

#[test]
fn a_federation_begins_with_the_model_that_a_node_makes() {
    let (ended, made) = at_nodes(async |hostile| {
        // A node that knows no errands.
        let mut old = hostile.open().await;
        old.say(hello("old")).await;
        old.is_turned_away("an old node", Reason::Protocol, "is a module in Python, which needs version 2").await;
        let (mut first, welcome) = join(&hostile, "first", 1).await;
        let job = welcome.python.expect("the net is in Python");
        assert_eq!((&job.settings[..], &job.data[..], &*job.name), (&SETTINGS.0[..], &DATA[..], "make_model"));
        let number = errand(&mut first).await;
        let (mut second, _) = join(&hostile, "second", 2).await;
        let content = model();
        is_refused(
            "another's",
            hostile.deliver(delivery(&second, number, layout(), &content)).await,
            Code::FailedPrecondition,
            "nobody waits",
        );
        is_refused(
            "another errand",
            hostile.deliver(delivery(&first, 9, layout(), &content)).await,
            Code::FailedPrecondition,
            "nobody waits",
        );
        let short = layout()[..1].to_vec();
        is_refused(
            "another layout",
            hostile.deliver(delivery(&first, number, short, &content)).await,
            Code::InvalidArgument,
            "and its layout",
        );
        let mut broken = delivery(&first, number, layout(), &content);
        broken[0].chunk = Some(v1::Chunk { offset: 0, data: vec![7; 20].into() });
        is_refused("no bundle", hostile.deliver(broken).await, Code::InvalidArgument, "");
        // The first one can't: the second does it.
        first
            .say(from_node::Message::ErrandFailed(v1::ErrandFailed { errand: number, reason: "no".to_owned(), is_of_settings: false }))
            .await;
        assert_eq!(errand(&mut second).await, number);
        hostile.deliver(delivery(&second, number, layout(), &content)).await.expect("it is the one");
    });
    assert!(matches!(&ended, RunError::Observer(error) if error.to_string() == "that is enough"), "{ended}");
    let [(state, by)] = &made[..] else { panic!("one model") };
    assert_eq!((&**by, &state.floats[..], &state.counters[..]), ("second", &[0.5; 6][..], &[3][..]));
    assert_eq!((&*state.layout[0].name, &state.layout[0].shape[..]), ("weight", &[2, 3][..]));
}

#[test]
fn a_model_that_the_code_cant_make_ends_the_run_with_the_reason() {
    let (ended, made) = at_nodes(async |hostile| {
        let (mut session, _) = join(&hostile, "first", 1).await;
        let number = errand(&mut session).await;
        let reason = "NameError: name 'x' is not defined".to_owned();
        session.say(from_node::Message::ErrandFailed(v1::ErrandFailed { errand: number, reason, is_of_settings: true })).await;
        while session.next().await.is_some() {}
    });
    assert!(matches!(&ended, RunError::Initial { is_of_settings: true, .. }) && made.is_empty());
    assert_eq!(ended.to_string(), "the initial model can't be made: NameError: name 'x' is not defined");
}

#[test]
fn errands_that_nobody_asked_for_change_nothing() {
    let refused = Mutex::new(0);
    let outcome = beside(&config(), async |hostile, _| {
        let session = hostile.join("hostile").await;
        let figures = v1::Evaluated { errand: 1, num_samples: 4, loss: 0.1, accuracy: 1.0, confusion: vec![], num_classes: 0 };
        session.say(from_node::Message::Evaluated(figures.clone())).await;
        session.say(from_node::Message::Evaluated(v1::Evaluated { num_classes: 7, ..figures })).await;
        session.say(from_node::Message::ErrandFailed(v1::ErrandFailed { errand: 1, reason: "no".to_owned(), is_of_settings: true })).await;
        let content = model();
        is_refused("a model", hostile.deliver(delivery(&session, 1, layout(), &content)).await, Code::FailedPrecondition, "nobody waits");
        *refused.lock().expect("no panic") += 1;
    });
    assert_eq!(*refused.lock().expect("no panic"), 1);
    assert_eq!(outcome.refused("hostile"), ["a message can't be understood: its figures have 0 counts for 7 classes"]);
}
