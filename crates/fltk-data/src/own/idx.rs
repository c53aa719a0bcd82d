//! IDX files under the names that MNIST, EMNIST, KMNIST and QMNIST ship, plain or gzip, in a folder or a zip.
//!
//! ```text
//! [PREFIX-]train-images-idx3-ubyte[.gz]   [PREFIX-]train-labels-idx1-ubyte[.gz]     train or test; MNIST and KMNIST: t10k for test
//! ```
//!
//! A file has two zero bytes, a byte for the type of its numbers, a byte for the number of dimensions, a big-endian size for each dimension, and big-endian numbers.

use fltk_core::catalogue::{Choice, DatasetEntry, Entry, Text, Word};

use super::{
    error::OwnError,
    format::{Format, NORMALIZE, TEST_FRACTION},
    parts::{Role, role},
    place::{Place, digests},
    samples::{Content, Labels, Part, Read, Samples},
};

const SPLIT: Text = Text::new(
    "split",
    "",
    "The split to read, if the files are of several: what their names begin with, or its end, such as `letters` for `emnist-letters-train-images-idx3-ubyte`.",
);
const TRANSPOSED: Word = Word::new(
    "transposed",
    &["by_name", "yes", "no"],
    "`yes` if rows and columns of the images are exchanged, as EMNIST's are; `by_name` means: if the names of the files begin with `emnist`.",
);

/// The format `idx`.
pub(super) const FORMAT: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            "idx",
            "IDX files of images or vectors and of labels, named as MNIST, EMNIST, KMNIST and QMNIST name theirs; plain or gzip, in a folder or a zip. Of labels of \
             several columns, such as QMNIST's, the first is read.",
        )
        .parameters(const { &[SPLIT.parameter(), TRANSPOSED.parameter(), TEST_FRACTION.parameter(), NORMALIZE.parameter()] }),
        false,
    ),
    detects: |names| names.iter().any(|name| Named::of(name).is_some()),
    is_last_resort: false,
    read,
};

/// The content of a file, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named<'a> {
    name: &'a str,
    /// The text before the part, in lower case.
    prefix: String,
    role: Role,
    is_images: bool,
}

impl<'a> Named<'a> {
    fn of(name: &'a str) -> Option<Self> {
        let base = name.rsplit('/').next()?.to_lowercase();
        let base = base.strip_suffix(".gz").unwrap_or(&base);
        let at = base.find("-idx").or_else(|| base.find(".idx"))?;
        let (before, kind) = base[..at].rsplit_once('-')?;
        let is_images = match kind {
            "images" => true,
            "labels" => false,
            _ => return None,
        };
        let (prefix, part) = before.rsplit_once('-').unwrap_or(("", before));
        Some(Self { name, prefix: prefix.to_owned(), role: role(part)?, is_images })
    }
}

