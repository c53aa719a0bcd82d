use std::{fs, io::Write as _, os::unix::fs::symlink};

use fltk_core::ids::{ClientId, Round};

use super::*;
use crate::{
    RunFolder,
    history::Unit,
    samples::{finished, recorded, round, saved, started},
};

fn record(name: &str) -> Record {
    Record { kind: RecordKind::Run, name: name.to_owned() }
}

/// Creates a run with a checkpoint in `root`, and returns its name.
fn run(root: &Path) -> String {
    let folder = recorded(root, 1, &[started(0), round(0, 0.1), round(1, 0.7), saved(1), finished()]);
    folder.checkpoints(Unit::Round).save(1.into(), &[("model".to_owned(), vec![7; 3000])].into()).unwrap();
    folder.name()
}

fn packed(root: &Path, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(root, name, &mut bytes).unwrap();
    bytes
}

/// Builds an archive of entries: type, path, content.
fn archive(entries: &[(u8, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, content) in entries {
        let mut header = tar::Header::new_ustar();
        // The name is written directly: the library's own setters refuse what is tested here.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn archived_run_is_restored_without_its_lock() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = run(root.path());
    let into = into.path().join("new/copies");
    assert_eq!(unpack(&packed(root.path(), &name)[..], &into, &record(&name)).unwrap(), Unpacked::New);
    assert_eq!(digests(root.path(), &name).unwrap(), digests(&into, &name).unwrap());
    assert_eq!(files::names_in(&into, 10).unwrap(), [name.as_str()]);
    let (before, after) = (RunFolder::open(root.path().join(&name)).unwrap(), RunFolder::open(into.join(&name)).unwrap());
    assert_eq!(before.read().unwrap().history, after.clone().read().unwrap().history);
    assert_eq!(after.checkpoints(Unit::Round).list().unwrap().len(), 1);
    assert!(!into.join(&name).join("lock").exists());
    assert_eq!(Record::list(&into, RecordKind::Run).unwrap(), [record(&name)]);
    // The copy can be used like any run.
    assert!(after.lock("a test").is_ok());
}

#[test]
fn archive_has_only_plain_files_with_the_journal_last() {
    let root = tempfile::tempdir().unwrap();
    let name = run(root.path());
    let folder = root.path().join(&name);
    fs::write(root.path().join("secret"), "secret").unwrap();
    symlink(root.path().join("secret"), folder.join("link")).unwrap();
    symlink(root.path(), folder.join("checkpoints/outside")).unwrap();
    fs::write(folder.join(".new-left"), "x").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let paths: Vec<String> = digests(root.path(), &name).unwrap().into_iter().map(|file| file.path).collect();
    assert!(paths.iter().all(|path| !["link", "outside", "left", "pipe", "lock"].iter().any(|other| path.contains(other))), "{paths:?}");
    assert_eq!(paths.last().unwrap(), &format!("{name}/journal.jsonl"));
    assert!(paths[0].starts_with(&format!("{name}/checkpoints/")), "{paths:?}");
    let bytes = packed(root.path(), &name);
    assert!(!bytes.windows(6).any(|window| window == b"secret"));
    // A link to a folder doesn't count as a folder.
    symlink(&folder, root.path().join("elsewhere")).unwrap();
    assert!(pack(root.path(), "elsewhere", &mut Vec::new()).is_err());
    assert_eq!(Record::list(root.path(), RecordKind::Run).unwrap(), [record(&name)]);
    assert!(matches!(Record::find(root.path(), RecordKind::Run, "elsewhere"), Err(RunError::NotARun { .. })));
}

#[test]
fn names_outside_the_folder_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let inner = root.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let name = run(root.path());
    for wrong in ["", ".", "..", "a/b", &format!("../{name}"), &root.path().join(&name).display().to_string(), ".hidden", "a\nb", "a\\b"] {
        assert!(matches!(Record::find(&inner, RecordKind::Run, wrong), Err(RunError::FolderName { .. })), "{wrong}");
        assert!(unpack(&b""[..], &inner, &record(wrong)).is_err(), "{wrong}");
    }
    assert!(files::names_in(&inner, 10).unwrap().is_empty());
}

#[test]
fn hostile_archives_write_nothing() {
    let root = tempfile::tempdir().unwrap();
    let into = root.path().join("into");
    let good: &[(u8, &str, &[u8])] = &[(b'5', "r", b""), (b'0', "r/run.json", b"{}"), (b'0', "r/journal.jsonl", b"")];
    for (entry, what) in [
        ((b'0', "r/../evil", &b"x"[..]), "up"),
        ((b'0', "../evil", b"x"), "out"),
        ((b'0', "/tmp/evil", b"x"), "absolute"),
        ((b'0', "other/evil", b"x"), "another folder"),
        ((b'0', "r//evil", b"x"), "an empty step"),
        ((b'0', "r/.evil", b"x"), "hidden"),
        ((b'0', "r/e\x1bvil", b"x"), "control characters"),
        ((b'2', "r/evil", b""), "a symbolic link"),
        ((b'1', "r/evil", b""), "a hard link"),
        ((b'3', "r/evil", b""), "a device"),
        ((b'6', "r/evil", b""), "a pipe"),
        ((b'L', "././@LongLink", b"r/evil"), "a long name"),
        ((b'x', "r/evil", b"11 path=/x\n"), "an extension"),
        ((b'0', "r/run.json", b"x"), "a second file of one name"),
        ((b'0', "r/run.json/evil", b"x"), "a file as a folder"),
        ((b'0', "r/missing/evil", b"x"), "no folder above it"),
    ] {
        let mut entries = good.to_vec();
        entries.push(entry);
        let error = unpack(&archive(&entries)[..], &into, &record("r")).unwrap_err();
        assert!(files::names_in(&into, 10).unwrap().is_empty(), "{what}: {error}");
        assert_eq!(files::names_in(root.path(), 10).unwrap(), ["into"], "{what}");
    }
    // Nor is anything that isn't a record unpacked.
    let error = unpack(&archive(&[(b'5', "r", b""), (b'0', "r/x", b"")])[..], &into, &record("r")).unwrap_err();
    assert!(error.to_string().contains("run.json"), "{error}");
    assert!(unpack(&b"no archive at all, but long enough to be a header of one: 512 bytes".repeat(10)[..], &into, &record("r")).is_err());
    assert!(files::names_in(&into, 10).unwrap().is_empty());
    // The valid archive is accepted.
    unpack(&archive(good)[..], &into, &record("r")).unwrap();
}

#[test]
fn truncated_archives_are_detected() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = run(root.path());
    // Zeros at the end of a file look like the end of an archive.
    fs::write(root.path().join(&name).join("zeros"), vec![0; 4096]).unwrap();
    let bytes = packed(root.path(), &name);
    let cuts = (0..bytes.len()).step_by(512).chain([1, 511, 513, bytes.len() - 1]);
    for cut in cuts {
        let error = unpack(&bytes[..cut], into.path(), &record(&name)).unwrap_err();
        assert!(matches!(error, ArchiveError::Broken { .. }), "{cut}: {error}");
        assert!(files::names_in(into.path(), 10).unwrap().is_empty(), "{cut}");
    }
    let mut more = bytes.clone();
    more.write_all(b"more").unwrap();
    assert!(unpack(&more[..], into.path(), &record(&name)).is_err());
    unpack(&bytes[..], into.path(), &record(&name)).unwrap();
}

