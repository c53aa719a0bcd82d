//! Data of one's own, read from files that NumPy, Pillow, pyarrow and LEAF's layout make, and compared with what torchvision and they read.
//!
//! `own/make.py` makes the files, with the Python that `FLTK_PYTHON` names; `cargo xtask test` sets it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use fltk_core::experiment::DatasetConfig;
use fltk_data::{DataError, Dataset, Locations, Split, digest::sha256_hex, load};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

fn config(block: Json) -> DatasetConfig {
    serde_json::from_value(block).expect("a block of a data set")
}

fn load_from(base: &Path, block: Json) -> Result<Dataset, DataError> {
    load(&config(block), base, &Locations { cache: None, local: Vec::new() })
}

fn refused(base: &Path, block: Json) -> String {
    load_from(base, block).expect_err("wrong data").to_string()
}

/// Makes the files; `None` without a Python.
fn made() -> Option<TempDir> {
    let Some(python) = std::env::var_os("FLTK_PYTHON") else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "FLTK_PYTHON is not set, and with CI=true this test may not be skipped");
        eprintln!("skipped: FLTK_PYTHON is not set; `cargo xtask test` sets it to a Python with NumPy, Pillow, pyarrow and torchvision");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/own/make.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().expect("a Python that starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder)
}

/// Checks a part against what the tools read.
fn check_part(name: &str, split: &Split, expected: &Json) {
    let numbers = |key: &str| -> Option<Vec<i64>> { expected[key].as_array().map(|all| all.iter().filter_map(Json::as_i64).collect()) };
    let (shape, bytes, samples) = match split {
        Split::Images(set) => {
            (set.shape.to_vec(), set.pixels.clone(), set.pixels.iter().map(|&pixel| f64::from(pixel)).collect::<Vec<f64>>())
        }
        Split::Vectors(set) => {
            let bytes = set.numbers().iter().flat_map(|number| number.to_le_bytes()).collect();
            (vec![set.vector_len()], bytes, set.numbers().iter().map(|&number| f64::from(number)).collect())
        }
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(json!(shape), expected["shape"], "{name}");
    assert_eq!(split.labels().iter().map(|&label| i64::from(label)).collect::<Vec<_>>(), numbers("labels").unwrap(), "{name}");
    let clients = split.natural_clients().map(|clients| clients.iter().map(|&client| i64::from(client)).collect::<Vec<_>>());
    assert_eq!(clients, numbers("clients"), "{name}");
    match expected["samples"].as_array() {
        None => assert_eq!(sha256_hex(&bytes), expected["sha256"], "{name}"),
        // Decoders and filters of two programs round differently.
        Some(theirs) => {
            let tolerance = expected["tolerance"].as_f64().unwrap();
            let differences: Vec<f64> = samples.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs.as_f64().unwrap()).abs()).collect();
            let (largest, mean) =
                (differences.iter().copied().fold(0.0, f64::max), differences.iter().sum::<f64>() / differences.len() as f64);
            assert_eq!(samples.len(), theirs.len(), "{name}");
            assert!(largest <= tolerance && mean <= tolerance / 4.0, "{name}: differences up to {largest}, {mean} on average");
        }
    }
}

#[test]
fn files_of_real_tools_are_read_as_these_tools_read_them() {
    let Some(folder) = made() else { return };
    let cases: Vec<Json> = serde_json::from_slice(&fs::read(folder.path().join("expected.json")).unwrap()).unwrap();
    assert!(cases.len() > 20);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let data = load_from(folder.path(), case["dataset"].clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(json!(data.class_names), case["classes"], "{name}");
        check_part(&format!("{name}, training part"), &data.train, &case["train"]);
        check_part(&format!("{name}, test part"), &data.test, &case["test"]);
        assert!(!data.provenance.files.is_empty() && !data.provenance.is_official(), "{name}");
    }
    check_rest(folder.path());
    check_damage(folder.path());
}

