//! Ranks that train one model together. Start each in its own terminal:
//!
//! ```text
//! cargo run --example ddp -- 0 2 127.0.0.1 29500
//! cargo run --example ddp -- 1 2 127.0.0.1 29500
//! ```
//!
//! Each rank prints the loss on its own samples, and at the end all print the same digest of the parameters. A rank in Python can replace
//! either: see `python/ddp_rank.py` next to this workspace.

use std::{env, sync::Arc, time::Duration};

use sha2::{Digest as _, Sha256};
use tch::{Device, Kind, Tensor};
use torch_dist::{Checks, GlooDevice, GroupOptions, ProcessGroup, Reducer, ReducerOptions, TcpStore, TcpStoreOptions};

const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [rank, size, host, port] = arguments.as_slice() else { return Err("usage: ddp RANK RANKS HOST PORT".into()) };
    let (rank, size, port): (u32, u32, u16) = (rank.parse()?, size.parse()?, port.parse()?);
    tch::set_num_threads(1);

    // Rank 0 serves the store, and all ranks meet there.
    let store = TcpStore::new(host, port, &TcpStoreOptions { is_server: rank == 0, num_workers: size, timeout: TIMEOUT })?;
    let device = GlooDevice::from_gloo_socket_ifname(env::var("GLOO_SOCKET_IFNAME").ok().as_deref())?;
    // Calls are not checked, so that ranks in Python can take part.
    let group = ProcessGroup::gloo(&Arc::new(store), rank, size, &GroupOptions { timeout: TIMEOUT, device, checks: Checks::Off })?;

    // These are the names, order and shapes of PyTorch's nn.Linear(8, 2). The reducer gives all ranks the values of rank 0.
    tch::manual_seed(i64::from(rank));
    let parameter = |shape: &[i64]| (Tensor::randn(shape, (Kind::Float, Device::Cpu)) * 0.1).set_requires_grad(true);
    let parameters = [("weight".to_owned(), parameter(&[2, 8])), ("bias".to_owned(), parameter(&[2]))];
    let reducer = Reducer::new(&group, &parameters, &ReducerOptions::default())?;

    // These samples belong to this rank alone.
    let inputs = Tensor::randn([64, 8], (Kind::Float, Device::Cpu));
    let targets = inputs.sum_dim_intlist(-1, false, Kind::Float).gt(0.0).to_kind(Kind::Int64);
    for step in 1..=30 {
        reducer.before_forward()?;
        let loss = inputs.f_linear(&parameters[0].1, Some(&parameters[1].1))?.cross_entropy_for_logits(&targets);
        reducer.before_backward(&[])?;
        reducer.backward(&loss)?;
        // The gradients are means over the ranks now, so every rank takes the same step.
        tch::no_grad(|| -> Result<(), tch::TchError> {
            for (_, parameter) in &parameters {
                let mut gradient = parameter.f_grad()?;
                let _ = parameter.shallow_clone().f_sub_(&(&gradient * 0.5))?;
                let _ = gradient.f_zero_()?;
            }
            Ok(())
        })?;
        if step % 10 == 0 {
            println!("rank {rank} step {step} loss {:.4}", loss.double_value(&[]));
        }
    }
    let mut hash = Sha256::new();
    for (_, parameter) in &parameters {
        Vec::<f32>::try_from(parameter.flatten(0, -1))?.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    println!("rank {rank} parameters sha256 {}", hex::encode(hash.finalize()));
    drop(reducer);
    group.leave(Duration::from_secs(2))?;
    Ok(())
}
