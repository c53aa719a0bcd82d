//! The prefix of a server's paths, for a proxy that also serves other paths.

use std::{fmt, str::FromStr};

use fltk_server::PROBES;

/// A path such as `/a/b`, or the empty prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefix(String);

/// A text can't be a prefix.
#[derive(Debug, thiserror::Error)]
#[error(
    "a prefix is `/` or segments of letters, digits and `-._~`, such as `/fltk/runs`; not `/healthz` or `/readyz`, which are for probes"
)]
pub struct PrefixError;

impl Prefix {
    /// Returns true if the prefix is empty.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// A trailing `/` is ignored.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let is_step = |step: &str| !matches!(step, "" | "." | "..") && step.chars().all(fits);
        let is_path = path.is_empty() || path.strip_prefix('/').is_some_and(|steps| steps.split('/').all(is_step));
        if is_path && !PROBES.contains(&path) { Ok(Self(path.to_owned())) } else { Err(PrefixError) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_plain_path_segments() {
        let check = |text: &str, prefix: &str| assert_eq!(text.parse::<Prefix>().unwrap().to_string(), prefix, "{text}");
        check("", "");
        check("/", "");
        check("/runs", "/runs");
        check("/a.b/c-d_e~/", "/a.b/c-d_e~");
        check("/healthz/a", "/healthz/a");
        for wrong in ["runs", "//", "/a//b", "/..", "/a/./b", "/{name}", "/a b", "/a?b", "/é", "/healthz", "/readyz/"] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
    }
}