#[test]
fn older_copy_is_replaced_and_nothing_else() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = run(root.path());
    let (journal, copy) = (root.path().join(&name).join("journal.jsonl"), into.path().join(&name));
    let whole = fs::read(&journal).unwrap();
    // The copy is packed while the last line is being written.
    fs::write(&journal, &whole[..whole.len() / 2]).unwrap();
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    fs::write(&journal, &whole).unwrap();
    let held = RunFolder::open(&copy).unwrap().lock("a test").unwrap();
    let bytes = packed(root.path(), &name);
    assert!(matches!(unpack(&bytes[..], into.path(), &record(&name)), Err(ArchiveError::Folder(RunError::Locked { .. }))));
    drop(held);
    assert_eq!(unpack(&bytes[..], into.path(), &record(&name)).unwrap(), Unpacked::Replaced);
    assert_eq!(fs::read(copy.join("journal.jsonl")).unwrap(), whole);
    assert_eq!(files::names_in(into.path(), 10).unwrap(), [name.as_str()], "nothing is left beside it");

    // The copy itself was continued.
    let longer = [&whole[..], b"more\n"].concat();
    fs::write(copy.join("journal.jsonl"), &longer).unwrap();
    assert!(matches!(unpack(&bytes[..], into.path(), &record(&name)), Err(ArchiveError::Another { path }) if path == copy));
    assert_eq!(fs::read(copy.join("journal.jsonl")).unwrap(), longer);
    fs::remove_dir_all(&copy).unwrap();
    symlink(root.path().join(&name), &copy).unwrap();
    assert!(matches!(unpack(&bytes[..], into.path(), &record(&name)), Err(ArchiveError::Another { .. })));
}

