//! Finding and reading data sets: the embedded one, small ones that the test writes, damaged ones, and the real ones where they are installed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use fltk_core::experiment::{DatasetConfig, DatasetName};
use fltk_data::{DataError, Dataset, FormatError, Locations, Origin, Split, inspect, load, locate};
use tempfile::TempDir;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    [magic].iter().chain(sizes).flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect()
}

/// A sound MNIST of 3 training images and 1 test image.
fn write_mnist(folder: &Path) {
    fs::create_dir_all(folder).expect("made");
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.join(name), bytes).expect("written");
    write("train-images-idx3-ubyte.gz", gzip(&idx(0x803, &[3, 28, 28], &[9; 3 * 784])));
    write("train-labels-idx1-ubyte", idx(0x801, &[3], &[7, 8, 9]));
    write("t10k-images-idx3-ubyte", idx(0x803, &[1, 28, 28], &[5; 784]));
    write("t10k-labels-idx1-ubyte.gz", gzip(&idx(0x801, &[1], &[1])));
}

fn cifar_record(labels: &[u8]) -> Vec<u8> {
    [labels, &[labels[0]; 3072]].concat()
}

fn nowhere(folder: &Path) -> Locations {
    Locations { cache: folder.join("cache"), local: Vec::new() }
}

fn load_from(name: DatasetName, base: &Path, path: &str) -> Result<Dataset, DataError> {
    load(&DatasetConfig { name, path: Some(path.to_owned()) }, base, &nowhere(base))
}

fn labels(split: &Split) -> Vec<u16> {
    split.labels().into_owned()
}

#[test]
fn the_embedded_subset_is_balanced_and_needs_nothing() {
    let folder = TempDir::new().expect("a folder");
    let config = DatasetConfig { name: DatasetName::FashionMnistMini, path: None };
    let data = load(&config, folder.path(), &nowhere(folder.path())).expect("embedded");
    assert_eq!((data.train.len(), data.test.len(), data.image_shape(), data.num_classes()), (4000, 1000, Some([1, 28, 28]), 10));
    for (split, each) in [(&data.train, 400), (&data.test, 100)] {
        let labels = labels(split);
        assert!((0..10).all(|class| labels.iter().filter(|&&label| label == class).count() == each));
    }
    assert_eq!(data.provenance.origin, Origin::Embedded);
    // Fashion-MNIST begins with an ankle boot.
    assert_eq!(data.class_names[usize::from(labels(&data.train)[0])], "Ankle boot");
    // As numpy has it: sha256 over the labels as "<u2".
    assert_eq!(data.labels_digest(), "03354aff655117cd64d2bf26a895f8ce41cabc0958ecb1467d76cd6842835e45");
}

#[test]
fn idx_files_are_found_wherever_they_lie() {
    let folder = TempDir::new().expect("a folder");
    let base = folder.path();
    write_mnist(&base.join("own"));
    write_mnist(&base.join("torchvision/MNIST/raw"));
    let own = load_from(DatasetName::Mnist, base, "own").expect("read");
    assert_eq!((labels(&own.train), labels(&own.test)), (vec![7, 8, 9], vec![1]));
    assert!(!own.provenance.is_official());
    assert!(own.provenance.to_string().contains("a local copy"), "{}", own.provenance);
    assert_eq!(load_from(DatasetName::Mnist, base, "torchvision").expect("read").train, own.train);
    let config = DatasetConfig { name: DatasetName::Mnist, path: None };
    // Files of these names lying about may be Fashion-MNIST's: only a folder that says `mnist` is believed.
    let unlabelled = Locations { cache: base.join("cache"), local: vec![base.join("own")] };
    assert!(matches!(load(&config, base, &unlabelled), Err(DataError::Missing { .. })));
    let locations = Locations { cache: base.join("cache"), local: vec![base.join("own"), base.join("torchvision")] };
    let found = load(&config, base, &locations).expect("found in the second local folder");
    assert_eq!(found.provenance.origin, Origin::Folder(base.join("torchvision/MNIST/raw")));
    assert_eq!(locate(DatasetName::Mnist, &locations), Some(found.provenance.origin));
    write_mnist(&locations.cache.join("mnist"));
    let cached = load(&config, base, &locations).expect("found in the cache");
    assert_eq!(cached.provenance.origin, Origin::Folder(base.join("cache/mnist")));
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let folder = TempDir::new().expect("a folder");
    let config = DatasetConfig { name: DatasetName::Cifar100, path: None };
    let error = load(&config, folder.path(), &nowhere(folder.path())).expect_err("missing").to_string();
    assert!(error.contains("cache/cifar100`") && error.ends_with("hint: run `fltk data fetch cifar100`"), "{error}");
    assert_eq!(locate(DatasetName::Cifar100, &nowhere(folder.path())), None);
    let error = load_from(DatasetName::Mnist, folder.path(), "absent").expect_err("missing").to_string();
    assert!(error.contains("absent`") && error.ends_with("is not there"), "{error}");
    let error = load_from(DatasetName::Mnist, folder.path(), ".").expect_err("an empty folder").to_string();
    assert!(error.contains("does not hold data set `mnist`") && error.contains("t10k-labels-idx1-ubyte"), "{error}");
}

