//! Tests of finding and reading data sets: the embedded one, small ones that the test writes, damaged ones, and the real ones where they are
//! installed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use fltk_core::experiment::DatasetConfig;
use fltk_data::{
    DataError, Dataset, FormatError, Locations, Origin, Split, inspect, load, locate,
    sources::{cifar100, fashion_mnist, fashion_mnist_mini, mnist},
};
use tempfile::TempDir;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    [magic].iter().chain(sizes).flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect()
}

/// Writes a valid MNIST of 3 training images and 1 test image.
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
    Locations { cache: Some(folder.join("cache")), local: Vec::new() }
}

fn load_from(name: &str, base: &Path, path: &str) -> Result<Dataset, DataError> {
    load(&DatasetConfig::named(name).at(path), base, &nowhere(base))
}

fn labels(split: &Split) -> Vec<u16> {
    split.labels().into_owned()
}

#[test]
fn embedded_subset_is_balanced_and_needs_no_files() {
    let folder = TempDir::new().expect("a folder");
    let config = DatasetConfig::named("fashion-mnist-mini");
    let data = load(&config, folder.path(), &nowhere(folder.path())).expect("embedded");
    assert_eq!((data.train.len(), data.test.len(), data.image_shape(), data.num_classes()), (4000, 1000, Some([1, 28, 28]), 10));
    for (split, each) in [(&data.train, 400), (&data.test, 100)] {
        let labels = labels(split);
        assert!((0..10).all(|class| labels.iter().filter(|&&label| label == class).count() == each));
    }
    assert_eq!(data.provenance.origin, Origin::Embedded);
    // Fashion-MNIST begins with an ankle boot.
    assert_eq!(data.class_names[usize::from(labels(&data.train)[0])], "Ankle boot");
    // This is the value from numpy: sha256 over the labels as "<u2".
    assert_eq!(data.labels_digest(), "03354aff655117cd64d2bf26a895f8ce41cabc0958ecb1467d76cd6842835e45");
}

#[test]
fn idx_files_are_found_in_every_layout() {
    let folder = TempDir::new().expect("a folder");
    let base = folder.path();
    write_mnist(&base.join("own"));
    write_mnist(&base.join("torchvision/MNIST/raw"));
    let own = load_from("mnist", base, "own").expect("read");
    assert_eq!((labels(&own.train), labels(&own.test)), (vec![7, 8, 9], vec![1]));
    assert!(!own.provenance.is_official());
    assert!(own.provenance.to_string().contains("a local copy"), "{}", own.provenance);
    assert_eq!(load_from("mnist", base, "torchvision").expect("read").train, own.train);
    let config = DatasetConfig::named("mnist");
    // Loose files with these names may be Fashion-MNIST's: only a folder called `mnist` is trusted.
    let unlabelled = Locations { cache: Some(base.join("cache")), local: vec![base.join("own")] };
    assert!(matches!(load(&config, base, &unlabelled), Err(DataError::Missing { .. })));
    let locations = Locations { cache: Some(base.join("cache")), local: vec![base.join("own"), base.join("torchvision")] };
    let found = load(&config, base, &locations).expect("found in the second local folder");
    assert_eq!(found.provenance.origin, Origin::Folder(base.join("torchvision/MNIST/raw")));
    assert_eq!(locate(&mnist::SOURCE, &locations), Some(found.provenance.origin));
    write_mnist(&locations.cache.clone().expect("given").join("mnist"));
    let cached = load(&config, base, &locations).expect("found in the cache");
    assert_eq!(cached.provenance.origin, Origin::Folder(base.join("cache/mnist")));
}

#[test]
fn missing_data_sets_are_reported_with_a_hint() {
    let folder = TempDir::new().expect("a folder");
    let config = DatasetConfig::named("cifar100");
    let error = load(&config, folder.path(), &nowhere(folder.path())).expect_err("missing").to_string();
    assert!(error.contains("cache/cifar100`") && error.ends_with("hint: run `fltk data fetch cifar100`"), "{error}");
    assert_eq!(locate(&cifar100::SOURCE, &nowhere(folder.path())), None);
    let error = load_from("mnist", folder.path(), "absent").expect_err("missing").to_string();
    assert!(error.contains("absent`") && error.ends_with("is not there"), "{error}");
    let error = load_from("mnist", folder.path(), ".").expect_err("an empty folder").to_string();
    assert!(error.contains("does not hold data set `mnist`") && error.contains("t10k-labels-idx1-ubyte"), "{error}");
}

