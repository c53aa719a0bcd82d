//! Li et al., Federated Optimization in Heterogeneous Networks, 2020, arXiv:1812.06127, figure 1: stragglers.

use serde_json::{Value, json};

use crate::reproduce::cell::{Cell, Published, Table};

/// The seconds of a round of ten clients on one core, measured.
const CORE_SECONDS: f64 = 0.12;

/// The epochs of a client that is no straggler.
const EPOCHS: u32 = 20;

/// Returns the cells of synthetic(1, 1) with 90 % stragglers.
pub fn table() -> Table {
    let partly = json!({ "min": 1, "max": EPOCHS, "each": "round" });
    let cell = |name: &str, what: &str, federated: &Value, differs| Cell {
        name: format!("fedprox-synthetic-{name}"),
        what: format!("synthetic(1, 1), 90 % stragglers, {what}"),
        published: Published::curve(),
        task: task(federated),
        seeds: 3,
        core_seconds_per_round: CORE_SECONDS,
        differs,
    };
    let proximal = |mu: f64| json!({ "clients_per_round": 10, "work": partly, "strategy": { "type": "FedProx", "mu": mu } });
    Table {
        title: "FedProx: stragglers",
        source: "Li et al., Federated Optimization in Heterogeneous Networks, 2020, [arXiv:1812.06127](https://arxiv.org/abs/1812.06127), figure 1, synthetic(1, 1), \
                 90 % stragglers. The paper has curves without numbers; its abstract says that in highly heterogeneous settings FedProx's accuracy is 22 points \
                 above that of FedAvg, which drops stragglers, on average over data sets.",
        setting: "30 clients, 10 of which are selected in each of 200 rounds; 20 local epochs, batches of 10, SGD with learning rate 0.01; softmax regression. A \
                  straggler does fewer epochs, drawn anew in each round.",
        differs: &[
            "The data set: the same law, drawn by another generator, so that the sizes of the 30 clients are others.",
            "What is seen here: in the first rounds, FedAvg that drops stragglers is far behind FedProx, which adds what they have. In the last, it has passed mu = 0, \
             and mu = 1 is above both.",
        ],
        cells: vec![
            cell(
                "fedavg-drops",
                "FedAvg drops them",
                &json!({ "clients_per_round": 1, "epochs_per_round": EPOCHS, "strategy": { "type": "FedAvg" } }),
                Some("of ten selected clients, one is left there, so one is selected here."),
            ),
            cell(
                "fedprox-0",
                "FedProx with mu = 0",
                &proximal(0.0),
                Some("there, nine of the ten clients do 1 to 19 epochs and one does 20; here, each does 1 to 20."),
            ),
            cell("fedprox-1", "FedProx with mu = 1", &proximal(1.0), Some("as with mu = 0.")),
        ],
    }
}

fn task(of_cell: &Value) -> Value {
    let mut federated = json!({ "clients": 30, "rounds": 200, "partition": { "type": "natural_id" } });
    if let (Some(federated), Some(of_cell)) = (federated.as_object_mut(), of_cell.as_object()) {
        federated.extend(of_cell.clone());
    }
    json!({
        "kind": "federated",
        "network": "LogisticRegression",
        "dataset": { "name": "synthetic", "alpha": 1, "beta": 1, "clients": 30 },
        "train": { "batch_size": 10, "optimizer": { "type": "SGD", "learning_rate": 0.01 } },
        "federated": federated,
    })
}
