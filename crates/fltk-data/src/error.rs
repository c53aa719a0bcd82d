//! What can go wrong when a data set is found and read.

use std::{io, path::PathBuf};

/// Why a data set could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// In none of the known places.
    #[error("data set `{name}` not found in {}\nhint: run `fltk data fetch {name}`", list(.searched))]
    Missing {
        /// The data set.
        name: &'static str,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// In none of the known places, and there may be a cache that nobody knows of.
    #[error(
        "data set `{name}` is not part of the program, and there is no cache folder: neither XDG_CACHE_HOME nor HOME is set\nhint: say where data sets are with `--data DIR`, or with `path` in the experiment"
    )]
    NoCache {
        /// The data set.
        name: &'static str,
    },
    /// There is nothing where the user said.
    #[error("`{}`, where data set `{name}` should be, is not there", path.display())]
    Absent {
        /// The data set.
        name: &'static str,
        /// The folder or archive.
        path: PathBuf,
    },
    /// The folder or archive that the user named does not hold the data set.
    #[error("`{}` does not hold data set `{name}`\nhint: it needs {expected}{}", path.display(), sentence(.unread))]
    NotHere {
        /// The data set.
        name: &'static str,
        /// The folder or archive.
        path: PathBuf,
        /// The files that make it up.
        expected: String,
        /// What is there that may be it, but isn't read, and what to do.
        unread: Option<String>,
    },
    /// The place holds another data set, known by its digests.
    #[error("`{}` holds data set `{other}`, not `{name}`\nhint: set the data set's name to `{other}`, or its path to where `{name}` lies", path.display())]
    OtherDataset {
        /// The data set asked for.
        name: &'static str,
        /// The folder or archive.
        path: PathBuf,
        /// The data set found.
        other: &'static str,
    },
    /// The operating system refused.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there but is not what it should be.
    #[error("`{}` is not usable: {problem}\nhint: if it came from the network, remove it and run `fltk data fetch {name}`", path.display())]
    Format {
        /// The data set.
        name: &'static str,
        /// The file, or the archive and the file within.
        path: PathBuf,
        /// What is wrong with it.
        problem: FormatError,
    },
}

/// What is wrong with the bytes of a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not this kind of file.
    #[error("it starts with {found:#010x} where {what} has {expected:#010x}")]
    Magic {
        /// What was expected.
        what: &'static str,
        /// The four bytes found, big-endian.
        found: u32,
        /// The four bytes expected.
        expected: u32,
    },
    /// Images of another size.
    #[error("its images are {found_height}x{found_width} where {height}x{width} is expected")]
    ImageSize {
        /// Rows found.
        found_height: u32,
        /// Columns found.
        found_width: u32,
        /// Rows expected.
        height: u32,
        /// Columns expected.
        width: u32,
    },
    /// Fewer bytes than it promises.
    #[error("it is truncated: {found} bytes where {expected} are expected")]
    Truncated {
        /// Bytes present.
        found: u64,
        /// Bytes promised.
        expected: u64,
    },
    /// More bytes than it promises.
    #[error("{extra} bytes follow the end of its data")]
    Trailing {
        /// Bytes too many.
        extra: u64,
    },
    /// Not a whole number of records.
    #[error("its {found} bytes are not a whole number of records of {record} bytes")]
    Records {
        /// Bytes present.
        found: u64,
        /// Bytes of one record.
        record: u64,
    },
    /// No samples.
    #[error("it holds no samples")]
    Empty,
    /// A label that no class has.
    #[error("sample {index} has label {label}, but there are {num_classes} classes")]
    Label {
        /// The sample.
        index: usize,
        /// Its label.
        label: u16,
        /// Labels are below this.
        num_classes: usize,
    },
    /// Images and labels don't belong together.
    #[error("it has {labels} labels for {images} images")]
    Count {
        /// Number of labels.
        labels: usize,
        /// Number of images.
        images: usize,
    },
    /// Larger, packed or unpacked, than any copy of this data set can be.
    #[error("it is larger than {limit} bytes, more than this file can rightly have")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The compressed data or the archive is damaged.
    #[error("its compression or archive format is damaged: {0}")]
    Damaged(String),
    /// The archive holds the same file twice.
    #[error("the archive holds it twice")]
    Twice,
    /// A pickle that is cut off, or more than plain data.
    #[error("it is a pickle that can't be read: byte {at}: {problem}")]
    Pickle {
        /// Where.
        at: usize,
        /// What is wrong.
        problem: String,
    },
    /// A pickle that isn't a batch of images.
    #[error("it is a pickle without `{key}`, {what}")]
    Pickled {
        /// The key of the outermost dict.
        key: &'static str,
        /// What it should have there.
        what: &'static str,
    },
    /// A text that is not UTF-8.
    #[error("byte {at} is not valid UTF-8")]
    Utf8 {
        /// Offset.
        at: usize,
    },
    /// A text with more distinct characters than a vocabulary may have.
    #[error("it has {found} distinct characters, more than {limit}")]
    Vocabulary {
        /// Distinct characters.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A text with more speakers than can be told apart.
    #[error("it has more than {limit} speakers")]
    Speakers {
        /// The limit.
        limit: usize,
    },
}

fn sentence(unread: &Option<String>) -> String {
    unread.as_ref().map(|unread| format!("; {unread}")).unwrap_or_default()
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}
