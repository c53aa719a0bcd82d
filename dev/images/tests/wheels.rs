//! The wheels that are installed for the tests, into the image of TensorBoard, and from which libtorch is taken: exact versions, with digests.

use std::collections::BTreeMap;

const FILES: [&str; 3] = [
    include_str!("../../../python/requirements.txt"),
    include_str!("../../../python/tensorboard.txt"),
    include_str!("../../../python/libtorch.txt"),
];

/// Returns the packages in a file, each with its version and the digests of its wheels.
fn pins(text: &str) -> BTreeMap<&str, (&str, Vec<&str>)> {
    let mut found: BTreeMap<&str, (&str, Vec<&str>)> = BTreeMap::new();
    let mut last = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let line = line.trim_end_matches(['\\', ' ']);
        if let Some(digest) = line.strip_prefix("    --hash=sha256:") {
            assert!(digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
            found.get_mut(last).expect("a package before it").1.push(digest);
        } else {
            let (name, version) = line.split_once("==").unwrap_or_else(|| panic!("`{line}` is no exact version"));
            found.insert(name, (version, Vec::new()));
            last = name;
        }
    }
    found
}

#[test]
fn wheels_have_digests() {
    for pins in FILES.map(pins) {
        for (name, (_, digests)) in &pins {
            assert!(!digests.is_empty(), "`{name}` has no digest");
        }
    }
}

#[test]
fn packages_have_the_same_version_everywhere() {
    let [tests, image, libtorch] = FILES.map(pins);
    assert!(image.contains_key("tensorboard") && libtorch["torch"].0 == xtask::setup::libtorch::VERSION);
    for (name, (version, digests)) in image.iter().chain(&libtorch) {
        let (of_tests, others) = &tests[name];
        assert!(of_tests == version && digests.iter().all(|digest| others.contains(digest)), "{name}");
    }
}
