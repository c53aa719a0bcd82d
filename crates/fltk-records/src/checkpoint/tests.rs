use super::*;

fn store() -> (tempfile::TempDir, CheckpointStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path().join("checkpoints"), Unit::Round);
    (folder, store)
}

fn files(content: u8) -> Files {
    Files::from([
        ("model.safetensors".into(), vec![content; 100]),
        ("state.json".into(), vec![]),
        ("optimizer.safetensors".into(), vec![1, 2]),
    ])
}

fn latest(store: &CheckpointStore) -> (Option<(u32, Files)>, usize) {
    let Latest { checkpoint, skipped } = store.latest(|_| true).unwrap();
    (checkpoint.map(|checkpoint| (checkpoint.at.completed, checkpoint.files)), skipped.len())
}

fn numbers(store: &CheckpointStore) -> Vec<u32> {
    store.milestones().unwrap().into_iter().map(|at| at.completed).collect()
}

#[test]
fn newest_checkpoint_is_read_as_saved() {
    let (_folder, store) = store();
    assert_eq!(latest(&store), (None, 0));
    for at in [9, 10, 1_000_000] {
        store.save(at.into(), &files(at as u8)).unwrap();
        assert_eq!(latest(&store), (Some((at, files(at as u8))), 0));
    }
    let listed: Vec<_> = store.list().unwrap().into_iter().map(|listed| (listed.at.completed, listed.num_bytes)).collect();
    assert_eq!(listed, [(9, 102), (10, 102), (1_000_000, 102)]);
    assert!(store.path(9.into()).ends_with("checkpoints/round-000009"));
}

#[test]
fn saving_again_replaces_only_different_or_damaged_checkpoints() {
    let (_folder, store) = store();
    store.save(1.into(), &files(1)).unwrap();
    let inode = |store: &CheckpointStore| {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(store.path(1.into())).unwrap().ino()
    };
    let first = inode(&store);
    store.save(1.into(), &files(1)).unwrap();
    assert_eq!(inode(&store), first, "the same content is not written again");
    store.save(1.into(), &files(2)).unwrap();
    assert_eq!(latest(&store), (Some((1, files(2))), 0));
    fs::write(store.path(1.into()).join("state.json"), "damage").unwrap();
    assert_eq!(latest(&store), (None, 1));
    store.save(1.into(), &files(2)).unwrap();
    assert_eq!(latest(&store), (Some((1, files(2))), 0));
    assert_eq!(files::names_in(&store.folder, 10).unwrap(), ["round-000001"]);
}

#[test]
fn interrupted_save_keeps_the_previous_checkpoint() {
    // A kill leaves the temporary folder with the first k files, the last of them half written.
    let content = files(2);
    let manifest = Manifest::of(Unit::Round, 2.into(), &content).to_json();
    let all: Vec<(&str, &[u8])> =
        content.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).chain([(MANIFEST, &manifest[..])]).collect();
    for num_files in 0..=all.len() {
        for half in [false, true] {
            let (_folder, store) = store();
            store.save(1.into(), &files(1)).unwrap();
            let new = store.folder.join(".new-round-000002-x");
            fs::create_dir(&new).unwrap();
            for (index, (name, bytes)) in all[..num_files].iter().enumerate() {
                let length = if half && index + 1 == num_files { bytes.len() / 2 } else { bytes.len() };
                fs::write(new.join(name), &bytes[..length]).unwrap();
            }
            assert_eq!(latest(&store), (Some((1, files(1))), 0));
            store.save(2.into(), &files(2)).unwrap();
            assert_eq!(latest(&store), (Some((2, files(2))), 0));
            assert_eq!(files::names_in(&store.folder, 10).unwrap(), ["round-000001", "round-000002"], "what was left is swept");
        }
    }
}

#[test]
fn damaged_checkpoint_falls_back_to_the_previous() {
    let check = |damage: &dyn Fn(&Path), expected: &str| {
        let (_folder, store) = store();
        store.save(1.into(), &files(1)).unwrap();
        store.save(2.into(), &files(2)).unwrap();
        damage(&store.path(2.into()));
        let Latest { checkpoint, skipped } = store.latest(|_| true).unwrap();
        assert_eq!(checkpoint.unwrap().files, files(1));
        assert_eq!(skipped.len(), 1);
        assert!(skipped[0].to_string().contains(expected), "{}", skipped[0]);
    };
    let edit = |path: &Path, from: &str, to: &str| {
        let manifest = path.join(MANIFEST);
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(manifest, text.replacen(from, to, 1)).unwrap();
    };
    check(&|path| fs::write(path.join("model.safetensors"), [3; 100]).unwrap(), "its SHA-256 differs");
    check(&|path| fs::write(path.join("model.safetensors"), [2; 99]).unwrap(), "its SHA-256 differs");
    check(&|path| fs::write(path.join("model.safetensors"), [2; 101]).unwrap(), "has more than 100 bytes");
    check(&|path| fs::remove_file(path.join("state.json")).unwrap(), "can't read");
    check(&|path| fs::remove_file(path.join(MANIFEST)).unwrap(), "can't read");
    check(&|path| fs::write(path.join(MANIFEST), "{").unwrap(), "its manifest can't be read");
    check(&|path| edit(path, "\"format\": 1", "\"format\": 2"), "its manifest has format 2, not 1");
    check(&|path| edit(path, "\"at\": 2", "\"at\": 3"), "its manifest is of round 3");
    check(&|path| edit(path, "model.safetensors", "../round-000001/model.safetensors"), "its manifest names a file");
    check(&|path| edit(path, "\"num_bytes\": 100", "\"num_bytes\": 99999999999999999"), "its manifest names 3 files with");
    check(
        &|path| {
            fs::remove_file(path.join("state.json")).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path.join("state.json")).unwrap();
        },
        "is not a plain file",
    );
}