#[test]
fn cifar_is_read_from_folders_and_archives() {
    let folder = TempDir::new().expect("a folder");
    let base = folder.path();
    let names = ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"];
    let inner = base.join("cifar/cifar-10-batches-bin");
    fs::create_dir_all(&inner).expect("made");
    // The archive has another order, and contains more than is needed.
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (label, name) in (0..6).zip(names).rev() {
        fs::write(inner.join(name), cifar_record(&[label])).expect("written");
        archive.append_path_with_name(inner.join(name), format!("cifar-10-batches-bin/{name}")).expect("appended");
    }
    archive.append_dir("cifar-10-batches-bin/test_batch.bin", &inner).expect("a folder of a wanted name is no file");
    let bytes = archive.into_inner().and_then(GzEncoder::finish).expect("in memory");
    fs::write(base.join("cifar-10-binary.tar.gz"), &bytes).expect("written");
    let unpacked = load_from("cifar10", base, "cifar").expect("read");
    assert_eq!((labels(&unpacked.train), labels(&unpacked.test)), (vec![0, 1, 2, 3, 4], vec![5]));
    assert_eq!(unpacked.image_shape(), Some([3, 32, 32]));
    for path in ["cifar-10-binary.tar.gz", "."] {
        // The folder `.` contains the archive; the unpacked files below it are in a folder that isn't searched.
        let packed = load_from("cifar10", base, path).expect("read");
        assert_eq!((&packed.train, &packed.test), (&unpacked.train, &unpacked.test));
        assert!(matches!(packed.provenance.origin, Origin::Archive(_)));
        assert_eq!(packed.provenance.files[0].sha256, fltk_data::digest::sha256_hex(&bytes));
    }
    fs::write(base.join("cut.tar.gz"), &bytes[..bytes.len() / 2]).expect("written");
    let error = load_from("cifar10", base, "cut.tar.gz").expect_err("cut");
    assert!(matches!(error, DataError::Format { problem: FormatError::Damaged(_) | FormatError::Truncated { .. }, .. }), "{error}");
    fs::write(base.join("no.tar.gz"), b"not an archive at all").expect("written");
    let error = load_from("cifar10", base, "no.tar.gz").expect_err("no archive");
    assert!(matches!(error, DataError::Format { problem: FormatError::Damaged(_), .. }), "{error}");
}

/// A batch of CIFAR as Python 2 pickled it, like the published files: a dict with an array of bytes, pickled with protocol 2.
fn pickled(labels: &[(&str, &[u8])], pixels: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x07batch 1q\x03".to_vec();
    for (key, labels) in labels {
        bytes.extend([b'U', u8::try_from(key.len()).expect("short")].iter().chain(key.as_bytes()).chain(b"]("));
        bytes.extend(labels.iter().flat_map(|label| [b'K', *label]));
        bytes.push(b'e');
    }
    let rows = u8::try_from(pixels.len() / 3072).expect("few");
    bytes.extend(
        b"U\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85q\x07U\x01b\x87q\x08Rq\x09(K\x01",
    );
    bytes.extend([b'K', rows, b'M', 0, 12, 0x86]);
    bytes.extend(
        b"cnumpy\ndtype\nq\x0bU\x02u1q\x0cK\x00K\x01\x87q\x0dRq\x0e(K\x03U\x01|q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x10b\x89T",
    );
    bytes.extend(u32::try_from(pixels.len()).expect("few").to_le_bytes());
    bytes.extend_from_slice(pixels);
    bytes.extend(b"tq\x11bu.");
    bytes
}

