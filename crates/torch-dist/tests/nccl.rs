//! Tests of groups over NCCL: the error without a suitable GPU, and collectives, reducers and lost ranks with one.
//!
//! One GPU is enough: NCCL takes two processes that name different hosts (`NCCL_HOSTID`) for two machines, and connects them by sockets.

#![cfg(feature = "nccl")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    env,
    io::Write as _,
    process::{self, Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tch::{Device, Kind, Tensor};
use torch_dist::{
    Cause, Checks, Compression, Error, GlooDevice, GroupOptions, Groups, NcclOptions, ProcessGroup, ReduceOp, Reducer, ReducerOptions,
    TcpStore, TcpStoreOptions,
};

/// One time-out for all groups of a process, since libtorch reads a part of it once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit for two processes that load CUDA's libraries and do their work.
const PROCESSES_LIMIT: Duration = Duration::from_secs(60);

const GPU: Device = Device::Cuda(0);

/// The variable that makes a process of this file one of two ranks.
const RANK: &str = "TORCH_DIST_TEST_RANK";
const PORT: &str = "TORCH_DIST_TEST_PORT";

/// The GPU, for one test at a time; `None`, with a message, if there is none.
#[expect(clippy::explicit_write, reason = "of a test that passes, nobody sees what `eprintln` says")]
fn gpu() -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if tch::Cuda::device_count() == 0 {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "there is no GPU, and with CI=true this test may not be skipped");
        let name = thread::current().name().unwrap_or_default().to_owned();
        writeln!(std::io::stderr(), "skipped: {name}: there is no GPU").unwrap();
        return None;
    }
    Some(ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

fn store(port: u16, is_server: bool) -> Arc<TcpStore> {
    Arc::new(TcpStore::new("127.0.0.1", port, &TcpStoreOptions { is_server, num_workers: 0, timeout: TIMEOUT }).unwrap())
}

fn options(checks: Checks) -> NcclOptions {
    NcclOptions { timeout: TIMEOUT, device: 0, checks }
}

fn alone(checks: Checks) -> ProcessGroup {
    ProcessGroup::nccl(&store(0, true), 0, 1, &options(checks)).unwrap()
}

/// Runs `rank` in two processes that share the GPU. The processes are copies of the test `name`, and end here. The test itself waits until both
/// have ended, and returns their exit statuses.
fn two_processes(name: &str, checks: Checks, rank: fn(&ProcessGroup)) -> Option<[ExitStatus; 2]> {
    if let Ok(number) = env::var(RANK) {
        let port = env::var(PORT).unwrap().parse().unwrap();
        rank(&ProcessGroup::nccl(&store(port, false), number.parse().unwrap(), 2, &options(checks)).unwrap());
        return None;
    }
    let _gpu = gpu()?;
    let server = store(0, true);
    let mut children = [0, 1].map(|number| {
        let mut process = Command::new(env::current_exe().unwrap());
        process.args(["--exact", name, "--nocapture"]).env(RANK, number.to_string()).env(PORT, server.port().to_string());
        process.env("NCCL_HOSTID", format!("host-{number}")).env("NCCL_SOCKET_IFNAME", "lo");
        process.spawn().unwrap()
    });
    let end = Instant::now() + PROCESSES_LIMIT;
    let statuses = children.each_mut().map(|child| wait(child, end));
    Some(statuses.map(|status| status.unwrap_or_else(|| panic!("a rank of {name} hangs"))))
}

/// Returns how `child` ended; kills it if it is still running at `end`.
fn wait(child: &mut Child, end: Instant) -> Option<ExitStatus> {
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn assert_both_passed(statuses: Option<[ExitStatus; 2]>) {
    if let Some(statuses) = statuses {
        assert!(statuses.iter().all(ExitStatus::success), "{statuses:?}");
    }
}

fn full(value: f64, size: i64) -> Tensor {
    Tensor::full([size], value, (Kind::Float, GPU))
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.detach().flatten(0, -1).try_into().unwrap()
}

fn assert_close(left: &[f32], right: &[f32], tolerance: f32) {
    let largest = left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max);
    assert!(left.len() == right.len() && largest < tolerance, "largest difference {largest}");
}

/// A net of two layers on the GPU, with different initial parameters on every rank.
fn parameters(rank: u32) -> Vec<(String, Tensor)> {
    tch::no_grad(|| {
        let make = |name: &str, shape: &[i64]| {
            let values = Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, GPU)).view(shape);
            (name.to_owned(), ((values * (0.01 + f64::from(rank))).sin() * 0.3).set_requires_grad(true))
        };
        vec![make("a.weight", &[8, 4]), make("a.bias", &[8]), make("b.weight", &[3, 8]), make("b.bias", &[3])]
    })
}

