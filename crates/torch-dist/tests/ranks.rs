//! Ranks on threads of this process, each with its own store client and group: the TCP connections are the same as between processes.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use tch::{Device, Kind, Tensor};
use torch_dist::{
    Cause, Checks, Compression, Error, GlooDevice, GroupOptions, Groups, ProcessGroup, ReduceOp, Reducer, ReducerOptions, TcpStore,
    TcpStoreOptions,
};

const TIMEOUT: Duration = Duration::from_secs(20);

fn store(port: u16, is_server: bool) -> Result<TcpStore, Error> {
    TcpStore::new("127.0.0.1", port, &TcpStoreOptions { is_server, num_workers: 0, timeout: TIMEOUT })
}

fn options(checks: Checks, timeout: Duration) -> GroupOptions {
    GroupOptions { timeout, device: GlooDevice::Address("127.0.0.1".into()), checks }
}

/// Runs `rank` on `size` ranks and returns their results, in order. Rank 0 serves the store and keeps it until all are done.
fn ranks<R: Send + 'static>(size: u32, options: &GroupOptions, rank: impl Fn(ProcessGroup) -> R + Send + Sync + 'static) -> Vec<R> {
    let options = options.clone();
    threads(size, move |store, number| rank(ProcessGroup::gloo(&store, number, size, &options).unwrap()))
}

/// Does the same with two groups.
fn ranks_of_groups<R: Send + 'static>(size: u32, options: &GroupOptions, rank: impl Fn(Groups) -> R + Send + Sync + 'static) -> Vec<R> {
    let options = options.clone();
    threads(size, move |store, number| rank(Groups::join(&store, number, size, &options, Device::Cpu).unwrap()))
}

fn threads<R: Send + 'static>(size: u32, rank: impl Fn(Arc<TcpStore>, u32) -> R + Send + Sync + 'static) -> Vec<R> {
    let server = Arc::new(store(0, true).unwrap());
    let port = server.port();
    let rank = Arc::new(rank);
    let threads: Vec<_> = (0..size)
        .map(|number| {
            let rank = Arc::clone(&rank);
            thread::spawn(move || rank(Arc::new(store(port, false).unwrap()), number))
        })
        .collect();
    let results = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    drop(server);
    results
}

fn checked() -> GroupOptions {
    options(Checks::EveryCall, TIMEOUT)
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten(0, -1).try_into().unwrap()
}

fn full(value: f64, size: i64) -> Tensor {
    Tensor::full([size], value, (Kind::Float, Device::Cpu))
}

#[test]
fn store_keeps_counts_and_waits() {
    let server = store(0, true).unwrap();
    let client = store(server.port(), false).unwrap();
    server.set("key", b"\0value\xff").unwrap();
    assert_eq!(client.get("key").unwrap(), b"\0value\xff");
    assert_eq!(client.add("count", 5).unwrap(), 5);
    assert_eq!(server.add("count", -2).unwrap(), 3);
    assert!(client.check(&["key", "count"]).unwrap());
    assert!(!client.check(&["key", "none"]).unwrap());
    let part = client.prefix("part").unwrap();
    part.set("key", b"").unwrap();
    assert_eq!(part.get("key").unwrap(), b"");
    assert_eq!(server.get("part/key").unwrap(), b"");
    assert!(client.delete("key").unwrap());
    let began = Instant::now();
    let error = client.wait(&["key"], Duration::from_millis(200)).unwrap_err();
    assert_eq!(error, Error::StoreTimeout { keys: "key".into(), timeout_ms: 200 });
    assert!(began.elapsed() < TIMEOUT);
    assert!(matches!(client.set("a\0b", b""), Err(Error::Argument(_))));
    let waiting = thread::spawn(move || client.get("later").map(|value| (value, client)));
    server.set("later", b"1").unwrap();
    let (value, client) = waiting.join().unwrap().unwrap();
    assert_eq!(value, b"1");
    drop(server);
    // `set` doesn't wait for an answer; `add` does.
    assert!(matches!(client.add("count", 1), Err(Error::Store { .. })));
}

