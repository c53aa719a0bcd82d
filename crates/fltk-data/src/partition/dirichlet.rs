//! Dirichlet label skew by class (Yurochkin et al. 2019, arXiv:1905.12022), as in KFLTK, FedLab and Flower.

use fltk_core::catalogue::{Entry, Number, PartitionerEntry, Range, Switch, Whole};
use rand_chacha::ChaCha8Rng;
use rand_distr::multi::{Dirichlet, MultiDistribution};

use super::{
    carry::Carry,
    classes::by_class_shuffled,
    error::PartitionError,
    partitioner::{Partitioner, Parts, Request},
    version::{VERSION, carry},
};

/// The number of draws of the whole partition before we give up: with a chance of 1 % per draw, this fails once in 20,000 times, and the
/// largest settings in use (1000 clients, 100 classes) take some seconds to fail.
const DRAWS_MAX: u32 = 1000;

/// The range of alpha: outside of it, proportions are all equal, or all zeros and ones, to the last bit.
const ALPHA_RANGE: Range = Range::between(0.001, 1e6);

const ALPHA: Number = Number::required("alpha", "The concentration; a small value makes clients heterogeneous.").within(ALPHA_RANGE);
const MIN_SAMPLES: Whole =
    Whole::new("min_samples", 1, "The minimum number of samples per client; the partition is drawn again until every client has it.");

const SELF_BALANCING: Switch = Switch::new(
    "self_balancing",
    false,
    "True if a client that already has its equal share of all samples gets none of the next classes, as in NIID-Bench (Li et al. 2022, arXiv:2102.02079) and \
     by default in Flower: sizes then differ less.",
);

/// The partitioner `dirichlet`.
pub static PARTITIONER: Partitioner = Partitioner {
    entry: PartitionerEntry {
        samples_per_client: Some(MIN_SAMPLES),
        ..PartitionerEntry::by_label(
            Entry::new("dirichlet", "For each class, proportions over clients drawn from `Dir(alpha, ..., alpha)`. Every sample is used.")
                .paper("Yurochkin et al. 2019, Bayesian Nonparametric Federated Learning of Neural Networks, arXiv:1905.12022")
                .parameters(&[ALPHA.parameter(), MIN_SAMPLES.parameter(), SELF_BALANCING.parameter(), VERSION.parameter()]),
        )
    },
    divide,
};

fn divide(request: &Request<'_>, rng: &mut ChaCha8Rng) -> Result<Parts, PartitionError> {
    let Request { labels, num_classes, clients, settings, .. } = *request;
    let (alpha, min_samples, carry) = (ALPHA.of(settings), MIN_SAMPLES.of(settings), carry(request)?);
    if !ALPHA_RANGE.contains(alpha) {
        return Err(PartitionError::Parameter { name: "alpha", value: alpha, range: "in 0.001..=1000000" });
    }
    if (labels.len() as u64) < u64::from(clients) * u64::from(min_samples) {
        let also = ", or a smaller min_samples";
        return Err(PartitionError::TooFewSamples { samples: labels.len(), parts: u64::from(clients), each: min_samples, also });
    }
    let classes = by_class_shuffled(labels, num_classes, rng);
    if clients == 1 {
        return Ok(vec![classes.concat()]);
    }
    for _ in 0..DRAWS_MAX {
        // Each draw starts afresh: the carry of an earlier draw doesn't count.
        let mut carry = carry.clone();
        let mut balance = SELF_BALANCING.of(settings).then(|| Balance::new(labels.len(), clients));
        let mut cut = |class: &Vec<u32>| {
            let mut proportions = proportions(clients, alpha, rng)?;
            if let Some(balance) = &balance {
                balance.leave_out(&mut proportions);
            }
            let cuts = match &mut carry {
                Some(carry) => carried_cut_points(class.len(), &proportions, carry),
                None => cut_points(class.len(), &proportions),
            };
            if let Some(balance) = &mut balance {
                balance.add(&cuts);
            }
            Ok(cuts)
        };
        let cuts: Vec<Vec<usize>> = classes.iter().map(&mut cut).collect::<Result<_, _>>()?;
        let size = |client: usize| cuts.iter().map(|cuts| cuts[client + 1] - cuts[client]).sum::<usize>();
        if (0..clients as usize).all(|client| size(client) >= min_samples as usize) {
            let part = |client: usize| {
                classes.iter().zip(&cuts).flat_map(|(class, cuts)| &class[cuts[client]..cuts[client + 1]]).copied().collect()
            };
            return Ok((0..clients as usize).map(part).collect());
        }
    }
    Err(PartitionError::NoLuck { draws: DRAWS_MAX, clients, min_samples })
}

/// The sizes of the clients so far, for a partition that balances them.
struct Balance {
    sizes: Vec<usize>,
    num_samples: usize,
}

impl Balance {
    fn new(num_samples: usize, clients: u32) -> Self {
        Self { sizes: vec![0; clients as usize], num_samples }
    }

    /// Leaves out the clients that have their equal share of all samples; the others have theirs of a class in proportion to each other.
    fn leave_out(&self, proportions: &mut [f64]) {
        let is_full = |size: &usize| size * self.sizes.len() >= self.num_samples;
        let left = |place: usize, proportion: f64| if is_full(&self.sizes[place]) { 0.0 } else { proportion };
        let total: f64 = proportions.iter().enumerate().map(|(place, proportion)| left(place, *proportion)).sum();
        let num_left = self.sizes.iter().filter(|size| !is_full(size)).count();
        for (place, proportion) in proportions.iter_mut().enumerate() {
            // With a tiny alpha, all that is left can be too small for a number.
            *proportion = if total > 0.0 { left(place, *proportion) / total } else { left(place, 1.0) / num_left.max(1) as f64 };
        }
    }