/// This reads the files that torchvision leaves, unpacked and packed.
#[test]
fn python_version_of_cifar_is_read() {
    let folder = TempDir::new().expect("a folder");
    let base = folder.path();
    let names = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
    let inner = base.join("torchvision/cifar-10-batches-py");
    fs::create_dir_all(&inner).expect("made");
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (label, name) in (0..6).zip(names) {
        fs::write(inner.join(name), pickled(&[("labels", &[label, 9])], &[[label; 3072], [9; 3072]].concat())).expect("written");
        archive.append_path_with_name(inner.join(name), format!("cifar-10-batches-py/{name}")).expect("appended");
    }
    fs::write(inner.join("batches.meta"), b"cos\nsystem\n(S'true'\ntR.").expect("written");
    fs::write(base.join("cifar-10-python.tar.gz"), archive.into_inner().and_then(GzEncoder::finish).expect("in memory")).expect("written");
    for path in ["torchvision", "torchvision/cifar-10-batches-py", ".", "cifar-10-python.tar.gz"] {
        let data = load_from("cifar10", base, path).expect("read");
        assert_eq!((labels(&data.train), labels(&data.test)), (vec![0, 9, 1, 9, 2, 9, 3, 9, 4, 9], vec![5, 9]));
        let Split::Images(train) = &data.train else { panic!("images") };
        assert!(train.image(4).iter().all(|pixel| *pixel == 2) && train.image(5).iter().all(|pixel| *pixel == 9));
        assert!(!data.provenance.is_official());
    }
    let hundred = base.join("hundred/cifar-100-python");
    fs::create_dir_all(&hundred).expect("made");
    fs::write(hundred.join("train"), pickled(&[("fine_labels", &[98, 0]), ("coarse_labels", &[14, 19])], &[7; 6144])).expect("written");
    fs::write(hundred.join("test"), pickled(&[("coarse_labels", &[0]), ("fine_labels", &[7])], &[8; 3072])).expect("written");
    let data = load_from("cifar100", base, "hundred").expect("read");
    assert_eq!((labels(&data.train), labels(&data.test)), (vec![98, 0], vec![7]));
    // Any error in one of the files names that file.
    let check = |bytes: &[u8], expected: &[&str]| {
        fs::write(inner.join("data_batch_3"), bytes).expect("written");
        let error = load_from("cifar10", base, "torchvision").expect_err("wrong").to_string();
        assert!(error.contains("data_batch_3`") && expected.iter().all(|words| error.contains(words)), "{error}");
    };
    check(b"\x80\x02cposix\nsystem\nU\x04true\x85R.", &["byte 2", "`posix.system`", "not called"]);
    check(b"", &["byte 0", "ends in the middle"]);
    check(b"}.", &["without `labels`"]);
    check(&pickled(&[("labels", &[1])], &[0; 6144]), &["1 labels for 2 images"]);
    check(&pickled(&[("labels", &[10])], &[0; 3072]), &["label 10, but there are 10 classes"]);
    check(&pickled(&[("labels", &[1])], &[0; 3000]), &["without `data`"]);
}

#[test]
fn gzip_with_several_members_is_read() {
    let folder = TempDir::new().expect("a folder");
    write_mnist(folder.path());
    let images = idx(0x803, &[3, 28, 28], &[9; 3 * 784]);
    let (first, second) = images.split_at(1000);
    let members = [gzip(first), gzip(&[]), gzip(second)].concat();
    let path = folder.path().join("train-images-idx3-ubyte.gz");
    let load = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        load_from("mnist", folder.path(), ".").map(|data| labels(&data.train)).map_err(|error| error.to_string())
    };
    assert_eq!(load(&members), Ok(vec![7, 8, 9]));
    let refused = |bytes: Vec<u8>, expected: &str| assert!(load(&bytes).expect_err(expected).contains(expected), "{expected}");
    refused([members.clone(), vec![0; 3]].concat(), "3 bytes follow");
    refused([members.clone(), vec![0x1f, 0x8b]].concat(), "damaged");
    refused(members[..members.len() - 1].to_vec(), "damaged");
    refused([gzip(&images), gzip(b"more")].concat(), "4 bytes follow");
    // Too many bytes are also too many when they are spread over several members.
    let large = gzip(&vec![0; 100 << 20]);
    refused([large.clone(), large.clone(), large].concat(), "larger than 268435456 bytes");
    // An archive in several members is still one archive.
    let mut archive = tar::Builder::new(Vec::new());
    for (name, record) in [("train.bin", cifar_record(&[4, 98])), ("test.bin", cifar_record(&[0, 7]))] {
        let mut header = tar::Header::new_gnu();
        header.set_size(record.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, record.as_slice()).expect("in memory");
    }
    let archive = archive.into_inner().expect("in memory");
    let packed = archive.chunks(700).map(gzip).collect::<Vec<_>>().concat();
    fs::write(folder.path().join("c.tgz"), packed).expect("written");
    assert_eq!(labels(&load_from("cifar100", folder.path(), "c.tgz").expect("read").test), [7]);
}

