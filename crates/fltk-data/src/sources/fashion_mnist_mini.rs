//! The data set that is part of the program, so that a first run needs no download: 4,000/1,000 images of Fashion-MNIST, class-balanced.
//! The script `assets/make_mini.py` makes it; `assets/LICENSE` is its license (MIT).

use fltk_core::catalogue::{DatasetEntry, Entry, SampleKind};

use super::{
    fashion_mnist::{CLASS_NAMES, PAPER, REFERENCE},
    source::{Augmentation, EmbeddedFile, Format, Normalization, Source},
};

/// The data set `fashion-mnist-mini`.
pub static SOURCE: Source = Source {
    entry: DatasetEntry {
        entry: Entry::new(
            "fashion-mnist-mini",
            "A subset of Fashion-MNIST, embedded in the program: 4,000 training and 1,000 test images.",
        )
        .paper(PAPER),
        gives: SampleKind::images(1, 28, 10),
        num_train: Some(4000),
        has_natural_clients: false,
        natural_clients: None,
        has_files: true,
    },
    title: "Fashion-MNIST subset (4,000/1,000)",
    license: "MIT",
    reference: REFERENCE,
    files: &[],
    embedded: &[
        EmbeddedFile { name: "train-images-idx3-ubyte.gz", bytes: include_bytes!("../../assets/train-images-idx3-ubyte.gz") },
        EmbeddedFile { name: "train-labels-idx1-ubyte.gz", bytes: include_bytes!("../../assets/train-labels-idx1-ubyte.gz") },
        EmbeddedFile { name: "t10k-images-idx3-ubyte.gz", bytes: include_bytes!("../../assets/t10k-images-idx3-ubyte.gz") },
        EmbeddedFile { name: "t10k-labels-idx1-ubyte.gz", bytes: include_bytes!("../../assets/t10k-labels-idx1-ubyte.gz") },
    ],
    subfolders: &[],
    system_folders: &[],
    class_names: CLASS_NAMES,
    format: Format::Idx { side: 28 },
    other_archives: &[],
    repacked: &[],
    normalization: Normalization::SCALE,
    augmentation: Augmentation::None,
};
