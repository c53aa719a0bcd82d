//! Rows of numbers with a label, of which CSV, NPZ, Parquet and LEAF's files consist: as vectors, or as images of a shape that is said.

use fltk_core::catalogue::{Choice, Wholes};

use super::{
    pixels,
    samples::{Labels, Names, Samples},
};

/// The largest side of an image whose shape is said.
const SIDE_MAX: u32 = 4096;

/// The shape of images whose pixels are numbers.
pub(super) const SHAPE: Wholes = Wholes::new(
    "shape",
    &[],
    3,
    (1, SIDE_MAX),
    "The shape of images whose pixels the numbers of a sample are, row by row: `[height, width]`, or `[channels, height, width]` channel by channel. Numbers are then \
     whole, 0 to 255, or multiples of 1/255 up to 1. Without it, samples are vectors.",
)
.or_none();

/// The names of columns and arrays that are labels unless one is named.
pub(super) const LABELS: &[&str] = &["label", "labels", "class", "classes", "target", "targets", "y"];

/// Returns samples of `len` numbers each, as vectors or as images of the shape in `settings`.
///
/// # Errors
/// The number that is no pixel, if one is known, and the problem.
pub(super) fn samples(numbers: Vec<f32>, len: usize, settings: &Choice) -> Result<Samples, (Option<usize>, String)> {
    let shape = match SHAPE.of(settings)[..] {
        [] => return Ok(Samples::Vectors { numbers, len }),
        [side] => [1, side, side],
        [height, width] => [1, height, width],
        [channels, height, width, ..] => [channels, height, width],
    };
    images(&numbers, len, shape.map(|side| side as usize))
}

/// Returns samples of `len` numbers each as images of `shape`.
///
/// # Errors
/// The number that is no pixel, if one is known, and the problem.
pub(super) fn images(numbers: &[f32], len: usize, shape: [usize; 3]) -> Result<Samples, (Option<usize>, String)> {
    let pixels = shape.iter().product::<usize>();
    if pixels != len {
        return Err((None, format!("samples have {len} numbers, and images of the shape {shape:?} have {pixels}")));
    }
    match pixels::of_numbers(numbers) {
        Ok(pixels) => Ok(Samples::Images { pixels, shape }),
        Err(at) => Err((
            Some(at),
            format!("{} is no pixel: pixels are whole numbers from 0 to 255 or, if none is above 1, multiples of 1/255", numbers[at]),
        )),
    }
}

/// Labels as they are read, one after another: numbers, as long as each is a whole one, or names.
#[derive(Default)]
pub(super) struct LabelsRead {
    numbers: Vec<i64>,
    has_names: bool,
    texts: Interned,
}

impl LabelsRead {
    /// Adds a label.
    pub fn push(&mut self, text: &str) {
        let whole = whole(text);
        self.has_names |= whole.is_none();
        self.numbers.push(whole.unwrap_or_default());
        self.texts.push(text);
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Returns the labels.
    pub fn finish(self) -> Labels {
        if self.has_names { Labels::Names(self.texts.finish()) } else { Labels::Numbers(self.numbers) }
    }
}

/// Returns `text` as a whole number, also one that is written as `3.0`.
pub(super) fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().and_then(whole_of))
}

/// Returns a number as a whole one, if it is.
pub(super) fn whole_of(number: f64) -> Option<i64> {
    /// The bound up to which every whole number is exact.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number in range, as just checked")]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

/// Names, each kept once.
#[derive(Default)]
pub(super) struct Interned {
    known: std::collections::BTreeMap<String, u32>,
    names: Names,
}

impl Interned {
    /// Adds the name of one more sample.
    pub fn push(&mut self, name: &str) {
        let id = match self.known.get(name) {
            Some(&id) => id,
            None => {
                let id = self.names.names.len() as u32;
                self.known.insert(name.to_owned(), id);
                self.names.names.push(name.to_owned());
                id
            }
        };
        self.names.of.push(id);
    }

    /// Returns the names.
    pub fn finish(self) -> Names {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbers_if_all_are_whole() {
        let read = |texts: &[&str]| {
            let mut labels = LabelsRead::default();
            texts.iter().for_each(|text| labels.push(text));
            labels.finish()
        };
        assert_eq!(read(&["1", " 2.0", "-3"]), Labels::Numbers(vec![1, 2, -3]));
        assert_eq!(read(&["1", "a", "1"]), Labels::Names(Names { names: vec!["1".to_owned(), "a".to_owned()], of: vec![0, 1, 0] }));
        assert_eq!((whole("1e300"), whole("nan"), whole("0.5"), whole("")), (None, None, None, None));
    }
}
