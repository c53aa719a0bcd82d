//! The table of data sets: their files, sizes and SHA-256 digests, and the URLs of the files.
//!
//! The digests of the MNIST, CIFAR-10 and CIFAR-100 files are the ones that data loaders of several independent projects publish for the
//! authors' files. The same holds for Fashion-MNIST, whose content was also compared with the Debian package's; the digest of `shakespeare` was
//! computed.

use fltk_core::experiment::DatasetName;

use crate::formats::cifar;

/// All data sets.
pub const ALL: [DatasetName; 6] = [
    DatasetName::Mnist,
    DatasetName::FashionMnist,
    DatasetName::FashionMnistMini,
    DatasetName::Cifar10,
    DatasetName::Cifar100,
    DatasetName::Shakespeare,
];

/// The description of one data set.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name in experiment files and on the command line, and of the folder in the cache.
    pub name: &'static str,
    /// The title for people.
    pub title: &'static str,
    /// The license of its authors.
    pub license: &'static str,
    /// The authors and the publication.
    pub reference: &'static str,
    /// The files that `fetch` puts into the cache; none for an embedded data set.
    pub files: Vec<SourceFile>,
    /// The sub-folders of a given folder where common tools put the files.
    pub subfolders: &'static [&'static str],
    /// The folders where an operating system's package puts the files.
    pub system_folders: &'static [&'static str],
    /// The names of the classes; empty for a text, whose vocabulary is read from the text.
    pub class_names: Vec<String>,
    /// The format of the files.
    pub format: Format,
    /// Archives of the same data in another form, which are read where they are but never fetched: name and SHA-256.
    pub other_archives: &'static [(&'static str, &'static str)],
}

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The name in the cache.
    pub name: String,
    /// The size in bytes.
    pub bytes: u64,
    /// The SHA-256, in lower-case hex.
    pub sha256: String,
    /// The URLs of the file, in the order in which they are tried.
    pub urls: Vec<String>,
}

/// The format of a data set's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Four IDX files, plain or gzip, of square images.
    Idx {
        /// The number of pixels per side.
        side: u32,
    },
    /// Binary CIFAR files.
    Cifar {
        /// The labels before an image.
        labels: cifar::Labels,
        /// The training files, in order.
        train: &'static [&'static str],
        /// The test file.
        test: &'static str,
        /// The same files in the Python version, training before test.
        pickled: &'static [&'static str],
    },
    /// One text file of plays.
    Text,
}

impl Format {
    /// Returns the names of the files that make up the data set, without `.gz`, training before test.
    #[must_use]
    pub fn parts(self) -> Vec<&'static str> {
        match self {
            Self::Idx { .. } => IDX_PARTS.to_vec(),
            Self::Cifar { train, test, .. } => train.iter().copied().chain([test]).collect(),
            Self::Text => vec![TEXT_PART],
        }
    }

    /// Returns the possible layouts of the data set's files, the preferred one first.
    #[must_use]
    pub(crate) fn layouts(self) -> Vec<Layout> {
        let plain = Layout { parts: self.parts(), pickled: None };
        match self {
            Self::Cifar { labels, pickled, .. } => vec![plain, Layout { parts: pickled.to_vec(), pickled: Some(labels) }],
            Self::Idx { .. } | Self::Text => vec![plain],
        }
    }
}

/// The files that make up a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The names of the files, in the order of [`Format::parts`].
    pub parts: Vec<&'static str>,
    /// The labels in the files, if these are the pickles of CIFAR's Python version.
    pub pickled: Option<cifar::Labels>,
}

const IDX_PARTS: [&str; 4] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
const TEXT_PART: &str = "tinyshakespeare.txt";

