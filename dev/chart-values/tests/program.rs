//! The program as started by xtask.

use std::{fs, path::Path, process::Command};

fn chart_values(chart: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_chart-values")).arg(chart).output().expect("it can be started");
    (output.status.success(), [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat())
}

#[test]
fn generated_schemas_are_the_committed_ones() {
    for chart in ["extractor", "orchestrator"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts").join(chart).join("values.schema.json");
        assert_eq!(chart_values(chart), (true, fs::read_to_string(path).expect("it is committed")), "run `cargo xtask gen`");
    }
}

#[test]
fn unknown_chart_is_refused() {
    let (success, said) = chart_values("extractors");
    assert!(!success && said.contains("there is no chart `extractors`"), "{said}");
}
