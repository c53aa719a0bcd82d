use super::*;
use crate::{
    RunRecorder,
    samples::{at, finished, folder, recorded, round, started},
};

fn seeds(listing: &Listing) -> Vec<u64> {
    listing.runs.iter().map(|run| run.seed).collect()
}

/// The folder of the index of `root` in these tests: hidden, so that it isn't listed as a run.
fn indexes(root: &Path) -> PathBuf {
    root.join(".indexes")
}

fn file_of(root: &Path) -> PathBuf {
    file(root, &indexes(root)).unwrap()
}

fn all(root: &Path) -> Listing {
    list(root, Some(&indexes(root)), &Filter::default(), Sort::Name).unwrap()
}

#[test]
fn index_follows_the_folders() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    assert!(all(&root.join("nowhere")).runs.is_empty());
    let first = recorded(root, 1, &[started(0), round(1, 0.5)]);
    let listing = all(root);
    assert_eq!(listing.runs.len(), 1);
    assert_eq!(listing.runs[0], RunSummary::of(&first.clone().read().unwrap()));
    assert_eq!((listing.runs[0].status, listing.runs[0].accuracy), (Status::Interrupted, Some(0.5)));
    assert_eq!((listing.runs[0].step, listing.runs[0].num_steps), (Some(1), Some(4)));

    let (mut recorder, _) = RunRecorder::open(first.clone(), "a test").unwrap();
    assert_eq!(all(root).runs[0].status, Status::Running);
    recorder.record(&round(2, 0.75), at(5)).unwrap();
    assert_eq!(all(root).runs[0].accuracy, Some(0.75));
    recorder.record(&finished(), at(6)).unwrap();
    assert_eq!(all(root).runs[0].status, Status::Finished);

    recorded(root, 2, &[started(0)]);
    assert_eq!(seeds(&all(root)), [1, 2]);
    fs::remove_dir_all(first.path()).unwrap();
    assert_eq!(seeds(&all(root)), [2]);
}

#[test]
fn settings_of_runs_are_kept_and_shared() {
    let root = tempfile::tempdir().unwrap();
    let runs = [1, 2].map(|seed| recorded(root.path(), seed, &[started(0), round(1, 0.5)]));
    let other = recorded(root.path(), 3, &[started(0)]);
    let path = other.path().join("run.json");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("\"network\": \"LeNet5\"", "\"network\": \"MLP\"")).unwrap();
    // From the folders, and from the index.
    for _ in 0..2 {
        let listing = all(root.path());
        assert_eq!(seeds(&listing), [1, 2, 3]);
        assert_eq!(*listing.settings[0], runs[0].description().hyperparameters);
        assert!(Arc::ptr_eq(&listing.settings[0], &listing.settings[1]));
        assert_eq!(listing.settings[2].text("network"), "MLP");
        assert_eq!(listing.runs[0].curve.as_ref().unwrap().points, [(1, 0.5)]);
    }
}

#[test]
fn unreadable_folder_is_skipped_with_a_reason() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    recorded(root, 1, &[started(0)]);
    let damaged = recorded(root, 2, &[started(0)]);
    assert_eq!(seeds(&all(root)), [1, 2]);
    fs::write(damaged.journal_path(), "damage\n").unwrap();
    fs::create_dir(root.join("notes")).unwrap();
    let listing = all(root);
    assert_eq!(seeds(&listing), [1]);
    assert_eq!(listing.skipped.len(), 1);
    assert_eq!(listing.skipped[0].0, damaged.path());
    assert!(listing.skipped[0].1.to_string().contains("line 1: damaged"), "{}", listing.skipped[0].1);
}

