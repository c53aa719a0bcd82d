use super::*;
use crate::{
    RunRecorder,
    samples::{at, finished, folder, recorded, round, started},
};

fn seeds(listing: &Listing) -> Vec<u64> {
    listing.runs.iter().map(|run| run.seed).collect()
}

fn all(root: &Path) -> Listing {
    list(root, &Filter::default(), Sort::Name).unwrap()
}

#[test]
fn it_follows_the_folders() {
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
fn a_folder_that_can_not_be_read_is_skipped_with_its_reason() {
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
fn filters_and_order() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    for (seed, accuracy) in [(1, 0.3), (2, 0.9), (3, 0.6)] {
        recorded(root, seed, &[started(0), round(1, accuracy), finished()][..if seed == 3 { 2 } else { 3 }]);
    }
    folder(root, 4);
    let check = |filter: Filter, sort: Sort, expected: &[u64]| assert_eq!(seeds(&list(root, &filter, sort).unwrap()), expected);
    check(Filter::default(), Sort::Newest, &[4, 3, 2, 1]);
    check(Filter::default(), Sort::Accuracy, &[2, 3, 1, 4]);
    check(Filter { status: Some(Status::Finished), ..Filter::default() }, Sort::Name, &[1, 2]);
    check(Filter { status: Some(Status::Interrupted), ..Filter::default() }, Sort::Name, &[3, 4]);
    check(Filter { experiment: Some("exp".into()), network: Some("LeNet5".into()), ..Filter::default() }, Sort::Name, &[1, 2, 3, 4]);
    check(Filter { dataset: Some("cifar10".into()), ..Filter::default() }, Sort::Name, &[]);
    check(Filter { task: Some("' OR 1=1 --".into()), ..Filter::default() }, Sort::Name, &[]);
}

#[test]
fn a_damaged_or_foreign_index_is_remade() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    recorded(root, 1, &[started(0)]);
    let file = root.join("index.sqlite");
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
    edit("UPDATE runs SET summary = '{}';");
    check("other rows");
    fs::remove_file(&file).unwrap();
    check("gone");
    assert_eq!(rebuild(root).unwrap().runs, expected);
}

#[test]
fn where_it_can_not_be_written_the_listing_is_made_without() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), 1, &[started(0)]);
    // A folder in its place: no user, not even root, can write a file there.
    fs::create_dir(root.path().join("index.sqlite")).unwrap();
    assert_eq!(seeds(&all(root.path())), [1]);
}
