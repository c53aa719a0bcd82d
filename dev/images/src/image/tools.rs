//! Programs of others with which images are made. On Debian as root, a missing one is installed before its first use.

use anyhow::{Context as _, bail};

use crate::setup::{
    debian,
    programs::{is_on_path, package_of},
};

/// Makes sure that `programs` can be started: missing ones are installed, if possible.
///
/// # Errors
/// The first program that is still missing, and why.
pub fn ensure(programs: &[&str]) -> anyhow::Result<()> {
    for program in programs.iter().filter(|program| !is_on_path(program)) {
        let package = package_of(program).with_context(|| format!("there is no program `{program}`"))?;
        debian::install(&[package]).map_err(anyhow::Error::msg).with_context(|| format!("there is no program `{program}`"))?;
        if !is_on_path(program) {
            bail!(
                "there is no program `{program}` in the folders of PATH, though the Debian package `{package}`, which has it, is installed"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_program_is_named() {
        let error = ensure(&["no-such-program-anywhere"]).unwrap_err().to_string();
        assert!(error.contains("`no-such-program-anywhere`"), "{error}");
        ensure(&["sh"]).unwrap();
    }
}