/// The loss on samples `from..from + count`.
fn loss(parameters: &[(String, Tensor)], from: i64, count: i64) -> Tensor {
    let [a, a_bias, b, b_bias] = [0, 1, 2, 3].map(|index| &parameters[index].1);
    let inputs = (Tensor::arange_start(from * 4, (from + count) * 4, (Kind::Float, GPU)) * 0.7).sin().view([count, 4]);
    let targets = Tensor::arange_start(from, from + count, (Kind::Int64, GPU)).remainder(3);
    inputs.linear(a, Some(a_bias)).tanh().linear(b, Some(b_bias)).cross_entropy_for_logits(&targets)
}

fn descend(parameters: &[(String, Tensor)]) {
    tch::no_grad(|| {
        for (_, parameter) in parameters {
            let mut gradient = parameter.grad();
            let _ = parameter.shallow_clone().f_sub_(&(&gradient * 0.5)).unwrap();
            let _ = gradient.zero_();
        }
    });
}

/// The parameters after 20 steps without a group, each on the samples of two ranks.
fn trained_alone() -> Vec<f32> {
    let parameters = parameters(0);
    for step in 0..20 {
        loss(&parameters, step * 10, 10).backward();
        descend(&parameters);
    }
    parameters.iter().flat_map(|(_, tensor)| floats(tensor)).collect()
}

/// The parameters after 20 steps, each on this rank's part of ten samples.
fn trained(group: &ProcessGroup, options: &ReducerOptions) -> Vec<f32> {
    let parameters = parameters(group.rank());
    let reducer = Reducer::new(group, &parameters, options).unwrap();
    let count = 10 / i64::from(group.size());
    for step in 0..20 {
        reducer.before_forward().unwrap();
        let loss = loss(&parameters, step * 10 + count * i64::from(group.rank()), count);
        reducer.before_backward(&[loss.shallow_clone()]).unwrap();
        reducer.backward(&loss).unwrap();
        descend(&parameters);
    }
    let times = reducer.times().unwrap().unwrap();
    assert!(times.backward > 0, "{times:?}");
    parameters.iter().flat_map(|(_, tensor)| floats(tensor)).collect()
}

#[test]
fn absent_gpu_is_an_error() {
    let device = tch::Cuda::device_count().unsigned_abs() as usize;
    let error = ProcessGroup::nccl(&store(0, true), 0, 1, &NcclOptions { device, ..options(Checks::EveryCall) }).unwrap_err();
    assert!(matches!(&error, Error::Join { message, .. } if message.contains("there is no GPU")), "{error}");
}

