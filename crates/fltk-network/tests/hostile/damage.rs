//! Updates that can't be used: each is refused for what is wrong with it, and made once more by the other node.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::Ordering,
};

use fltk_core::experiment::FederatedConfig;
use fltk_fed::round::Record;
use fltk_network::{
    object::{CHUNK_BYTES_MAX, Digest},
    wire::v1::{self, from_node, to_node},
};
use prost::Message as _;
use tonic::Code;

use crate::{
    client::{Hostile, Session, beside, is_refused},
    support::config,
};

/// The floats and counters of the dummy's model.
const NUM_FLOATS: u64 = 1001;
const NUM_COUNTERS: u64 = 1;

/// The things that are sent when the update is asked for: chunks, and the code and text of the answer.
type Delivery = (Vec<v1::Chunk>, Code, &'static str);

struct Damage {
    what: &'static str,
    object: v1::Object,
    loss: f64,
    deliveries: VecDeque<Delivery>,
}

/// Returns a bundle with this header, and what follows it.
fn bundle(floats: &[(&str, u64)], counters: &[(&str, u64)], numbers: &[u8]) -> Vec<u8> {
    let arrays = |list: &[(&str, u64)]| list.iter().map(|(name, len)| v1::ArrayHeader { name: (*name).to_owned(), len: *len }).collect();
    let header = v1::BundleHeader { floats: arrays(floats), counters: arrays(counters), ..v1::BundleHeader::default() }.encode_to_vec();
    [&u32::try_from(header.len()).expect("it is short").to_le_bytes()[..], &header, numbers].concat()
}

/// Returns the bundle of an update with this first number.
fn update(first: f32) -> Vec<u8> {
    let numbers = [&first.to_le_bytes()[..], &[0; 1000 * 4 + 8]].concat();
    bundle(&[("model", NUM_FLOATS)], &[("model", NUM_COUNTERS)], &numbers)
}

fn object(bytes: &[u8]) -> v1::Object {
    v1::Object { digest: Digest::of(bytes).0.to_vec(), num_bytes: bytes.len() as u64 }
}

fn chunk(offset: u64, bytes: &[u8]) -> v1::Chunk {
    v1::Chunk { offset, data: bytes.to_vec().into() }
}

/// Says that one object is ready, and sends another.
fn other(what: &'static str, object: v1::Object, sent: Vec<v1::Chunk>, code: Code, text: &'static str) -> Damage {
    Damage { what, object, loss: 0.5, deliveries: VecDeque::from([(sent, code, text)]) }
}

/// Sends what it says, which is of no use.
fn useless(what: &'static str, bytes: &[u8], text: &'static str) -> Damage {
    other(what, object(bytes), vec![chunk(0, bytes)], Code::DataLoss, text)
}

/// Sends what can be read, and what the round refuses.
fn readable(what: &'static str, bytes: &[u8], loss: f64) -> Damage {
    Damage { loss, ..other(what, object(bytes), vec![chunk(0, bytes)], Code::Ok, "") }
}

fn damages() -> VecDeque<Damage> {
    let good = update(0.0);
    let (object_of_good, len) = (object(&good), good.len() as u64);
    let no_digest = v1::Object { digest: vec![0; 32], num_bytes: len };
    let large = v1::Object { digest: vec![0; 32], num_bytes: CHUNK_BYTES_MAX as u64 + 1 };
    let huge = v1::Object { digest: vec![0; 32], num_bytes: u64::MAX };
    let floats_only = &vec![0; 1001 * 4][..];
    let all = &vec![0; 1001 * 4 + 8][..];
    let broken = "its digest is";
    let header = [&u32::MAX.to_le_bytes()[..], all].concat();
    let mut twice = other("it breaks off", no_digest.clone(), vec![chunk(0, &good[..50])], Code::Aborted, "ended too soon");
    twice.deliveries.push_back((vec![chunk(50, &good[50..])], Code::DataLoss, broken));
    let mut oversized =
        other("a large message", no_digest.clone(), vec![chunk(0, &good[..7]), chunk(7, &vec![0; 5 << 20])], Code::OutOfRange, "too large");
    oversized.deliveries.push_back((vec![chunk(7, &good[7..])], Code::DataLoss, broken));
    VecDeque::from([
        other("another offset", object_of_good.clone(), vec![chunk(5, &good[5..])], Code::DataLoss, "begins at byte 5, and byte 0 is next"),
        other("a gap", object_of_good.clone(), vec![chunk(0, &good[..9]), chunk(10, &good[10..])], Code::DataLoss, "and byte 9 is next"),
        other("a large chunk", large, vec![chunk(0, &vec![0; CHUNK_BYTES_MAX + 1])], Code::DataLoss, "and may have 1048576"),
        other("many bytes", object_of_good, vec![chunk(0, &good), chunk(len, &[0])], Code::DataLoss, "it goes on after"),
        other("another digest", no_digest, vec![chunk(0, &good)], Code::DataLoss, broken),
        other("a huge object", huge, vec![], Code::FailedPrecondition, "it has 18446744073709551615 bytes, and may have"),
        twice,
        oversized,
        useless("nothing", &[], "its header can't be read: it is too short"),
        useless("no header", &[1; 3], "its header can't be read: it is too short"),
        useless("a huge header", &header, "its header can't be read: it has 4294967295 bytes"),
        useless("a header that is none", &[&8_u32.to_le_bytes()[..], &[0xff; 20]].concat(), "its header can't be read"),
        useless("huge arrays", &bundle(&[("model", u64::MAX)], &[("model", 1)], all), "don't have the length of what follows"),
        useless("many floats", &bundle(&[("model", 1 << 40)], &[("model", 1)], all), "don't have the length of what follows"),
        useless("no counters", &bundle(&[("model", NUM_FLOATS)], &[], floats_only), "the counters `model` are missing"),
        useless("no floats", &bundle(&[("weight", NUM_FLOATS)], &[("model", 1)], all), "the floats `model` are missing"),
        useless("a name twice", &bundle(&[("model", 1000), ("model", 1)], &[("model", 1)], all), "is there twice"),
        useless("one array more", &bundle(&[("model", 1000), ("more", 1)], &[("model", 1)], all), "`more`, which nobody asked for"),
        useless("state that nobody keeps", &bundle(&[("model", 1000), ("state/x", 1)], &[("model", 1)], all), "`state/x`, which nobody"),
        readable("no number", &update(f32::NAN), 0.5),
        readable("no finite number", &update(f32::INFINITY), 0.5),
        readable("another model", &bundle(&[("model", 1000)], &[("model", 1)], &all[4..]), 0.5),
        readable("an array", &bundle(&[("model", 1000), ("array/x", 1)], &[("model", 1)], all), 0.5),
        readable("no loss", &good, f64::NAN),
    ])
}

/// Says that an update is ready.
async fn announce(session: &Session, id: v1::OrderId, damage: &Damage) {
    let (update, loss) = (Some(damage.object.clone()), Some(damage.loss));
    session
        .say(from_node::Message::Ready(v1::Ready { id: Some(id), update, num_samples: 1, num_steps: 1, loss, ..v1::Ready::default() }))
        .await;
}

/// Sends what was asked for, and returns true if it is asked for once more.
async fn deliver(hostile: &Hostile, session: &Session, id: v1::OrderId, damage: &mut Damage) -> bool {
    let (chunks, code, text) = damage.deliveries.pop_front().expect("it is asked for no more often");
    let delivery = v1::Delivery { session: session.token.clone(), id: Some(id), initial: None };
    let first = v1::DeliverRequest { delivery: Some(delivery), chunk: None };
    let rest = chunks.into_iter().map(|chunk| v1::DeliverRequest { delivery: None, chunk: Some(chunk) });
    let answer = hostile.deliver([first].into_iter().chain(rest).collect()).await;
    match code {
        Code::Ok => answer.expect(damage.what),
        code => is_refused(damage.what, answer, code, text),
    }
    !damage.deliveries.is_empty()
}

#[test]
fn an_update_that_cannot_be_used_is_made_once_more() {
    let num_readable = damages().iter().filter(|damage| damage.deliveries[0].1 == Code::Ok).count();
    let num_damaged = damages().len() - num_readable;
    let outcome = beside(&FederatedConfig { rounds: 12, ..config() }, async |hostile, goes_on| {
        let mut session = hostile.join("hostile").await;
        let (mut damages, mut announced) = (damages(), BTreeMap::new());
        while !(damages.is_empty() && announced.is_empty()) {
            match session.next().await {
                Some(to_node::Message::Train(train)) => {
                    goes_on.store(true, Ordering::Relaxed);
                    let id = train.id.expect("an order has one");
                    if let Some(damage) = damages.pop_front() {
                        announce(&session, id, &damage).await;
                        announced.insert((id.round, id.client), damage);
                    } else {
                        let (id, reason) = (Some(id), "it has done enough".to_owned());
                        let failed = v1::Failed { id, reason, is_of_settings: false, is_measurement: false };
                        session.say(from_node::Message::Failed(failed)).await;
                    }
                }
                Some(to_node::Message::Collect(v1::Collect { id, offset })) => {
                    let id = id.expect("it names an order");
                    let mut damage = announced.remove(&(id.round, id.client)).expect("it was announced");
                    let begins = damage.deliveries[0].0.first().map_or(0, |chunk| chunk.offset);
                    assert!(offset == 0 || offset == begins, "{}: {offset}", damage.what);
                    if deliver(&hostile, &session, id, &mut damage).await {
                        announced.insert((id.round, id.client), damage);
                    }
                }
                Some(to_node::Message::Release(_)) => {}
                other => panic!("{other:?}, and {} are left", damages.len()),
            }
        }
    });
    let refused = outcome.refused("hostile");
    assert_eq!(refused.iter().filter(|reason| reason.contains("can't be used")).count(), num_damaged, "{refused:?}");
    let by_round: Vec<String> = outcome
        .records
        .iter()
        .filter_map(|record| if let Record::Refused { reason, .. } = record { Some(reason.to_string()) } else { None })
        .collect();
    assert_eq!(by_round.len(), num_readable, "{by_round:?}");
    assert!(by_round.iter().all(|reason| reason.contains("can't be used")), "{by_round:?}");
}
