//! NumPy's `.npz` archives: arrays of samples and of labels, which are told by their names.
//!
//! ```text
//! x_train, y_train, x_test, y_test      (Keras)      train_images, train_labels, test_images, test_labels      (MedMNIST)
//! train-imgs.npz, train-labels.npz, each with one array      (Kuzushiji-49)
//! ```

use std::io::Cursor;

use fltk_core::catalogue::{Choice, DatasetEntry, Entry, Text};
use npyz::{DType, NpyFile, Order, TypeChar};
use zip::ZipArchive;

use super::{
    error::OwnError,
    format::{Format, NORMALIZE, TEST_FRACTION},
    parts::{self, Role},
    place::{Place, digests, has_ending},
    samples::{Content, Labels, Part, Read, Samples},
    table::{self, LABELS, SHAPE},
};

/// The largest memory for all arrays of an archive, in bytes. This limits the effect of a decompression bomb.
const ARRAYS_BYTES_MAX: u64 = 16 << 30;
/// The largest number of arrays in an archive.
const ARRAYS_MAX: usize = 1000;
/// The words in names that tell samples.
const SAMPLES: &[&str] = &["x", "images", "image", "imgs", "img", "data", "features", "samples"];

const X: Text =
    Text::new("x", "", "A word in the names of the arrays of samples; without it, `x`, `images`, `imgs`, `data`, `features` or `samples`.");
const Y: Text =
    Text::new("y", "", "A word in the names of the arrays of labels; without it, `y`, `label`, `labels`, `class`, `target` or `targets`.");

/// The format `npz`.
pub(super) const FORMAT: Format = Format {
    entry: DatasetEntry::format(
        Entry::new(
            "npz",
            "NumPy's `.npz` archives, one or several, with arrays of samples and of labels, whose names and those of their files tell which is which, and the part. Arrays of \
             bytes with 3 or 4 dimensions are images, with the channels first or last.",
        )
        .parameters(const { &[X.parameter(), Y.parameter(), SHAPE.parameter(), TEST_FRACTION.parameter(), NORMALIZE.parameter()] }),
        false,
    ),
    detects: |names| names.iter().any(|name| has_ending(name, &[".npz"])),
    is_last_resort: false,
    read,
};

/// An array in an archive.
struct Array {
    /// The archive, and the name in it.
    file: String,
    name: String,
    /// Both, for their words.
    full: String,
    bytes: Vec<u8>,
}

impl Array {
    fn role(&self) -> Role {
        parts::role(&self.full).unwrap_or(Role::Train)
    }

    fn is_called(&self, words: &[&str]) -> bool {
        parts::words(&self.full).any(|word| words.contains(&word.as_str()))
    }

    fn wrong(&self, place: &Place, problem: impl Into<String>) -> OwnError {
        place.error_in(&self.file, problem).at(format!("array `{}`", self.name))
    }
}

fn read(place: &Place, settings: &Choice) -> Result<Read, OwnError> {
    let names = place.ending(&[".npz"]);
    if names.is_empty() {
        return Err(place.error("it has no `.npz` file".to_owned()));
    }
    let (mut arrays, mut files) = (Vec::new(), Vec::new());
    for name in names {
        let file = place.read(name)?;
        unpack(place, name, file.bytes, &mut arrays)?;
        files.push((name.to_owned(), file.sha256));
    }
    let (x, y) = (X.of(settings).to_lowercase(), Y.of(settings).to_lowercase());
    let x: Vec<&str> = if x.is_empty() { SAMPLES.to_vec() } else { vec![&x] };
    let y: Vec<&str> = if y.is_empty() { LABELS.to_vec() } else { vec![&y] };
    let find = |role: Role, words: &[&str], others: &[&str], what: &str| -> Result<Option<&Array>, OwnError> {
        let mut found = arrays.iter().filter(|array| array.role() == role && array.is_called(words) && !array.is_called(others));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => {
                let problem = format!("`{}` and `{}` may both be the {what}", first.name, second.name);
                Err(place.error(problem).hint("`x` and `y` say a word in the names of samples and labels"))
            }
            (first, _) => Ok(first),
        }
    };
    let part = |role: Role| -> Result<Option<Part>, OwnError> {
        match (find(role, &x, &y, "samples")?, find(role, &y, &[], "labels")?) {
            (None, None) => Ok(None),
            (Some(samples), Some(labels)) => read_part(place, samples, labels, settings).map(Some),
            (Some(given), None) | (None, Some(given)) => {
                let all = arrays.iter().map(|array| format!("`{}`", array.name)).collect::<Vec<_>>().join(", ");
                let problem = format!("samples and labels go together, and there are: {all}");
                Err(given.wrong(place, problem).hint("`x` and `y` say a word in the names of samples and labels"))
            }
        }
    };
    let train = part(Role::Train)?.ok_or_else(|| {
        let all = arrays.iter().map(|array| format!("`{}`", array.name)).collect::<Vec<_>>().join(", ");
        place.error(format!("no arrays are samples and labels to train on; there are: {all}")).hint("`x` and `y` say a word in their names")
    })?;
    let test = match part(Role::Test)? {
        None => part(Role::Validation)?,
        test => test,
    };
    Ok(Read { content: Content::Labeled { train, test, class_names: None }, digests: digests(files) })
}

