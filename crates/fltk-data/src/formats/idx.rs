//! IDX, the format of MNIST: a big-endian magic number, one big-endian size for each dimension, then bytes.

use super::check_labels;
use crate::{error::FormatError, samples::ImageSet};

/// The magic number of unsigned bytes (`0x08`) in three dimensions.
const IMAGES_MAGIC: u32 = 0x0000_0803;
/// The magic number of unsigned bytes in one dimension.
const LABELS_MAGIC: u32 = 0x0000_0801;

/// Joins the two (unpacked) IDX files of a split into a set of `1 x side x side` images.
///
/// # Errors
/// The wrong file (0: images, 1: labels), and the problem: it is not exactly what its header says, images have another size, the numbers of
/// images and labels differ, a label has no class, or there is no sample.
pub fn image_set(images: Vec<u8>, labels: &[u8], side: u32, num_classes: usize) -> Result<ImageSet, (usize, FormatError)> {
    let pixels = read_images(images, side).map_err(|problem| (0, problem))?;
    let labels = read_labels(labels).map_err(|problem| (1, problem))?;
    let num_images = pixels.len() / (side * side) as usize;
    if labels.len() != num_images {
        return Err((1, FormatError::Count { labels: labels.len(), images: num_images }));
    }
    if labels.is_empty() {
        return Err((0, FormatError::Empty));
    }
    check_labels(&labels, num_classes).map_err(|problem| (1, problem))?;
    Ok(ImageSet { pixels, labels, shape: [1, side as usize, side as usize], clients: None })
}