/// Saves checkpoints of these rounds in a run's folder.
fn save(folder: &Path, rounds: &[u32]) {
    let store = RunFolder::open(folder).unwrap().checkpoints(Unit::Round);
    rounds.iter().for_each(|at| store.save((*at).into(), &[("model".to_owned(), vec![9; 100])].into()).unwrap());
}

fn names(folder: &Path) -> Vec<String> {
    files::names_in(folder, 100).unwrap()
}

#[test]
fn files_only_in_the_older_copy_are_kept() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = run(root.path());
    let (origin, copy) = (root.path().join(&name), into.path().join(&name));
    save(&origin, &[2]);
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    // A user's notes, of all kinds; and leftovers of a killed process.
    fs::create_dir(copy.join("notes")).unwrap();
    fs::write(copy.join("notes/.hidden"), "mine").unwrap();
    fs::write(copy.join("notes.txt"), "mine").unwrap();
    symlink("/elsewhere", copy.join("link")).unwrap();
    fs::write(copy.join(".new-left"), "x").unwrap();
    // An index of the first version, in both folders.
    fs::write(copy.join("index.sqlite"), "x").unwrap();
    fs::write(origin.join("index.sqlite-journal"), "x").unwrap();
    // Derived files, and checkpoints that were deleted at the origin to save space.
    fs::write(copy.join("metrics.csv"), "old").unwrap();
    fs::write(copy.join("events.out.tfevents.0000000001.fltk"), "old").unwrap();
    fs::remove_dir_all(origin.join("checkpoints")).unwrap();
    for again in 0..2 {
        assert_eq!(unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap(), Unpacked::Replaced);
        assert_eq!(fs::read_to_string(copy.join("notes/.hidden")).unwrap(), "mine", "{again}");
        assert_eq!(fs::read_to_string(copy.join("notes.txt")).unwrap(), "mine", "{again}");
        assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("/elsewhere"), "{again}");
        assert_eq!(RunFolder::open(&copy).unwrap().checkpoints(Unit::Round).list().unwrap().len(), 2, "{again}");
        assert_eq!(fs::read(copy.join("metrics.csv")).unwrap(), fs::read(origin.join("metrics.csv")).unwrap());
        assert!(
            !copy.join("events.out.tfevents.0000000001.fltk").exists() && !copy.join(".new-left").exists() && !copy.join("lock").exists()
        );
        assert!(!names(&copy).iter().any(|name| name.starts_with("index.sqlite")), "{again}");
        assert_eq!(names(into.path()), [name.as_str()], "nothing is left beside it");
    }
}

