//! Digests of what processes must have in common if they work on the same job: ranks compare them when they meet, and orders to clients contain
//! one. The paths of files don't count, their contents do.

use std::path::Path;

use fltk::{
    exit::{Exit, OrExit as _},
    inputs::named_file_sha256,
};
use fltk_core::{
    catalogue::Choice,
    experiment::{Experiment, FederatedConfig, NetworkConfig, Setting, Task, TrainConfig, Training},
    seed::Seed,
};
use fltk_data::{Dataset, digest::samples_digest};
use fltk_fed::{round::SettingsDigest, strategy::by_name};
use sha2::{Digest as _, Sha256};

use super::job::Job;

/// The length of a digest.
pub const DIGEST_BYTES: usize = 32;

/// The digests of the program's version, of `task` with its seed, and of the data set. That of the task is comparable only within one version.
///
/// # Errors
/// If the file of a network, or one that a partition names, can't be read.
pub fn digests(task: Training, seed: Seed, dataset: &Dataset, base: &Path) -> anyhow::Result<[[u8; DIGEST_BYTES]; 3]> {
    Ok([digest(env!("CARGO_PKG_VERSION")), task_digest(task, seed, base)?, samples_digest(dataset)])
}

/// The digest of all that a trainer of clients computes with and that isn't in its orders: net, data set, partition, loss, hyper-parameters, and
/// a strategy that plans the training at clients. Other settings of the federator, such as the number of rounds, aren't among them, since the
/// orders follow from them; nor are those that change no result. The seed is, as the partition follows from it. `training` is the
/// [digest of the training samples](fltk_data::digest::training_digest).
///
/// # Errors
/// If the file of a network, or one that the partition names, can't be read.
pub fn of_trainer(job: &Job, training: [u8; DIGEST_BYTES], base: &Path) -> anyhow::Result<SettingsDigest> {
    let program = digest(env!("CARGO_PKG_VERSION"));
    let digests = [program, task_digest(of_clients(&job.task), job.seed, base)?, training];
    Ok(SettingsDigest(Sha256::digest(digests.concat()).into()))
}

fn task_digest(mut task: Training, seed: Seed, base: &Path) -> anyhow::Result<[u8; DIGEST_BYTES]> {
    task.dataset.path = None;
    if let NetworkConfig::TorchScript { torchscript } = &mut task.network {
        *torchscript = fltk_train::module_sha256(&base.join(&*torchscript)).or_exit(Exit::Experiment)?;
    }
    if let NetworkConfig::Python(net) = &mut task.network {
        // Which Python runs it is no setting: nodes elsewhere have their own.
        net.environment = None;
        net.change_files(&|path| named_file_sha256(path, base))?;
    }
    task.change_files(&|path| named_file_sha256(path, base))?;
    let tasks = vec![Task::of_training("task".parse()?, task)];
    let alone = Experiment { name: "job".parse()?, seeds: vec![seed], tasks, stream: None };
    Ok(digest(&fltk_experiment::to_yaml(&alone)))
}

fn digest(text: &str) -> [u8; DIGEST_BYTES] {
    Sha256::digest(text).into()
}