#[test]
fn runs_are_filtered_and_ordered() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for (seed, accuracy) in [(1, 0.3), (2, 0.9), (3, 0.6)] {
        recorded(root, seed, &[started(0), round(1, accuracy), finished()][..if seed == 3 { 2 } else { 3 }]);
    }
    folder(root, 4);
    let check = |filter: Filter, sort: Sort, expected: &[u64]| {
        assert_eq!(seeds(&list(root, Some(&indexes(root)), &filter, sort).unwrap()), expected)
    };
    check(Filter::default(), Sort::Newest, &[4, 3, 2, 1]);
    check(Filter::default(), Sort::Accuracy, &[2, 3, 1, 4]);
    check(Filter { status: Some(Status::Finished), ..Filter::default() }, Sort::Name, &[1, 2]);
    check(Filter { status: Some(Status::Interrupted), ..Filter::default() }, Sort::Name, &[3, 4]);
    check(Filter { experiment: Some("exp".into()), task: Some("task".into()), ..Filter::default() }, Sort::Name, &[1, 2, 3, 4]);
    check(Filter { experiment: Some("other".into()), ..Filter::default() }, Sort::Name, &[]);
    check(Filter { task: Some("' OR 1=1 --".into()), ..Filter::default() }, Sort::Name, &[]);
}

#[test]
fn damaged_or_foreign_index_is_rebuilt() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    recorded(root, 1, &[started(0), round(1, 0.5), finished()]);
    let file = file_of(root);
    let expected = all(root).runs;
    let check = |what: &str| {
        assert_eq!(all(root).runs, expected, "{what}");
        let header = fs::read(&file).unwrap();
        assert!(header.starts_with(b"SQLite format 3\0"), "{what}: the file is an index again");
    };
    let good = fs::read(&file).unwrap();
    fs::write(&file, "not a database, but long enough to look like one".repeat(100)).unwrap();
    check("other content");
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    check("cut in half");
    let edit = |sql: &str| Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    edit("PRAGMA user_version = 99;");
    check("another version");
    edit("DROP TABLE runs; CREATE TABLE runs (name TEXT);");
    check("other tables");
    // Views in the place of tables, triggers, and queries that never end.
    edit("CREATE TABLE more (a);");
    check("one more table");
    edit("CREATE TRIGGER t AFTER INSERT ON runs BEGIN UPDATE runs SET task = 'x'; END;");
    check("a trigger");
    edit(
        "ALTER TABLE runs RENAME TO kept; CREATE VIEW runs AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
         SELECT kept.* FROM kept, n;",
    );
    check("a view without an end");
    edit(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200000) INSERT INTO runs \
          SELECT 'r' || x, 0, 0, 0, 0, '', '', 'finished', NULL, 0.0, '', '{}', '{}', '' FROM n;",
    );
    check("more rows than there are runs");
    edit("UPDATE runs SET summary = replace(summary, '0.5', '0.9');");
    check("another accuracy in the summary");
    edit("UPDATE runs SET accuracy = 0.9;");
    check("another accuracy beside it");
    edit("UPDATE runs SET status = 'failed';");
    check("another status");
    edit("UPDATE runs SET summary = '{}';");
    check("other rows");
    edit("UPDATE runs SET settings = replace(settings, 'LeNet5', 'other');");
    check("other settings");
    edit("PRAGMA user_version = 5; ALTER TABLE runs DROP COLUMN settings;");
    check("the version before settings");
    edit("UPDATE runs SET summary = replace(summary, 'LeNet5', '\\u001b[2J');");
    check("control characters");
    fs::remove_file(&file).unwrap();
    check("gone");
}

#[test]
fn listing_works_without_a_writable_index() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), 1, &[started(0)]);
    // A folder is in the place of the index: no user, not even root, can write a file there.
    fs::create_dir_all(file_of(root.path())).unwrap();
    assert_eq!(seeds(&all(root.path())), [1]);
    // A file is in the place of the folder of indexes, or there is no such folder.
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for indexes in [Some(&*file), None] {
        assert_eq!(seeds(&list(root.path(), indexes, &Filter::default(), Sort::Name).unwrap()), [1]);
    }
}

