//! Samples that are made: the data set of the FedProx paper, client by client.
//!
//! Client `k` has a linear model of its own, with which its samples are labelled. `u`, `B`, `W`, `b`, `v`, `x` are drawn from normal distributions, whose
//! second number is the standard deviation here, as in the paper's program:
//!
//! ```text
//! u ~ N(0, alpha)   W: 10 x 60, each ~ N(u, 1)   b: 10, each ~ N(u, 1)
//! B ~ N(0, beta)    v: 60, each ~ N(B, 1)        x: 60, x_j ~ N(v_j, sqrt(j^-1.2)), j from 1     y = argmax(W x + b)
//! ```
//!
//! `iid` is the paper's `Synthetic-IID`: all clients have one `W` and one `b`, of `u = 0`, and `v = 0`. A client has `50 + floor(exp(N(4, 2)))` samples. Its first nine tenths,
//! rounded down, are training samples.
//!
//! Draws come from the data set's own seed: the numbers of samples, client after client, from one stream, and all else about a client from a stream of its own. So nothing about a client depends on
//! how many come after it, and samples need not be in memory before they are used.

use std::{fmt, ops::Range, sync::Arc};

use fltk_core::{
    catalogue::{Choice, DatasetEntry, Entry, Number, Range as Within, SampleKind, Switch, Whole},
    seed::{Purpose, Seed},
};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::source::{Augmentation, Format, Normalization, Source};
use crate::{
    dataset::{Dataset, FileDigest, Origin, Provenance},
    digest::samples_digest,
    partition::CLIENTS_MAX,
    samples::{Split, VectorSet},
};

/// The numbers of one sample.
const FEATURES: usize = 60;
const CLASSES: usize = 10;
const CLASS_NAMES: [&str; CLASSES] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The largest number of clients whose test samples are in the test set.
const CLIENTS_TESTED_MAX: u32 = 1000;

/// The allowed standard deviations: the paper has up to 1.
const SPREAD: Within = Within::between(0.0, 1000.0);

const ALPHA: Number = Number::new("alpha", 1.0, "The standard deviation of the means of the clients' models.").within(SPREAD);
const BETA: Number = Number::new("beta", 1.0, "The standard deviation of the means of the clients' samples.").within(SPREAD);
const IID: Switch =
    Switch::new("iid", false, "True if all clients have the same model and the same mean, whatever `alpha` and `beta` say.");
const CLIENTS: Whole = Whole::new("clients", 30, "The number of its natural clients.").within(1, CLIENTS_MAX);
const SEED: Whole = Whole::new("seed", 0, "The seed from which it is made: it is the same data set whatever the seed of a run.");

/// The data set `synthetic`.
pub static SOURCE: Source = Source {
    entry: DatasetEntry {
        entry: Entry::new(
            "synthetic",
            "Vectors that are made for each of its natural clients, with a model and a mean of the client's own. Clients have 50 samples or more, log-normally many; the test set \
             has a tenth of those of the first 1000 clients.",
        )
        .paper("Li, Sahu, Zaheer, Sanjabi, Talwalkar and Smith 2020, Federated Optimization in Heterogeneous Networks, MLSys, arXiv:1812.06127, section 5.1")
        .parameters(const { &[ALPHA.parameter(), BETA.parameter(), IID.parameter(), CLIENTS.parameter(), SEED.parameter()] }),
        gives: SampleKind::vectors(FEATURES as u32, CLASSES as u32),
        num_train: None,
        has_natural_clients: true,
        natural_clients: Some(CLIENTS),
        has_files: false,
    },
    title: "Synthetic(alpha, beta), made from a seed",
    license: "none is needed",
    reference: "Li et al. 2020, arXiv:1812.06127",
    files: &[],
    embedded: &[],
    subfolders: &[],
    system_folders: &[],
    class_names: &CLASS_NAMES,
    format: Format::Made,
    other_archives: &[],
    repacked: &[],
    normalization: Normalization::SCALE,
    augmentation: Augmentation::None,
};

