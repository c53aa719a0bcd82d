//! The binary versions of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of one or two label bytes and 3,072 pixel bytes (planes of
//! red, green, blue, each 32x32 by rows).

use super::check_labels;
use crate::{error::FormatError, samples::ImageSet};

/// The bytes of one image.
const IMAGE: usize = 3 * 32 * 32;

/// The labels that precede an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The class, for CIFAR-10.
    One,
    /// The super-class (one of 20, which is checked but not kept), then the class, for CIFAR-100.
    CoarseAndFine,
}

impl Labels {
    const fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::CoarseAndFine => 2,
        }
    }
}

/// Joins the files of a split, in order, into one set of `3 x 32 x 32` images.
///
/// # Errors
/// The index in `files` of the wrong file, and the problem: not whole records, a label without a class, no samples.
pub fn image_set(files: Vec<Vec<u8>>, labels: Labels, num_classes: usize) -> Result<ImageSet, (usize, FormatError)> {
    let record = labels.bytes() + IMAGE;
    let num_images = files.iter().map(|file| file.len() / record).sum::<usize>();
    let mut set = ImageSet {
        pixels: Vec::with_capacity(num_images * IMAGE),
        labels: Vec::with_capacity(num_images),
        shape: [3, 32, 32],
        clients: None,
    };
    for (index, file) in files.into_iter().enumerate() {
        append(&mut set, &file, labels, num_classes).map_err(|problem| (index, problem))?;
    }
    Ok(set)
}

fn append(set: &mut ImageSet, file: &[u8], labels: Labels, num_classes: usize) -> Result<(), FormatError> {
    let record = labels.bytes() + IMAGE;
    if file.is_empty() {
        return Err(FormatError::Empty);
    }
    if !file.len().is_multiple_of(record) {
        return Err(FormatError::Records { found: file.len() as u64, record: record as u64 });
    }
    let of = |position: usize| file.chunks_exact(record).map(|record| u16::from(record[position])).collect::<Vec<_>>();
    if labels == Labels::CoarseAndFine {
        check_labels(&of(0), 20)?;
    }
    let classes = of(labels.bytes() - 1);
    check_labels(&classes, num_classes)?;
    set.labels.extend(classes);
    for record in file.chunks_exact(record) {
        set.pixels.extend_from_slice(&record[labels.bytes()..]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(labels: &[u8], pixel: u8) -> Vec<u8> {
        [labels, &[pixel; IMAGE]].concat()
    }

    #[test]
    fn files_are_read_in_order() {
        let files = vec![[record(&[3], 7), record(&[9], 8)].concat(), record(&[0], 9)];
        let set = image_set(files, Labels::One, 10).expect("good files");
        assert_eq!((set.labels.as_slice(), set.shape), ([3, 9, 0].as_slice(), [3, 32, 32]));
        assert_eq!((set.image(0), set.image(2)), ([7; IMAGE].as_slice(), [9; IMAGE].as_slice()));
    }

    #[test]
    fn fine_labels_of_cifar_100_are_kept() {
        let set = image_set(vec![record(&[19, 99], 1)], Labels::CoarseAndFine, 100).expect("a good file");
        assert_eq!((set.labels, set.pixels.len()), (vec![99], IMAGE));
    }

    #[test]
    fn invalid_files_are_refused() {
        let check = |file: Vec<u8>, labels, num_classes, expected| {
            assert_eq!(image_set(vec![file], labels, num_classes), Err((0, expected)));
        };
        check(vec![], Labels::One, 10, FormatError::Empty);
        check(vec![0; 3072], Labels::One, 10, FormatError::Records { found: 3072, record: 3073 });
        check(vec![0; 3074], Labels::One, 10, FormatError::Records { found: 3074, record: 3073 });
        check(record(&[10], 0), Labels::One, 10, FormatError::Label { index: 0, label: 10, num_classes: 10 });
        check(record(&[0, 100], 0), Labels::CoarseAndFine, 100, FormatError::Label { index: 0, label: 100, num_classes: 100 });
        check(record(&[20, 0], 0), Labels::CoarseAndFine, 100, FormatError::Label { index: 0, label: 20, num_classes: 20 });
        let good = record(&[1], 0);
        assert!(matches!(image_set(vec![good, vec![1]], Labels::One, 10), Err((1, FormatError::Records { .. }))));
    }
}