fn read(place: &Place, settings: &Choice) -> Result<Read, OwnError> {
    let all: Vec<Named<'_>> = place.names().iter().filter_map(|name| Named::of(name)).collect();
    if all.is_empty() {
        let hint = "they are named like `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, with `.gz` if they are gzip; `path` is their folder or a zip";
        return Err(place.error("it has no IDX files".to_owned()).hint(hint));
    }
    let split = SPLIT.of(settings).to_lowercase();
    let is_chosen = |prefix: &str| split.is_empty() || prefix == split || prefix.ends_with(&format!("-{split}"));
    let mut prefixes: Vec<&str> = all.iter().map(|named| named.prefix.as_str()).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let listed = |prefixes: &[&str]| prefixes.iter().map(|prefix| format!("`{prefix}`")).collect::<Vec<_>>().join(", ");
    let chosen: Vec<&str> = prefixes.iter().copied().filter(|prefix| is_chosen(prefix)).collect();
    let [prefix] = chosen[..] else {
        let problem = match chosen.len() {
            0 => format!("it has no split `{split}`"),
            _ => format!("it has several splits: {}", listed(&chosen)),
        };
        return Err(place.error(problem).hint(format!("`split` chooses one of {}", listed(&prefixes))));
    };
    let find = |role: Role, is_images: bool| -> Result<Option<&str>, OwnError> {
        let mut found = all.iter().filter(|named| named.prefix == prefix && named.role == role && named.is_images == is_images);
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                let problem = format!("`{}` and `{}` are the same file twice", first.name, second.name);
                Err(place.error(problem).hint("keep one of them"))
            }
            (first, _) => Ok(first.map(|named| named.name)),
        }
    };
    let is_transposed = match TRANSPOSED.of(settings) {
        "yes" => true,
        "no" => false,
        _ => prefix.starts_with("emnist"),
    };
    let mut files = Vec::new();
    let mut part = |role: Role, what: &str| -> Result<Option<Part>, OwnError> {
        match (find(role, true)?, find(role, false)?) {
            (None, None) => Ok(None),
            (Some(images), Some(labels)) => read_part(place, images, labels, is_transposed, &mut files).map(Some),
            (Some(given), None) => Err(place.error(format!("the {what} part has `{given}` and no labels"))),
            (None, Some(given)) => Err(place.error(format!("the {what} part has `{given}` and no images"))),
        }
    };
    let train = part(Role::Train, "training")?.ok_or_else(|| place.error("it has no training part".to_owned()))?;
    let test = part(Role::Test, "test")?;
    Ok(Read { content: Content::Labeled { train, test, class_names: None }, digests: digests(files) })
}

fn read_part(place: &Place, images: &str, labels: &str, is_transposed: bool, files: &mut Vec<(String, String)>) -> Result<Part, OwnError> {
    let mut read = |name: &str| -> Result<Vec<u8>, OwnError> {
        let file = place.read_unpacked(name)?;
        files.push((name.to_owned(), file.sha256));
        Ok(file.bytes)
    };
    let (image_bytes, label_bytes) = (read(images)?, read(labels)?);
    let array = Array::of(&image_bytes).map_err(|(at, problem)| place.error_in(images, problem).at(format!("byte {at}")))?;
    let samples = samples_of(&array, is_transposed).map_err(|(at, problem)| place.error_in(images, problem).at(format!("byte {at}")))?;
    let array = Array::of(&label_bytes).map_err(|(at, problem)| place.error_in(labels, problem).at(format!("byte {at}")))?;
    let numbers = labels_of(&array).map_err(|(at, problem)| place.error_in(labels, problem).at(format!("byte {at}")))?;
    let num_samples = Array::of(&image_bytes).map_or(0, |array| array.sizes[0]);
    if numbers.len() != num_samples {
        return Err(place.error_in(labels, format!("it has {} labels for {num_samples} samples", numbers.len())));
    }
    if numbers.is_empty() {
        return Err(place.error_in(images, "it has no samples"));
    }
    Ok(Part { samples, labels: Labels::Numbers(numbers), clients: None })
}

/// A problem with the bytes, and the position of the byte.
type Problem = (usize, String);

/// The array in a file: its type, its sizes, and its bytes.
struct Array<'a> {
    kind: Kind,
    sizes: Vec<usize>,
    bytes: &'a [u8],
    /// The length of the header.
    header: usize,
}

/// The type of an array's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Kind {
    const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Returns the number in `bytes`, which are as many as it has.
    fn number(self, bytes: &[u8]) -> f64 {
        let whole = bytes.iter().fold(0_u64, |whole, &byte| whole << 8 | u64::from(byte));
        #[expect(clippy::cast_possible_truncation, reason = "the bits of the smaller type")]
        match self {
            Self::U8 => f64::from(whole as u8),
            Self::I8 => f64::from((whole as u8).cast_signed()),
            Self::I16 => f64::from((whole as u16).cast_signed()),
            Self::I32 => f64::from((whole as u32).cast_signed()),
            Self::F32 => f64::from(f32::from_bits(whole as u32)),
            Self::F64 => f64::from_bits(whole),
        }
    }
}

