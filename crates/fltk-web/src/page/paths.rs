//! The paths under which the page asks for answers, as its script writes them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that stay as they are in a segment of a path: those of JavaScript's `encodeURIComponent`.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'!').remove(b'~').remove(b'*').remove(b'\'').remove(b'(').remove(b')');

/// Returns the path of a run's report.
#[must_use]
pub fn run(name: &str) -> String {
    format!("runs/{}", utf8_percent_encode(name, KEPT))
}

/// Returns the path of what a run's clients did.
#[must_use]
pub fn clients(name: &str) -> String {
    format!("{}/clients", run(name))
}

/// Returns the path of a stream's course.
#[must_use]
pub fn timeline(name: &str) -> String {
    format!("streams/{}/timeline", utf8_percent_encode(name, KEPT))
}

/// Returns the path of a comparison of runs.
#[must_use]
pub fn compare<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(names.map(|name| ("run", name))).finish();
    format!("compare?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_script_writes_them() {
        // The results of `encodeURIComponent` and `URLSearchParams`.
        assert_eq!(run("a b/c~(1)*'!é"), "runs/a%20b%2Fc~(1)*'!%C3%A9");
        assert_eq!(clients("a"), "runs/a/clients");
        assert_eq!(timeline("s&t"), "streams/s%26t/timeline");
        assert_eq!(compare(["a b", "c~(1)*'!"].into_iter()), "compare?run=a+b&run=c%7E%281%29*%27%21");
    }
}