#[test]
fn store_can_be_served_on_a_bound_socket() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = TcpStoreOptions { is_server: true, num_workers: 0, timeout: TIMEOUT };
    let server = TcpStore::on(listener.try_clone().unwrap(), &options).unwrap();
    assert_eq!(server.port(), port);
    server.set("key", b"value").unwrap();
    assert_eq!(store(port, false).unwrap().get("key").unwrap(), b"value");
    let client = TcpStoreOptions { is_server: false, ..options };
    assert!(matches!(TcpStore::on(listener, &client), Err(Error::Argument(_))));
}

#[test]
fn silent_server_blocks_nobody() {
    // The system accepts the connection, and nobody reads from it, as with a frozen rank 0.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let options = TcpStoreOptions { is_server: false, num_workers: 0, timeout: Duration::from_millis(500) };
    let began = std::time::Instant::now();
    let error = TcpStore::new("127.0.0.1", port, &options).and_then(|store| store.get("key").map(drop)).unwrap_err();
    assert!(matches!(error, Error::Connect { .. } | Error::Store { .. } | Error::StoreTimeout { .. }), "{error}");
    assert!(began.elapsed() < TIMEOUT / 2, "{error}");
}

#[test]
fn occupied_port_and_missing_server_are_errors() {
    let server = store(0, true).unwrap();
    assert!(matches!(store(server.port(), true), Err(Error::Listen { .. })));
    // Nothing listens at port 1.
    let free = 1;
    let options = TcpStoreOptions { is_server: false, num_workers: 0, timeout: Duration::from_millis(500) };
    let error = TcpStore::new("127.0.0.1", free, &options).unwrap_err();
    assert!(matches!(&error, Error::Connect { port, .. } if *port == free), "{error}");
    // Two workers were expected, and one came.
    let options = TcpStoreOptions { is_server: true, num_workers: 2, timeout: Duration::from_millis(500) };
    let error = TcpStore::new("127.0.0.1", 0, &options).unwrap_err();
    assert!(matches!(&error, Error::Connect { .. }), "{error}");
}

#[test]
fn absent_rank_is_named() {
    let server = Arc::new(store(0, true).unwrap());
    let error = ProcessGroup::gloo(&server, 0, 2, &options(Checks::EveryCall, Duration::from_millis(500))).unwrap_err();
    assert!(matches!(&error, Error::Join { rank: 0, size: 2, missing, .. } if missing == &[1]), "{error}");
    assert!(matches!(ProcessGroup::gloo(&server, 2, 2, &checked()), Err(Error::Argument(_))));
    let again = ProcessGroup::gloo(&server, 0, 2, &checked()).unwrap_err();
    assert_eq!(again, Error::JoinedBefore { rank: 0 });
}

#[test]
fn end_of_a_store_is_noticed_at_once() {
    let server = store(0, true).unwrap();
    let mut client = store(server.port(), false).unwrap();
    client.set_timeout(TIMEOUT / 2).unwrap();
    assert!(!client.is_gone_within(Duration::from_millis(100)));
    client.set("key", b"it still serves").unwrap();
    let began = Instant::now();
    let waiting = thread::spawn(move || client.is_gone_within(TIMEOUT));
    drop(server);
    assert!(waiting.join().unwrap());
    assert!(began.elapsed() < TIMEOUT / 2);
}

