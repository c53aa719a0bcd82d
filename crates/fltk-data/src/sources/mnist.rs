//! MNIST.

use fltk_core::catalogue::{DatasetEntry, Entry, SampleKind};

use super::source::{Augmentation, Format, Normalization, Source, SourceFile};

/// The data set `mnist`.
pub static SOURCE: Source = Source {
    entry: DatasetEntry {
        entry: Entry::new("mnist", "MNIST: 60,000 training and 10,000 test images of 1x28x28, 10 classes.")
            .paper("LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998, doi:10.1109/5.726791"),
        gives: SampleKind::images(1, 28, 10),
        num_train: Some(60_000),
        has_natural_clients: false,
        natural_clients: None,
        has_files: true,
    },
    title: "MNIST",
    license: "CC BY-SA 3.0",
    reference: "LeCun, Cortes, Burges 1998",
    files: &[
        SourceFile {
            name: "train-images-idx3-ubyte.gz",
            bytes: 9_912_422,
            sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            urls: &[
                "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
            ],
        },
        SourceFile {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 28_881,
            sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            urls: &[
                "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
            ],
        },
        SourceFile {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 1_648_877,
            sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            urls: &[
                "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz",
            ],
        },
        SourceFile {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 4_542,
            sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            urls: &[
                "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
            ],
        },
    ],
    embedded: &[],
    subfolders: &["MNIST/raw"],
    system_folders: &[],
    class_names: &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    format: Format::Idx { side: 28 },
    other_archives: &[],
    repacked: &[
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ],
    normalization: Normalization { mean: &[0.1307], deviation: &[0.3081] },
    augmentation: Augmentation::None,
};
