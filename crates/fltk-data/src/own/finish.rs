//! The steps that are the same for all formats: classes, the test part of data that has none, and the normalization.
//!
//! - **Classes** are the distinct labels of both parts, in ascending order: numbers by their value, names by their bytes. EMNIST's letters, whose labels begin
//!   at 1, have 26 classes.
//! - A **test part by share** is drawn without replacement from the stream of seed 0 for the purpose `test-part`, so it depends on the data alone: it is the same for
//!   all runs, and digests stay the same. Of natural clients, each gives its own share, from the stream with its index. Both parts keep the order of the samples.
//! - The **normalization** is that of the training part: mean and standard deviation (of the whole population), by channel of images or by number of vectors; a
//!   standard deviation of 0 counts as 1.

use std::collections::{BTreeMap, BTreeSet};

use fltk_core::{
    catalogue::Choice,
    seed::{Purpose, Seed},
};
use rand::seq::SliceRandom as _;

use super::{
    error::OwnError,
    format::{NORMALIZE, TEST_FRACTION},
    place::Place,
    samples::{Content, Labels, Names, Part, Read, Samples},
};
use crate::{
    dataset::{Dataset, Origin, Provenance},
    samples::{ImageSet, Split, VectorSet},
    sources::{Augmentation, Preparation},
};

/// The largest number of classes, each of which has an output in every net. ImageNet-21k has 21,841.
const CLASSES_MAX: usize = 30_000;
/// The largest number of channels or numbers whose normalization is recorded one by one.
const RECORDED_MAX: usize = 16;

/// Makes a data set of what was read.
///
/// # Errors
/// If the parts don't fit each other, or there are too few samples or too many classes.
pub(super) fn finish(read: Read, place: &Place, settings: &Choice) -> Result<Dataset, OwnError> {
    let Read { content, digests } = read;
    let provenance = Provenance { origin: Origin::Own(place.path().to_path_buf()), files: digests, normalization: None };
    let (train, test, class_names) = match content {
        Content::Text { train, test, vocabulary } => {
            let preparation = Preparation::scale();
            let (train, test) = (Split::Text(train), Split::Text(test));
            return Ok(Dataset { preparation, class_names: vocabulary, train, test, provenance });
        }
        Content::Labeled { train, test, class_names } => (train, test, class_names),
    };
    if let Some(num) =
        [Some(&train), test.as_ref()].into_iter().flatten().map(|part| part.labels.len()).find(|num| u32::try_from(*num).is_err())
    {
        return Err(place.error(format!("it has {num} samples, which is 2^32 or more")));
    }
    let (train, test) = match test {
        Some(test) => (train, test),
        None => divide(&train, TEST_FRACTION.of(settings), place)?,
    };
    if train.samples.describe() != test.samples.describe() {
        let problem = format!("the training part has {}, and the test part {}", train.samples.describe(), test.samples.describe());
        return Err(place.error(problem));
    }
    let Classes { names: class_names, train: train_labels, test: test_labels } = classes(&train, &test, class_names, place)?;
    let (clients, test_clients) = clients(train.clients, test.clients);
    let normalizes = NORMALIZE.of(settings);
    let (preparation, train, test) = match (train.samples, test.samples) {
        (Samples::Images { pixels, shape }, Samples::Images { pixels: test_pixels, .. }) => {
            let preparation = if normalizes { of_images(&pixels, shape) } else { Preparation::scale() };
            let train = ImageSet { pixels, labels: train_labels, shape, clients };
            let test = ImageSet { pixels: test_pixels, labels: test_labels, shape, clients: test_clients };
            (preparation, Split::Images(train), Split::Images(test))
        }
        (Samples::Vectors { mut numbers, len }, Samples::Vectors { numbers: mut test_numbers, .. }) => {
            let preparation = if normalizes { of_vectors(&numbers, len) } else { Preparation::scale() };
            if normalizes {
                preparation.normalize(&mut numbers);
                preparation.normalize(&mut test_numbers);
            }
            let vectors = |numbers: Vec<f32>, labels: Vec<u16>, clients| Split::Vectors(VectorSet::new(numbers, labels, len, clients));
            (preparation, vectors(numbers, train_labels, clients), vectors(test_numbers, test_labels, test_clients))
        }
        // The descriptions would have differed.
        _ => return Err(place.error("one part has images, and the other vectors".to_owned())),
    };
    let normalization = normalizes.then(|| preparation.recorded(RECORDED_MAX));
    Ok(Dataset { preparation, class_names, train, test, provenance: Provenance { normalization, ..provenance } })
}

