//! Tests of a federator that is called by clients which no node is: it tells them why it refuses them, says so to its user, and goes on.

#[path = "hostile/client.rs"]
mod client;
#[path = "hostile/damage.rs"]
mod damage;
#[path = "hostile/errands.rs"]
mod errands;
mod support;

use std::{sync::atomic::Ordering, time::Duration};

use fltk_network::wire::v1::{self, from_node, refusal::Reason};
use tonic::Code;

use client::{beside, hello, is_refused, prepared};
use support::config;

fn id(round: u32, client: u32, attempt: u32) -> v1::OrderId {
    v1::OrderId { round, client, attempt }
}

fn ready(id: v1::OrderId) -> from_node::Message {
    let update = Some(v1::Object { digest: vec![0; 32], num_bytes: 100 });
    from_node::Message::Ready(v1::Ready { id: Some(id), update, ..v1::Ready::default() })
}

fn hello_with(change: impl FnOnce(&mut v1::Hello)) -> from_node::Message {
    let from_node::Message::Hello(mut message) = hello("hostile") else { unreachable!("it is one") };
    change(&mut message);
    from_node::Message::Hello(message)
}

fn prepared_with(change: impl FnOnce(&mut v1::Prepared)) -> from_node::Message {
    let from_node::Message::Prepared(mut message) = prepared() else { unreachable!("it is one") };
    change(&mut message);
    from_node::Message::Prepared(message)
}

#[test]
fn whoever_is_no_node_is_told_why() {
    const HEARTBEAT: from_node::Message = from_node::Message::Heartbeat(v1::Heartbeat {});
    let first = "a session begins with `Hello`";
    let second = "a node says that it is prepared first";
    let cases = [
        ("no greeting", vec![prepared()], Reason::Message, first),
        ("an answer first", vec![ready(id(1, 1, 1))], Reason::Message, first),
        ("a heartbeat first", vec![HEARTBEAT], Reason::Message, first),
        ("another version", vec![hello_with(|hello| hello.versions = vec![3, 7])], Reason::Protocol, "and the node [3, 7]"),
        ("no version", vec![hello_with(|hello| hello.versions.clear())], Reason::Protocol, "hint: use the same version"),
        ("another program", vec![hello_with(|hello| hello.program = "0.0.9".to_owned())], Reason::Program, "and the node 0.0.9"),
        ("a short identity", vec![hello_with(|hello| hello.node = vec![1; 15])], Reason::Message, "an identity of 16 bytes"),
        ("no identity", vec![hello_with(|hello| hello.node.clear())], Reason::Message, "an identity of 16 bytes"),
        ("two greetings", vec![hello("hostile"), hello("hostile")], Reason::Message, second),
        ("an answer too soon", vec![hello("hostile"), HEARTBEAT, ready(id(1, 1, 1))], Reason::Message, second),
        ("other data", vec![hello("hostile"), prepared_with(|of| of.data = vec![8; 32])], Reason::Data, "other training data"),
        ("other settings", vec![hello("hostile"), prepared_with(|of| of.settings = vec![8; 32])], Reason::Settings, "the same build"),
        ("no settings", vec![hello("hostile"), prepared_with(|of| of.settings.clear())], Reason::Settings, "the same build"),
        ("no workers", vec![hello("hostile"), prepared_with(|of| of.workers = 0)], Reason::Limit, "1 to 4096 workers"),
        ("a million workers", vec![hello("hostile"), prepared_with(|of| of.workers = 1_000_000)], Reason::Limit, "1 to 4096 workers"),
        ("much work", vec![hello("hostile"), prepared_with(|of| of.held = vec![id(1, 1, 1); 8193])], Reason::Limit, "holds more"),
        ("prepared twice", vec![hello("hostile"), prepared(), prepared()], Reason::Message, "doesn't send now"),
        ("a late greeting", vec![hello("hostile"), prepared(), hello("hostile")], Reason::Message, "doesn't send now"),
        ("a long name", vec![hello_with(|hello| hello.name = "a".repeat(5 << 20))], Reason::Message, "a message can't be read"),
        ("a long reason", vec![hello("hostile"), prepared(), too_long()], Reason::Message, "a message can't be read"),
    ];
    let num_named = cases.iter().filter(|(_, messages, ..)| messages.contains(&hello("hostile"))).count();
    let outcome = beside(&config(), async |hostile, _| {
        for (what, messages, reason, text) in cases {
            let mut session = hostile.open().await;
            for message in messages {
                session.say(message).await;
            }
            session.is_turned_away(what, reason, text).await;
        }
        let mut session = hostile.open().await;
        session.say_raw(v1::FromNode { message: None }).await;
        session.is_turned_away("an empty message", Reason::Message, first).await;
        let mut session = hostile.join("hostile").await;
        session.say_raw(v1::FromNode { message: None }).await;
        session.is_turned_away("an empty message later", Reason::Message, "doesn't send now").await;
    });
    // Those that had said their name; and of the others, those whose first message was none.
    let nameless = outcome.turned_away("a node");
    assert!(nameless.len() == 5 && nameless.iter().filter(|reason| *reason == first).count() == 4 && nameless[3] != first, "{nameless:?}");
    assert_eq!(outcome.turned_away("hostile").len(), num_named + 5 + 1);
    assert!(outcome.turned_away("hostile")[0].starts_with("the federator speaks the versions [1, 2]"));
}