/// Unpacks the arrays of an archive.
fn unpack(place: &Place, file: &str, bytes: Vec<u8>, arrays: &mut Vec<Array>) -> Result<(), OwnError> {
    use std::io::Read as _;
    let wrong = |error: &dyn std::fmt::Display| place.error_in(file, format!("it isn't an archive of arrays that can be read: {error}"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| wrong(&error))?;
    if archive.len() > ARRAYS_MAX {
        return Err(place.error_in(file, format!("it has more than {ARRAYS_MAX} arrays")));
    }
    let mut left = ARRAYS_BYTES_MAX;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| wrong(&error))?;
        let name = entry.name().map_err(|error| wrong(&error))?.to_string();
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_owned();
        let mut bytes = Vec::new();
        let read = (&mut entry).take(left + 1).read_to_end(&mut bytes);
        read.map_err(|error| place.error_in(file, format!("it can't be unpacked: {error}")).at(format!("array `{name}`")))?;
        left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            place.error_in(file, format!("its arrays are larger than {ARRAYS_BYTES_MAX} bytes")).at(format!("array `{name}`"))
        })?;
        // The folders around the archive say nothing of an array.
        let stem = file.rsplit('/').next().unwrap_or(file);
        let stem = stem.get(..stem.len().saturating_sub(".npz".len())).unwrap_or(stem);
        arrays.push(Array { file: file.to_owned(), full: format!("{stem} {name}"), name, bytes });
    }
    Ok(())
}

fn read_part(place: &Place, x: &Array, y: &Array, settings: &Choice) -> Result<Part, OwnError> {
    let labels = place.guarded(&y.file, || labels(place, y))?;
    let (sizes, samples) = place.guarded(&x.file, || samples(place, x, settings))?;
    if labels.len() != sizes[0] {
        return Err(y.wrong(place, format!("it has {} labels for {} samples in `{}`", labels.len(), sizes[0], x.name)));
    }
    if labels.is_empty() {
        return Err(x.wrong(place, "it has no samples"));
    }
    Ok(Part { samples, labels: Labels::Numbers(labels), clients: None })
}

/// The numbers of an array, row by row.
enum Numbers {
    Bytes(Vec<u8>),
    Floats(Vec<f64>),
}

/// Reads an array: its sizes, and its numbers.
fn numbers(place: &Place, array: &Array) -> Result<(Vec<usize>, Numbers), OwnError> {
    let wrong = |problem: String| array.wrong(place, problem);
    let file = NpyFile::new(array.bytes.as_slice()).map_err(|error| wrong(format!("it isn't an array that can be read: {error}")))?;
    let sizes: Vec<usize> = file.shape().iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect();
    let DType::Plain(kind) = file.dtype() else { return Err(wrong("its elements are records, and not numbers".to_owned())) };
    let expected = sizes.iter().fold(u128::from(kind.size_field()), |bytes, &size| bytes.saturating_mul(size as u128));
    if sizes.contains(&0) {
        return Err(wrong(format!("it is empty: its sizes are {sizes:?}")));
    }
    let found = array.bytes.len() as u128 - (array.bytes.len() as u128).min(header_len(&array.bytes));
    if found != expected {
        return Err(wrong(format!("its header says {expected} bytes of numbers, and there are {found}")));
    }
    let is_reversed = file.order() == Order::Fortran && sizes.len() > 1;
    macro_rules! floats {
        ($kind:ty) => {
            file.into_vec::<$kind>().map(|numbers| Numbers::Floats(numbers.into_iter().map(|number| number as f64).collect()))
        };
    }
    #[expect(clippy::cast_precision_loss, clippy::cast_lossless, reason = "samples have 32 bits, and larger labels are refused")]
    let read = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Uint, 1) => file.into_vec::<u8>().map(Numbers::Bytes),
        (TypeChar::Bool, 1) => file.into_vec::<bool>().map(|bits| Numbers::Bytes(bits.into_iter().map(u8::from).collect())),
        (TypeChar::Int, 1) => floats!(i8),
        (TypeChar::Int, 2) => floats!(i16),
        (TypeChar::Int, 4) => floats!(i32),
        (TypeChar::Int, 8) => floats!(i64),
        (TypeChar::Uint, 2) => floats!(u16),
        (TypeChar::Uint, 4) => floats!(u32),
        (TypeChar::Uint, 8) => floats!(u64),
        (TypeChar::Float, 4) => floats!(f32),
        (TypeChar::Float, 8) => floats!(f64),
        _ => return Err(wrong(format!("its elements are of the type `{kind}`, and numbers of 1 to 8 bytes are read"))),
    };
    let numbers = read.map_err(|error| wrong(format!("it can't be read: {error}")))?;
    let numbers = match numbers {
        numbers if !is_reversed => numbers,
        Numbers::Bytes(bytes) => Numbers::Bytes(row_by_row(&bytes, &sizes)),
        Numbers::Floats(floats) => Numbers::Floats(row_by_row(&floats, &sizes)),
    };
    Ok((sizes, numbers))
}