#[test]
fn collectives_of_one_rank_keep_its_tensors() {
    let Some(_gpu) = gpu() else { return };
    for checks in [Checks::EveryCall, Checks::Off] {
        let group = alone(checks);
        assert_eq!((group.device(), group.rank(), group.size()), (GPU, 0, 1));
        for op in [ReduceOp::Sum, ReduceOp::Avg, ReduceOp::Min, ReduceOp::Max] {
            let mut tensor = full(1.5, 5);
            group.all_reduce(&mut tensor, op).unwrap();
            assert_eq!((tensor.device(), floats(&tensor)), (GPU, vec![1.5; 5]));
            assert_eq!(floats(&group.reduce_scatter(&[full(2.5, 3)], op).unwrap()), [2.5; 3]);
        }
        for kind in [Kind::Float, Kind::Double, Kind::Half, Kind::Int8, Kind::Uint8, Kind::Int, Kind::Int64] {
            let mut tensor = Tensor::full([3], 7, (kind, GPU));
            group.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
            assert_eq!(floats(&tensor.to_kind(Kind::Float)), [7.0; 3], "{kind:?}");
        }
        let mut tensor = full(3.0, 2);
        group.broadcast(&mut tensor, 0).unwrap();
        assert_eq!(floats(&tensor), [3.0; 2]);
        group.broadcast_coalesced(&mut [tensor.shallow_clone(), full(4.0, 9)], 0).unwrap();
        let gathered: Vec<Vec<f32>> = group.all_gather(&tensor).unwrap().iter().map(floats).collect();
        assert_eq!(gathered, [[3.0; 2]]);
        let input = full(2.0, 3).set_requires_grad(true);
        let sum = group.all_reduce_sum_with_grad(&input).unwrap();
        group.backward(&(&sum * &sum).sum(Kind::Float)).unwrap();
        assert_eq!(floats(&input.grad()), [4.0; 3]);
        group.barrier().unwrap();
        group.leave(TIMEOUT).unwrap();
    }
}

#[test]
fn cpu_tensors_are_refused_and_the_group_continues() {
    let Some(_gpu) = gpu() else { return };
    let group = alone(Checks::EveryCall);
    let on_cpu = || Tensor::ones([3], (Kind::Float, Device::Cpu));
    let refused = [
        group.all_reduce(&mut on_cpu(), ReduceOp::Sum),
        group.broadcast(&mut on_cpu(), 0),
        group.broadcast_coalesced(&mut [on_cpu()], 0),
        group.all_gather(&on_cpu()).map(drop),
        group.reduce_scatter(&[on_cpu()], ReduceOp::Sum).map(drop),
        group.all_reduce_sum_with_grad(&on_cpu()).map(drop),
        Reducer::new(&group, &[("a".to_owned(), on_cpu().set_requires_grad(true))], &ReducerOptions::default()).map(drop),
    ];
    assert!(refused.iter().all(|result| matches!(result, Err(Error::Argument(_)))), "{refused:?}");
    let mut tensor = full(1.0, 3);
    group.all_reduce(&mut tensor, ReduceOp::Sum).unwrap();
    assert_eq!(floats(&tensor), [1.0; 3]);
}

#[test]
fn gpu_gradient_group_has_a_control_group_for_host_memory() {
    let Some(_gpu) = gpu() else { return };
    let options = GroupOptions { timeout: TIMEOUT, device: GlooDevice::Address("127.0.0.1".into()), checks: Checks::EveryCall };
    let groups = Groups::join(&store(0, true), 0, 1, &options, GPU).unwrap();
    assert_eq!((groups.gradients().device(), groups.control().device()), (GPU, Device::Cpu));
    let (mut gradient, mut count) = (full(2.5, 3), Tensor::from_slice(&[5_i64]));
    groups.gradients().all_reduce(&mut gradient, ReduceOp::Sum).unwrap();
    groups.control().all_reduce(&mut count, ReduceOp::Sum).unwrap();
    assert_eq!((floats(&gradient), count.int64_value(&[0])), (vec![2.5; 3], 5));
    assert!(matches!(groups.control().all_reduce(&mut gradient, ReduceOp::Sum), Err(Error::Argument(_))));
    groups.leave(TIMEOUT).unwrap();
}