#[test]
fn zip_archives_are_read() {
    let folder = TempDir::new().expect("a folder");
    let base = folder.path();
    write_mnist(&base.join("own"));
    let zip = |members: &[(&str, Vec<u8>)], method| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in members {
            zip.start_file(*name, zip::write::SimpleFileOptions::default().compression_method(method)).expect("in memory");
            zip.write_all(bytes).expect("in memory");
        }
        zip.finish().expect("in memory").into_inner()
    };
    let read = |name: &str| fs::read(base.join("own").join(name)).expect("written");
    let members = [
        ("readme.txt", b"hello".to_vec()),
        ("train-images-idx3-ubyte/train-images-idx3-ubyte.gz", read("train-images-idx3-ubyte.gz")),
        ("train-labels-idx1-ubyte", read("train-labels-idx1-ubyte")),
        ("t10k-images-idx3-ubyte", read("t10k-images-idx3-ubyte")),
        ("a/b/t10k-labels-idx1-ubyte.gz", read("t10k-labels-idx1-ubyte.gz")),
    ];
    for method in [zip::CompressionMethod::Deflated, zip::CompressionMethod::Stored] {
        let bytes = zip(&members, method);
        fs::write(base.join("archive.zip"), &bytes).expect("written");
        let data = load_from("mnist", base, "archive.zip").expect("read");
        assert_eq!((labels(&data.train), labels(&data.test)), (vec![7, 8, 9], vec![1]));
        assert_eq!(data.provenance.files[0].sha256, fltk_data::digest::sha256_hex(&bytes));
    }
    let bytes = zip(&members, zip::CompressionMethod::Deflated);
    let check = |bytes: &[u8], expected: &str| {
        fs::write(base.join("archive.zip"), bytes).expect("written");
        let error = load_from("mnist", base, "archive.zip").expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("archive.zip"), "{error}");
    };
    check(&bytes[..bytes.len() / 2], "damaged");
    check(b"", "damaged");
    check(&b"PK\x01\x02".repeat(100_001), "it has 100001 entries");
    check(&zip(&members[..4], zip::CompressionMethod::Stored), "does not hold data set `mnist`");
    let twice = [&members[..], &[("c/train-labels-idx1-ubyte", read("train-labels-idx1-ubyte"))]].concat();
    check(&zip(&twice, zip::CompressionMethod::Stored), "holds it twice");
    check(&zip(&[("train-images-idx3-ubyte", vec![0; 257 << 20])], zip::CompressionMethod::Deflated), "larger than 268435456 bytes");
}

#[test]
fn unreadable_files_are_named() {
    let folder = TempDir::new().expect("a folder");
    let base = folder.path();
    let check = |name, path: &str, expected: &[&str]| {
        let error = load_from(name, base, path).expect_err("not read").to_string();
        assert!(error.contains("does not hold data set") && expected.iter().all(|words| error.contains(words)), "{error}");
    };
    for file in ["cifar-10-binary.tar.xz", "data.7z"] {
        fs::write(base.join(file), b"x").expect("written");
        check("cifar10", file, &[file, "unpack it", "`.zip` are read"]);
        check("shakespeare", file, &[file, "unpack it"]);
        check("cifar10", ".", &[&format!("`{file}` isn't read: unpack it")]);
        fs::remove_file(base.join(file)).expect("removed");
    }
    fs::write(base.join("mine.zip"), b"x").expect("written");
    check("cifar10", ".", &["`mine.zip` is read if the path names it"]);
    for file in ["train-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"] {
        fs::write(base.join(file), b"x").expect("written");
        check("mnist", ".", &[&format!("`{file}` isn't read by that name: rename it to `{}`", file.replace(".idx", "-idx"))]);
        fs::remove_file(base.join(file)).expect("removed");
    }
}

