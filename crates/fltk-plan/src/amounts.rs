//! Resource amounts by name, as Kubernetes counts them.

use std::{cmp::Ordering, collections::BTreeMap, fmt, sync::Arc};

use fltk_core::experiment::Quantity;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Billionths in one core or byte.
const NANOS: i128 = 1_000_000_000;

/// The largest amount, in billionths. Sums saturate there, so that what is written can be read back.
const NANOS_MAX: i128 = Quantity::NANOS_MAX;

/// Amounts of `cpu` (cores), `memory` (bytes), `nvidia.com/gpu` and any other resource of a node, in billionths. A resource without an entry is zero.
///
/// In JSON the amounts are Kubernetes quantities: a number couldn't hold the bytes of a large node in billionths.
///
/// A planner copies and compares amounts all the time, and there are few in each: an ascending list with shared names is much faster than a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts(Vec<(Arc<str>, i128)>);

impl Amounts {
    /// The empty set of amounts.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The same amounts, with `name` set to `nanos` billionths.
    #[must_use]
    pub fn with(mut self, name: &str, nanos: i128) -> Self {
        let nanos = nanos.clamp(-NANOS_MAX, NANOS_MAX);
        match self.find(name) {
            Ok(index) => self.0[index].1 = nanos,
            Err(index) => self.0.insert(index, (name.into(), nanos)),
        }
        self
    }

    /// The index of the entry `name`, or the one that it would have.
    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// Changes the amount of each resource of `other`, from zero if there was none.
    fn change(&mut self, other: &Self, change: impl Fn(i128, i128) -> i128) {
        // Both are ascending, and mostly of the same resources.
        let mut at = 0;
        for (name, nanos) in &other.0 {
            let is_there = loop {
                match self.0.get(at).map(|(here, _)| here.cmp(name)) {
                    Some(Ordering::Less) => at += 1,
                    order => break order == Some(Ordering::Equal),
                }
            };
            if !is_there {
                self.0.insert(at, (Arc::clone(name), 0));
            }
            self.0[at].1 = change(self.0[at].1, *nanos).clamp(-NANOS_MAX, NANOS_MAX);
        }
    }

    /// The amount of `name`, in billionths.
    #[must_use]
    pub fn get(&self, name: &str) -> i128 {
        self.find(name).map_or(0, |index| self.0[index].1)
    }

    /// Each resource's name and its amount in billionths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i128)> {
        self.0.iter().map(|(name, nanos)| (&**name, *nanos))
    }

    /// Each resource's name and its amount as the shortest exact quantity.
    pub fn quantities(&self) -> impl Iterator<Item = (&str, String)> {
        self.iter().map(|(name, nanos)| (name, exact(nanos)))
    }

    /// The larger of the two amounts of each resource.
    #[must_use]
    pub fn max(mut self, other: &Self) -> Self {
        for (name, nanos) in &other.0 {
            match self.find(name) {
                Ok(index) => self.0[index].1 = self.0[index].1.max(*nanos),
                Err(index) => self.0.insert(index, (Arc::clone(name), *nanos)),
            }
        }
        self
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.change(other, i128::saturating_add);
    }

    /// Subtracts `other`; amounts may become negative.
    pub fn subtract(&mut self, other: &Self) {
        self.change(other, i128::saturating_sub);
    }

    /// True if there is as much here as `asked` wants.
    #[must_use]
    pub fn holds(&self, asked: &Self) -> bool {
        self.shortages(asked).next().is_none()
    }

    /// The names of the resources of which `asked` wants more than there is here, ascending; empty if it fits.
    #[must_use]
    pub fn lacks<'a>(&self, asked: &'a Self) -> Vec<&'a str> {
        self.shortages(asked).collect()
    }

    fn shortages<'a>(&self, asked: &'a Self) -> impl Iterator<Item = &'a str> {
        let mut at = 0;
        let mut here = move |name: &Arc<str>| {
            while let Some((here, nanos)) = self.0.get(at) {
                match here.cmp(name) {
                    Ordering::Less => at += 1,
                    Ordering::Equal => return *nanos,
                    Ordering::Greater => break,
                }
            }
            0
        };
        asked.0.iter().filter(move |(name, nanos)| *nanos > here(name)).map(|(name, _)| &**name)
    }

    /// The largest fraction of any of these amounts that `asked` takes, `0..`; infinite if it asks for a resource that isn't here.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn share(&self, asked: &Self) -> f64 {
        let shares = asked.0.iter().filter(|(_, nanos)| *nanos > 0).map(|(name, nanos)| *nanos as f64 / self.get(name).max(0) as f64);
        shares.fold(0.0, f64::max)
    }
}