#[test]
fn collectives_are_correct() {
    ranks(3, &checked(), |group| {
        let rank = f64::from(group.rank());
        let reduced = |op| {
            let mut tensor = full(rank + 1.0, 5);
            group.all_reduce(&mut tensor, op).unwrap();
            floats(&tensor)
        };
        assert_eq!(reduced(ReduceOp::Sum), [6.0; 5]);
        assert_eq!(reduced(ReduceOp::Avg), [2.0; 5]);
        assert_eq!(reduced(ReduceOp::Min), [1.0; 5]);
        assert_eq!(reduced(ReduceOp::Max), [3.0; 5]);
        let mut counts = Tensor::from_slice(&[i64::from(group.rank()), i64::MAX / 4]);
        group.all_reduce(&mut counts, ReduceOp::Max).unwrap();
        assert_eq!(Vec::<i64>::try_from(&counts).unwrap(), [2, i64::MAX / 4]);

        let mut tensor = full(rank, 2);
        group.broadcast(&mut tensor, 2).unwrap();
        assert_eq!(floats(&tensor), [2.0; 2]);
        let mut tensors = [full(rank, 2), full(10.0 * rank, 3)];
        group.broadcast_coalesced(&mut tensors, 1).unwrap();
        assert_eq!((floats(&tensors[0]), floats(&tensors[1])), (vec![1.0; 2], vec![10.0; 3]));

        let gathered: Vec<Vec<f32>> = group.all_gather(&full(rank, 2)).unwrap().iter().map(floats).collect();
        assert_eq!(gathered, [[0.0; 2], [1.0; 2], [2.0; 2]]);
        let parts: Vec<Tensor> = (0..3).map(|part| full(rank + 10.0 * f64::from(part), 2)).collect();
        let own = f64::from(group.rank());
        assert_eq!(floats(&group.reduce_scatter(&parts, ReduceOp::Sum).unwrap()), [(3.0 + 30.0 * own) as f32; 2]);
        assert_eq!(floats(&group.reduce_scatter(&parts, ReduceOp::Avg).unwrap()), [(1.0 + 10.0 * own) as f32; 2]);

        let (next, last) = ((group.rank() + 1) % 3, (group.rank() + 2) % 3);
        let mut received = full(-1.0, 4);
        if group.rank() == 0 {
            group.send(&full(rank, 4), next, 7).unwrap();
            group.recv(&mut received, last, 7).unwrap();
        } else {
            group.recv(&mut received, last, 7).unwrap();
            group.send(&full(rank, 4), next, 7).unwrap();
        }
        assert_eq!(floats(&received), [last as f32; 4]);
        group.barrier().unwrap();
        group.leave(TIMEOUT).unwrap();
    });
}

#[test]
fn tensors_that_gloo_would_misread_are_refused_and_the_group_continues() {
    ranks(2, &checked(), |group| {
        let mut view = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu)).transpose(0, 1);
        assert!(matches!(group.all_reduce(&mut view, ReduceOp::Sum), Err(Error::Argument(_))));
        let mut whole = Tensor::from_slice(&[1_i64]);
        assert!(matches!(group.all_reduce(&mut whole, ReduceOp::Avg), Err(Error::Argument(_))));
        assert!(matches!(group.broadcast(&mut whole, 2), Err(Error::Argument(_))));
        assert!(matches!(group.send(&whole, group.rank(), 0), Err(Error::Argument(_))));
        assert!(matches!(group.reduce_scatter(&[full(0.0, 1)], ReduceOp::Sum), Err(Error::Argument(_))));
        let mut sum = full(1.0, 1);
        group.all_reduce(&mut sum, ReduceOp::Sum).unwrap();
        assert_eq!(floats(&sum), [2.0]);
    });
}

#[test]
fn mismatched_tensors_are_an_error_on_every_rank() {
    let errors = ranks(2, &checked(), |group| {
        let mut tensor = full(0.0, 2 + i64::from(group.rank()));
        let error = group.all_reduce(&mut tensor, ReduceOp::Sum).unwrap_err();
        // Different calls are a mismatch too.
        let other = if group.rank() == 0 { group.barrier() } else { group.broadcast(&mut tensor, 0) }.unwrap_err();
        assert!(matches!(other, Error::Mismatch { .. }), "{other}");
        // Nothing was sent, so the group still works as before.
        group.barrier().unwrap();
        error
    });
    let (here, there) = ("all_reduce(sum) of Float [2]".to_owned(), "all_reduce(sum) of Float [3]".to_owned());
    assert_eq!(errors[0], Error::Mismatch { rank: 0, here, other_rank: 1, there });
}

#[test]
fn lost_rank_is_named_by_the_others_and_the_group_is_closed() {
    let began = Instant::now();
    let errors = ranks(4, &options(Checks::Off, TIMEOUT), |group| {
        let mut tensor = full(1.0, 1000);
        group.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
        if group.rank() == 1 {
            // This rank ends without reporting it, and its connections close.
            return None;
        }
        let error = group.all_reduce(&mut tensor, ReduceOp::Sum).unwrap_err();
        assert_eq!(group.barrier(), Err(Error::Closed));
        Some(error)
    });
    for rank in [0, 2, 3] {
        let error = &errors[rank];
        let Some(Error::Collective { cause, missing, .. }) = error else { panic!("{error:?}") };
        assert_eq!((*cause, missing.as_slice()), (Cause::LostPeer, &[1][..]), "{error:?}");
    }
    assert!(began.elapsed() < TIMEOUT, "found by the broken connection, not by the time-out");
}

