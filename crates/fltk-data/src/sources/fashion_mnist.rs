//! Fashion-MNIST.

use fltk_core::catalogue::{DatasetEntry, Entry, SampleKind};

use super::source::{Augmentation, Format, Normalization, Source, SourceFile};

/// The names of the classes.
pub(super) const CLASS_NAMES: &[&str] =
    &["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// The publication.
pub(super) const REFERENCE: &str = "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747";

/// The same with its title, for catalogues.
pub(super) const PAPER: &str =
    "Xiao, Rasul and Vollgraf 2017, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, arXiv:1708.07747";

/// The data set `fashion-mnist`.
pub static SOURCE: Source = Source {
    entry: DatasetEntry {
        entry: Entry::new("fashion-mnist", "Fashion-MNIST: 60,000 training and 10,000 test images of 1x28x28, 10 classes.").paper(PAPER),
        gives: SampleKind::images(1, 28, 10),
        num_train: Some(60_000),
        has_natural_clients: false,
        natural_clients: None,
        has_files: true,
    },
    title: "Fashion-MNIST",
    license: "MIT",
    reference: REFERENCE,
    files: &[
        SourceFile {
            name: "train-images-idx3-ubyte.gz",
            bytes: 26_421_880,
            sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            urls: &[
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/train-images-idx3-ubyte.gz",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
            ],
        },
        SourceFile {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 29_515,
            sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            urls: &[
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/train-labels-idx1-ubyte.gz",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
            ],
        },
        SourceFile {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 4_422_102,
            sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            urls: &[
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/t10k-images-idx3-ubyte.gz",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
            ],
        },
        SourceFile {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 5_148,
            sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            urls: &[
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/t10k-labels-idx1-ubyte.gz",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
            ],
        },
    ],
    embedded: &[],
    subfolders: &["FashionMNIST/raw"],
    system_folders: &["/usr/share/datasets/fashion-mnist"],
    class_names: CLASS_NAMES,
    format: Format::Idx { side: 28 },
    other_archives: &[],
    repacked: &[
        // The unpacked files.
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        // The files as the Debian package `dataset-fashion-mnist` packs them.
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    ],
    normalization: Normalization::SCALE,
    augmentation: Augmentation::None,
};