/// Checks what has no twin in Python: texts, and parts by share.
fn check_rest(folder: &Path) {
    let shakespeare = load_from(folder, json!({ "path": "shakespeare" })).unwrap();
    let (Split::Text(train), Split::Text(test)) = (&shakespeare.train, &shakespeare.test) else { panic!("texts") };
    assert_eq!((train.starts.len(), train.window, test.starts.len()), (20, 80, 4));
    assert_eq!((train.clients[14], train.clients[15], test.clients[0]), (0, 1, 1));
    let text: String = train.tokens[..81].iter().map(|&token| shakespeare.class_names[usize::from(token)].as_str()).collect();
    assert!(text.starts_with("what a piece of work is a man"), "{text}");

    let photos = load_from(folder, json!({ "path": "photos.zip" })).unwrap();
    assert_eq!((photos.class_names, photos.train.len(), photos.test.len()), (vec!["x".to_owned(), "y".to_owned()], 6, 2));
    let half = || load_from(folder, json!({ "path": "photos.zip", "format": "images", "test_fraction": 0.5 })).unwrap();
    assert_eq!((half().train.len(), half()), (4, half()), "the test part depends on the data alone");
    assert_eq!(half().provenance.files.len(), 8);
}

/// Checks that damage is named with its file and place. Whatever bytes are damaged, the data is read or refused.
fn check_damage(folder: &Path) {
    let damaged = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(folder.join(name)).unwrap();
        change(&mut bytes);
        let path = folder.join("damaged").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    };
    for whole in ["iris/train.csv", "kmnist/KMNIST/raw/train-labels-idx1-ubyte"] {
        damaged(whole, &|_| {});
    }
    for (name, block, place) in [
        ("keras.npz", json!({ "path": "damaged/keras.npz" }), "keras.npz`"),
        ("hub/data/train-00000-of-00002.parquet", json!({ "path": "damaged/hub" }), "train-00000-of-00002.parquet`"),
        ("photos.zip", json!({ "path": "damaged/photos.zip" }), "photos.zip`"),
        ("iris/test.csv.gz", json!({ "path": "damaged/iris", "format": "csv", "label": "species" }), "test.csv.gz`"),
        ("femnist/train/all_data_0_niid_0_keep_0_train_9.json", json!({ "path": "damaged/femnist" }), "train_9.json`"),
        (
            "kmnist/KMNIST/raw/train-images-idx3-ubyte",
            json!({ "path": "damaged/kmnist/KMNIST/raw" }),
            "train-images-idx3-ubyte`, byte 7848",
        ),
    ] {
        damaged(name, &|bytes| bytes.truncate(bytes.len() / 2));
        let error = refused(folder, block);
        assert!(error.contains(place), "{name}: {error}");
    }
    // Any byte may be wrong.
    for (name, path, step) in [
        ("hub/data/train-00001-of-00002.parquet", "damaged/hub", 3),
        ("lists/train.parquet", "damaged/lists", 3),
        ("vectors.npz", "damaged/vectors.npz", 7),
    ] {
        let len = fs::metadata(folder.join(name)).unwrap().len() as usize;
        for at in (0..len).step_by(step) {
            damaged(name, &|bytes| bytes[at] ^= 0x55);
            let _ = load_from(folder, json!({ "path": path }));
        }
    }
}

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path: PathBuf = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

#[test]
fn published_files_are_read_as_data_of_ones_own() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let own = load_from(&assets, json!({ "path": ".", "format": "idx" })).unwrap();
    let known = load(&DatasetConfig::named("fashion-mnist-mini"), Path::new(""), &Locations { cache: None, local: Vec::new() }).unwrap();
    assert_eq!((&own.train, &own.test), (&known.train, &known.test));
    assert_eq!(own.class_names, (0..10).map(|class| class.to_string()).collect::<Vec<_>>());
    let normalization = own.provenance.normalization.unwrap();
    let Split::Images(set) = &own.train else { panic!("images") };
    let mean = set.pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / (set.pixels.len() as f64 * 255.0);
    assert!((f64::from(own.preparation.mean[0]) - mean).abs() < 1e-6 && normalization.starts_with("mean [0.28"), "{normalization}");
    assert_eq!(own.provenance.files.len(), 4);
    let scaled = load_from(&assets, json!({ "path": ".", "format": "idx", "normalize": false })).unwrap();
    assert_eq!((scaled.preparation, scaled.provenance.normalization), (known.preparation, None));
}

#[test]
fn text_is_cut_into_windows_of_its_clients() {
    let long = "to be or not to be, that is the question: ".repeat(20);
    let files = folder(&[("a.txt", long.as_bytes()), ("b/c.txt", long.as_bytes()), ("short.txt", b"no window")]);
    let data = load_from(files.path(), json!({ "path": ".", "format": "text", "window": 20, "test_fraction": 0.25 })).unwrap();
    let (Split::Text(train), Split::Text(test)) = (&data.train, &data.test) else { panic!("texts") };
    assert_eq!((train.starts.len(), train.clients.last(), test.starts.len()), (2 * (629 / 20), Some(&1), 2 * (209 / 20)));
    let data = load_from(files.path(), json!({ "path": "a.txt" })).unwrap();
    assert_eq!(data.num_labels(), 1);
    let play = format!("A:\n{long}\n\nB:\n{long}\n");
    let files = folder(&[("play.txt", play.as_bytes())]);
    let data = load_from(files.path(), json!({ "path": "play.txt", "format": "text", "clients": "speakers" })).unwrap();
    assert_eq!(data.num_labels(), 2);
}

