//! Shaoxiong Ji, A PyTorch Implementation of Federated Learning, 2018, doi:10.5281/zenodo.4321561.

use serde_json::{Value, json};

use crate::reproduce::cell::{Cell, Published, Table};

/// The seconds of a round of 30,000 samples on one core, measured.
const CORE_SECONDS: f64 = 4.5;

/// Returns the cells of its convolutional net after 50 rounds.
pub fn table() -> Table {
    let cell = |division: &str, what: &str, published, partition| Cell {
        name: format!("ji-mnist-cnn-{division}"),
        what: format!("MNIST, {what}, FedAvg"),
        published: Published::last(published),
        task: task(&partition),
        seeds: 3,
        core_seconds_per_round: CORE_SECONDS,
        differs: None,
    };
    Table {
        title: "Ji's federated-learning",
        source: "Shaoxiong Ji, A PyTorch Implementation of Federated Learning, 2018, \
                 [doi:10.5281/zenodo.4321561](https://doi.org/10.5281/zenodo.4321561), \
                 [README](https://github.com/shaoxiongji/federated-learning), table 2, FedAVG-CNN, without deviations. The figure is the accuracy after the last \
                 round.",
        setting: "100 clients, 10 of which take part in each of 50 rounds; 5 local epochs, batches of 10, SGD with learning rate 0.01 and momentum 0.5; the \
                  mean of the clients' models is uniform; the net `MNISTCNN`. Either each client has 600 images drawn at random, or two of 200 shards of \
                  the images sorted by label.",
        differs: &[],
        cells: vec![
            cell("iid", "IID", 98.60, json!({ "type": "uniform" })),
            cell("shards", "two shards each", 93.81, json!({ "type": "shard", "shards_per_client": 2 })),
        ],
    }
}

fn task(partition: &Value) -> Value {
    json!({
        "kind": "federated",
        "network": "MNISTCNN",
        "dataset": "mnist",
        "train": { "batch_size": 10, "optimizer": { "type": "SGD", "learning_rate": 0.01, "momentum": 0.5 } },
        "federated": {
            "clients": 100,
            "clients_per_round": 10,
            "rounds": 50,
            "epochs_per_round": 5,
            "partition": partition,
            "strategy": { "type": "FedAvg", "weights": "uniform" },
        },
    })
}