/// Divides samples without a test part into a training part and a test part.
fn divide(all: &Part, fraction: f64, place: &Place) -> Result<(Part, Part), OwnError> {
    let num = all.labels.len();
    let mut test: Vec<u32> = match &all.clients {
        None => draw((0..num as u32).collect(), fraction, &[]),
        Some(clients) => {
            let mut of: Vec<Vec<u32>> = vec![Vec::new(); clients.names.len()];
            for (sample, &client) in (0..).zip(&clients.of) {
                of[client as usize].push(sample);
            }
            (0..).zip(of).flat_map(|(client, samples)| draw(samples, fraction, &[client])).collect()
        }
    };
    test.sort_unstable();
    let is_test: BTreeSet<u32> = test.iter().copied().collect();
    let train: Vec<u32> = (0..num as u32).filter(|sample| !is_test.contains(sample)).collect();
    if train.is_empty() || test.is_empty() {
        let problem = format!("{num} samples are too few for a test part of {fraction} of them");
        return Err(place.error(problem).hint("change `test_fraction`, or give a test part"));
    }
    Ok((all.pick(&train), all.pick(&test)))
}

/// Draws a share of `samples`, rounded to the nearest number.
pub(super) fn draw(mut samples: Vec<u32>, fraction: f64, indices: &[u64]) -> Vec<u32> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the number of samples"
    )]
    let num = (samples.len() as f64 * fraction).round() as usize;
    let (drawn, _) = samples.partial_shuffle(&mut Seed(0).stream(Purpose::TestPart, indices), num);
    drawn.to_vec()
}

/// The names of the classes, and the class of each sample of both parts.
struct Classes {
    names: Vec<String>,
    train: Vec<u16>,
    test: Vec<u16>,
}

/// Returns the classes of both parts.
fn classes(train: &Part, test: &Part, given: Option<Vec<String>>, place: &Place) -> Result<Classes, OwnError> {
    let check = |num: usize| match num {
        0..=CLASSES_MAX => Ok(()),
        _ => Err(place
            .error(format!("it has {num} classes, more than {CLASSES_MAX}"))
            .hint("if the labels are measured numbers, it can't be used: a label says which of several classes a sample is of")),
    };
    match (&train.labels, &test.labels) {
        (Labels::Numbers(of_train), Labels::Numbers(of_test)) => {
            let (names, values): (Vec<String>, Vec<i64>) = match given {
                Some(names) => (0..).zip(names).map(|(value, name)| (name, value)).unzip(),
                None => {
                    let distinct: BTreeSet<i64> = of_train.iter().chain(of_test).copied().collect();
                    distinct.into_iter().map(|value| (value.to_string(), value)).unzip()
                }
            };
            check(names.len())?;
            let ids = |labels: &[i64]| -> Result<Vec<u16>, OwnError> {
                let id = |(sample, label): (usize, &i64)| match values.binary_search(label) {
                    Ok(id) => Ok(id as u16),
                    Err(_) => Err(place.error(format!("sample {sample} has label {label}, and there are {} classes", values.len()))),
                };
                labels.iter().enumerate().map(id).collect()
            };
            let (train, test) = (ids(of_train)?, ids(of_test)?);
            Ok(Classes { names, train, test })
        }
        (Labels::Names(of_train), Labels::Names(of_test)) => {
            let used = |labels: &Names| labels.of.iter().map(|&name| labels.names[name as usize].clone()).collect::<BTreeSet<String>>();
            let names: BTreeSet<String> = used(of_train).into_iter().chain(used(of_test)).collect();
            check(names.len())?;
            let ids: BTreeMap<&str, u16> = names.iter().map(String::as_str).zip(0..).collect();
            let of = |labels: &Names| {
                let known: Vec<u16> = labels.names.iter().map(|name| ids.get(name.as_str()).copied().unwrap_or_default()).collect();
                labels.of.iter().map(|&name| known[name as usize]).collect::<Vec<u16>>()
            };
            let (train, test) = (of(of_train), of(of_test));
            Ok(Classes { names: names.into_iter().collect(), train, test })
        }
        _ => Err(place.error("the labels of one part are numbers, and those of the other names".to_owned())),
    }
}

