//! The data sets: their files, sizes and SHA-256 digests, the URLs of the files, and the preparation of images. A data set is a file beside
//! its siblings here, and a line in the list [`ALL`].
//!
//! The digests of the MNIST, CIFAR-10 and CIFAR-100 files are the ones that data loaders of several independent projects publish for the
//! authors' files. The same holds for Fashion-MNIST, whose content was also compared with the Debian package's; the digest of `shakespeare` was
//! computed.

pub mod cifar10;
pub mod cifar100;
pub mod fashion_mnist;
pub mod fashion_mnist_mini;
pub mod mnist;
pub mod shakespeare;
mod source;
pub mod synthetic;

use fltk_core::catalogue::DatasetEntry;

pub(crate) use self::source::Layout;
pub use self::source::{Augmentation, EmbeddedFile, Format, Normalization, Preparation, Source, SourceFile};
use crate::error::DataError;

/// All data sets.
pub const ALL: &[&Source] = &[
    &mnist::SOURCE,
    &fashion_mnist::SOURCE,
    &fashion_mnist_mini::SOURCE,
    &cifar10::SOURCE,
    &cifar100::SOURCE,
    &shakespeare::SOURCE,
    &synthetic::SOURCE,
];

/// Returns the data set with that name in experiment files, if there is one.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Source> {
    ALL.iter().copied().find(|known| known.name() == name)
}

/// Returns the data set with that name in experiment files.
///
/// # Errors
/// [`DataError::Unknown`] if there is none.
pub fn find(name: &str) -> Result<&'static Source, DataError> {
    let known = || ALL.iter().map(|known| known.name()).collect();
    by_name(name).ok_or_else(|| DataError::Unknown { name: name.to_owned(), known: known() })
}

/// Returns the entries of the data sets, in the order of the list.
#[must_use]
pub fn entries() -> Vec<&'static DatasetEntry> {
    ALL.iter().map(|source| &source.entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_sources_is_well_formed() {
        for source in ALL {
            assert_eq!(by_name(source.name()), Some(*source));
            assert!(!source.entry.entry.doc.is_empty());
            for file in source.files {
                assert!(file.sha256.len() == 64 && hex::decode(file.sha256).is_ok(), "{}", file.sha256);
                assert!(source.is_official(file.sha256) && file.bytes > 0 && !file.urls.is_empty());
                assert!(!file.name.contains(['/', '\\']));
            }
            assert_eq!(source.class_names.len(), source.entry.num_classes().map_or(0, |classes| classes as usize));
            assert!(source != &&cifar100::SOURCE || source.class_names.is_sorted());
            assert_eq!(source.entry.has_natural_clients, matches!(source.format, Format::Text { .. } | Format::Made));
            assert_eq!(source.entry.has_files, source.format != Format::Made);
            assert!(source.embedded.is_empty() || source.embedded.len() == source.format.parts().len());
        }
        assert_eq!(by_name("imagenet"), None);
        assert!(!mnist::SOURCE.is_official(""));
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = find("imagenet").expect_err("no such data set").to_string();
        assert_eq!(
            error,
            "there is no data set `imagenet`\nhint: the names are mnist, fashion-mnist, fashion-mnist-mini, cifar10, cifar100, shakespeare, synthetic"
        );
    }
}