/// The training set, of which no sample is in memory.
#[derive(Clone, PartialEq)]
pub struct Synthetic {
    law: Law,
    /// For each client the number of training samples of all clients up to and including it.
    ends: Arc<[u32]>,
}

/// All that the samples of a client depend on, beside its number.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Law {
    alpha: f64,
    beta: f64,
    iid: bool,
    seed: Seed,
}

/// Shows the settings, and not the million of numbers that follow from them.
impl fmt::Debug for Synthetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Synthetic").field("law", &self.law).field("clients", &self.ends.len()).finish_non_exhaustive()
    }
}

impl Eq for Synthetic {}

/// Makes the data set with these settings. Returns `None` if it has 2^32 samples or more.
pub(crate) fn make(settings: &Choice) -> Option<Dataset> {
    let law = Law { alpha: ALPHA.of(settings), beta: BETA.of(settings), iid: IID.of(settings), seed: Seed(SEED.of(settings).into()) };
    let clients = CLIENTS.of(settings);
    let mut draws = law.seed.stream(Purpose::Synthetic, &[]);
    let (mut ends, mut test) = (Vec::with_capacity(clients as usize), VectorSet::empty(FEATURES));
    let mut end = 0_u32;
    for client in 0..clients {
        let drawn: f64 = StandardNormal.sample(&mut draws);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 50, and `as` takes what is out of range to the nearest end"
        )]
        let num_samples = (50.0 + (4.0 + 2.0 * drawn).exp().floor()) as u32;
        let num_train = num_trained_on(num_samples);
        end = end.checked_add(num_train)?;
        ends.push(end);
        if client < CLIENTS_TESTED_MAX {
            Samples::of(&law, client).write(num_train..num_samples, &mut test);
        }
    }
    let mut dataset = Dataset {
        preparation: SOURCE.preparation(),
        class_names: CLASS_NAMES.map(str::to_owned).to_vec(),
        train: Split::Synthetic(Synthetic { law, ends: ends.into() }),
        test: Split::Vectors(test),
        provenance: Provenance { origin: Origin::Made, files: Vec::new(), normalization: None },
    };
    // A run that goes on notices if the samples are made in another way.
    let sha256 = hex::encode(samples_digest(&dataset));
    dataset.provenance.files.push(FileDigest { name: SOURCE.name().to_owned(), sha256, official: true });
    Some(dataset)
}

/// Returns nine tenths of `num_samples`, rounded down.
fn num_trained_on(num_samples: u32) -> u32 {
    num_samples - num_samples.div_ceil(10)
}

impl Synthetic {
    /// The number of numbers of one sample.
    pub const FEATURES: usize = FEATURES;

    /// The number of training samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }

    /// True if there are no training samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of clients.
    #[must_use]
    pub fn num_clients(&self) -> usize {
        self.ends.len()
    }

    /// Returns the training samples of `client`.
    ///
    /// # Panics
    /// If there is no such client.
    #[must_use]
    pub fn samples_of(&self, client: usize) -> Range<u32> {
        let first = client.checked_sub(1).map_or(0, |before| self.ends[before]);
        first..self.ends[client]
    }

    /// Returns the client of each sample.
    #[must_use]
    pub fn clients(&self) -> Vec<u32> {
        (0..).zip(0..self.num_clients()).flat_map(|(client, place)| std::iter::repeat_n(client, self.samples_of(place).len())).collect()
    }

    /// Returns the label of each sample, which makes them all.
    #[must_use]
    pub fn labels(&self) -> Vec<u16> {
        let of_client = |client: usize| {
            let mut set = VectorSet::empty(FEATURES);
            Samples::of(&self.law, client as u32).write(0..self.samples_of(client).len() as u32, &mut set);
            set.labels().to_vec()
        };
        (0..self.num_clients()).flat_map(of_client).collect()
    }