#[test]
fn index_among_the_records_is_ignored() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), 1, &[started(0)]);
    let among = root.path().join("index.sqlite");
    fs::write(&among, "from elsewhere").unwrap();
    assert_eq!(seeds(&all(root.path())), [1]);
    assert_eq!(fs::read_to_string(&among).unwrap(), "from elsewhere");
    assert!(file_of(root.path()).is_file());
}

#[test]
fn most_recently_used_indexes_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let indexes = root.path().join("indexes");
    fs::create_dir(&indexes).unwrap();
    for number in 0..INDEXES_MAX + 5 {
        fs::write(indexes.join(format!("{number:03}.sqlite")), "").unwrap();
    }
    let runs = root.path().join("runs");
    recorded(&runs, 1, &[started(0)]);
    assert_eq!(seeds(&list(&runs, Some(&indexes), &Filter::default(), Sort::Name).unwrap()), [1]);
    assert_eq!(files::names_in(&indexes, 1000).unwrap().len(), INDEXES_MAX);
    assert!(file(&runs, &indexes).unwrap().is_file());
}

#[test]
fn databases_of_other_programs_are_left_alone() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), 1, &[started(0)]);
    let file = file_of(root.path());
    fs::create_dir(indexes(root.path())).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE runs (precious TEXT);").unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(seeds(&all(root.path())), [1]);
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn link_in_place_of_the_index_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("runs");
    recorded(&runs, 1, &[started(0)]);
    let elsewhere = root.path().join("elsewhere");
    fs::create_dir(indexes(&runs)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, file_of(&runs)).unwrap();
    assert_eq!(seeds(&all(&runs)), [1]);
    assert!(!elsewhere.exists());
    // A link to the folder of runs is the user's own, so the index works there.
    fs::remove_file(file_of(&runs)).unwrap();
    std::os::unix::fs::symlink(&runs, root.path().join("link")).unwrap();
    assert_eq!(seeds(&all(&root.path().join("link"))), [1]);
    assert!(file_of(&runs).is_file());
}

#[test]
fn changed_description_is_read_again() {
    let root = tempfile::tempdir().unwrap();
    let run = recorded(root.path(), 1, &[started(0)]);
    assert_eq!(all(root.path()).runs[0].task, "task");
    let path = run.path().join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"task\": \"task\"", "\"task\": \"longer\"")).unwrap();
    assert_eq!(all(root.path()).runs[0].task, "longer");
}

#[test]
fn run_with_an_irregular_description_is_skipped_with_a_reason() {
    let root = tempfile::tempdir().unwrap();
    let run = recorded(root.path(), 1, &[started(0)]);
    let path = run.path().join("run.json");
    fs::remove_file(&path).unwrap();
    // A socket represents every other file type: reading it would block or fail.
    let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let listing = all(root.path());
    assert!(listing.runs.is_empty());
    assert!(listing.skipped[0].1.to_string().contains("not a plain file"), "{}", listing.skipped[0].1);
}

#[test]
fn pipes_in_place_of_index_files_do_not_block() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    for suffix in ["", "-journal", "-wal"] {
        let root = tempfile::tempdir().unwrap();
        recorded(root.path(), 1, &[started(0)]);
        // The index must exist, so that SQLite looks for its side files.
        assert_eq!(seeds(&all(root.path())), [1]);
        let file = beside(&file_of(root.path()), suffix);
        let _ = fs::remove_file(&file);
        mkfifoat(CWD, &file, Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(seeds(&all(root.path())), [1], "{suffix}");
    }
}

#[test]
fn only_requested_folders_are_read() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (recorded(root.path(), 1, &[started(0)]), recorded(root.path(), 2, &[started(0)]));
    let of = |folders: &[PathBuf]| list_of(root.path(), folders, Some(&indexes(root.path())), &Filter::default(), Sort::Name).unwrap();
    assert_eq!(seeds(&of(&[second.path().to_owned()])), [2]);
    assert!(of(&[]).runs.is_empty());
    assert_eq!(seeds(&of(&[first.path().to_owned(), second.path().to_owned()])), [1, 2]);
}
