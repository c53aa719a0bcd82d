//! Arrays that are filled as their bytes come.

use std::collections::BTreeSet;

use prost::Message as _;

use super::{Bundle, Damage};
use crate::wire::v1::BundleHeader;

/// The most arrays and scalars that a bundle may have: strategies have a handful.
const ARRAYS_MAX: usize = 1000;

/// The longest name of an array.
const NAME_BYTES_MAX: usize = 256;

/// The arrays that are being filled.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) bundle: Bundle,
    /// The arrays that are still to come, in order, with their length and nothing in them.
    next: std::vec::IntoIter<(String, u64, Values)>,
    current: Option<(String, u64, Values)>,
    /// The bytes of an element that isn't whole.
    carried: Vec<u8>,
}

#[derive(Debug)]
enum Values {
    Floats(Vec<f32>),
    Counters(Vec<i64>),
    Bytes(Vec<u8>),
    Indices(Vec<u32>),
}

impl Filling {
    /// Begins to fill what a header promises, if `num_bytes` bytes are enough for it, and no more.
    ///
    /// # Errors
    /// If the header can't be.
    pub(super) fn new(header: &[u8], num_bytes: u64) -> Result<Self, Damage> {
        let refuse = |problem: &str| Err(Damage::Header(problem.to_owned()));
        let BundleHeader { floats, counters, scalars, bytes, indices } =
            BundleHeader::decode(header).map_err(|error| Damage::Header(error.to_string()))?;
        let kinds: [(_, fn() -> Values); 4] = [
            (floats, || Values::Floats(Vec::new())),
            (counters, || Values::Counters(Vec::new())),
            (bytes, || Values::Bytes(Vec::new())),
            (indices, || Values::Indices(Vec::new())),
        ];
        if kinds.iter().map(|(list, _)| list.len()).sum::<usize>() + scalars.len() > ARRAYS_MAX {
            return refuse("it has too many arrays");
        }
        let mut needed = Some(0_u64);
        let mut all = Vec::new();
        for (list, empty) in kinds {
            let size = empty().size() as u64;
            let mut names = BTreeSet::new();
            for array in list {
                if array.name.len() > NAME_BYTES_MAX || !names.insert(array.name.clone()) {
                    return refuse("a name is too long, or is there twice");
                }
                needed = needed.and_then(|needed| needed.checked_add(array.len.checked_mul(size)?));
                all.push((array.name, array.len, empty()));
            }
        }
        if scalars.keys().any(|name| name.len() > NAME_BYTES_MAX) {
            return refuse("a name is too long, or is there twice");
        }
        if needed != Some(num_bytes) {
            return refuse("its arrays don't have the length of what follows");
        }
        let bundle = Bundle { scalars, ..Bundle::default() };
        let mut filling = Self { bundle, next: all.into_iter(), current: None, carried: Vec::new() };
        filling.turn();
        Ok(filling)
    }

    /// Puts complete arrays where they belong, and begins the next that isn't empty.
    fn turn(&mut self) {
        loop {
            match self.current.take() {
                Some((name, len, values)) if values.num() < len => {
                    self.current = Some((name, len, values));
                    return;
                }
                Some((name, _, Values::Floats(values))) => drop(self.bundle.floats.insert(name, values)),
                Some((name, _, Values::Counters(values))) => drop(self.bundle.counters.insert(name, values)),
                Some((name, _, Values::Bytes(values))) => drop(self.bundle.bytes.insert(name, values)),
                Some((name, _, Values::Indices(values))) => drop(self.bundle.indices.insert(name, values)),
                None => {}
            }
            let Some((name, len, mut values)) = self.next.next() else { return };
            values.reserve(usize::try_from(len).unwrap_or(usize::MAX));
            self.current = Some((name, len, values));
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some((_, len, values)) = &mut self.current else { return };
            let size = values.size();
            if !self.carried.is_empty() || bytes.len() < size {
                let (now, rest) = bytes.split_at((size - self.carried.len()).min(bytes.len()));
                self.carried.extend_from_slice(now);
                bytes = rest;
                if self.carried.len() == size {
                    values.extend(&self.carried, *len);
                    self.carried.clear();
                }
            } else {
                let missing = usize::try_from(*len - values.num()).unwrap_or(usize::MAX).saturating_mul(size);
                let whole = bytes.len() - bytes.len() % size;
                let (now, rest) = bytes.split_at(whole.min(missing));
                values.extend(now, *len);
                bytes = rest;
            }
            self.turn();
        }
    }
}

impl Values {
    /// Returns the number of bytes of an element.
    const fn size(&self) -> usize {
        match self {
            Self::Bytes(_) => 1,
            Self::Floats(_) | Self::Indices(_) => 4,
            Self::Counters(_) => 8,
        }
    }

    const fn num(&self) -> u64 {
        let num = match self {
            Self::Floats(values) => values.len(),
            Self::Counters(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Indices(values) => values.len(),
        };
        num as u64
    }

    /// Reserves addresses for all elements, so that arrays needn't be moved as they grow. Memory is used only as elements come: a sender that only promises costs
    /// none. If there aren't as many addresses, arrays grow.
    fn reserve(&mut self, num: usize) {
        let _ = match self {
            Self::Floats(values) => values.try_reserve_exact(num),
            Self::Counters(values) => values.try_reserve_exact(num),
            Self::Bytes(values) => values.try_reserve_exact(num),
            Self::Indices(values) => values.try_reserve_exact(num),
        };
    }

    /// Appends whole elements. Of `len`, once there are enough to believe it, room is made for all.
    fn extend(&mut self, bytes: &[u8], len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match self {
            Self::Floats(values) => append(values, bytes, len, f32::from_le_bytes),
            Self::Counters(values) => append(values, bytes, len, i64::from_le_bytes),
            Self::Bytes(values) => append(values, bytes, len, u8::from_le_bytes),
            Self::Indices(values) => append(values, bytes, len, u32::from_le_bytes),
        }
    }
}

fn append<T, const N: usize>(values: &mut Vec<T>, bytes: &[u8], len: usize, value: impl Fn([u8; N]) -> T) {
    let (elements, _) = bytes.as_chunks::<N>();
    make_room(values, elements.len(), len);
    values.extend(elements.iter().copied().map(value));
}

/// Makes room for `more` elements: at least twice as many as there are, and never for more than `len`, so that a model has no room that it doesn't need.
fn make_room<T>(values: &mut Vec<T>, more: usize, len: usize) {
    let needed = values.len() + more;
    if needed > values.capacity() {
        values.reserve_exact((2 * needed).min(len) - values.len());
    }
}