    /// Makes the samples at `indices`, which are ascending and in the data set.
    ///
    /// # Panics
    /// If an index is out of range.
    #[must_use]
    pub fn gather(&self, indices: &[u32]) -> VectorSet {
        let mut set = VectorSet::with_capacity(FEATURES, indices.len());
        let mut rest = indices;
        while let [first, ..] = rest {
            let client = self.ends.partition_point(|end| end <= first);
            let samples = self.samples_of(client);
            let (own, others) = rest.split_at(rest.partition_point(|index| *index < samples.end));
            let mut made = Samples::of(&self.law, client as u32);
            for index in own {
                let place = index - samples.start;
                made.write(place..place + 1, &mut set);
            }
            rest = others;
        }
        set
    }

    /// Adds all that the samples follow from to `hash`, and those of the first client, in which other draws would show.
    pub(crate) fn digest(&self, hash: &mut impl FnMut(&[u8])) {
        let Law { alpha, beta, iid, seed } = self.law;
        hash(&alpha.to_le_bytes());
        hash(&beta.to_le_bytes());
        hash(&[iid.into()]);
        hash(&seed.0.to_le_bytes());
        self.ends.iter().for_each(|end| hash(&end.to_le_bytes()));
        let first = self.gather(&self.samples_of(0).collect::<Vec<u32>>());
        first.numbers().iter().for_each(|number| hash(&number.to_le_bytes()));
    }
}

/// The samples of one client, in order.
struct Samples {
    draws: ChaCha8Rng,
    /// `W`, row by row.
    weights: Vec<f64>,
    bias: [f64; CLASSES],
    mean: [f64; FEATURES],
    deviations: [f64; FEATURES],
    /// The number of samples that were made.
    num_made: u32,
}

impl Samples {
    fn of(law: &Law, client: u32) -> Self {
        fn normal(draws: &mut ChaCha8Rng) -> f64 {
            StandardNormal.sample(draws)
        }
        let mut draws = law.seed.stream(Purpose::Synthetic, &[client.into()]);
        // What all clients have in common comes from a stream of its own.
        let mut common = law.iid.then(|| law.seed.stream(Purpose::Synthetic, &[0, 0]));
        let of_model = common.as_mut().unwrap_or(&mut draws);
        let model_mean = if law.iid { 0.0 } else { law.alpha * normal(of_model) };
        let weights = (0..CLASSES * FEATURES).map(|_| model_mean + normal(of_model)).collect();
        let bias = std::array::from_fn(|_| model_mean + normal(of_model));
        let mut mean = [0.0; FEATURES];
        if !law.iid {
            let center = law.beta * normal(&mut draws);
            mean = std::array::from_fn(|_| center + normal(&mut draws));
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 60")]
        let deviations = std::array::from_fn(|place| ((place + 1) as f64).powf(-1.2).sqrt());
        Self { draws, weights, bias, mean, deviations, num_made: 0 }
    }

    /// Adds the samples at `places` among the client's to `set`; the first isn't before the last one that was made.
    fn write(&mut self, places: Range<u32>, set: &mut VectorSet) {
        while self.num_made < places.end {
            let sample = self.next();
            self.num_made += 1;
            if self.num_made > places.start {
                let label = self.label(&sample);
                set.push(&sample, label);
            }
        }
    }

    fn next(&mut self) -> [f32; FEATURES] {
        std::array::from_fn(|place| {
            let draw: f64 = StandardNormal.sample(&mut self.draws);
            #[expect(clippy::cast_possible_truncation, reason = "samples are in single precision")]
            let number = (self.mean[place] + self.deviations[place] * draw) as f32;
            number
        })
    }

    /// Returns the class with the largest logit; the first of equal ones.
    fn label(&self, sample: &[f32; FEATURES]) -> u16 {
        let logit =
            |(row, bias): (&[f64], &f64)| row.iter().zip(sample).map(|(weight, number)| weight * f64::from(*number)).sum::<f64>() + bias;
        let (mut label, mut largest) = (0, f64::NEG_INFINITY);
        for (class, logit) in (0..).zip(self.weights.chunks_exact(FEATURES).zip(&self.bias).map(logit)) {
            if logit > largest {
                (label, largest) = (class, logit);
            }
        }
        label
    }
}