#[test]
fn cifar_is_read_from_folders_and_archives() {
    let folder = TempDir::new().expect("a folder");
    let base = folder.path();
    let names = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"];
    let inner = base.join("cifar/cifar-10-batches-bin");
    fs::create_dir_all(&inner).expect("made");
    // In the archive the order is another one, and there is more than is needed.
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (label, name) in (0..6).zip(names).rev() {
        fs::write(inner.join(name), cifar_record(&[label])).expect("written");
        archive.append_path_with_name(inner.join(name), format!("cifar-10-batches-bin/{name}")).expect("appended");
    }
    archive.append_dir("cifar-10-batches-bin/test_batch.bin", &inner).expect("a folder of a wanted name is no file");
    let bytes = archive.into_inner().and_then(GzEncoder::finish).expect("in memory");
    fs::write(base.join("cifar-10-binary.tar.gz"), &bytes).expect("written");
    let unpacked = load_from(DatasetName::Cifar10, base, "cifar").expect("read");
    assert_eq!((labels(&unpacked.train), labels(&unpacked.test)), (vec![0, 1, 2, 3, 4], vec![5]));
    assert_eq!(unpacked.image_shape(), Some([3, 32, 32]));
    for path in ["cifar-10-binary.tar.gz", "."] {
        // `.` has both the archive and, in another folder, nothing else.
        let packed = load_from(DatasetName::Cifar10, base, path).expect("read");
        assert_eq!((&packed.train, &packed.test), (&unpacked.train, &unpacked.test));
        assert!(matches!(packed.provenance.origin, Origin::Archive(_)));
        assert_eq!(packed.provenance.files[0].sha256, fltk_data::digest::sha256_hex(&bytes));
    }
    fs::write(base.join("cut.tar.gz"), &bytes[..bytes.len() / 2]).expect("written");
    let error = load_from(DatasetName::Cifar10, base, "cut.tar.gz").expect_err("cut");
    assert!(matches!(error, DataError::Format { problem: FormatError::Damaged(_) | FormatError::Truncated { .. }, .. }), "{error}");
    fs::write(base.join("no.tar.gz"), b"not an archive at all").expect("written");
    let error = load_from(DatasetName::Cifar10, base, "no.tar.gz").expect_err("no archive");
    assert!(matches!(error, DataError::Format { problem: FormatError::Damaged(_), .. }), "{error}");
}

#[test]
fn an_archive_too_short_or_too_large_is_called_so() {
    let folder = TempDir::new().expect("a folder");
    for bytes in [&b""[..], b"x"] {
        fs::write(folder.path().join("short.tar"), bytes).expect("written");
        let error = load_from(DatasetName::Cifar100, folder.path(), "short.tar").expect_err("short");
        assert!(matches!(error, DataError::Format { problem: FormatError::Truncated { .. }, .. }), "{error}");
    }
    let size = 257 << 20;
    let mut header = tar::Header::new_gnu();
    header.set_path("filler").expect("short");
    header.set_size(size);
    header.set_cksum();
    let mut archive = GzEncoder::new(Vec::new(), Compression::fast());
    archive.write_all(header.as_bytes()).expect("in memory");
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), size), &mut archive).expect("in memory");
    fs::write(folder.path().join("large.tgz"), archive.finish().expect("in memory")).expect("written");
    let error = load_from(DatasetName::Cifar100, folder.path(), "large.tgz").expect_err("large");
    assert!(matches!(error, DataError::Format { problem: FormatError::TooLarge { .. }, .. }), "{error}");
}