#[test]
fn superseded_checkpoints_are_removed_from_copies() {
    let check = |here: &[u32], there: &[u32], expected: &[u32]| {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = run(root.path());
        let (origin, copy) = (root.path().join(&name), into.path().join(&name));
        let rounds = |rounds: &[u32]| {
            fs::remove_dir_all(origin.join("checkpoints")).unwrap();
            save(&origin, rounds);
            fs::create_dir_all(origin.join("checkpoints")).unwrap();
        };
        rounds(here);
        unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
        rounds(there);
        unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
        let expected: Vec<String> = expected.iter().map(|round| format!("round-{round:06}")).collect();
        assert_eq!(names(&copy.join("checkpoints")), expected, "{here:?} {there:?}");
    };
    check(&[1, 2], &[7, 8], &[7, 8]);
    check(&[1, 2], &[2, 3], &[2, 3]);
    // Some were deleted at the origin: none is lost in the copy.
    check(&[1, 2], &[], &[1, 2]);
    check(&[1, 2], &[2], &[1, 2]);
    check(&[1, 2], &[3], &[1, 2, 3]);
    check(&[1, 2, 9], &[7, 8], &[7, 8, 9]);
}

#[test]
fn states_of_clients_come_after_the_checkpoints_that_need_them_and_go_when_these_go() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = run(root.path());
    let (origin, copy) = (root.path().join(&name), into.path().join(&name));
    let at_origin = |checkpoints: &[u32], states: &[u32]| {
        fs::remove_dir_all(origin.join("checkpoints")).unwrap();
        save(&origin, checkpoints);
        let _none_at_first = fs::remove_dir_all(origin.join("client-state"));
        let store = RunFolder::open(&origin).unwrap().client_states(Round(0)).unwrap();
        states.iter().for_each(|round| store.save(ClientId(3), Round(*round), b"a state").unwrap());
    };
    at_origin(&[1, 2], &[1, 2]);
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    let states = copy.join("client-state/client-000003");
    assert_eq!(names(&states), ["round-000001.safetensors", "round-000002.safetensors"]);
    let paths: Vec<String> = digests(root.path(), &name).unwrap().into_iter().map(|file| file.path).collect();
    let last_checkpoint = paths.iter().rposition(|path| path.contains("/checkpoints/")).unwrap();
    let states_at: Vec<usize> = (0..paths.len()).filter(|at| paths[*at].contains("/client-state/")).collect();
    assert_eq!(states_at, [last_checkpoint + 1, last_checkpoint + 2], "{paths:?}");
    assert!(paths.last().unwrap().ends_with("journal.jsonl"));

    // Fewer than two checkpoints supersede nothing; two do so with the states that only the older one had.
    at_origin(&[6], &[5]);
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    assert_eq!(names(&states).len(), 3);
    at_origin(&[7, 8], &[6, 9]);
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    assert_eq!(names(&states), ["round-000006.safetensors", "round-000009.safetensors"]);
}

#[test]
fn folder_in_place_of_a_file_is_another_record() {
    for make_folder in [true, false] {
        let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let name = run(root.path());
        fs::write(root.path().join(&name).join("a"), "").unwrap();
        fs::create_dir(root.path().join(&name).join("b")).unwrap();
        unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
        let copy = into.path().join(&name);
        if make_folder {
            fs::remove_file(copy.join("a")).unwrap();
            fs::create_dir(copy.join("a")).unwrap();
            fs::write(copy.join("a/notes"), "mine").unwrap();
        } else {
            fs::remove_dir(copy.join("b")).unwrap();
            fs::write(copy.join("b"), "mine").unwrap();
        }
        let error = unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap_err();
        assert!(matches!(error, ArchiveError::Another { .. }), "{error}");
        assert_eq!(fs::read_to_string(copy.join(if make_folder { "a/notes" } else { "b" })).unwrap(), "mine");
        assert_eq!(names(into.path()), [name.as_str()]);
    }
}