fn too_long() -> from_node::Message {
    let (id, reason) = (Some(id(1, 1, 1)), "a".repeat(5 << 20));
    from_node::Message::Failed(v1::Failed { id, reason, is_of_settings: true, is_measurement: false })
}

#[test]
fn sessions_that_say_nothing_keep_nobody_up() {
    let outcome = beside(&config(), async |hostile, goes_on| {
        let mut sessions = Vec::new();
        for _ in 0..10 {
            sessions.push(hostile.open().await);
        }
        for _ in 0..10 {
            sessions.push(hostile.greet("silent").await);
        }
        // One has an order, and never answers it.
        sessions.push(hostile.join("asleep").await);
        let train = sessions[20].order().await;
        assert!(train.id.is_some());
        goes_on.store(true, Ordering::Relaxed);
        // Those that were welcomed are told that they were silent, and the order is done by the other.
        for session in &mut sessions[10..20] {
            session.is_turned_away("a silent one", Reason::Silent, "nothing was heard of it for 2 s").await;
        }
        sessions[20].is_turned_away("a silent node", Reason::Silent, "nothing was heard of it for 2 s").await;
    });
    assert_eq!(outcome.turned_away("silent").len(), 10);
}

#[test]
fn transfers_are_for_those_who_were_asked() {
    let _ = beside(&config(), async |hostile, _| {
        let mut session = hostile.join("hostile").await;
        let train = session.order().await;
        let own = train.id.expect("an order has one");
        let digest = train.model.expect("it starts from one").digest;
        let fetch = async |token: &[u8], digest: &[u8], offset| hostile.fetch(token, digest, offset).await;
        is_refused("a short session", fetch(&[1; 3], &digest, 0).await, Code::InvalidArgument, "a session has 16 bytes");
        is_refused("no session", fetch(&[1; 16], &digest, 0).await, Code::PermissionDenied, "there is no such session");
        is_refused("a short digest", fetch(&session.token, &[1; 5], 0).await, Code::InvalidArgument, "a digest has 32 bytes");
        is_refused("an unknown object", fetch(&session.token, &[1; 32], 0).await, Code::NotFound, "nobody needs this object");
        is_refused("a long digest", fetch(&session.token, &vec![1; 5 << 20], 0).await, Code::OutOfRange, "too large");
        let model = fetch(&session.token, &digest, 0).await.expect("it is on offer");
        let rest = fetch(&session.token, &digest, 100).await.expect("it is on offer");
        assert_eq!(rest, model[100..]);
        for offset in [model.len() as u64, model.len() as u64 + 1, u64::MAX] {
            let more = fetch(&session.token, &digest, offset).await.expect("it is on offer");
            assert!(more.is_empty(), "{offset}");
        }

        let token = session.token.clone();
        let delivery = |session: &[u8], id| {
            vec![v1::DeliverRequest { delivery: Some(v1::Delivery { session: session.to_vec(), id, initial: None }), chunk: None }]
        };
        let chunk = v1::DeliverRequest { delivery: None, chunk: Some(v1::Chunk::default()) };
        let large = v1::DeliverRequest { delivery: None, chunk: Some(v1::Chunk { offset: 0, data: vec![0; 5 << 20].into() }) };
        let others = if own.client == 0 { 1..12 } else { 0..own.client };
        let mut cases = vec![
            ("nothing", vec![], Code::InvalidArgument, "a delivery has a first message"),
            ("bytes of nothing", vec![chunk], Code::InvalidArgument, "the first message says what is delivered"),
            ("a large message", vec![large], Code::OutOfRange, "too large"),
            ("no session", delivery(&[1; 16], Some(own)), Code::PermissionDenied, "there is no such session"),
            ("a short session", delivery(&[1], Some(own)), Code::InvalidArgument, "a session has 16 bytes"),
            ("no order", delivery(&token, None), Code::InvalidArgument, "its order is missing"),
            ("an update that isn't ready", delivery(&token, Some(own)), Code::FailedPrecondition, "was never ordered from this node"),
            ("another round", delivery(&token, Some(id(9, own.client, 1))), Code::FailedPrecondition, "nobody waits for the answer"),
        ];
        // One of them is the other node's order.
        cases.extend(others.map(|client| ("another's", delivery(&token, Some(id(1, client, 1))), Code::FailedPrecondition, "client")));
        for (what, messages, code, text) in cases {
            is_refused(what, hostile.deliver(messages).await, code, text);
        }
    });
}