impl<'a> Array<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, Problem> {
        let [0, 0, kind, dimensions, ..] = *bytes else {
            return Err((0, "it doesn't start as an IDX file does: two zero bytes, a type, the number of dimensions".to_owned()));
        };
        let kind = match kind {
            0x08 => Kind::U8,
            0x09 => Kind::I8,
            0x0b => Kind::I16,
            0x0c => Kind::I32,
            0x0d => Kind::F32,
            0x0e => Kind::F64,
            other => return Err((2, format!("{other:#04x} is no type of numbers"))),
        };
        let header = 4 + 4 * usize::from(dimensions);
        if dimensions == 0 || dimensions > 4 {
            return Err((3, format!("it has {dimensions} dimensions, and 1 to 4 are read")));
        }
        let Some((head, body)) = bytes.split_at_checked(header) else {
            return Err((bytes.len(), format!("it is truncated: the header has {header} bytes")));
        };
        let sizes: Vec<usize> =
            head[4..].chunks_exact(4).map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize).collect();
        let expected = sizes.iter().fold(kind.bytes() as u128, |bytes, &size| bytes.saturating_mul(size as u128));
        match (body.len() as u128).cmp(&expected) {
            std::cmp::Ordering::Less => Err((
                bytes.len(),
                format!("it is truncated: {} bytes follow the header, and its sizes {sizes:?} need {expected}", body.len()),
            )),
            std::cmp::Ordering::Greater => {
                Err((header + expected as usize, format!("{} bytes follow the end of its data", body.len() as u128 - expected)))
            }
            std::cmp::Ordering::Equal => Ok(Self { kind, sizes, bytes: body, header }),
        }
    }

    fn numbers(&self) -> impl Iterator<Item = f64> + '_ {
        self.bytes.chunks_exact(self.kind.bytes()).map(|bytes| self.kind.number(bytes))
    }
}

fn samples_of(array: &Array<'_>, is_transposed: bool) -> Result<Samples, Problem> {
    if array.sizes[1..].contains(&0) {
        return Err((4, format!("its samples are empty: its sizes are {:?}", array.sizes)));
    }
    let (height, width, channels, last) = match (array.kind, &array.sizes[..]) {
        (Kind::U8, &[_, height, width]) => (height, width, 1, false),
        (Kind::U8, &[_, channels @ (1 | 3), height, width]) => (height, width, channels, false),
        (Kind::U8, &[_, height, width, channels @ (1 | 3)]) => (height, width, channels, true),
        (_, &[_, len]) => {
            let numbers: Vec<f32> = array.numbers().map(|number| number as f32).collect();
            return match numbers.iter().position(|number| !number.is_finite()) {
                Some(place) => Err((array.header + place * array.kind.bytes(), "the number isn't finite".to_owned())),
                None => Ok(Samples::Vectors { numbers, len }),
            };
        }
        (kind, sizes) => {
            let problem =
                format!("samples are images of bytes, with 1 or 3 channels, or vectors of numbers; here are {kind:?} of sizes {sizes:?}");
            return Err((2, problem));
        }
    };
    let mut pixels = array.bytes.to_vec();
    if last || is_transposed {
        let plane = height * width;
        for (image, original) in pixels.chunks_exact_mut(channels * plane).zip(array.bytes.chunks_exact(channels * plane)) {
            for channel in 0..channels {
                for y in 0..height {
                    for x in 0..width {
                        let from = if last { (y * width + x) * channels + channel } else { channel * plane + y * width + x };
                        let to = if is_transposed { x * height + y } else { y * width + x };
                        image[channel * plane + to] = original[from];
                    }
                }
            }
        }
    }
    let shape = if is_transposed { [channels, width, height] } else { [channels, height, width] };
    Ok(Samples::Images { pixels, shape })
}