#[test]
fn hanging_rank_causes_a_timeout() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let release = std::sync::Mutex::new(Some(release));
    let errors = ranks(2, &options(Checks::Off, Duration::from_millis(700)), move |group| {
        if group.rank() == 1 {
            // This rank is alive, but doesn't take part until the other has given up.
            let _ = released.lock().unwrap().recv();
            return None;
        }
        let error = group.barrier().unwrap_err();
        drop(release.lock().unwrap().take());
        Some(error)
    });
    let Some(Error::Collective { cause, missing, .. }) = &errors[0] else { panic!("{errors:?}") };
    assert_eq!((*cause, missing.as_slice()), (Cause::Timeout, &[1][..]));
}

/// Gloo itself reports nothing to a rank that is in the middle of a message: such ranks would wait for their time-out.
#[test]
fn rank_lost_within_a_message_is_noticed_soon() {
    const LONG: i64 = 1 << 26;
    let seconds = ranks(2, &options(Checks::Off, TIMEOUT), |group| {
        let mut tensor = full(1.0, LONG);
        group.barrier().unwrap();
        if group.rank() == 1 {
            // This rank gives up while rank 0 still sends.
            group.set_timeout(Duration::from_millis(5)).unwrap();
        }
        let began = Instant::now();
        let error = group.broadcast(&mut tensor, 0).unwrap_err();
        let Error::Collective { cause, missing, .. } = &error else { panic!("{error}") };
        let expected = if group.rank() == 0 { Cause::LostPeer } else { Cause::Timeout };
        assert_eq!((*cause, missing.as_slice()), (expected, &[][..]), "{error}");
        drop(group);
        began.elapsed()
    });
    assert!(seconds.iter().all(|seconds| *seconds < TIMEOUT / 2), "{seconds:?}");
}

#[test]
fn two_groups_of_the_same_ranks_carry_different_tensors() {
    ranks_of_groups(3, &checked(), |groups| {
        let (rank, gradients, control) = (groups.rank(), groups.gradients(), groups.control());
        assert_eq!((groups.size(), gradients.size(), control.size()), (3, 3, 3));
        assert_eq!((gradients.rank(), control.rank()), (rank, rank));
        let (mut gradient, mut count) = (full(f64::from(rank), 1000), Tensor::from_slice(&[i64::from(rank)]));
        for _ in 0..3 {
            gradients.all_reduce(&mut gradient, ReduceOp::Avg).unwrap();
            control.all_reduce(&mut count, ReduceOp::Max).unwrap();
        }
        assert_eq!((floats(&gradient)[0], count.int64_value(&[0])), (1.0, 2));
        groups.leave(TIMEOUT).unwrap();
    });
}

/// The ranks in this test wait in different groups, as when one has already got the gradients that another still waits for.
#[test]
fn lost_rank_is_named_in_both_groups() {
    let began = Instant::now();
    let errors = ranks_of_groups(4, &options(Checks::Off, TIMEOUT), |groups| {
        let mut tensor = full(1.0, 1000);
        groups.gradients().all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
        let (here, other) = match groups.rank() {
            0 => (groups.gradients(), groups.control()),
            1 => return None,
            _ => (groups.control(), groups.gradients()),
        };
        let error = here.all_reduce(&mut tensor, ReduceOp::Sum).unwrap_err();
        assert_eq!((here.barrier(), other.barrier()), (Err(Error::Closed), Err(Error::Closed)));
        Some(error)
    });
    for rank in [0, 2, 3] {
        let error = &errors[rank];
        let Some(Error::Collective { cause, missing, .. }) = error else { panic!("{error:?}") };
        assert_eq!((*cause, missing.as_slice()), (Cause::LostPeer, &[1][..]), "{error:?}");
    }
    assert!(began.elapsed() < TIMEOUT, "found by the broken connection, not by the time-out");
}

