//! The errors of finding and reading a data set.

use std::{io, path::PathBuf};

use crate::own::OwnError;

/// The reason why a data set could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No data set has that name.
    #[error("there is no data set `{name}`\nhint: the names are {}", known.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// The names of the data sets.
        known: Vec<&'static str>,
    },
    /// The data set is in none of the known places.
    #[error("data set `{name}` not found in {}\nhint: run `fltk data fetch {name}`", list(.searched))]
    Missing {
        /// The data set.
        name: &'static str,
        /// The places that were searched.
        searched: Vec<PathBuf>,
    },
    /// The data set is in none of the known places, and no cache folder is known.
    #[error(
        "data set `{name}` is not part of the program, and there is no cache folder: neither XDG_CACHE_HOME nor HOME is set\nhint: set the folder of data sets with `--data DIR`, or with `path` in the experiment"
    )]
    NoCache {
        /// The data set.
        name: &'static str,
    },
    /// The path that the user gave doesn't exist.
    #[error("`{}`, where data set `{name}` should be, is not there", path.display())]
    Absent {
        /// The data set.
        name: &'static str,
        /// The folder or archive.
        path: PathBuf,
    },
    /// The folder or archive that the user gave does not contain the data set.
    #[error("`{}` does not hold data set `{name}`\nhint: it needs {expected}{}", path.display(), sentence(.unread))]
    NotHere {
        /// The data set.
        name: &'static str,
        /// The folder or archive.
        path: PathBuf,
        /// The files that the data set consists of.
        expected: String,
        /// A file that may be the data set but can't be read as it is, and what to do about it.
        unread: Option<String>,
    },
    /// The place contains another data set, recognized by its digests.
    #[error("`{}` holds data set `{other}`, not `{name}`\nhint: set the data set's name to `{other}`, or its path to the folder of `{name}`", path.display())]
    OtherDataset {
        /// The data set asked for.
        name: &'static str,
        /// The folder or archive.
        path: PathBuf,
        /// The data set that was found.
        other: &'static str,
    },
    /// A path was given for a data set without files.
    #[error("data set `{name}` is made and has no files, so it can't be read from `{path}`\nhint: leave `path` out")]
    NoFiles {
        /// The data set.
        name: &'static str,
        /// The path.
        path: String,
    },
    /// The data set can't be made with these settings.
    #[error("data set `{name}` can't be made: {problem}")]
    Settings {
        /// The data set.
        name: &'static str,
        /// The problem.
        problem: String,
    },
    /// No format has that name.
    #[error("there is no format `{name}`\nhint: the formats are {}", known.join(", "))]
    UnknownFormat {
        /// The name.
        name: String,
        /// The names of the formats.
        known: Vec<&'static str>,
    },
    /// Data of one's own has no path.
    #[error(
        "data of one's own in the format `{format}` has no path\nhint: the path isn't sent to other machines: there, only the known data sets can be trained on"
    )]
    NoPath {
        /// The format.
        format: &'static str,
    },
    /// Data of one's own can't be read.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// The operating system reported an error.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file exists but has invalid content.
    #[error("`{}` is not usable: {problem}\nhint: if it came from the network, remove it and run `fltk data fetch {name}`", path.display())]
    Format {
        /// The data set.
        name: &'static str,
        /// The file, or the archive and the file in it.
        path: PathBuf,
        /// The problem with the content.
        problem: FormatError,
    },
}

/// The problem with the bytes of a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The file is not of this kind.
    #[error("it starts with {found:#010x} where {what} has {expected:#010x}")]
    Magic {
        /// The expected kind.
        what: &'static str,
        /// The four bytes that were found, big-endian.
        found: u32,
        /// The four bytes that were expected.
        expected: u32,
    },
    /// The images have another size.
    #[error("its images are {found_height}x{found_width} where {height}x{width} is expected")]
    ImageSize {
        /// The number of rows found.
        found_height: u32,
        /// The number of columns found.
        found_width: u32,
        /// The number of rows expected.
        height: u32,
        /// The number of columns expected.
        width: u32,
    },
    /// The file has fewer bytes than its header says.
    #[error("it is truncated: {found} bytes where {expected} are expected")]
    Truncated {
        /// The number of bytes present.
        found: u64,
        /// The number of bytes expected.
        expected: u64,
    },
    /// The file has more bytes than its header says.
    #[error("{extra} bytes follow the end of its data")]
    Trailing {
        /// The number of extra bytes.
        extra: u64,
    },
    /// The file is not a whole number of records.
    #[error("its {found} bytes are not a whole number of records of {record} bytes")]
    Records {
        /// The number of bytes present.
        found: u64,
        /// The bytes of one record.
        record: u64,
    },
    /// There are no samples.
    #[error("it holds no samples")]
    Empty,
    /// A label is not that of any class.
    #[error("sample {index} has label {label}, but there are {num_classes} classes")]
    Label {
        /// The sample.
        index: usize,
        /// Its label.
        label: u16,
        /// The number of classes; labels are below it.
        num_classes: usize,
    },
    /// The numbers of images and labels differ.
    #[error("it has {labels} labels for {images} images")]
    Count {
        /// The number of labels.
        labels: usize,
        /// The number of images.
        images: usize,
    },
    /// The file is larger, packed or unpacked, than any copy of this data set can be.
    #[error("it is larger than {limit} bytes, more than this file can have")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The compressed data or the archive is damaged.
    #[error("its compression or archive format is damaged: {0}")]
    Damaged(String),
    /// The archive contains the same file twice.
    #[error("the archive holds it twice")]
    Twice,
    /// The pickle is cut off, or contains more than plain data.
    #[error("it is a pickle that can't be read: byte {at}: {problem}")]
    Pickle {
        /// The offset, in bytes.
        at: usize,
        /// The problem.
        problem: String,
    },
    /// The pickle isn't a batch of images.
    #[error("it is a pickle without `{key}`, {what}")]
    Pickled {
        /// The key in the outermost dict.
        key: &'static str,
        /// The value that it should have.
        what: &'static str,
    },
    /// The text is not UTF-8.
    #[error("byte {at} is not valid UTF-8")]
    Utf8 {
        /// The offset, in bytes.
        at: usize,
    },
    /// The text has more distinct characters than a vocabulary may have.
    #[error("it has {found} distinct characters, more than {limit}")]
    Vocabulary {
        /// The number of distinct characters.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The text has more speakers than labels can distinguish.
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