#[test]
fn names_outside_the_folder_are_refused() {
    let (_folder, store) = store();
    for name in ["../x", "a/b", "", ".hidden", "manifest.json", "a b", &"x".repeat(101)] {
        let error = store.save(1.into(), &Files::from([(name.to_owned(), vec![])])).unwrap_err();
        assert!(matches!(error, CheckpointError::Name { .. }), "{error}");
    }
    assert_eq!(numbers(&store), [0; 0]);
}

#[test]
fn foreign_folders_are_left_alone() {
    let (_folder, store) = store();
    store.save(5.into(), &files(5)).unwrap();
    for name in [
        "round-5",
        "round-000005-step-1",
        "round-000005-step-000000",
        "round-000005-step-",
        "round-+00005",
        "round-0000005",
        "epoch-000009",
        "round-99999999999",
        "notes",
    ] {
        fs::create_dir(store.folder.join(name)).unwrap();
    }
    assert_eq!(numbers(&store), [5]);
    store.prune(1, |_| true).unwrap();
    assert_eq!(files::names_in(&store.folder, 100).unwrap().len(), 10);
}

#[test]
fn pruning_keeps_the_newest_complete_checkpoints() {
    let (_folder, store) = store();
    for at in 1..=6 {
        store.save(at.into(), &files(at as u8)).unwrap();
    }
    // A damaged checkpoint must not cause the last usable one to be removed.
    fs::remove_file(store.path(6.into()).join("state.json")).unwrap();
    fs::create_dir(store.folder.join(".new-left")).unwrap();
    store.prune(2, |_| true).unwrap();
    assert_eq!(numbers(&store), [4, 5, 6]);
    store.prune(0, |_| true).unwrap();
    assert_eq!(numbers(&store), [5, 6]);
    assert_eq!(latest(&store), (Some((5, files(5))), 1));
    assert_eq!(files::names_in(&store.folder, 10).unwrap(), ["round-000005", "round-000006"]);
}

#[test]
fn pruning_ignores_checkpoints_unknown_to_the_journal() {
    let (_folder, store) = store();
    for at in [1, 2, 3, 98, 99] {
        store.save(at.into(), &files(at as u8)).unwrap();
    }
    // Two checkpoints are of another run, or unknown because an older journal was restored: they must not cause ours to be removed.
    store.prune(2, |at| at.completed < 98).unwrap();
    assert_eq!(numbers(&store), [2, 3, 98, 99]);
}

#[test]
fn checkpoints_within_an_epoch_are_ordered_between_its_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path().join("checkpoints"), Unit::Epoch);
    let at = |completed, steps| Milestone { completed, steps };
    let order = [at(0, 250), at(1, 0), at(1, 9), at(1, 1_000_000), at(2, 0)];
    for (content, place) in (0..).zip(order).collect::<Vec<_>>().into_iter().rev() {
        store.save(place, &files(content)).unwrap();
    }
    assert_eq!(store.milestones().unwrap(), order);
    assert!(store.path(order[0]).ends_with("epoch-000000-step-000250") && store.path(order[3]).ends_with("epoch-000001-step-1000000"));
    store.prune(3, |_| true).unwrap();
    assert_eq!(store.milestones().unwrap(), order[2..]);
    assert_eq!(store.load(order[2]).unwrap(), Checkpoint { at: order[2], files: files(2) });
}

#[test]
fn links_to_folders_are_not_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(folder.path().join("real"), Unit::Round);
    store.save(1.into(), &Files::new()).unwrap();
    store.save(2.into(), &Files::new()).unwrap();
    fs::rename(store.path(2.into()), folder.path().join("outside")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside"), store.path(2.into())).unwrap();
    let listed: Vec<_> = store.list().unwrap().into_iter().map(|listed| listed.at).collect();
    assert_eq!(listed, [1.into()]);
    assert!(store.load(2.into()).is_err());
    assert_eq!(store.latest(|_| true).unwrap().checkpoint.unwrap().at, 1.into());
    std::os::unix::fs::symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
    let linked = CheckpointStore::new(folder.path().join("link"), Unit::Round);
    assert!(linked.list().is_err() && linked.latest(|_| true).is_err() && linked.save(3.into(), &Files::new()).is_err());
}