#[test]
fn cache_is_required_only_for_data_sets_that_use_it() {
    let folder = TempDir::new().expect("a folder");
    let none = Locations { cache: None, local: Vec::new() };
    let load = |name: &str, path: Option<&str>| {
        load(&DatasetConfig { path: path.map(str::to_owned), ..DatasetConfig::named(name) }, folder.path(), &none)
    };
    load("fashion-mnist-mini", None).expect("embedded");
    write_mnist(&folder.path().join("own"));
    load("mnist", Some("own")).expect("named");
    let error = load("mnist", None).expect_err("nowhere").to_string();
    assert!(error.contains("neither XDG_CACHE_HOME nor HOME is set") && error.contains("--data DIR"), "{error}");
    assert_eq!(locate(&mnist::SOURCE, &none), None);
    fltk_data::fetch::fetch(&fashion_mnist_mini::SOURCE, &none, &mut |_| {}).expect("there is nothing to fetch");
    let error = fltk_data::fetch::fetch(&mnist::SOURCE, &none, &mut |_| {}).expect_err("nowhere to put it").to_string();
    assert!(error.contains("--data DIR"), "{error}");
    assert!(
        fltk_data::fetch::verify(&mnist::SOURCE, &none)
            .expect("nothing there")
            .iter()
            .all(|(_, state)| *state == fltk_data::fetch::FileState::Missing)
    );
}

#[test]
fn too_short_and_too_large_archives_are_reported() {
    let folder = TempDir::new().expect("a folder");
    for bytes in [&b""[..], b"x"] {
        fs::write(folder.path().join("short.tar"), bytes).expect("written");
        let error = load_from("cifar100", folder.path(), "short.tar").expect_err("short");
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
    let error = load_from("cifar100", folder.path(), "large.tgz").expect_err("large");
    assert!(matches!(error, DataError::Format { problem: FormatError::TooLarge { .. }, .. }), "{error}");
}

#[test]
fn data_sets_on_disk_can_be_inspected() {
    let folder = TempDir::new().expect("a folder");
    let locations = nowhere(folder.path());
    assert_eq!(inspect(&mnist::SOURCE, &locations).expect("nothing to read"), None);
    write_mnist(&locations.cache.clone().expect("given").join("mnist"));
    let found = inspect(&mnist::SOURCE, &locations).expect("read").expect("there");
    assert_eq!((found.files.len(), found.is_official()), (4, false));
    assert!(inspect(&fashion_mnist_mini::SOURCE, &locations).expect("embedded").expect("there").is_official());
}

#[test]
fn duplicate_files_in_an_archive_are_refused() {
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
    let error = load_from("cifar100", folder.path(), "x.tar").expect_err("twice");
    assert!(matches!(error, DataError::Format { problem: FormatError::Twice, .. }), "{error}");
}

#[test]
fn cifar_100_keeps_classes_and_drops_super_classes() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("train.bin"), [cifar_record(&[4, 98]), cifar_record(&[19, 0])].concat()).expect("written");
    fs::write(folder.path().join("test.bin"), cifar_record(&[0, 7])).expect("written");
    let data = load_from("cifar100", folder.path(), ".").expect("read");
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
        let error = load_from("mnist", folder.path(), ".").expect_err(expected).to_string();
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
    // This is a bomb: 300 MB of zeros in 300 kB.
    check("train-images-idx3-ubyte.gz", &gzip(&vec![0; 300 << 20]), "larger than 268435456 bytes");
}

#[test]
fn texts_are_read_from_files_and_folders() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("tinyshakespeare.txt"), format!("A:\n{}", "to be or not\n".repeat(100))).expect("written");
    for path in [".", "tinyshakespeare.txt"] {
        let data = load_from("shakespeare", folder.path(), path).expect("read");
        assert_eq!((data.train.len(), data.test.len(), data.num_labels()), (1169 / 80, 129 / 80, 1));
        // "\n :Abenort"
        assert_eq!((data.class_names.concat().as_str(), data.image_shape()), ("\n :Abenort", None));
    }
}

/// The whole data set, where its Debian package is installed; elsewhere there is nothing to check.
#[test]
fn debian_package_is_official() {
    let folder = TempDir::new().expect("a folder");
    let locations = nowhere(folder.path());
    if locate(&fashion_mnist::SOURCE, &locations).is_none() {
        return;
    }
    let data = load(&DatasetConfig::named("fashion-mnist"), folder.path(), &locations).expect("read");
    assert!(data.provenance.is_official(), "{:?}", data.provenance);
    assert_eq!((data.train.len(), data.test.len()), (60_000, 10_000));
    // KFLTK trains "MNIST" on these very files.
    let Origin::Folder(path) = data.provenance.origin else { panic!("a folder") };
    let error = load_from("mnist", folder.path(), &path.to_string_lossy()).expect_err("another data set");
    assert!(matches!(error, DataError::OtherDataset { other: "fashion-mnist", .. }), "{error}");
}