#[test]
fn reducer_of_one_rank_changes_no_result() {
    let Some(_gpu) = gpu() else { return };
    let expected = trained_alone();
    for bucket_bytes in [1, 25 << 20] {
        let options = ReducerOptions { bucket_bytes, first_bucket_bytes: bucket_bytes, ..ReducerOptions::default() };
        assert_close(&trained(&alone(Checks::EveryCall), &options), &expected, 1e-6);
    }
    let looking = ReducerOptions { find_unused_parameters: true, ..ReducerOptions::default() };
    assert_close(&trained(&alone(Checks::Off), &looking), &expected, 1e-6);
    let rounded = trained(&alone(Checks::Off), &ReducerOptions { compression: Compression::Fp16, ..ReducerOptions::default() });
    assert_close(&rounded, &expected, 1e-2);
    assert_ne!(rounded, expected);
}

#[test]
fn absent_rank_is_named() {
    let Some(_gpu) = gpu() else { return };
    for (rank, other) in [(0, 1), (1, 0)] {
        let began = Instant::now();
        let error = ProcessGroup::nccl(&store(0, true), rank, 2, &options(Checks::EveryCall)).unwrap_err();
        let took = began.elapsed();
        assert!(matches!(&error, Error::Join { missing, .. } if *missing == [other]), "{error}");
        assert!(took < TIMEOUT * 2, "{took:?}: {error}");
    }
    // The process still works as before.
    alone(Checks::EveryCall).barrier().unwrap();
}

#[test]
fn two_ranks_on_one_gpu_are_refused() {
    let Some(_gpu) = gpu() else { return };
    let server = store(0, true);
    let began = Instant::now();
    let ranks = [0, 1].map(|rank| {
        let store = store(server.port(), false);
        thread::spawn(move || ProcessGroup::nccl(&store, rank, 2, &options(Checks::EveryCall)).map(drop))
    });
    for result in ranks.map(|rank| rank.join().unwrap()) {
        let took = began.elapsed();
        assert!(matches!(&result, Err(Error::Join { .. })) && took < TIMEOUT * 2, "{took:?}: {result:?}");
    }
    alone(Checks::EveryCall).barrier().unwrap();
}

#[test]
fn collectives_of_two_ranks_are_correct() {
    assert_both_passed(two_processes("collectives_of_two_ranks_are_correct", Checks::EveryCall, |group| {
        let rank = f64::from(group.rank());
        let reduced = |op| {
            let mut tensor = full(rank + 1.0, 5);
            group.all_reduce(&mut tensor, op).unwrap();
            floats(&tensor)
        };
        assert_eq!(reduced(ReduceOp::Sum), [3.0; 5]);
        assert_eq!(reduced(ReduceOp::Avg), [1.5; 5]);
        assert_eq!(reduced(ReduceOp::Min), [1.0; 5]);
        assert_eq!(reduced(ReduceOp::Max), [2.0; 5]);
        let mut large = full(rank + 1.0, 3 << 20);
        group.all_reduce(&mut large, ReduceOp::Sum).unwrap();
        assert_eq!((large.min().double_value(&[]), large.max().double_value(&[])), (3.0, 3.0));

        let mut tensor = full(rank, 2);
        group.broadcast(&mut tensor, 1).unwrap();
        assert_eq!(floats(&tensor), [1.0; 2]);
        let mut tensors = [full(rank, 2), full(10.0 * rank, 3)];
        group.broadcast_coalesced(&mut tensors, 1).unwrap();
        assert_eq!((floats(&tensors[0]), floats(&tensors[1])), (vec![1.0; 2], vec![10.0; 3]));
        let gathered: Vec<Vec<f32>> = group.all_gather(&full(rank, 2)).unwrap().iter().map(floats).collect();
        assert_eq!(gathered, [[0.0; 2], [1.0; 2]]);
        let parts: Vec<Tensor> = (0..2).map(|part| full(rank + 10.0 * f64::from(part), 2)).collect();
        assert_eq!(floats(&group.reduce_scatter(&parts, ReduceOp::Sum).unwrap()), [(1.0 + 20.0 * rank) as f32; 2]);
        assert_eq!(floats(&group.reduce_scatter(&parts, ReduceOp::Avg).unwrap()), [(0.5 + 10.0 * rank) as f32; 2]);

        let mut received = full(-1.0, 4);
        if group.rank() == 0 {
            group.send(&full(7.0, 4), 1, 0).unwrap();
            group.recv(&mut received, 1, 0).unwrap();
        } else {
            group.recv(&mut received, 0, 0).unwrap();
            group.send(&(&received + 1.0), 0, 0).unwrap();
        }
        assert_eq!(floats(&received), [if group.rank() == 0 { 8.0 } else { 7.0 }; 4]);

        let input = full(1.0 + rank, 3).set_requires_grad(true);
        let sum = group.all_reduce_sum_with_grad(&input).unwrap();
        group.backward(&((&sum * &sum).sum(Kind::Float) * (0.5 * (1.0 + rank)))).unwrap();
        assert_eq!((floats(&sum), floats(&input.grad())), (vec![3.0; 3], vec![9.0; 3]));

        // Tensors and calls that differ are an error on both ranks, and the group stays usable.
        let mut tensor = full(0.0, 2 + i64::from(group.rank()));
        let different = [
            group.all_reduce(&mut tensor, ReduceOp::Sum),
            if group.rank() == 0 { group.barrier() } else { group.broadcast(&mut tensor, 0) },
        ];
        assert!(different.iter().all(|result| matches!(result, Err(Error::Mismatch { .. }))), "{different:?}");
        group.barrier().unwrap();
    }));
}