#[test]
fn damage_of_tables_and_texts_is_named_with_its_place() {
    let check = |files: &[(&str, &[u8])], block: Json, expected: &str| {
        let folder = folder(files);
        let error = refused(folder.path(), block).replace(&format!("{}/", folder.path().display()), "");
        assert_eq!(error, expected);
    };
    let csv = |text: &'static str| [("t.csv", text.as_bytes())];
    let block = || json!({ "path": "t.csv", "format": "csv" });
    check(
        &csv("a,b,y\n1,2,0\n1,x,0\n"),
        block(),
        "`t.csv`, line 3, column `b`: `x` isn't a finite number\nhint: `label` names the column of labels",
    );
    check(&csv("a,b,y\n1,2,0\n1,0\n"), block(), "`t.csv`, line 3: the row has 2 cells, and the first has 3");
    check(&csv("a,b,y\n1,,0\n"), block(), "`t.csv`, line 2, column `b`: the cell is empty");
    check(&csv("1,inf,0\n"), block(), "`t.csv`, line 1, column 2: `inf` isn't a finite number\nhint: `label` names the column of labels");
    check(
        &csv("a,b\n1,2\n"),
        block(),
        "`t.csv`, line 1: no column is called `label`, `class`, `target` or `y`\nhint: `label` names the column of labels",
    );
    check(
        &csv("y,label,b\n1,2,3\n"),
        block(),
        "`t.csv`, line 1: several columns may be the labels\nhint: `label` names the column of labels",
    );
    check(
        &csv("1\n2\n"),
        block(),
        "`t.csv`, line 1: it has no column of numbers beside that of the labels\nhint: `delimiter` says what is between cells",
    );
    check(&csv(""), block(), "`t.csv`: it is empty");
    check(
        &csv("0,1,target\n1,2,0\n"),
        block(),
        "`t.csv`, line 1: the first row has numbers and `target`: it may be a header or a sample\nhint: `header: yes` or `header: no` says which",
    );
    check(
        &[("train.csv", b"a,b,label\n1,2,0\n3,4,1\n"), ("test.csv", b"b,a,label\n2,1,0\n")],
        json!({ "path": ".", "format": "csv" }),
        "`./test.csv`, line 1: its columns aren't those of `train.csv`",
    );
    check(&csv("a,y\n"), block(), "`t.csv`: it has no rows of numbers");
    check(
        &csv("a,y\n1,0\n"),
        json!({ "path": "t.csv", "format": "csv", "label": "z" }),
        "`t.csv`, line 1: there is no column `z` for `label`\nhint: the columns are `a`, `y`",
    );
    check(
        &csv("a,y\n1,0\n"),
        block(),
        "`t.csv`: 1 samples are too few for a test part of 0.2 of them\nhint: change `test_fraction`, or give a test part",
    );
    check(
        &csv("0.25,0.3,0\n1,1,0\n0,0,1\n"),
        json!({ "path": "t.csv", "format": "csv", "shape": [1, 2] }),
        "`t.csv`, sample 0, number 1: 0.25 is no pixel: pixels are whole numbers from 0 to 255 or, if none is above 1, multiples of 1/255",
    );
    check(
        &[("train.csv", b"1,0\n"), ("other.csv", b"1,0\n")],
        json!({ "path": "." , "format": "csv" }),
        "`./other.csv`: it is neither of the training part nor of the test part, and other files are\nhint: name the other files, or say with `path` which one to read; `train`, `validation` and `test` in a name tell the part",
    );
    for (names, problem) in [
        (["seg_train/a/1.png", "seg_pred/1.png"], "`./seg_train/a/1.png`: its folder `seg_train`"),
        (["val/a/1.png", "test/a/1.png"], "`./test/a/1.png`: its folder `test`"),
    ] {
        let folder = folder(&names.map(|name| (name, &b"x"[..])));
        let error =
            refused(folder.path(), json!({ "path": ".", "format": "images" })).replace(&format!("{}/", folder.path().display()), "");
        assert!(error.starts_with(problem), "{error}");
    }
    check(&[("t.txt", b"abc\xff")], json!({ "path": "t.txt" }), "`t.txt`, byte 3: it is not UTF-8");
    check(
        &[("t.txt", b"abc")],
        json!({ "path": "t.txt" }),
        "`t.txt`: no client's training part has the 81 characters of a window and its target",
    );
    check(
        &[("t.json", b"{\"users\": [\"a\"],\n \"user_data\": {\"a\": {\"x\": [[1, []]], \"y\": [1]}}}")],
        json!({ "path": "t.json" }),
        "`t.json`, line 2, column 31: it isn't one of LEAF's files: invalid type: sequence, expected f64\nhint: they have `users`, `num_samples` and `user_data`, with lists `x` of samples and `y` of labels for each user",
    );
    let leaf = |data: &str| format!("{{\"users\": [\"a\"], \"num_samples\": [2], \"user_data\": {{\"a\": {data}}}}}");
    for (data, expected) in [
        ("{\"x\": [[1], [2, 3]], \"y\": [0, 1]}", "`t.json`, user `a`, sample 1: it has 2 numbers, and the first sample has 1"),
        ("{\"x\": [[1]], \"y\": [0, 1]}", "`t.json`, user `a`: there are 1 samples and 2 labels"),
        ("{\"x\": [[1]], \"y\": [0]}", "`t.json`, user `a`: there are 1 samples, and `num_samples` says 2"),
        ("{\"x\": [[1], \"b\"], \"y\": [0, 1]}", "`t.json`, user `a`, sample 1: it is a text, and others are numbers"),
        (
            "{\"x\": [\"ab\", \"b\"], \"y\": [\"c\", \"cd\"]}",
            "`t.json`, user `a`, sample 1: the label of a text is its next character, and it is `cd`",
        ),
    ] {
        check(&[("t.json", leaf(data).as_bytes())], json!({ "path": "t.json" }), expected);
    }
}

