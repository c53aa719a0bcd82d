//! The Python versions of CIFAR-10 and CIFAR-100: pickled dicts with `data`, an array of images by rows, and lists of labels. torchvision unpacks these.

use super::{cifar::Labels, pickle::Pickle};
use crate::error::FormatError;

/// The bytes of one image.
const IMAGE: usize = 3 * 32 * 32;

/// Returns a batch in the form of the binary version, which [`cifar`](super::cifar) reads.
///
/// # Errors
/// If the bytes are not such a dict, or contain more than data.
pub fn records(bytes: &[u8], labels: Labels) -> Result<Vec<u8>, FormatError> {
    let pickle = Pickle::read(bytes)?;
    let list = |key: &'static str| {
        let numbers =
            pickle.get(key).and_then(|id| pickle.ints(id)).ok_or(FormatError::Pickled { key, what: "a list of whole numbers" })?;
        let label = |number: i64| u8::try_from(number).map_err(|_| FormatError::Pickled { key, what: "a list of numbers of classes" });
        numbers.into_iter().map(label).collect::<Result<Vec<u8>, _>>()
    };
    let lists = match labels {
        Labels::One => vec![list("labels")?],
        Labels::CoarseAndFine => vec![list("coarse_labels")?, list("fine_labels")?],
    };
    let is_rows = |(shape, _): &(Vec<usize>, &[u8])| matches!(shape[..], [_, IMAGE]);
    let array = pickle.get("data").and_then(|id| pickle.byte_array(id)).filter(is_rows);
    let (_, pixels) = array.ok_or(FormatError::Pickled { key: "data", what: "an array of bytes, 3072 in each row" })?;
    let images = pixels.len() / IMAGE;
    if let Some(list) = lists.iter().find(|list| list.len() != images) {
        return Err(FormatError::Count { labels: list.len(), images });
    }
    let mut records = Vec::with_capacity(images * (lists.len() + IMAGE));
    for (index, image) in pixels.chunks_exact(IMAGE).enumerate() {
        records.extend(lists.iter().map(|list| list[index]));
        records.extend_from_slice(image);
    }
    Ok(records)
}