/// Returns the number of each sample's client: clients with a training sample come first, in the order of their names in the training part.
fn clients(train: Option<Names>, test: Option<Names>) -> (Option<Vec<u32>>, Option<Vec<u32>>) {
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    let mut number = |names: Names| {
        let mut known: Vec<Option<u32>> = vec![None; names.names.len()];
        let of = names.of.iter().map(|&name| {
            *known[name as usize].get_or_insert_with(|| {
                let next = ids.len() as u32;
                *ids.entry(names.names[name as usize].clone()).or_insert(next)
            })
        });
        of.collect::<Vec<u32>>()
    };
    let train = train.map(&mut number);
    let test = test.filter(|_| train.is_some()).map(&mut number);
    (train, test)
}

/// Returns the normalization of images, from sums without rounding.
fn of_images(pixels: &[u8], shape: [usize; 3]) -> Preparation {
    let [channels, height, width] = shape;
    let mut counts = vec![[0_u64; 256]; channels];
    for (plane, values) in pixels.chunks_exact(height * width).enumerate() {
        let counts = &mut counts[plane % channels];
        values.iter().for_each(|&value| counts[usize::from(value)] += 1);
    }
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "rounded once, at the end")]
    let of_channel = |counts: &[u64; 256]| {
        let sum = |power: u32| (0..).zip(counts).map(|(value, &count): (u128, _)| value.pow(power) * u128::from(count)).sum::<u128>();
        let (num, sum, squares) = (sum(0), sum(1), sum(2));
        let mean = sum as f64 / (num as f64 * 255.0);
        let deviation = ((num * squares - sum * sum) as f64).sqrt() / (num as f64 * 255.0);
        (mean as f32, if deviation > 0.0 { deviation as f32 } else { 1.0 })
    };
    let (mean, deviation) = counts.iter().map(of_channel).unzip();
    Preparation { mean, deviation, augmentation: Augmentation::None }
}

/// Returns the normalization of vectors, from sums in the order of the samples.
fn of_vectors(numbers: &[f32], len: usize) -> Preparation {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer samples than 2^32")]
    let num = (numbers.len() / len) as f64;
    let mut means = vec![0.0_f64; len];
    for sample in numbers.chunks_exact(len) {
        means.iter_mut().zip(sample).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    means.iter_mut().for_each(|mean| *mean /= num);
    let mut squares = vec![0.0_f64; len];
    for sample in numbers.chunks_exact(len) {
        for ((sum, &value), mean) in squares.iter_mut().zip(sample).zip(&means) {
            *sum += (f64::from(value) - mean).powi(2);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounded once, at the end")]
    let narrow = |value: f64| value as f32;
    let deviation = squares.iter().map(|sum| narrow((sum / num).sqrt())).map(|value| if value > 0.0 { value } else { 1.0 }).collect();
    Preparation { mean: means.into_iter().map(narrow).collect(), deviation, augmentation: Augmentation::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalization_of_images_is_by_channel() {
        let of = of_images(&[0, 255, 10, 10, 255, 0, 10, 10], [2, 1, 2]);
        assert_eq!((of.mean, of.deviation), (vec![0.5, 10.0 / 255.0], vec![0.5, 1.0]));
    }

    #[test]
    fn normalization_of_vectors_is_by_number() {
        let of = of_vectors(&[1.0, 5.0, 3.0, 5.0], 2);
        assert_eq!((&of.mean[..], &of.deviation[..]), (&[2.0, 5.0][..], &[1.0, 1.0][..]));
        let mut numbers = [1.0, 5.0, 3.0, 6.0];
        of.normalize(&mut numbers);
        assert_eq!(numbers, [-1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn a_share_is_drawn_once_for_all() {
        // Recorded from this code: these draws decide recorded results.
        let mut drawn = draw((0..10).collect(), 0.2, &[]);
        drawn.sort_unstable();
        assert_eq!(drawn.len(), 2);
        let mut again = draw((0..10).collect(), 0.2, &[]);
        again.sort_unstable();
        assert_eq!(again, drawn);
        assert_ne!(draw((0..100).collect(), 0.2, &[0]), draw((0..100).collect(), 0.2, &[1]));
    }

    #[test]
    fn clients_are_numbered_by_their_first_training_sample() {
        let names = |names: &[&str], of: &[u32]| Some(Names { names: names.iter().map(ToString::to_string).collect(), of: of.to_vec() });
        let (train, test) = clients(names(&["a", "b"], &[1, 1, 0]), names(&["c", "a"], &[0, 1]));
        assert_eq!((train, test), (Some(vec![0, 0, 1]), Some(vec![2, 1])));
    }
}
