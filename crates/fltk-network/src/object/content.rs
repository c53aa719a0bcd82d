//! Objects that are sent: numbers in memory, whose bytes are made chunk by chunk, so that no copy of a whole model is needed.

use std::{fmt, sync::Arc};

use prost::Message as _;

use super::{CHUNK_BYTES, Digest, Object};
use crate::wire::v1::{ArrayHeader, BundleHeader};

/// The numbers of one array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part<'a> {
    /// 32-bit floats.
    Floats(&'a [f32]),
    /// 64-bit whole numbers.
    Counters(&'a [i64]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Positions in other arrays.
    Indices(&'a [u32]),
}

impl Part<'_> {
    const fn num_bytes(&self) -> usize {
        match self {
            Self::Floats(values) => values.len() * 4,
            Self::Counters(values) => values.len() * 8,
            Self::Bytes(values) => values.len(),
            Self::Indices(values) => values.len() * 4,
        }
    }

    /// Returns the place of its kind: arrays follow the header by kind.
    const fn place(&self) -> u8 {
        match self {
            Self::Floats(_) => 0,
            Self::Counters(_) => 1,
            Self::Bytes(_) => 2,
            Self::Indices(_) => 3,
        }
    }

    /// Appends `len` bytes from `offset` on.
    fn append(&self, offset: usize, len: usize, to: &mut Vec<u8>) {
        match self {
            Self::Floats(values) => append(values, offset, len, |value: &f32| value.to_le_bytes(), to),
            Self::Counters(values) => append(values, offset, len, |value: &i64| value.to_le_bytes(), to),
            Self::Bytes(values) => to.extend_from_slice(&values[offset..offset + len]),
            Self::Indices(values) => append(values, offset, len, |value: &u32| value.to_le_bytes(), to),
        }
    }
}

/// Appends `len` bytes from `offset` on, of values that have `N` bytes each.
fn append<T, const N: usize>(values: &[T], offset: usize, len: usize, bytes: impl Fn(&T) -> [u8; N], to: &mut Vec<u8>) {
    let end = offset + len;
    let (first, last) = (offset.div_ceil(N), end / N);
    // The end of a value that isn't whole, and if it is cut on both sides, its middle.
    if offset < first * N {
        let from = (first - 1) * N;
        to.extend_from_slice(&bytes(&values[first - 1])[offset - from..N.min(end - from)]);
    }
    // Whole values are copied as a block: a loop that pushes them takes several times as long.
    if first < last {
        let begin = to.len();
        to.resize(begin + (last - first) * N, 0);
        for (slot, value) in to[begin..].chunks_exact_mut(N).zip(&values[first..last]) {
            slot.copy_from_slice(&bytes(value));
        }
    }
    // The beginning of a value.
    if first <= last && last * N < end {
        to.extend_from_slice(&bytes(&values[last])[..end - last * N]);
    }
}

/// Numbers in memory that an object consists of: arrays with their names, and scalars.
pub trait Numbers: Send + Sync {
    /// Returns the arrays. Those of one kind have different names, and stay in this order.
    fn parts(&self) -> Vec<(String, Part<'_>)>;

    /// Returns the scalars.
    fn scalars(&self) -> Vec<(String, f64)> {
        Vec::new()
    }
}

/// Returns the arrays in the order in which they travel.
fn in_order(numbers: &dyn Numbers) -> Vec<(String, Part<'_>)> {
    let mut parts = numbers.parts();
    parts.sort_by_key(|(_, part)| part.place());
    parts
}

/// An object to send.
#[derive(Clone)]
pub struct Content {
    object: Object,
    source: Source,
}

#[derive(Clone)]
enum Source {
    Bytes(Arc<[u8]>),
    /// The header with its length, and what follows it.
    Numbers(Arc<[u8]>, Arc<dyn Numbers>),
}

impl Content {
    /// Creates an object of these bytes.
    #[must_use]
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        let object = Object { digest: Digest::of(&bytes), num_bytes: bytes.len() as u64 };
        Self { object, source: Source::Bytes(bytes.into()) }
    }

    /// Creates a bundle of numbers. They are read once, for the digest.
    #[must_use]
    pub fn of_numbers(numbers: Arc<dyn Numbers>) -> Self {
        let mut header = BundleHeader { scalars: numbers.scalars().into_iter().collect(), ..BundleHeader::default() };
        let mut num_bytes = 0;
        for (name, part) in in_order(&*numbers) {
            let (list, len) = match part {
                Part::Floats(values) => (&mut header.floats, values.len()),
                Part::Counters(values) => (&mut header.counters, values.len()),
                Part::Bytes(values) => (&mut header.bytes, values.len()),
                Part::Indices(values) => (&mut header.indices, values.len()),
            };
            list.push(ArrayHeader { name, len: len as u64 });
            num_bytes += part.num_bytes();
        }
        let header = header.encode_to_vec();
        let len = u32::try_from(header.len()).unwrap_or(u32::MAX);
        let header: Arc<[u8]> = [&len.to_le_bytes()[..], &header].concat().into();
        num_bytes += header.len();
        let object = Object { digest: Digest([0; 32]), num_bytes: num_bytes as u64 };
        let mut content = Self { object, source: Source::Numbers(header, numbers) };
        let mut hasher = blake3::Hasher::new();
        let (mut offset, mut chunk) = (0, Vec::new());
        while content.copy_chunk(offset, &mut chunk) {
            hasher.update(&chunk);
            offset += chunk.len() as u64;
        }
        content.object.digest = Digest(*hasher.finalize().as_bytes());
        content
    }

    /// Returns the digest and size.
    #[must_use]
    pub const fn object(&self) -> Object {
        self.object
    }

    /// Returns the bytes from `offset` on, as many as a chunk has; `None` at the end.
    #[must_use]
    pub fn chunk(&self, offset: u64) -> Option<Vec<u8>> {
        let mut chunk = Vec::new();
        self.copy_chunk(offset, &mut chunk).then_some(chunk)
    }

    /// Replaces the content of `chunk` by the bytes from `offset` on, as many as a chunk has; returns false at the end.
    fn copy_chunk(&self, offset: u64, chunk: &mut Vec<u8>) -> bool {
        chunk.clear();
        let left = self.object.num_bytes.saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let Ok(mut offset) = usize::try_from(offset) else { return false };
        chunk.reserve_exact(len);
        match &self.source {
            Source::Bytes(bytes) => chunk.extend_from_slice(bytes.get(offset..).map_or(&[], |rest| &rest[..len])),
            Source::Numbers(header, numbers) => {
                if let Some(rest) = header.get(offset..) {
                    chunk.extend_from_slice(&rest[..rest.len().min(len)]);
                }
                offset = offset.saturating_sub(header.len());
                for (_, part) in in_order(&**numbers) {
                    let num_bytes = part.num_bytes();
                    if chunk.len() == len {
                        break;
                    }
                    if offset < num_bytes {
                        let wanted = (num_bytes - offset).min(len - chunk.len());
                        part.append(offset, wanted, chunk);
                    }
                    offset = offset.saturating_sub(num_bytes);
                }
            }
        }
        len > 0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:?})", self.object)
    }
}