    fn add(&mut self, cuts: &[usize]) {
        for (size, cut) in self.sizes.iter_mut().zip(cuts.windows(2)) {
            *size += cut[1] - cut[0];
        }
    }
}

/// Returns the places where a class of `len` samples is cut: client `k` gets `cuts[k]..cuts[k + 1]`. The carry evens out the fractions over
/// all classes.
fn carried_cut_points(len: usize, proportions: &[f64], carry: &mut Carry) -> Vec<usize> {
    let shares: Vec<(usize, f64)> = proportions.iter().copied().enumerate().collect();
    let mut cuts = vec![0];
    cuts.extend(carry.sizes(len, &shares).into_iter().scan(0, |end, size| {
        *end += size;
        Some(*end)
    }));
    cuts
}

/// Returns the same for each class on its own: the cumulative proportions are rounded, not the proportions themselves, so no client collects all the
/// rounding errors. (But if proportions are nearly equal, the same clients get more of every class.)
fn cut_points(len: usize, proportions: &[f64]) -> Vec<usize> {
    let mut sum = 0.0;
    let mut cuts = vec![0];
    cuts.extend(proportions.iter().map(|proportion| {
        sum += proportion;
        ((sum * len as f64).round() as usize).min(len)
    }));
    // The sum is 1 up to rounding; the last client's part ends with the class.
    cuts[proportions.len()] = len;
    cuts
}

/// Makes one draw of `Dir(alpha, ..., alpha)` over `clients >= 2`.
fn proportions(clients: u32, alpha: f64, rng: &mut ChaCha8Rng) -> Result<Vec<f64>, PartitionError> {
    let distribution = Dirichlet::new(&vec![alpha; clients as usize]).map_err(|_| PartitionError::Parameter {
        name: "alpha",
        value: alpha,
        range: "in 0.001..=1000000",
    })?;
    let mut proportions = vec![0.0; clients as usize];
    distribution.sample_to_slice(rng, &mut proportions);
    Ok(proportions)
}

#[cfg(test)]
mod tests {
    use fltk_core::{
        catalogue::Choice,
        seed::{Purpose, Seed},
    };

    use super::*;

    /// Every published partition depends on these draws: an update of `rand_distr` or `rand_chacha` that changes them must not go
    /// unnoticed.
    #[test]
    fn dirichlet_draws_are_fixed() {
        let draw = |alpha| proportions(4, alpha, &mut Seed(42).stream(Purpose::Partition, &[])).expect("valid parameters");
        let found = [0.5, 0.05, 100.0].map(draw).concat();
        #[rustfmt::skip]
        let expected = [
            0.124_233_538_046_860_1, 0.566_457_522_817_698_8, 0.294_306_794_181_612_15, 0.015_002_144_953_829_03,
            0.351_729_620_024_367_03, 3.884_454_869_505_731_4e-13, 2.714_880_737_751_121_6e-15, 0.648_270_379_975_241_7,
            0.233_778_105_285_235_88, 0.275_644_874_718_024_8, 0.253_232_123_040_021_2, 0.237_344_896_956_718_1,
        ];
        // The comparison allows for the last bits: `exp` and `ln` differ between platforms.
        let is_close = found.iter().zip(expected).all(|(found, expected): (&f64, f64)| (found - expected).abs() < 1e-12);
        assert!(is_close && found.len() == 12, "{found:?}");
    }

    /// Three clients share 30 samples, so 10 are a share.
    #[test]
    fn clients_with_their_share_are_left_out() {
        let mut balance = Balance::new(30, 3);
        let left = |balance: &Balance| {
            let mut proportions = vec![0.5, 0.3, 0.2];
            balance.leave_out(&mut proportions);
            proportions
        };
        assert_eq!(left(&balance), [0.5, 0.3, 0.2]);
        balance.add(&[0, 10, 14, 15]);
        assert_eq!(left(&balance), [0.0, 0.6, 0.4]);
        balance.add(&[0, 0, 6, 7]);
        assert_eq!(left(&balance), [0.0, 0.0, 1.0]);
        let mut nothing = vec![1.0, 0.0, 0.0];
        balance.leave_out(&mut nothing);
        assert_eq!(nothing, [0.0, 0.0, 1.0]);
    }

    #[test]
    fn balanced_sizes_differ_less_and_every_sample_is_used() {
        let labels: Vec<u16> = (0..6000).map(|sample| sample % 10).collect();
        let sizes = |self_balancing: bool| -> Vec<usize> {
            let settings = Choice::new("dirichlet").with("alpha", 0.5).with("self_balancing", self_balancing);
            let seed = Seed(7);
            let request = Request { labels: &labels, num_classes: 10, natural: None, clients: 10, settings: &settings, file: None, seed };
            let parts = divide(&request, &mut seed.stream(Purpose::Partition, &[])).expect("it is possible");
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..6000).collect::<Vec<_>>());
            parts.iter().map(Vec::len).collect()
        };
        let spread = |sizes: &[usize]| sizes.iter().max().copied().unwrap_or(0) - sizes.iter().min().copied().unwrap_or(0);
        let (balanced, free) = (sizes(true), sizes(false));
        // Whoever has 600 gets no more, and of one class nobody gets more than its 600.
        assert!(balanced.iter().all(|size| *size < 1200) && spread(&balanced) < spread(&free), "{balanced:?} {free:?}");
    }
}
