//! Ranks with two groups, as a training with NCCL has them: one for gradients, and one over gloo for host memory. Start each in its own terminal:
//!
//! ```text
//! cargo run --example groups -- 0 2 127.0.0.1 29500
//! cargo run --example groups -- 1 2 127.0.0.1 29500
//! ```
//!
//! All ranks print the same sums over each group. A rank in Python can replace either: see `python/groups_rank.py` next to this workspace.

use std::{env, sync::Arc, time::Duration};

use tch::Tensor;
use torch_dist::{Checks, Device, GlooDevice, GroupOptions, Groups, ReduceOp, TcpStore, TcpStoreOptions};

const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [rank, size, host, port] = arguments.as_slice() else { return Err("usage: groups RANK RANKS HOST PORT".into()) };
    let (rank, size, port): (u32, u32, u16) = (rank.parse()?, size.parse()?, port.parse()?);

    let store = TcpStore::new(host, port, &TcpStoreOptions { is_server: rank == 0, num_workers: size, timeout: TIMEOUT })?;
    let device = GlooDevice::from_gloo_socket_ifname(env::var("GLOO_SOCKET_IFNAME").ok().as_deref())?;
    // Calls are not checked, so that ranks in Python can take part.
    let options = GroupOptions { timeout: TIMEOUT, device, checks: Checks::Off };
    let groups = Groups::join(&Arc::new(store), rank, size, &options, Device::Cpu)?;

    let mut gradient = Tensor::from_slice(&[f64::from(rank) + 0.5]);
    groups.gradients().all_reduce(&mut gradient, ReduceOp::Sum)?;
    let mut count = Tensor::from_slice(&[i64::from(rank) + 1]);
    groups.control().all_reduce(&mut count, ReduceOp::Sum)?;
    println!("rank {rank} sums {:.1} {}", gradient.double_value(&[0]), count.int64_value(&[0]));
    groups.leave(Duration::from_secs(2))?;
    Ok(())
}