#[test]
fn failure_in_one_group_ends_waits_in_the_other() {
    for is_control in [false, true] {
        let both = ranks_of_groups(2, &options(Checks::Off, TIMEOUT), move |groups| {
            let (gives_up, waits) = (groups.gradients(), groups.control());
            let (gives_up, waits) = if is_control { (waits, gives_up) } else { (gives_up, waits) };
            let here = if groups.rank() == 0 { waits } else { gives_up };
            if groups.rank() == 1 {
                here.set_timeout(Duration::from_millis(500)).unwrap();
            }
            let began = Instant::now();
            let error = here.all_reduce(&mut full(1.0, 1), ReduceOp::Sum).unwrap_err();
            let Error::Collective { cause, missing, .. } = &error else { panic!("{error}") };
            let expected = if groups.rank() == 0 { Cause::LostPeer } else { Cause::Timeout };
            // Both have noticed, and both say so where the other looks for it.
            assert_eq!((*cause, missing.as_slice()), (expected, &[][..]), "{error}");
            (began.elapsed(), groups)
        });
        assert!(both.iter().all(|(seconds, _)| *seconds < TIMEOUT / 2), "{both:?}");
    }
}

#[test]
fn rank_that_joins_only_one_group_is_named() {
    let short = options(Checks::Off, Duration::from_secs(1));
    let errors = threads(2, move |store, rank| match rank {
        0 => {
            let error = Groups::join(&store, 0, 2, &short, Device::Cpu).map(drop).unwrap_err();
            store.set("given up", b"").unwrap();
            Some(error)
        }
        _ => {
            let _default = ProcessGroup::gloo(&store, 1, 2, &short).unwrap();
            store.get("given up").unwrap();
            None
        }
    });
    assert!(matches!(&errors[0], Some(Error::Join { rank: 0, size: 2, missing, .. }) if missing == &[1]), "{errors:?}");
    let server = Arc::new(store(0, true).unwrap());
    let error = Groups::join(&server, 0, 1, &checked(), Device::Mps).unwrap_err();
    assert!(matches!(&error, Error::Argument(text) if text.contains("Mps")), "{error}");
}

/// A net of two layers, with different initial parameters on every rank.
fn parameters(rank: u32, hidden: i64) -> Vec<(String, Tensor)> {
    tch::no_grad(|| {
        let make = |name: &str, shape: &[i64]| {
            let values = Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)).view(shape);
            let tensor = (values * (0.01 + f64::from(rank))).sin() * 0.3;
            (name.to_owned(), tensor.set_requires_grad(true))
        };
        vec![make("a.weight", &[hidden, 4]), make("a.bias", &[hidden]), make("b.weight", &[3, hidden]), make("b.bias", &[3])]
    })
}

fn loss(parameters: &[(String, Tensor)], inputs: &Tensor, targets: &Tensor) -> Tensor {
    let [a, a_bias, b, b_bias] = [0, 1, 2, 3].map(|index| &parameters[index].1);
    inputs.linear(a, Some(a_bias)).tanh().linear(b, Some(b_bias)).cross_entropy_for_logits(targets)
}

/// Samples `from..from + count`, which are the same on every call.
fn samples(from: i64, count: i64) -> (Tensor, Tensor) {
    let numbers = Tensor::arange_start(from * 4, (from + count) * 4, (Kind::Float, Device::Cpu));
    ((numbers * 0.7).sin().view([count, 4]), Tensor::arange_start(from, from + count, (Kind::Int64, Device::Cpu)).remainder(3))
}

fn descend(parameters: &[(String, Tensor)], rate: f64) {
    tch::no_grad(|| {
        for (_, parameter) in parameters {
            let mut gradient = parameter.grad();
            let _ = parameter.shallow_clone().f_sub_(&(&gradient * rate)).unwrap();
            let _ = gradient.zero_();
        }
    });
}