/// Returns the two files, images and labels, of these images of a set, in the order of `chosen`. Labels have to be below 256, and images to have one channel.
///
/// # Panics
/// If one of them isn't in the set.
#[must_use]
pub fn files(set: &ImageSet, chosen: &[u32]) -> [Vec<u8>; 2] {
    let [_, height, width] = set.shape.map(|size| u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    let num = u32::try_from(chosen.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut images = [IMAGES_MAGIC.to_be_bytes(), num, height, width].concat();
    let mut labels = [LABELS_MAGIC.to_be_bytes(), num].concat();
    for &index in chosen {
        images.extend_from_slice(set.image(index as usize));
        labels.extend(set.labels[index as usize].to_be_bytes().last());
    }
    [images, labels]
}

/// Returns the pixels of an IDX image file whose images are `side x side`. Takes the file's bytes and gives them back without their header.
fn read_images(mut bytes: Vec<u8>, side: u32) -> Result<Vec<u8>, FormatError> {
    let [count, height, width] = header(&bytes, IMAGES_MAGIC, "an IDX image file")?;
    if (height, width) != (side, side) {
        return Err(FormatError::ImageSize { found_height: height, found_width: width, height: side, width: side });
    }
    check_len(bytes.len(), 16, u64::from(count) * u64::from(side) * u64::from(side))?;
    bytes.drain(..16);
    Ok(bytes)
}

fn read_labels(bytes: &[u8]) -> Result<Vec<u16>, FormatError> {
    let [count] = header(bytes, LABELS_MAGIC, "an IDX label file")?;
    check_len(bytes.len(), 8, u64::from(count))?;
    Ok(bytes[8..].iter().map(|&label| u16::from(label)).collect())
}

/// Checks the magic number and reads the sizes of `N` dimensions.
fn header<const N: usize>(bytes: &[u8], magic: u32, what: &'static str) -> Result<[u32; N], FormatError> {
    let mut words = bytes.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    let truncated = FormatError::Truncated { found: bytes.len() as u64, expected: 4 * (N as u64 + 1) };
    match words.next() {
        Some(found) if found == magic => {}
        Some(found) => return Err(FormatError::Magic { what, found, expected: magic }),
        None => return Err(truncated),
    }
    let mut sizes = [0; N];
    for size in &mut sizes {
        let Some(word) = words.next() else { return Err(truncated) };
        *size = word;
    }
    Ok(sizes)
}

/// Checks that there are `header` bytes and then `body` bytes, no more and no less. The body of three 32-bit sizes fits 96 bits, but the
/// sizes are checked before this: a side is at most 32, so nothing overflows.
fn check_len(found: usize, header: u64, body: u64) -> Result<(), FormatError> {
    let (found, expected) = (found as u64, header.saturating_add(body));
    if found < expected {
        Err(FormatError::Truncated { found, expected })
    } else if found > expected {
        Err(FormatError::Trailing { extra: found - expected })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        [magic].iter().chain(sizes).flat_map(|word| word.to_be_bytes()).chain(body.iter().copied()).collect()
    }

    #[test]
    fn written_files_are_read_back() {
        let images = file(IMAGES_MAGIC, &[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
        let set = image_set(images, &file(LABELS_MAGIC, &[2], &[9, 0]), 2, 10).expect("a good pair");
        assert_eq!(set, ImageSet { pixels: vec![1, 2, 3, 4, 5, 6, 7, 8], labels: vec![9, 0], shape: [1, 2, 2], clients: None });
        assert_eq!(set.image(1), [5, 6, 7, 8]);
        let [images, labels] = files(&set, &[1]);
        let chosen = image_set(images, &labels, 2, 10).expect("a good pair");
        assert_eq!(chosen, ImageSet { pixels: vec![5, 6, 7, 8], labels: vec![0], shape: [1, 2, 2], clients: None });
    }

    #[test]
    fn invalid_files_are_refused() {
        let images = || file(IMAGES_MAGIC, &[1, 2, 2], &[0; 4]);
        let labels = || file(LABELS_MAGIC, &[1], &[3]);
        let check = |images: Vec<u8>, labels: Vec<u8>, expected: &str| {
            let (_, error) = image_set(images, &labels, 2, 10).expect_err(expected);
            assert!(error.to_string().contains(expected), "`{error}` should contain `{expected}`");
        };
        check(vec![], labels(), "truncated: 0 bytes where 16");
        check(images()[..10].to_vec(), labels(), "truncated: 10 bytes where 16");
        check(images()[..19].to_vec(), labels(), "truncated: 19 bytes where 20");
        check([images(), vec![0]].concat(), labels(), "1 bytes follow");
        check(labels(), labels(), "starts with 0x00000801 where an IDX image file has 0x00000803");
        check(images(), images(), "starts with 0x00000803");
        check(file(IMAGES_MAGIC, &[1, 2, 3], &[0; 6]), labels(), "images are 2x3 where 2x2");
        check(file(IMAGES_MAGIC, &[u32::MAX, 2, 2], &[0; 4]), labels(), "truncated: 20 bytes where 17179869196");
        check(file(IMAGES_MAGIC, &[u32::MAX; 3], &[0; 4]), labels(), "images are 4294967295x4294967295");
        check(images(), file(LABELS_MAGIC, &[2], &[0, 1]), "2 labels for 1 images");
        check(images(), file(LABELS_MAGIC, &[1], &[10]), "sample 0 has label 10, but there are 10 classes");
        check(images(), file(LABELS_MAGIC, &[1], &[]), "truncated: 8 bytes where 9");
        check(file(IMAGES_MAGIC, &[0, 2, 2], &[]), file(LABELS_MAGIC, &[0], &[]), "no samples");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(images: Vec<u8>, labels: Vec<u8>, sizes: [u8; 3]) {
            let sizes = sizes.map(u32::from);
            let _ = image_set(images.clone(), &labels, 2, 10);
            if let Ok(set) = image_set(file(IMAGES_MAGIC, &sizes, &images), &file(LABELS_MAGIC, &sizes[..1], &labels), 2, 10) {
                prop_assert_eq!(set.pixels.len(), 4 * set.labels.len());
            }
        }
    }
}
