//! Times all-reduce of 1, 10 and 100 MB on one rank: `all_reduce RANK RANKS PORT`. Prints one line of JSON, medians in milliseconds.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use tch::{Device, Kind, Tensor};
use torch_dist::{Checks, GlooDevice, GroupOptions, ProcessGroup, ReduceOp, TcpStore, TcpStoreOptions};

const TIMEOUT: Duration = Duration::from_secs(60);
/// The number of bytes and the number of repetitions. Each size takes a few seconds.
const ALL_REDUCE: [(i64, usize); 3] = [(1_000_000, 500), (10_000_000, 100), (100_000_000, 20)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [rank, size, port] = arguments.as_slice() else { return Err("usage: all_reduce RANK RANKS PORT".into()) };
    let (rank, size, port): (u32, u32, u16) = (rank.parse()?, size.parse()?, port.parse()?);
    tch::set_num_threads(1);
    let store = TcpStore::new("127.0.0.1", port, &TcpStoreOptions { is_server: rank == 0, num_workers: size, timeout: TIMEOUT })?;
    let device = GlooDevice::from_gloo_socket_ifname(env::var("GLOO_SOCKET_IFNAME").ok().as_deref())?;
    let group = ProcessGroup::gloo(&Arc::new(store), rank, size, &GroupOptions { timeout: TIMEOUT, device, checks: Checks::Off })?;
    let mut results = Vec::new();
    for (bytes, repeats) in ALL_REDUCE {
        let mut tensor = Tensor::ones([bytes / 4], (Kind::Float, Device::Cpu));
        let mut times = Vec::new();
        for _ in 0..repeats {
            let _ = tensor.f_fill_(1.0)?;
            group.barrier()?;
            let began = Instant::now();
            group.all_reduce(&mut tensor, ReduceOp::Sum)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        results.push(format!("\"{bytes}\": {}", (times[repeats / 2 - 1] + times[repeats / 2]) / 2.0));
    }
    println!("{{\"all_reduce_ms\": {{{}}}}}", results.join(", "));
    group.leave(Duration::from_secs(2))?;
    Ok(())
}