/// Returns the labels: the first column, if there are several.
fn labels_of(array: &Array<'_>) -> Result<Vec<i64>, Problem> {
    if matches!(array.kind, Kind::F32 | Kind::F64) || array.sizes.len() > 2 {
        return Err((2, "labels are whole numbers in one or two dimensions".to_owned()));
    }
    let columns = array.sizes.get(1).copied().unwrap_or(1);
    if columns == 0 {
        return Err((8, "its labels have no column".to_owned()));
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers of at most 32 bits")]
    Ok(array.numbers().step_by(columns).map(|number| number as i64).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(kind: u8, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let head = [0, 0, kind, sizes.len() as u8];
        head.into_iter().chain(sizes.iter().flat_map(|size| size.to_be_bytes())).chain(body.iter().copied()).collect()
    }

    #[test]
    fn names_of_published_files_are_recognized() {
        for (name, prefix, role, is_images) in [
            ("gzip/emnist-letters-train-images-idx3-ubyte.gz", "emnist-letters", Role::Train, true),
            ("qmnist-test-labels-idx2-int", "qmnist", Role::Test, false),
            ("t10k-labels-idx1-ubyte", "", Role::Test, false),
            ("train-images.idx3-ubyte", "", Role::Train, true),
        ] {
            assert_eq!(Named::of(name), Some(Named { name, prefix: prefix.to_owned(), role, is_images }));
        }
        for other in ["images-idx3-ubyte", "train-idx3-ubyte", "train-masks-idx3-ubyte", "readme.txt"] {
            assert_eq!(Named::of(other), None, "{other}");
        }
    }

    #[test]
    fn images_and_labels_are_read() {
        let images = file(8, &[1, 2, 3], &[1, 2, 3, 4, 5, 6]);
        let array = Array::of(&images).unwrap();
        let expected = |pixels: &[u8], shape| Ok(Samples::Images { pixels: pixels.to_vec(), shape });
        assert_eq!(samples_of(&array, false), expected(&[1, 2, 3, 4, 5, 6], [1, 2, 3]));
        assert_eq!(samples_of(&array, true), expected(&[1, 4, 2, 5, 3, 6], [1, 3, 2]));
        let colors = file(8, &[1, 1, 2, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(samples_of(&Array::of(&colors).unwrap(), false), expected(&[1, 2, 3, 4, 5, 6], [1, 2, 3]));
        let last = file(8, &[1, 2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(samples_of(&Array::of(&last).unwrap(), false), expected(&[1, 4, 2, 5, 3, 6], [3, 2, 1]));
        let vectors = file(0x0d, &[1, 2], &[0x3f, 0x80, 0, 0, 0xbf, 0, 0, 0]);
        assert_eq!(samples_of(&Array::of(&vectors).unwrap(), false), Ok(Samples::Vectors { numbers: vec![1.0, -0.5], len: 2 }));
        let labels = file(0x0c, &[2, 2], &[0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(labels_of(&Array::of(&labels).unwrap()), Ok(vec![7, -1]));
    }

    #[test]
    fn damage_is_named_with_its_byte() {
        let check = |bytes: &[u8], at: usize, expected: &str| {
            let (found, problem) = Array::of(bytes).map(|_| ()).expect_err(expected);
            assert!(found == at && problem.contains(expected), "{found}: {problem}");
        };
        check(&[], 0, "doesn't start");
        check(&[0, 0, 7, 1], 2, "0x07 is no type");
        check(&[0, 0, 8, 9], 3, "9 dimensions");
        check(&[0, 0, 8, 1, 0], 5, "truncated: the header has 8");
        check(&file(8, &[3], &[1, 2]), 10, "truncated: 2 bytes follow the header, and its sizes [3] need 3");
        check(&file(8, &[1], &[1, 2]), 9, "1 bytes follow");
        check(&file(0x0e, &[u32::MAX; 4], &[]), 20, "truncated");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_refused(kind in 7..15_u8, sizes in proptest::collection::vec(0..5_u32, 0..5), body: Vec<u8>) {
            let bytes = file(kind, &sizes, &body);
            if let Ok(array) = Array::of(&bytes) {
                let _ = (samples_of(&array, true), samples_of(&array, false), labels_of(&array));
            }
        }
    }
}