fn train(group: &ProcessGroup, options: &ReducerOptions, steps: i64) -> Vec<f32> {
    let parameters = parameters(group.rank(), 8);
    let reducer = Reducer::new(group, &parameters, options).unwrap();
    for step in 0..steps {
        let (inputs, targets) = samples(step * 10 + 5 * i64::from(group.rank()), 5);
        reducer.before_forward().unwrap();
        let loss = loss(&parameters, &inputs, &targets);
        reducer.before_backward(&[]).unwrap();
        reducer.backward(&loss).unwrap();
        descend(&parameters, 0.5);
    }
    let times = reducer.times().unwrap().unwrap();
    assert!(times.communication > 0 && times.backward > 0, "{times:?}");
    parameters.iter().flat_map(|(_, tensor)| floats(&tensor.detach())).collect()
}

fn assert_close(left: &[f32], right: &[f32], tolerance: f32) {
    let largest = left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max);
    assert!(left.len() == right.len() && largest < tolerance, "largest difference {largest}");
}

#[test]
fn two_ranks_train_like_one_with_both_batches() {
    let alone = {
        let parameters = parameters(0, 8);
        for step in 0..20 {
            let (inputs, targets) = samples(step * 10, 10);
            loss(&parameters, &inputs, &targets).backward();
            descend(&parameters, 0.5);
        }
        parameters.iter().flat_map(|(_, tensor)| floats(&tensor.detach())).collect::<Vec<f32>>()
    };
    // This tests buckets of one parameter each, and one bucket of all.
    let mut uncompressed = Vec::new();
    for bucket_bytes in [1, 25 << 20] {
        let options = ReducerOptions { bucket_bytes, first_bucket_bytes: bucket_bytes, ..ReducerOptions::default() };
        let both = ranks(2, &checked(), move |group| train(&group, &options, 20));
        assert_eq!(both[0], both[1]);
        assert_close(&both[0], &alone, 1e-5);
        uncompressed.clone_from(&both[0]);
    }
    let options = ReducerOptions { compression: Compression::Fp16, ..ReducerOptions::default() };
    let compressed = ranks(2, &checked(), move |group| train(&group, &options, 20));
    assert_eq!(compressed[0], compressed[1]);
    assert_close(&compressed[0], &alone, 1e-2);
    let largest = compressed[0].iter().zip(&uncompressed).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max);
    assert!(largest > 1e-5, "gradients were rounded: {largest}");
}

#[test]
fn gradients_of_unsynchronized_steps_accumulate() {
    let accumulate = |group: ProcessGroup| {
        let parameters = parameters(0, 8);
        let reducer = Reducer::new(&group, &parameters, &ReducerOptions::default()).unwrap();
        let rank = i64::from(group.rank());
        let (inputs, targets) = samples(10 * rank, 5);
        reducer.backward(&loss(&parameters, &inputs, &targets)).unwrap();
        let local = floats(&parameters[0].1.grad());
        let (inputs, targets) = samples(10 * rank + 5, 5);
        reducer.before_forward().unwrap();
        let loss = loss(&parameters, &inputs, &targets);
        reducer.before_backward(&[]).unwrap();
        reducer.backward(&loss).unwrap();
        (local, floats(&parameters[0].1.grad()))
    };
    let both = ranks(2, &checked(), accumulate);
    assert_ne!(both[0].0, both[1].0, "not reduced");
    assert_eq!(both[0].1, both[1].1, "reduced");
    let parameters = parameters(0, 8);
    for from in [0, 5, 10, 15] {
        let (inputs, targets) = samples(from, 5);
        (loss(&parameters, &inputs, &targets) / 2.0).backward();
    }
    assert_close(&both[0].1, &floats(&parameters[0].1.grad()), 1e-6);
}

#[test]
fn unused_parameters_are_an_error_unless_searched_for() {
    let half =
        |parameters: &[(String, Tensor)]| samples(0, 5).0.linear(&parameters[0].1, Some(&parameters[1].1)).square().mean(Kind::Float);
    ranks(2, &checked(), move |group| {
        let parameters = parameters(0, 8);
        let options = ReducerOptions { find_unused_parameters: true, ..ReducerOptions::default() };
        let reducer = Reducer::new(&group, &parameters, &options).unwrap();
        for _ in 0..3 {
            reducer.before_forward().unwrap();
            let loss = half(&parameters);
            reducer.before_backward(&[loss.shallow_clone()]).unwrap();
            reducer.backward(&loss).unwrap();
        }
    });
    ranks(2, &checked(), move |group| {
        let parameters = parameters(0, 8);
        let reducer = Reducer::new(&group, &parameters, &ReducerOptions::default()).unwrap();
        reducer.before_forward().unwrap();
        reducer.before_backward(&[]).unwrap();
        reducer.backward(&half(&parameters)).unwrap();
        let error = reducer.before_forward().unwrap_err();
        assert_eq!(error, Error::UnusedParameters { rank: group.rank(), names: vec!["b.weight".into(), "b.bias".into()] });
    });
}

