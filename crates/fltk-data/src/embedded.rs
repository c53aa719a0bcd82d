//! The data set that is part of the program, so that a first run needs no download: 4,000/1,000 images of Fashion-MNIST, class-balanced.
//! The script `assets/make_mini.py` makes it; `assets/LICENSE` is its license (MIT).

use std::path::PathBuf;

use fltk_core::experiment::DatasetName;

use crate::{
    dataset::{Dataset, FileDigest, Origin},
    digest::sha256_hex,
    error::DataError,
    files::{Contents, format_error, unpack},
    load::dataset,
    sources::source,
};

const FILES: [(&str, &[u8]); 4] = [
    ("train-images-idx3-ubyte.gz", include_bytes!("../assets/train-images-idx3-ubyte.gz")),
    ("train-labels-idx1-ubyte.gz", include_bytes!("../assets/train-labels-idx1-ubyte.gz")),
    ("t10k-images-idx3-ubyte.gz", include_bytes!("../assets/t10k-images-idx3-ubyte.gz")),
    ("t10k-labels-idx1-ubyte.gz", include_bytes!("../assets/t10k-labels-idx1-ubyte.gz")),
];

/// Unpacks the embedded subset of Fashion-MNIST.
///
/// # Errors
/// Never, unless the program file itself is damaged.
pub(crate) fn fashion_mnist_mini() -> Result<Dataset, DataError> {
    let name = DatasetName::FashionMnistMini;
    let source = source(name);
    let mut contents = Contents { parts: Vec::new(), digests: Vec::new(), origin: Origin::Embedded };
    for (file, bytes) in FILES {
        let path = PathBuf::from(format!("embedded:{file}"));
        contents.digests.push(FileDigest { name: file.to_owned(), sha256: sha256_hex(bytes), official: true });
        let unpacked = unpack(bytes.to_vec()).map_err(|problem| format_error(&source, &path, problem))?;
        contents.parts.push((path, unpacked));
    }
    dataset(name, &source, contents)
}