/// Returns `task` with fixed values in place of all that doesn't change what a trainer computes from an order. Every setting is listed here, so that
/// nobody adds one without deciding this.
fn of_clients(task: &Training) -> Training {
    let Training { network, dataset, loss, train, threads, setting, .. } = task.clone();
    let setting = match setting {
        Setting::Federated(FederatedConfig {
            clients,
            data,
            partition,
            strategy,
            compression,
            feature_noise,
            client_test_fraction,
            ..
        }) => {
            Setting::Federated(FederatedConfig {
                clients,
                data,
                min_available: None,
                max_samples: None,
                partition,
                clients_per_round: 1,
                rounds: 1,
                epochs_per_round: None,
                steps_per_round: None,
                work: None,
                groups: Vec::new(),
                selection: Choice::new("any"),
                // Under most strategies, the orders say everything that a trainer does.
                strategy: if by_name(strategy.name()).is_none_or(|spec| spec.client.is_plain) { Choice::new("any") } else { strategy },
                // Clients compress their updates themselves.
                compression,
                feature_noise,
                evaluate_every: 1,
                // Clients don't train on their test samples.
                client_test_fraction,
                client_test_every: None,
                client_figures: None,
                nodes: 0,
                participation: None,
                simulation: None,
                faults: None,
            })
        }
        other @ Setting::Distributed(_) => other,
    };
    let TrainConfig { batch_size, drop_last, optimizer, .. } = train;
    Training {
        network,
        dataset,
        loss,
        threads,
        setting,
        // The learning rate is in the order, scheduled.
        train: TrainConfig { batch_size, drop_last, optimizer: optimizer.with("learning_rate", 1.0), test_batch_size: 1, scheduler: None },
        train_other_role: None,
        checkpoint_every: 1,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use fltk_core::experiment::DatasetConfig;
    use fltk_data::{Locations, digest::training_digest, load};

    use super::*;
    use crate::run::job::jobs;

    const FEDERATED: &str = "\
name: rounds
seeds: [3]
tasks:
  - kind: federated
    network: LeNet5
    dataset: fashion-mnist-mini
    loss: CrossEntropyLoss
    train: { batch_size: 64, test_batch_size: 64, optimizer: { type: SGD, learning_rate: 0.05, momentum: 0.5 } }
    checkpoint_every: 1
    labels: { tried: once }
    federated: { clients: 4, clients_per_round: 2, rounds: 2, evaluate_every: 1, partition: { type: uniform }, strategy: { type: FedAvg } }
";

    /// The digest of the experiment's only job.
    fn of(text: &str, dataset: &Dataset) -> SettingsDigest {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("experiment.yaml");
        fs::write(&file, text).unwrap();
        let experiment = fltk::inputs::read_experiment(&[file], &[], None).unwrap();
        of_trainer(&jobs(&experiment).unwrap()[0], training_digest(dataset), folder.path()).unwrap()
    }

    #[test]
    fn what_a_trainer_computes_with_counts_and_nothing_else_does() {
        let config = DatasetConfig::named("fashion-mnist-mini");
        let dataset = load(&config, Path::new(""), &Locations { cache: None, local: vec![] }).unwrap();
        let begun = of(FEDERATED, &dataset);
        assert_eq!(of(FEDERATED, &dataset), begun);
        let check = |old: &str, new: &str, is_same: bool| {
            let changed = FEDERATED.replacen(old, new, 1);
            assert_ne!(changed, FEDERATED, "{old}");
            assert_eq!(of(&changed, &dataset) == begun, is_same, "`{old}` becomes `{new}`");
        };
        for (old, new) in [
            ("network: LeNet5", "network: FashionMNISTCNN"),
            (" batch_size: 64", " batch_size: 32"),
            ("loss: CrossEntropyLoss", "loss: NLLLoss"),
            ("momentum: 0.5", "momentum: 0.6"),
            ("type: SGD, learning_rate: 0.05, momentum: 0.5", "type: Adam, learning_rate: 0.05"),
            ("clients: 4", "clients: 5"),
            ("partition: { type: uniform }", "partition: { type: dirichlet, alpha: 0.5 }"),
            ("seeds: [3]", "seeds: [4]"),
            ("batch_size: 64,", "batch_size: 64, drop_last: true,"),
            ("strategy: { type: FedAvg }", "strategy: { type: Ditto, mu: 0.1 }"),
            ("rounds: 2,", "rounds: 2, client_test_fraction: 0.2,"),
            ("rounds: 2,", "rounds: 2, compression: { type: fp16 },"),
        ] {
            check(old, new, false);
        }
        for (old, new) in [
            ("name: rounds", "name: others"),
            ("test_batch_size: 64", "test_batch_size: 32"),
            ("learning_rate: 0.05", "learning_rate: 0.06"),
            ("checkpoint_every: 1", "checkpoint_every: 2"),
            ("tried: once", "tried: twice"),
            ("clients_per_round: 2", "clients_per_round: 3"),
            ("rounds: 2", "rounds: 3"),
            ("evaluate_every: 1", "evaluate_every: 2"),
            ("strategy: { type: FedAvg }", "strategy: { type: FedProx, mu: 0.1 }"),
            ("rounds: 2,", "rounds: 2, participation: { min_updates: 1 },"),
            ("rounds: 2,", "rounds: 2, faults: { drop_out: 0.5, attack: { type: label_flip, fraction: 0.5 } },"),
        ] {
            check(old, new, true);
        }
        let tested =
            |more: &str| of(&FEDERATED.replacen("rounds: 2,", &format!("rounds: 2, client_test_fraction: 0.2{more},"), 1), &dataset);
        assert_eq!(tested(", client_test_every: 2, client_figures: [loss]"), tested(""));
        let mut other = dataset.clone();
        if let fltk_data::Split::Images(set) = &mut other.train {
            set.labels[0] = (set.labels[0] + 1) % 10;
        }
        assert_ne!(of(FEDERATED, &other), begun);
    }
}