#[test]
fn mismatched_models_are_refused_before_training() {
    let errors = ranks(2, &checked(), |group| {
        let parameters = parameters(0, 8 + i64::from(group.rank()));
        Reducer::new(&group, &parameters, &ReducerOptions::default()).map(|_| ()).unwrap_err()
    });
    assert!(errors.iter().all(|error| matches!(error, Error::Mismatch { .. })), "{errors:?}");
    // A rank in Python could notice this much: it is c10d's own comparison.
    let errors = ranks(2, &options(Checks::Off, TIMEOUT), |group| {
        let mut parameters = parameters(0, 8);
        parameters.truncate(4 - group.rank() as usize);
        Reducer::new(&group, &parameters, &ReducerOptions::default()).map(|_| ()).unwrap_err()
    });
    assert!(errors.iter().all(|error| matches!(error, Error::Parameters { .. })), "{errors:?}");
    // c10d doesn't compare types, numbers of dimensions and settings.
    let errors = ranks(2, &checked(), |group| {
        let kind = if group.rank() == 0 { Kind::Float } else { Kind::Double };
        let parameter = [("a".to_owned(), Tensor::zeros([3], (kind, Device::Cpu)).set_requires_grad(true))];
        let types = Reducer::new(&group, &parameter, &ReducerOptions::default()).map(|_| ()).unwrap_err();
        let compression = if group.rank() == 0 { Compression::Fp16 } else { Compression::None };
        let options = ReducerOptions { compression, ..ReducerOptions::default() };
        [types, Reducer::new(&group, &parameters(0, 8), &options).map(|_| ()).unwrap_err()]
    });
    assert!(errors.iter().flatten().all(|error| matches!(error, Error::Mismatch { .. })), "{errors:?}");
    let errors = ranks(1, &checked(), |group| {
        let mut twice = parameters(0, 8);
        twice.push(("tied".into(), twice[0].1.shallow_clone()));
        Reducer::new(&group, &twice, &ReducerOptions::default()).map(|_| ()).unwrap_err()
    });
    assert!(matches!(&errors[0], Error::Argument(text) if text.contains("`a.weight` and `tied`")), "{errors:?}");
}

#[test]
fn rank_lost_in_backward_is_an_error() {
    let errors = ranks(2, &checked(), |group| {
        let parameters = parameters(0, 8);
        let reducer = Reducer::new(&group, &parameters, &ReducerOptions::default()).unwrap();
        if group.rank() == 1 {
            return None;
        }
        let (inputs, targets) = samples(0, 5);
        reducer.before_forward().unwrap();
        let loss = loss(&parameters, &inputs, &targets);
        reducer.before_backward(&[]).unwrap();
        Some(reducer.backward(&loss).unwrap_err())
    });
    assert!(matches!(&errors[0], Some(Error::Collective { missing, .. }) if missing == &[1]), "{errors:?}");
}

#[test]
fn gradients_flow_through_sums_over_ranks() {
    let both = ranks(2, &checked(), |group| {
        let input = full(1.0 + f64::from(group.rank()), 3).set_requires_grad(true);
        let sum = group.all_reduce_sum_with_grad(&input).unwrap();
        // The loss of rank r is (r + 1) * sum^2 / 2, so the gradient is the sum over ranks of (r + 1) * sum.
        let loss = (&sum * &sum).sum(Kind::Float) * (0.5 * (1.0 + f64::from(group.rank())));
        group.backward(&loss).unwrap();
        (floats(&sum.detach()), floats(&input.grad()))
    });
    assert_eq!(both[0], (vec![3.0; 3], vec![9.0; 3]));
    assert_eq!(both[1], both[0]);
}
