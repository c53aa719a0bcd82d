//! McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, arXiv:1602.05629, table 2.

use serde_json::{Value, json};

use crate::reproduce::cell::{Cell, Measure, Published, Table};

/// The seconds of a round of 30,000 samples on one core, measured.
const CORE_SECONDS: f64 = 34.0;

/// The learning rates, on a grid of ratio 10^(1/3), and how names write them.
const LEARNING_RATES: [(f64, &str); 3] = [(0.1, "0_1"), (0.0464, "0_0464"), (0.215, "0_215")];

/// Returns a cell for each learning rate, for the IID division.
pub fn table() -> Table {
    Table {
        title: "McMahan et al.: rounds to 99 % on MNIST",
        source: "McMahan et al., Communication-Efficient Learning of Deep Networks from Decentralized Data, 2017, \
                 [arXiv:1602.05629](https://arxiv.org/abs/1602.05629), table 2, CNN, E = 5, B = 10, IID. The figure is the number of rounds until 99 % of the \
                 test set are right.",
        setting: "100 clients with 600 images each, drawn at random, 10 of which take part in each round; 5 local epochs, batches of 10, SGD without momentum; \
                  the net `McMahanCNN`. The learning rate is tuned there over a grid of ratio 10^(1/3) or 10^(1/6), and the chosen one isn't given. Here, each \
                  learning rate of 0.0464, 0.1 and 0.215 is a line of its own; the best of them is to be compared.",
        differs: &[
            "The count: there, the curve of accuracy is made monotonic and interpolated between rounds; here, it is the first round with that accuracy.",
            "MNIST's pixels are normalized here to mean 0 and deviation 1; the paper doesn't say what they are there.",
        ],
        cells: LEARNING_RATES.iter().map(|&(learning_rate, written)| cell(learning_rate, written)).collect(),
    }
}

fn cell(learning_rate: f64, written: &str) -> Cell {
    Cell {
        name: format!("mcmahan-mnist-cnn-iid-{written}"),
        what: format!("MNIST, IID, FedAvg, learning rate {learning_rate}"),
        published: Published { figure: Some(20.0), deviation: None, measure: Measure::RoundsTo { accuracy: 0.99 } },
        task: task(learning_rate),
        seeds: 1,
        core_seconds_per_round: CORE_SECONDS,
        differs: None,
    }
}

fn task(learning_rate: f64) -> Value {
    json!({
        "kind": "federated",
        "network": "McMahanCNN",
        "dataset": "mnist",
        "train": { "batch_size": 10, "optimizer": { "type": "SGD", "learning_rate": learning_rate } },
        "federated": {
            "clients": 100,
            "clients_per_round": 10,
            "rounds": 40,
            "epochs_per_round": 5,
            "partition": { "type": "uniform" },
            "strategy": { "type": "FedAvg" },
        },
    })
}