#[test]
fn unarchivable_names_are_skipped() {
    let root = tempfile::tempdir().unwrap();
    let name = run(root.path());
    fs::write(root.path().join(&name).join("x".repeat(101)), "").unwrap();
    fs::write(root.path().join(&name).join("y".repeat(100)), "").unwrap();
    let long = "z".repeat(101);
    fs::create_dir(root.path().join(&long)).unwrap();
    fs::write(root.path().join(&long).join("run.json"), "").unwrap();
    assert_eq!(Record::list(root.path(), RecordKind::Run).unwrap(), [record(&name)]);
    assert!(matches!(Record::find(root.path(), RecordKind::Run, &long), Err(RunError::FolderName { .. })));
    let paths: Vec<String> = digests(root.path(), &name).unwrap().into_iter().map(|file| file.path).collect();
    assert!(paths.iter().any(|path| path.ends_with("yy")) && !paths.iter().any(|path| path.ends_with("xx")), "{paths:?}");
    let into = tempfile::tempdir().unwrap();
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    assert_eq!(digests(into.path(), &name).unwrap(), digests(root.path(), &name).unwrap());
}

#[test]
fn hashing_reports_large_files_and_can_be_stopped() {
    let root = tempfile::tempdir().unwrap();
    let name = run(root.path());
    fs::File::create(root.path().join(&name).join("large")).unwrap().set_len(40 << 20).unwrap();
    let (mut within, mut done) = (0, 0);
    hash(root.path(), &name, &mut |step| {
        match step {
            Hashing::Within => within += 1,
            Hashing::Done(_) => done += 1,
        }
        Ok(())
    })
    .unwrap();
    assert_eq!((within, done), (2, digests(root.path(), &name).unwrap().len()));
    let mut told = 0;
    let ended = hash(root.path(), &name, &mut |_| {
        told += 1;
        Err(io::ErrorKind::BrokenPipe.into())
    });
    assert!(matches!(ended, Err(ArchiveError::Broken { .. })) && told == 1);
}

#[test]
fn extended_event_files_are_the_same_files() {
    use std::os::unix::fs::MetadataExt as _;
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = run(root.path());
    let (origin, copy) = (root.path().join(&name), into.path().join(&name));
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    let events = |folder: &Path| {
        let name = names(folder).into_iter().find(|name| name.starts_with("events.out.tfevents.")).unwrap();
        folder.join(name)
    };
    let inode = |folder: &Path| fs::metadata(events(folder)).unwrap().ino();
    let before = inode(&copy);
    let mut file = fs::OpenOptions::new().append(true).open(events(&origin)).unwrap();
    file.write_all(b"more").unwrap();
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    assert_eq!(fs::read(events(&copy)).unwrap(), fs::read(events(&origin)).unwrap());
    assert_eq!(inode(&copy), before);
    // A file with other content is a different file.
    fs::write(events(&origin), "other").unwrap();
    unpack(&packed(root.path(), &name)[..], into.path(), &record(&name)).unwrap();
    assert_eq!(fs::read(events(&copy)).unwrap(), b"other");
    assert_ne!(inode(&copy), before);
    assert_eq!(digests(into.path(), &name).unwrap(), digests(root.path(), &name).unwrap());
}

#[test]
fn received_files_are_compared_with_existing_ones() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = run(root.path());
    let (there, archive) = (digests(root.path(), &name).unwrap(), packed(root.path(), &name));
    let record = record(&name);
    let check = |archive: &[u8]| stage(archive, into.path(), &record, &there).unwrap().check(&there, &there);
    check(&archive).unwrap();
    // Each file in turn, at its first byte.
    for file in there.iter().filter(|file| file.bytes > 0) {
        let content = fs::read(root.path().join(&file.path)).unwrap();
        let at = archive.windows(content.len()).position(|window| window == content).unwrap();
        let mut other = archive.clone();
        other[at] ^= 1;
        let error = check(&other).unwrap_err().to_string();
        assert!(error.contains(&format!("has `{}`, which differs from the digests", file.path)), "{error}");
    }
    assert!(names(into.path()).is_empty(), "nothing is left");
}
