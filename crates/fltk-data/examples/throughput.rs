//! Measures how many images per second the input pipeline makes: `cargo run --release -p fltk-data --example throughput`.
//!
//! Each line is one epoch over synthetic images in batches of 64, shuffled as in training: first by one thread inline, then as a consumer
//! sees it.

use std::{sync::Arc, time::Instant};

use fltk_core::seed::Seed;
use fltk_data::{
    BatchPlan, Dataset, EpochKey, ImageSet, Origin, Provenance, Split, batches,
    sources::{Source, cifar10, fashion_mnist, mnist},
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cases: [(_, &Source, _, _); 4] = [
        ("28x28, scaled", &fashion_mnist::SOURCE, [1, 28, 28], None),
        ("28x28, normalized", &mnist::SOURCE, [1, 28, 28], None),
        ("28x28, normalized, padded to 32x32", &mnist::SOURCE, [1, 28, 28], Some([1, 32, 32])),
        ("3x32x32, crop, flip, normalized", &cifar10::SOURCE, [3, 32, 32], None),
    ];
    for (title, source, shape, input) in cases {
        let data = synthetic(source, shape, 60_000);
        for (how, clients) in [("background thread", 1), ("inline, 1 thread", 100)] {
            let (started, cpu_started) = (Instant::now(), cpu_seconds());
            let mut images = 0;
            for client in 0..clients {
                let indices: Vec<u32> = (0..60_000).skip(client as usize).step_by(clients as usize).collect();
                let key = EpochKey { seed: Seed(1), client, round: 0, epoch: 1 };
                let mut epoch = batches(BatchPlan::train(&data, Some(&indices), key, input, 64, false)?);
                while let Some(batch) = epoch.next() {
                    images += batch.size;
                    epoch.recycle(batch);
                }
            }
            let of_cpu = match (clients > 1, cpu_started, cpu_seconds()) {
                (true, Some(from), Some(to)) => format!(", {:>9.0} per second of processor time", images as f64 / (to - from)),
                _ => String::new(),
            };
            println!("{title:36} {how:18} {:>9.0} images/s{of_cpu}", images as f64 / started.elapsed().as_secs_f64());
        }
    }
    Ok(())
}

/// The processor time of the main thread so far, which other programs on the machine don't affect. Linux only.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    stat.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

fn synthetic(source: &'static Source, shape: [usize; 3], count: usize) -> Arc<Dataset> {
    let len: usize = shape.iter().product();
    let set = |count: usize| {
        let pixels = (0..count * len).map(|index| (index.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
        Split::Images(ImageSet { pixels, labels: (0..count).map(|index| (index % 10) as u16).collect(), shape, clients: None })
    };
    let provenance = Provenance { origin: Origin::Embedded, files: Vec::new(), normalization: None };
    Arc::new(Dataset {
        preparation: source.preparation(),
        class_names: (0..10).map(|class| class.to_string()).collect(),
        train: set(count),
        test: set(1),
        provenance,
    })
}
