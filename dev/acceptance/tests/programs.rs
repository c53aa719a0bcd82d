//! The programs of others that the packages of `dev` and xtask start.

use std::{collections::BTreeSet, fs, path::Path};

use xtask::setup::programs::package_of;

/// Returns the names of programs in the text of a source file that are started by their name alone.
fn started(text: &str) -> impl Iterator<Item = &str> {
    let begins = ["Command::new(\"", "inside(\"", "sh::is_there(\""];
    begins.into_iter().flat_map(move |begin| text.split(begin).skip(1)).filter_map(|rest| rest.split('"').next())
}

fn walk(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("it can be read");
            // Tests are the last item in a file.
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            found.extend(started(text).filter(|name| !name.contains(['/', ' '])).map(str::to_owned));
        }
    }
}

#[test]
fn started_programs_are_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = BTreeSet::new();
    walk(&root.join("xtask/src"), &mut found);
    for package in ["acceptance", "images", "testbed"] {
        walk(&root.join("dev").join(package).join("src"), &mut found);
    }
    assert!(found.contains("patchelf") && found.contains("nsenter"), "{found:?}");
    // cargo installs its own subcommand.
    let unknown: Vec<&String> = found.iter().filter(|name| package_of(name).is_none() && *name != "cargo-deny").collect();
    assert!(unknown.is_empty(), "{unknown:?} are started, and not in PACKAGES");
}