#[test]
fn two_ranks_train_like_one_with_both_batches() {
    assert_both_passed(two_processes("two_ranks_train_like_one_with_both_batches", Checks::EveryCall, |group| {
        let expected = trained_alone();
        for bucket_bytes in [1, 25 << 20] {
            let options = ReducerOptions { bucket_bytes, first_bucket_bytes: bucket_bytes, ..ReducerOptions::default() };
            assert_close(&trained(group, &options), &expected, 1e-5);
        }
        let rounded = trained(group, &ReducerOptions { compression: Compression::Fp16, ..ReducerOptions::default() });
        assert_close(&rounded, &expected, 1e-2);
        group.barrier().unwrap();
    }));
}

/// Runs a collective that must fail because the other rank is lost or hangs.
fn fails(group: &ProcessGroup, cause: Cause) {
    let began = Instant::now();
    let error = group.all_reduce(&mut full(1.0, 1000), ReduceOp::Sum).unwrap_err();
    let took = began.elapsed();
    assert!(matches!(&error, Error::Collective { cause: found, missing, .. } if *found == cause && *missing == [1]), "{error:?}");
    assert!(took < TIMEOUT * 2, "{took:?}: {error}");
    assert_eq!(group.barrier(), Err(Error::Closed));
}

#[test]
fn lost_rank_is_named_by_the_other() {
    let statuses = two_processes("lost_rank_is_named_by_the_other", Checks::Off, |group| {
        group.barrier().unwrap();
        if group.rank() == 1 {
            // This acts like a kill: only the system closes the connections.
            process::abort();
        }
        fails(group, Cause::LostPeer);
    });
    if let Some([survivor, lost]) = statuses {
        assert!(survivor.success() && !lost.success(), "{survivor:?}, {lost:?}");
    }
}

#[test]
fn hanging_rank_causes_a_timeout() {
    assert_both_passed(two_processes("hanging_rank_causes_a_timeout", Checks::Off, |group| {
        group.barrier().unwrap();
        if group.rank() == 1 {
            // This rank is alive, but doesn't take part until the other has given up.
            group.store().wait(&["given up"], TIMEOUT * 3).unwrap();
            return;
        }
        fails(group, Cause::Timeout);
        group.store().set("given up", b"").unwrap();
    }));
}
