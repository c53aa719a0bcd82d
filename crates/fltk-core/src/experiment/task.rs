//! The experiment and its tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FederatedConfig, LossName, TrainConfig};
use crate::seed::Seed;

/// A whole experiment: every task is run once per seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Experiment {
    /// Letters, digits, `-` and `_`; at most 63 characters: it becomes part of folder and object names.
    pub name: String,
    /// One replication each; never empty.
    pub seeds: Vec<Seed>,
    /// Job classes; never empty; names are unique.
    pub tasks: Vec<Task>,
}

/// A job class: what one job of it trains, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Task {
    /// Unique within the experiment, same alphabet as the experiment's name.
    pub name: String,
    /// The net.
    pub network: NetworkConfig,
    /// The data set.
    pub dataset: DatasetConfig,
    /// The loss.
    pub loss: LossName,
    /// Hyper-parameters of (local) training.
    pub train: TrainConfig,
    /// Checkpoint every so many rounds or epochs; the last always is.
    pub checkpoint_every: u32,
    /// Intra-op threads of libtorch for one rank or client. More than one changes the order of sums and so the last bits of results.
    pub threads: u32,
    /// Data-parallel or federated.
    pub setting: Setting,
}

/// The two kinds of task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Setting {
    /// Data-parallel training; alone when the parallelism is 1.
    Distributed(DistributedConfig),
    /// Federated training.
    Federated(FederatedConfig),
}

/// Settings of a distributed task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DistributedConfig {
    /// Passes over the training set.
    pub epochs: u32,
    /// Ranks; 1 trains alone.
    pub data_parallelism: u32,
}

/// The net of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NetworkConfig {
    /// One of the catalogue.
    Named(NetName),
    /// A language model of the `RedditLSTM` family with settings of its own.
    Lstm {
        /// Its settings.
        lstm: LstmConfig,
    },
    /// A TorchScript module from a file, trained in place of a net of ours.
    TorchScript {
        /// Path of the `.pt` file, relative to the experiment file.
        torchscript: String,
    },
}

/// Sizes of a `RedditLSTM`: embedding, dropout, LSTM layers, dropout, linear decoder.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LstmConfig {
    /// Width of the embedding.
    pub embedding: u32,
    /// Width of each LSTM layer; equal to `embedding` when `tied`.
    pub hidden: u32,
    /// LSTM layers.
    pub layers: u32,
    /// Dropout after the embedding, between layers and after the last.
    pub dropout: f64,
    /// Whether the decoder shares the embedding's weight.
    pub tied: bool,
}

impl Eq for LstmConfig {}

impl Default for LstmConfig {
    /// 200, 200, 2 layers, dropout 0.5, untied: the sizes of the reference system's example.
    fn default() -> Self {
        Self { embedding: 200, hidden: 200, layers: 2, dropout: 0.5, tied: false }
    }
}

/// The catalogue's nets, with KFLTK's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "each is documented with its net in fltk-train")]
pub enum NetName {
    Cifar10CNN,
    Cifar10ResNet,
    Cifar100ResNet,
    Cifar100VGG,
    FashionMNISTCNN,
    FashionMNISTResNet,
    MNISTCNN,
    LeNet5,
    RedditLSTM,
}

/// A data set and how it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Which.
    pub name: DatasetName,
    /// Use this folder or archive in place of the cache and the known sources.
    pub path: Option<String>,
}

/// The data sets, with KFLTK's names where it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetName {
    /// MNIST, 60,000/10,000 of 1x28x28, 10 classes.
    Mnist,
    /// Fashion-MNIST, 60,000/10,000 of 1x28x28, 10 classes.
    FashionMnist,
    /// 4,000/1,000 of Fashion-MNIST, embedded in the program.
    FashionMnistMini,
    /// CIFAR-10, 50,000/10,000 of 3x32x32, 10 classes.
    Cifar10,
    /// CIFAR-100, 50,000/10,000 of 3x32x32, 100 classes.
    Cifar100,
    /// Plays of Shakespeare by character; a speaker is a natural client.
    Shakespeare,
}