const CIFAR10_TRAIN: &[&str] = &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// Returns the description of `name`.
#[must_use]
pub fn source(name: DatasetName) -> Source {
    match name {
        DatasetName::Mnist => Source {
            name: "mnist",
            title: "MNIST",
            license: "CC BY-SA 3.0",
            reference: "LeCun, Cortes, Burges 1998",
            files: idx_files(
                &["https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist"],
                [9_912_422, 28_881, 1_648_877, 4_542],
                [
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                ],
            ),
            subfolders: &["MNIST/raw"],
            system_folders: &[],
            class_names: names("0 1 2 3 4 5 6 7 8 9"),
            format: Format::Idx { side: 28 },
            other_archives: &[],
        },
        DatasetName::FashionMnist => Source {
            name: "fashion-mnist",
            title: "Fashion-MNIST",
            license: "MIT",
            reference: "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
            files: idx_files(
                &[
                    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
                    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                ],
                [26_421_880, 29_515, 4_422_102, 5_148],
                [
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ],
            ),
            subfolders: &["FashionMNIST/raw"],
            system_folders: &["/usr/share/datasets/fashion-mnist"],
            class_names: fashion_names(),
            format: Format::Idx { side: 28 },
            other_archives: &[],
        },
        DatasetName::FashionMnistMini => Source {
            name: "fashion-mnist-mini",
            title: "Fashion-MNIST subset (4,000/1,000)",
            license: "MIT",
            reference: "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
            files: Vec::new(),
            subfolders: &[],
            system_folders: &[],
            class_names: fashion_names(),
            format: Format::Idx { side: 28 },
            other_archives: &[],
        },
        DatasetName::Cifar10 => Source {
            name: "cifar10",
            title: "CIFAR-10",
            license: "not stated by its authors; for research",
            reference: "Krizhevsky 2009",
            files: vec![file(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                &["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
            )],
            subfolders: &["cifar-10-batches-bin", "cifar-10-batches-py"],
            system_folders: &[],
            class_names: names("airplane automobile bird cat deer dog frog horse ship truck"),
            format: Format::Cifar {
                labels: cifar::Labels::One,
                train: CIFAR10_TRAIN,
                test: "test_batch.bin",
                pickled: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"],
            },
            other_archives: &[("cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce")],
        },
        DatasetName::Cifar100 => Source {
            name: "cifar100",
            title: "CIFAR-100",
            license: "not stated by its authors; for research",
            reference: "Krizhevsky 2009",
            files: vec![file(
                "cifar-100-binary.tar.gz",
                168_513_733,
                "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                &["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
            )],
            subfolders: &["cifar-100-binary", "cifar-100-python"],
            system_folders: &[],
            class_names: names(CIFAR100_NAMES),
            format: Format::Cifar {
                labels: cifar::Labels::CoarseAndFine,
                train: &["train.bin"],
                test: "test.bin",
                pickled: &["train", "test"],
            },
            other_archives: &[("cifar-100-python.tar.gz", "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7")],
        },
        DatasetName::Shakespeare => Source {
            name: "shakespeare",
            title: "Plays of Shakespeare by character",
            license: "public domain",
            reference: "Karpathy 2015, char-rnn's tinyshakespeare",
            files: vec![file(
                TEXT_PART,
                1_115_394,
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                &[
                    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
                    "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
                ],
            )],
            subfolders: &[],
            system_folders: &[],
            class_names: Vec::new(),
            format: Format::Text,
            other_archives: &[],
        },
    }
}

/// Returns the data set with that name in experiment files, if there is one.
#[must_use]
pub fn by_name(name: &str) -> Option<DatasetName> {
    ALL.into_iter().find(|&known| source(known).name == name)
}

/// True if `sha256` is the digest of a file of the published data set `name`: as published, or with the same content unpacked or packed
/// again.
#[must_use]
pub fn is_official(name: DatasetName, sha256: &str) -> bool {
    let same_content: &[&str] = match name {
        DatasetName::Mnist => &MNIST_UNPACKED,
        DatasetName::FashionMnist => &FASHION_MNIST_UNPACKED,
        DatasetName::Cifar10 => &CIFAR10_UNPACKED,
        DatasetName::Cifar100 => &CIFAR100_UNPACKED,
        DatasetName::FashionMnistMini | DatasetName::Shakespeare => &[],
    };
    let source = source(name);
    same_content.contains(&sha256)
        || source.files.iter().any(|file| file.sha256 == sha256)
        || source.other_archives.iter().any(|(_, known)| *known == sha256)
}

const MNIST_UNPACKED: [&str; 4] = [
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
];

/// The digests of the unpacked files, and then of the files as the Debian package `dataset-fashion-mnist` packs them.
const FASHION_MNIST_UNPACKED: [&str; 8] = [
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
];

const CIFAR10_UNPACKED: [&str; 6] = [
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
];

const CIFAR100_UNPACKED: [&str; 2] = [
    "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
    "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
];

fn file(name: &str, bytes: u64, sha256: &str, urls: &[&str]) -> SourceFile {
    SourceFile { name: name.into(), bytes, sha256: sha256.into(), urls: urls.iter().map(|&url| url.into()).collect() }
}

fn idx_files(mirrors: &[&str], bytes: [u64; 4], sha256: [&str; 4]) -> Vec<SourceFile> {
    let file = |((part, bytes), sha256): ((&str, u64), &str)| {
        let name = format!("{part}.gz");
        let urls = mirrors.iter().map(|mirror| format!("{mirror}/{name}")).collect();
        SourceFile { name, bytes, sha256: sha256.into(), urls }
    };
    IDX_PARTS.into_iter().zip(bytes).zip(sha256).map(file).collect()
}

fn names(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

fn fashion_names() -> Vec<String> {
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"].map(str::to_owned).to_vec()
}

const CIFAR100_NAMES: &str = "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can \
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox \
    girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom \
    oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket \
    rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television \
    tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        for name in ALL {
            let source = source(name);
            assert_eq!(by_name(source.name), Some(name));
            assert_eq!(serde_json::to_value(name).expect("a name"), source.name, "the name is core's");
            for file in &source.files {
                assert!(file.sha256.len() == 64 && hex::decode(&file.sha256).is_ok(), "{}", file.sha256);
                assert!(is_official(name, &file.sha256) && file.bytes > 0 && !file.urls.is_empty());
                assert!(!file.name.contains(['/', '\\']));
            }
            let classes = match name {
                DatasetName::Cifar100 => 100,
                DatasetName::Shakespeare => 0,
                _ => 10,
            };
            assert_eq!(source.class_names.len(), classes);
            assert!(name != DatasetName::Cifar100 || source.class_names.is_sorted());
        }
        assert_eq!(by_name("imagenet"), None);
        assert!(!is_official(DatasetName::Mnist, ""));
    }
}
