//! Passes generated inputs to the decoder and the hub: `fuzz [INPUTS [SEED]]`, 10,000,000 from seed 0 if nothing else is said.

use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(inputs), Ok(seed)) = (arguments.next().unwrap_or(Ok(10_000_000)), arguments.next().unwrap_or(Ok(0))) else {
        eprintln!("usage: fuzz [INPUTS [SEED]]");
        std::process::exit(2);
    };
    let began = Instant::now();
    let num_inputs = fltk_network::fuzz::run(seed, inputs);
    let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
    println!("{num_inputs} inputs of seed {seed}, {} a second", num_inputs.saturating_mul(1_000_000) / micros);
}