#[test]
fn places_and_formats_that_are_wrong_are_refused() {
    let empty = folder(&[(".hidden", b"x")]);
    let check = |folder: &TempDir, block: Json, expected: &str| {
        let error = refused(folder.path(), block);
        assert!(error.contains(expected), "{error}");
    };
    check(&empty, json!({ "path": "nothing" }), "nothing`: there is no such file or folder");
    check(
        &empty,
        json!({ "path": "." }),
        "its format can't be found out: no file has a name of one\nhint: add `format`: one of `idx`, `images`",
    );
    check(&empty, json!({ "path": ".", "format": "tfrecord" }), "there is no format `tfrecord`\nhint: the formats are auto, idx, images");
    check(&empty, json!({ "path": ".", "format": "images", "shape": [3] }), "`images` has no `shape`");
    check(&empty, json!({ "format": "idx" }), "data of one's own in the format `idx` has no path");
    for format in ["idx", "images", "npz", "csv", "parquet", "leaf", "text"] {
        let error = refused(empty.path(), json!({ "path": ".", "format": format }));
        assert!(error.contains("it has no "), "{error}");
    }
    let both = folder(&[("a/b.png", b""), ("c.csv", b"")]);
    check(&both, json!({ "path": "." }), "its format can't be found out: it may be `images` or `csv`\nhint: say which with `format`");
    let image = folder(&[("a/b.png", b"GIF89a")]);
    check(&image, json!({ "path": "." }), "a/b.png`: it is neither PNG nor JPEG");
    let image = folder(&[("a/b.png", b"\x89PNG\r\n\x1a\n")]);
    check(&image, json!({ "path": "." }), "a/b.png`: the image can't be decoded");
    let image = folder(&[("a/b.png", b""), ("a/c.tiff", b"")]);
    check(&image, json!({ "path": "." }), "a/c.tiff`: images of this kind aren't read");
    let image = folder(&[("b.png", b""), ("a/c.png", b"")]);
    check(&image, json!({ "path": "." }), "b.png`: the image lies in no folder of a class");
    let idx = folder(&[("a-train-images-idx3-ubyte", b""), ("b-train-images-idx3-ubyte", b"")]);
    check(&idx, json!({ "path": "." }), "it has several splits: `a`, `b`\nhint: `split` chooses one of `a`, `b`");
    check(&idx, json!({ "path": ".", "format": "idx", "split": "c" }), "it has no split `c`");
    check(&idx, json!({ "path": ".", "format": "idx", "split": "a" }), "the training part has `a-train-images-idx3-ubyte` and no labels");
}