/// Returns the length of the header of a `.npy` file, which `NpyFile` has read already.
fn header_len(bytes: &[u8]) -> u128 {
    match bytes {
        [_, _, _, _, _, _, 1, _, low, high, ..] => 10 + u128::from(u16::from_le_bytes([*low, *high])),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => 12 + u128::from(u32::from_le_bytes([*a, *b, *c, *d])),
        _ => 0,
    }
}

/// Returns the numbers of a Fortran array, in which the first index changes fastest, in the order of C.
fn row_by_row<T: Copy>(numbers: &[T], sizes: &[usize]) -> Vec<T> {
    let mut ordered = Vec::with_capacity(numbers.len());
    let mut index = vec![0; sizes.len()];
    for _ in 0..numbers.len() {
        let place = index.iter().zip(sizes).rev().fold(0, |place, (index, size)| place * size + index);
        ordered.push(numbers[place]);
        for (index, size) in index.iter_mut().zip(sizes).rev() {
            *index += 1;
            if *index < *size {
                break;
            }
            *index = 0;
        }
    }
    ordered
}

fn labels(place: &Place, array: &Array) -> Result<Vec<i64>, OwnError> {
    let (sizes, numbers) = numbers(place, array)?;
    if !matches!(sizes[..], [_] | [_, 1]) {
        return Err(array.wrong(place, format!("labels have one dimension, or one column; its sizes are {sizes:?}")));
    }
    match numbers {
        Numbers::Bytes(bytes) => Ok(bytes.into_iter().map(i64::from).collect()),
        Numbers::Floats(floats) => {
            let whole = |(at, number): (usize, f64)| {
                table::whole_of(number).ok_or_else(|| array.wrong(place, format!("label {at} is {number}, and not a whole number")))
            };
            floats.into_iter().enumerate().map(whole).collect()
        }
    }
}

fn samples(place: &Place, array: &Array, settings: &Choice) -> Result<(Vec<usize>, Samples), OwnError> {
    let (sizes, numbers) = numbers(place, array)?;
    if sizes.len() < 2 || sizes[1..].contains(&0) {
        return Err(array.wrong(place, format!("samples have at least one number each; the sizes of the array are {sizes:?}")));
    }
    let len: usize = sizes[1..].iter().product();
    let has_shape = !SHAPE.of(settings).is_empty();
    let image = match sizes[1..] {
        [height, width] => Some(([1, height, width], false)),
        [channels @ (1 | 3), height, width] => Some(([channels, height, width], false)),
        [height, width, channels @ (1 | 3)] => Some(([channels, height, width], true)),
        _ => None,
    };
    if let (Some((shape, is_last)), Numbers::Bytes(bytes), false) = (image, &numbers, has_shape) {
        let pixels = if is_last { channels_first(bytes, shape) } else { bytes.clone() };
        return Ok((sizes, Samples::Images { pixels, shape }));
    }
    let floats: Vec<f32> = match numbers {
        Numbers::Bytes(bytes) => bytes.into_iter().map(f32::from).collect(),
        #[expect(clippy::cast_possible_truncation, reason = "numbers of samples have 32 bits")]
        Numbers::Floats(floats) => floats.into_iter().map(|number| number as f32).collect(),
    };
    if let Some(at) = floats.iter().position(|number| !number.is_finite()) {
        return Err(array.wrong(place, format!("number {} of sample {} isn't finite", at % len + 1, at / len)));
    }
    let read = match image {
        Some((shape, is_last)) if !has_shape => {
            let floats = if is_last { channels_first(&floats, shape) } else { floats };
            table::images(&floats, len, shape)
        }
        _ => table::samples(floats, len, settings),
    };
    let samples = read.map_err(|(at, problem)| {
        let at = at.map_or_else(String::new, |at| format!("number {} of sample {}: ", at % len + 1, at / len));
        array.wrong(place, format!("{at}{problem}"))
    })?;
    Ok((sizes, samples))
}

/// Returns images whose channels are last with the channels first. `shape` is `[C, H, W]`.
fn channels_first<T: Copy>(numbers: &[T], shape: [usize; 3]) -> Vec<T> {
    let [channels, height, width] = shape;
    let planes = |image: &[T]| {
        (0..channels).flat_map(|channel| image.iter().skip(channel).step_by(channels).copied().collect::<Vec<T>>()).collect::<Vec<T>>()
    };
    numbers.chunks_exact(channels * height * width).flat_map(planes).collect()
}
