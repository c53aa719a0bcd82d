//! The program as started by xtask.

use std::process::Command;

fn acceptance(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_acceptance")).args(arguments).output().expect("it can be started");
    (output.status.success(), [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat())
}

#[test]
fn help_names_the_cargo_command() {
    for command in ["bench", "charts", "cluster", "image", "pictures", "reproduce"] {
        let (success, said) = acceptance(&[command, "--help"]);
        assert!(success && said.contains(&format!("Usage: cargo xtask {command}")), "{said}");
    }
}

#[test]
fn unknown_part_fails() {
    let (success, said) = acceptance(&["part", "no such part"]);
    assert!(!success && said.contains("there is no part `no such part` here"), "{said}");
}