#[test]
fn a_delivery_that_is_cancelled_is_asked_for_again_and_two_at_a_time_are_not_taken() {
    let _ = beside(&config(), async |hostile, begun| {
        let mut session = hostile.join("hostile").await;
        let own = session.order().await.id.expect("an order has one");
        let update = Some(v1::Object { digest: vec![7; 32], num_bytes: 5000 });
        session.say(from_node::Message::Ready(v1::Ready { id: Some(own), update, ..v1::Ready::default() })).await;
        begun.store(true, Ordering::Relaxed);
        assert_eq!(session.collect(own).await, 0);
        let delivery = v1::Delivery { session: session.token.clone(), id: Some(own), initial: None };
        let header = [&4000_u32.to_le_bytes()[..], &[0; 1000]].concat();
        let chunk = Some(v1::Chunk { offset: 0, data: header.into() });
        let begin = v1::DeliverRequest { delivery: Some(delivery.clone()), chunk };
        let second = || vec![v1::DeliverRequest { delivery: Some(delivery.clone()), chunk: None }];
        // Whichever comes first is taken: if that was the empty one, both begin once more.
        let (first, underway, refused) = loop {
            let (first, underway) = hostile.begin_delivery(begin.clone());
            tokio::time::sleep(Duration::from_millis(20)).await;
            match hostile.deliver(second()).await {
                Err(status) if status.code() == Code::Aborted => assert_eq!(session.collect(own).await, 0),
                refused => break (first, underway, refused),
            }
        };
        is_refused("a second one", refused, Code::FailedPrecondition, "is there already");
        drop(first);
        underway.abort();
        assert!(session.collect(own).await <= 1004, "it goes on where it was cancelled");
    });
}

#[test]
fn answers_that_nobody_asked_for_are_released() {
    let outcome = beside(&config(), async |hostile, _| {
        let mut session = hostile.join("hostile").await;
        let own = session.order().await.id.expect("an order has one");
        let (later, wrong) = (id(9, 1, 1), id(1, own.client, 7));
        let failed = |id, is_measurement| {
            let reason = "no memory".to_owned();
            from_node::Message::Failed(v1::Failed { id: Some(id), reason, is_of_settings: true, is_measurement })
        };
        for (what, message, id) in [
            ("another round", ready(later), later),
            ("a failure in another round", failed(later, false), later),
            ("another attempt", ready(wrong), wrong),
            ("a failure of another attempt", failed(wrong, false), wrong),
            ("a loss", from_node::Message::Measured(v1::Measured { id: Some(own), loss: 0.5 }), own),
            ("a loss that failed", failed(own, true), own),
        ] {
            session.say(message).await;
            session.is_released(what, id).await;
        }
        // One of these is the other node's order; the rest was never given, or isn't of this round.
        for client in (0..12).filter(|client| *client != own.client) {
            session.say(ready(id(1, client, 1))).await;
            session.is_released("another's", id(1, client, 1)).await;
            session.say(failed(id(1, client, 1), false)).await;
            session.is_released("another's failure", id(1, client, 1)).await;
        }
        // What can't be understood is counted, and the node goes on.
        let object = |digest: &[u8]| Some(v1::Object { digest: digest.to_vec(), num_bytes: 100 });
        for (id, update) in [(Some(own), object(&[1; 31])), (Some(own), None), (None, object(&[1; 32]))] {
            session.say(from_node::Message::Ready(v1::Ready { id, update, ..v1::Ready::default() })).await;
        }
        session.say(from_node::Message::Measured(v1::Measured { id: None, loss: 0.5 })).await;
        session.say(ready(wrong)).await;
        session.is_released("the last one", wrong).await;
    });
    let refused = outcome.refused("hostile");
    let count = |text: &str| refused.iter().filter(|reason| reason.contains(text)).count();
    assert_eq!(count("a message can't be understood"), 4, "{refused:?}");
    assert_eq!(count("a digest hasn't 32 bytes") + count("its update is missing") + count("its order is missing"), 4, "{refused:?}");
    // Four others were selected for the round, one of which the other node had.
    assert_eq!(count("was never ordered from this node"), 3 + 4 * 2, "{refused:?}");
    assert_eq!(count("nobody waits for the answer"), 4 + 7 * 2, "{refused:?}");
}