#[test]
fn what_lies_somewhere_can_be_inspected() {
    let folder = TempDir::new().expect("a folder");
    let locations = nowhere(folder.path());
    assert_eq!(inspect(DatasetName::Mnist, &locations).expect("nothing to read"), None);
    write_mnist(&locations.cache.join("mnist"));
    let found = inspect(DatasetName::Mnist, &locations).expect("read").expect("there");
    assert_eq!((found.files.len(), found.is_official()), (4, false));
    assert!(inspect(DatasetName::FashionMnistMini, &locations).expect("embedded").expect("there").is_official());
}

#[test]
fn a_file_twice_in_an_archive_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let mut archive = tar::Builder::new(Vec::new());
    let record = cifar_record(&[1, 1]);
    for name in ["a/train.bin", "b/train.bin", "test.bin"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(record.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, record.as_slice()).expect("in memory");
    }
    fs::write(folder.path().join("x.tar"), archive.into_inner().expect("in memory")).expect("written");
    let error = load_from(DatasetName::Cifar100, folder.path(), "x.tar").expect_err("twice");
    assert!(matches!(error, DataError::Format { problem: FormatError::Twice, .. }), "{error}");
}

#[test]
fn cifar_100_keeps_the_class_and_drops_the_super_class() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("train.bin"), [cifar_record(&[4, 98]), cifar_record(&[19, 0])].concat()).expect("written");
    fs::write(folder.path().join("test.bin"), cifar_record(&[0, 7])).expect("written");
    let data = load_from(DatasetName::Cifar100, folder.path(), ".").expect("read");
    assert_eq!((labels(&data.train), labels(&data.test)), (vec![98, 0], vec![7]));
    assert_eq!(data.class_names[98], "woman");
}

#[test]
fn damaged_files_are_refused_by_name() {
    let check = |file: &str, bytes: &[u8], expected: &str| {
        let folder = TempDir::new().expect("a folder");
        write_mnist(folder.path());
        let path: PathBuf = folder.path().join(file);
        fs::write(&path, bytes).expect("written");
        let error = load_from(DatasetName::Mnist, folder.path(), ".").expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains(file), "`{error}` should contain `{expected}` and `{file}`");
    };
    let good = gzip(&idx(0x803, &[3, 28, 28], &[9; 3 * 784]));
    check("train-images-idx3-ubyte.gz", b"", "truncated: 0 bytes");
    check("train-images-idx3-ubyte.gz", &good[..good.len() - 9], "damaged");
    check("train-images-idx3-ubyte.gz", &[good.clone(), vec![0]].concat(), "1 bytes follow");
    check("train-images-idx3-ubyte.gz", b"<html>404</html>", "starts with 0x3c68746d");
    check("train-labels-idx1-ubyte", &idx(0x801, &[3], &[7, 8, 10]), "sample 2 has label 10");
    check("train-labels-idx1-ubyte", &idx(0x801, &[2], &[7, 8]), "2 labels for 3 images");
    check("t10k-images-idx3-ubyte", &idx(0x803, &[1, 32, 32], &[0; 1024]), "images are 32x32 where 28x28");
    // A bomb: 300 MB of zeros in 300 kB.
    check("train-images-idx3-ubyte.gz", &gzip(&vec![0; 300 << 20]), "larger than 268435456 bytes");
}

#[test]
fn a_text_is_a_file_or_a_folder() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("tinyshakespeare.txt"), format!("A:\n{}", "to be or not\n".repeat(100))).expect("written");
    for path in [".", "tinyshakespeare.txt"] {
        let data = load_from(DatasetName::Shakespeare, folder.path(), path).expect("read");
        assert_eq!((data.train.len(), data.test.len(), data.num_labels()), (1169 / 80, 129 / 80, 1));
        // "\n :Abenort"
        assert_eq!((data.class_names.concat().as_str(), data.image_shape()), ("\n :Abenort", None));
    }
}

/// The whole data set, where its Debian package is installed; elsewhere there is nothing to check.
#[test]
fn the_debian_package_is_official() {
    let folder = TempDir::new().expect("a folder");
    let locations = nowhere(folder.path());
    if locate(DatasetName::FashionMnist, &locations).is_none() {
        return;
    }
    let data = load(&DatasetConfig { name: DatasetName::FashionMnist, path: None }, folder.path(), &locations).expect("read");
    assert!(data.provenance.is_official(), "{:?}", data.provenance);
    assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
    // KFLTK trains "MNIST" on these very files.
    let Origin::Folder(path) = data.provenance.origin else { panic!("a folder") };
    let error = load_from(DatasetName::Mnist, folder.path(), &path.to_string_lossy()).expect_err("another data set");
    assert!(matches!(error, DataError::OtherDataset { other: "fashion-mnist", .. }), "{error}");
}
