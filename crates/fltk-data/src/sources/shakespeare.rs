//! Plays of Shakespeare as one text.

use fltk_core::catalogue::{DatasetEntry, Entry, SampleKind};

use super::source::{Augmentation, Format, Normalization, Source, SourceFile};

const FILE: &str = "tinyshakespeare.txt";

/// The data set `shakespeare`.
pub static SOURCE: Source = Source {
    entry: DatasetEntry {
        entry: Entry::new("shakespeare", "Shakespeare's plays by character; each speaker is a natural client."),
        gives: SampleKind::Text,
        num_train: None,
        has_natural_clients: true,
        natural_clients: None,
        has_files: true,
    },
    title: "Plays of Shakespeare by character",
    license: "public domain",
    reference: "Karpathy 2015, char-rnn's tinyshakespeare",
    files: &[SourceFile {
        name: FILE,
        bytes: 1_115_394,
        sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        urls: &[
            "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
            "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
        ],
    }],
    embedded: &[],
    subfolders: &[],
    system_folders: &[],
    class_names: &[],
    format: Format::Text { file: FILE },
    other_archives: &[],
    repacked: &[],
    normalization: Normalization::SCALE,
    augmentation: Augmentation::None,
};
