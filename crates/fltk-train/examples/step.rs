//! Times one training step (forward, cross-entropy, backward, SGD with momentum) on made-up data, and prints one line of JSON.
//!
//! Usage: `step NET BATCH THREADS [STEPS]`. `python/bench_step.py` does the same for PyTorch.

use std::time::Instant;

use fltk_core::{
    catalogue::Choice,
    experiment::NetworkConfig,
    seed::{Purpose, Seed},
};
use fltk_data::{Batch, Inputs};
use fltk_train::{Device, Model, Optimizer, TrainError, losses, nets, nets::InputShape, train};

/// The vocabulary and sequence length for language models.
const VOCABULARY: usize = 10_000;
const SEQUENCE: usize = 20;

/// The number of steps before timing starts: caches fill and the allocator's heap grows.
const WARM_UP_STEPS: usize = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [net, batch, threads, rest @ ..] = arguments.as_slice() else { return Err("usage: step NET BATCH THREADS [STEPS]".into()) };
    let (size, threads, steps): (usize, usize, usize) = (batch.parse()?, threads.parse()?, rest.first().map_or(Ok(50), |s| s.parse())?);
    fltk_train::init(threads);
    let batch = made_up_batch(net, size)?;
    let mut milliseconds = time_steps(net, &batch, steps)?;
    milliseconds.sort_by(f64::total_cmp);
    let result = serde_json::json!({
        "engine": "fltk", "net": net, "batch": size, "threads": threads, "steps": steps,
        "median_ms": milliseconds.get(steps / 2), "min_ms": milliseconds.first(),
    });
    println!("{result}");
    Ok(())
}

fn time_steps(name: &str, batch: &Batch, steps: usize) -> Result<Vec<f64>, TrainError> {
    let mut model = Model::new(&NetworkConfig::named(name), "".as_ref(), input(name)?, Seed(0), Device::Cpu)?;
    let sgd = Choice::new("SGD").with("learning_rate", 0.01).with("momentum", 0.9);
    let mut optimizer = Optimizer::new(&sgd, &model)?;
    let mut dropout = Seed(0).stream(Purpose::Dropout, &[]);
    let loss = losses::find("CrossEntropyLoss")?;
    let mut step = |_| {
        let start = Instant::now();
        train::train_batch(&mut model, &mut optimizer, batch, loss, &mut dropout)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..WARM_UP_STEPS).try_for_each(|index| step(index).map(drop))?;
    (0..steps).map(step).collect()
}

/// The input of the net, with the vocabulary of this measurement.
fn input(name: &str) -> Result<InputShape, TrainError> {
    Ok(match nets::describe(name)?.input {
        InputShape::Tokens { .. } => InputShape::Tokens { vocabulary: VOCABULARY },
        images @ InputShape::Images { .. } => images,
    })
}

/// A batch with pixels between -1 and 1, and with targets that cycle through the classes.
fn made_up_batch(name: &str, size: usize) -> Result<Batch, TrainError> {
    let value = |index: usize| (index * 7919 % 2003) as f32 / 1001.0 - 1.0;
    Ok(match input(name)? {
        InputShape::Images { shape: [c, h, w], classes } => Batch {
            inputs: Inputs::Images { nhwc: (0..size * c * h * w).map(value).collect(), shape: [size, h, w, c] },
            targets: (0..size).map(|index| (index % classes) as i64).collect(),
            size,
        },
        InputShape::Tokens { .. } => {
            let token = |index: usize| (index * 7919 % VOCABULARY) as i64;
            let elements = size * SEQUENCE;
            Batch {
                inputs: Inputs::Tokens { ids: (0..elements).map(token).collect(), shape: [size, SEQUENCE] },
                targets: (1..=elements).map(token).collect(),
                size,
            }
        }
    })
}