impl Serialize for Amounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.quantities())
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let amount = |(name, text): (String, String)| match text.parse::<Quantity>() {
            Ok(quantity) => Ok((name.into(), quantity.nanos())),
            Err(error) => Err(D::Error::custom(format!("`{}` of `{}`: {error}", text.escape_debug(), name.escape_debug()))),
        };
        texts.into_iter().map(amount).collect::<Result<_, _>>().map(Self)
    }
}

/// The shortest quantity that is exactly this amount.
fn exact(nanos: i128) -> String {
    const SUFFIXES: [(&str, i128); 4] = [("", NANOS), ("m", 1_000_000), ("u", 1000), ("n", 1)];
    let (suffix, factor) = SUFFIXES.into_iter().find(|(_, factor)| nanos % factor == 0).unwrap_or(("n", 1));
    format!("{}{suffix}", nanos / factor)
}

/// `cpu 500m, memory 1Gi`.
impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, nanos)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {}", text(name, *nanos))?;
        }
        if self.0.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

/// The amount in human-readable form: whole units, bytes with a binary suffix where they are round, cores in thousandths.
fn text(name: &str, nanos: i128) -> String {
    const SUFFIXES: [(&str, i128); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    if nanos % NANOS != 0 {
        return format!("{}m", nanos.div_euclid(1_000_000) + i128::from(nanos % 1_000_000 != 0));
    }
    let units = nanos / NANOS;
    let suffix = SUFFIXES.iter().find(|(_, factor)| name.contains("memory") && units != 0 && units % factor == 0);
    suffix.map_or_else(|| units.to_string(), |(suffix, factor)| format!("{}{suffix}", units / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_add_up_and_name_the_shortage() {
        let mut free = Amounts::none().with("cpu", 2 * NANOS).with("memory", NANOS << 30);
        let pod = Amounts::none().with("cpu", NANOS / 2).with("memory", NANOS << 29);
        assert!(free.holds(&pod) && free.lacks(&pod).is_empty());
        assert!((free.share(&pod) - 0.5).abs() < 1e-12);
        free.subtract(&pod);
        free.subtract(&pod);
        assert!(!free.holds(&pod));
        assert_eq!(free.lacks(&pod), ["memory"]);
        assert_eq!(free.lacks(&Amounts::none().with("nvidia.com/gpu", 1)), ["nvidia.com/gpu"]);
        assert!(free.share(&pod).is_infinite());
        free.add(&pod);
        assert_eq!(free.to_string(), "cpu 1500m, memory 512Mi");
        assert_eq!(Amounts::none().to_string(), "nothing");
        let large = Amounts::none().with("memory", NANOS << 40).with("cpu", 1_500_000_001).with("pods", NANOS / 2);
        let json = serde_json::to_string(&large).unwrap();
        assert_eq!(json, r#"{"cpu":"1500000001n","memory":"1099511627776","pods":"500m"}"#);
        assert_eq!(serde_json::from_str::<Amounts>(&json).unwrap(), large);
        assert!(serde_json::from_str::<Amounts>(r#"{"cpu":"1 core"}"#).is_err());
        let mut most = Amounts::none().with("memory", i128::MAX);
        assert_eq!(most.to_string(), "memory 170141183460469231731687303715885m");
        let beyond = Amounts::none().with("memory", 10 * i128::from(u64::MAX) * NANOS);
        assert_eq!(serde_json::to_string(&beyond).unwrap(), r#"{"memory":"184467440737095516150"}"#);
        most.add(&most.clone());
        assert_eq!(serde_json::from_str::<Amounts>(&serde_json::to_string(&most).unwrap()).unwrap(), most);
        let mut debt = Amounts::none();
        debt.subtract(&most);
        debt.subtract(&most);
        assert_eq!(serde_json::from_str::<Amounts>(&serde_json::to_string(&debt).unwrap()).unwrap(), debt);
    }
}
