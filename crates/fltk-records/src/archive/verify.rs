//! Checks that an archive matches the folder that it was made from, which may be written meanwhile.
//!
//! ```text
//! digests before ── archive ── digests after
//! ```

use std::collections::BTreeMap;

use super::FileDigest;

/// A file that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) file: FileDigest,
    /// SHA-256 of its first bytes, as many as the earlier digests say that the file has; `None` if it has fewer, or they don't list it.
    pub(super) beginning: Option<String>,
}

/// Returns the path of the first file that matches neither its earlier digest (bytes may have been appended) nor its later one; or of the
/// first that is missing although it was there both before and after.
pub(super) fn first_other<'a>(seen: &'a [Seen], before: &'a [FileDigest], after: &[FileDigest]) -> Option<&'a str> {
    let by_path = |files: &'a [FileDigest]| files.iter().map(|file| (file.path.as_str(), file)).collect::<BTreeMap<_, _>>();
    let was = by_path(before);
    let is: BTreeMap<&str, &FileDigest> = after.iter().map(|file| (file.path.as_str(), file)).collect();
    let fits = |seen: &Seen| {
        let path = seen.file.path.as_str();
        let has_grown = |was: &&FileDigest| seen.beginning.as_ref() == Some(&was.sha256);
        was.get(path).is_some_and(has_grown) || is.get(path) == Some(&&seen.file)
    };
    let came: BTreeMap<&str, &Seen> = seen.iter().map(|seen| (seen.file.path.as_str(), seen)).collect();
    let other = seen.iter().find(|seen| !fits(seen)).map(|seen| seen.file.path.as_str());
    other.or_else(|| before.iter().map(|file| file.path.as_str()).find(|path| !came.contains_key(path) && is.contains_key(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> FileDigest {
        FileDigest { path: path.to_owned(), bytes: content.len() as u64, sha256: content.to_owned() }
    }

    /// A file that was unpacked, and its beginning: contents stand for digests here.
    fn seen(path: &str, content: &str, known_bytes: Option<usize>) -> Seen {
        let beginning = known_bytes.and_then(|bytes| content.get(..bytes)).map(str::to_owned);
        Seen { file: file(path, content), beginning }
    }

    #[test]
    fn received_contents_match_the_file_before_or_after() {
        let check = |came: Option<&str>, before: Option<&str>, after: Option<&str>, fits: bool| {
            let of = |content: Option<&str>| content.map(|content| file("r/a", content)).into_iter().collect::<Vec<_>>();
            let came: Vec<Seen> = came.map(|content| seen("r/a", content, before.map(str::len))).into_iter().collect();
            assert_eq!(first_other(&came, &of(before), &of(after)).is_none(), fits, "{came:?} {before:?} {after:?}");
        };
        check(Some("ab"), Some("ab"), Some("ab"), true);
        check(Some("ax"), Some("ab"), Some("ab"), false);
        // Meanwhile the file grows, is replaced, is created, or is removed.
        check(Some("abc"), Some("ab"), Some("abcd"), true);
        check(Some("xbc"), Some("ab"), Some("abcd"), false);
        check(Some("xy"), Some("ab"), Some("xy"), true);
        check(Some("xy"), Some("ab"), Some("xyz"), false);
        check(Some("ab"), None, Some("ab"), true);
        check(Some("ab"), None, None, false);
        check(Some("ab"), Some("ab"), None, true);
        check(None, Some("ab"), None, true);
        check(None, Some("ab"), Some("ab"), false);
        check(None, None, Some("ab"), true);
        // The file was cut.
        check(Some("a"), Some("ab"), Some("ab"), false);
        check(Some(""), Some("ab"), Some("ab"), false);
        check(Some(""), Some(""), Some(""), true);
    }
}
