//! CIFAR-10.

use fltk_core::catalogue::{DatasetEntry, Entry, SampleKind};

use super::source::{Augmentation, Format, Normalization, Source, SourceFile};
use crate::formats::cifar;

/// The data set `cifar10`.
pub static SOURCE: Source = Source {
    entry: DatasetEntry {
        entry: Entry::new("cifar10", "CIFAR-10: 50,000 training and 10,000 test images of 3x32x32, 10 classes.")
            .paper("Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"),
        gives: SampleKind::images(3, 32, 10),
        num_train: Some(50_000),
        has_natural_clients: false,
        natural_clients: None,
        has_files: true,
    },
    title: "CIFAR-10",
    license: "not stated by its authors; for research",
    reference: "Krizhevsky 2009",
    files: &[SourceFile {
        name: "cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        urls: &["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
    }],
    embedded: &[],
    subfolders: &["cifar-10-batches-bin", "cifar-10-batches-py"],
    system_folders: &[],
    class_names: &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    format: Format::Cifar {
        labels: cifar::Labels::One,
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
        pickled: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"],
    },
    other_archives: &[("cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce")],
    repacked: &[
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    ],
    // The values are ImageNet's.
    normalization: Normalization { mean: &[0.485, 0.456, 0.406], deviation: &[0.229, 0.224, 0.225] },
    augmentation: Augmentation::FlipAndCrop,
};
