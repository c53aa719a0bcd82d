//! Objects that arrive: bytes are hashed and turned into numbers as they come, so that a model is in memory once.

use super::{Bundle, CHUNK_BYTES_MAX, Digest, Object, fill::Filling};

/// The largest header: that of a bundle with a few hundred arrays. Nets have one array here, whatever the number of their tensors.
const HEADER_BYTES_MAX: usize = 1 << 20;

/// The problem with an object that arrives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The bytes don't go on where those before them ended.
    #[error("a chunk begins at byte {found}, and byte {expected} is next")]
    Offset {
        /// The next byte.
        expected: u64,
        /// The first byte of the chunk.
        found: u64,
    },
    /// A chunk is larger than chunks may be.
    #[error("a chunk has {num_bytes} bytes, and may have {CHUNK_BYTES_MAX}")]
    Chunk {
        /// The size of the chunk.
        num_bytes: usize,
    },
    /// There are more bytes than the object has.
    #[error("it goes on after its {num_bytes} bytes")]
    Long {
        /// The size of the object.
        num_bytes: u64,
    },
    /// There are fewer bytes than the object has.
    #[error("it ends after {found} of its {num_bytes} bytes")]
    Short {
        /// The size of the object.
        num_bytes: u64,
        /// The bytes that came.
        found: u64,
    },
    /// The bytes aren't those that the digest says.
    #[error("its digest is {found}, and should be {expected}")]
    Digest {
        /// The digest that it was asked for by.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The header can't be.
    #[error("its header can't be read: {0}")]
    Header(String),
    /// An array is missing, or there is one too many.
    #[error("{0}")]
    Content(String),
}

/// An object that arrives.
#[derive(Debug)]
pub struct Receiving {
    object: Object,
    hasher: blake3::Hasher,
    num_received: u64,
    into: Into,
}

#[derive(Debug)]
enum Into {
    Bytes(Vec<u8>),
    Header(Vec<u8>),
    Numbers(Box<Filling>),
}

impl Receiving {
    /// Begins to receive a bundle of at most `num_bytes_max` bytes.
    ///
    /// # Errors
    /// If it is larger.
    pub fn bundle(object: Object, num_bytes_max: u64) -> Result<Self, Damage> {
        Self::new(object, num_bytes_max, Into::Header(Vec::new()))
    }

    /// Begins to receive a file of at most `num_bytes_max` bytes.
    ///
    /// # Errors
    /// If it is larger.
    pub fn bytes(object: Object, num_bytes_max: u64) -> Result<Self, Damage> {
        Self::new(object, num_bytes_max, Into::Bytes(Vec::new()))
    }

    fn new(object: Object, num_bytes_max: u64, into: Into) -> Result<Self, Damage> {
        if object.num_bytes > num_bytes_max {
            return Err(Damage::Content(format!("it has {} bytes, and may have {num_bytes_max}", object.num_bytes)));
        }
        Ok(Self { object, hasher: blake3::Hasher::new(), num_received: 0, into })
    }

    /// Returns the object.
    #[must_use]
    pub const fn object(&self) -> Object {
        self.object
    }

    /// Returns the number of bytes that are there: a transfer that broke goes on after them.
    #[must_use]
    pub const fn num_received(&self) -> u64 {
        self.num_received
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// If they aren't the next, or can't be. What came before stays usable only if the problem was their offset.
    pub fn push(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Damage> {
        if offset != self.num_received {
            return Err(Damage::Offset { expected: self.num_received, found: offset });
        }
        if bytes.len() > CHUNK_BYTES_MAX {
            return Err(Damage::Chunk { num_bytes: bytes.len() });
        }
        if bytes.len() as u64 > self.object.num_bytes - self.num_received {
            return Err(Damage::Long { num_bytes: self.object.num_bytes });
        }
        self.hasher.update(bytes);
        self.num_received += bytes.len() as u64;
        self.take(bytes)
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Damage> {
        if let Into::Header(header) = &mut self.into {
            // First the length, then as many bytes as it says.
            for _ in 0..2 {
                let wanted = 4 + header_len(header)?.unwrap_or(0);
                let (now, rest) = bytes.split_at((wanted - header.len()).min(bytes.len()));
                header.extend_from_slice(now);
                bytes = rest;
            }
            match header_len(header)? {
                Some(len) if header.len() == 4 + len => {
                    let num_bytes = self.object.num_bytes - header.len() as u64;
                    self.into = Into::Numbers(Box::new(Filling::new(&header[4..], num_bytes)?));
                }
                _ => return Ok(()),
            }
        }
        match &mut self.into {
            Into::Bytes(all) => all.extend_from_slice(bytes),
            Into::Numbers(filling) => filling.push(bytes),
            Into::Header(_) => {}
        }
        Ok(())
    }

    /// Returns the numbers, once all of them are there.
    ///
    /// # Errors
    /// If some are missing, or they aren't what the digest says.
    pub fn finish(self) -> Result<Bundle, Damage> {
        self.check()?;
        match self.into {
            Into::Numbers(filling) => Ok(filling.bundle),
            Into::Header(_) | Into::Bytes(_) => Err(Damage::Header("it is too short".to_owned())),
        }
    }

    /// Returns the bytes, once all of them are there.
    ///
    /// # Errors
    /// If some are missing, or they aren't what the digest says.
    pub fn finish_bytes(self) -> Result<Vec<u8>, Damage> {
        self.check()?;
        match self.into {
            Into::Bytes(bytes) => Ok(bytes),
            Into::Header(_) | Into::Numbers(_) => Err(Damage::Content("it isn't a file".to_owned())),
        }
    }

    fn check(&self) -> Result<(), Damage> {
        let Object { digest, num_bytes } = self.object;
        if self.num_received < num_bytes {
            return Err(Damage::Short { num_bytes, found: self.num_received });
        }
        let found = Digest(*self.hasher.finalize().as_bytes());
        if found == digest { Ok(()) } else { Err(Damage::Digest { expected: digest, found }) }
    }
}

/// Returns the length of the header that follows its own length, if that is there.
fn header_len(header: &[u8]) -> Result<Option<usize>, Damage> {
    let Some(len) = header.first_chunk::<4>() else { return Ok(None) };
    let len = u32::from_le_bytes(*len) as usize;
    if len > HEADER_BYTES_MAX {
        return Err(Damage::Header(format!("it has {len} bytes, and may have {HEADER_BYTES_MAX}")));
    }
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use proptest::prelude::*;
    use prost::Message as _;

    use super::{
        super::{CHUNK_BYTES, Content, Numbers, Part},
        *,
    };
    use crate::wire::v1::BundleHeader;

    impl Numbers for Bundle {
        fn parts(&self) -> Vec<(String, Part<'_>)> {
            let floats = self.floats.iter().map(|(name, values)| (name.clone(), Part::Floats(values)));
            let counters = self.counters.iter().map(|(name, values)| (name.clone(), Part::Counters(values)));
            let bytes = self.bytes.iter().map(|(name, values)| (name.clone(), Part::Bytes(values)));
            let indices = self.indices.iter().map(|(name, values)| (name.clone(), Part::Indices(values)));
            // Not in the order in which they travel.
            indices.chain(counters).chain(floats).chain(bytes).collect()
        }

        fn scalars(&self) -> Vec<(String, f64)> {
            self.scalars.iter().map(|(name, value)| (name.clone(), *value)).collect()
        }
    }

    fn bytes_of(content: &Content) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(chunk) = content.chunk(bytes.len() as u64) {
            bytes.extend(chunk);
        }
        bytes
    }

    fn bundle(floats: &[(&str, Vec<f32>)], counters: &[(&str, Vec<i64>)]) -> Bundle {
        Bundle {
            floats: floats.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect(),
            counters: counters.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect(),
            scalars: BTreeMap::from([("rate".to_owned(), 0.1)]),
            ..Bundle::default()
        }
    }

    fn receive(object: Object, bytes: &[u8], cuts: &[usize]) -> Result<Bundle, Damage> {
        let mut receiving = Receiving::bundle(object, u64::MAX)?;
        let (mut offset, mut cuts) = (0, cuts.iter().cycle());
        while offset < bytes.len() {
            let len = cuts.next().copied().unwrap_or(1).clamp(1, CHUNK_BYTES_MAX).min(bytes.len() - offset);
            receiving.push(offset as u64, &bytes[offset..offset + len])?;
            offset += len;
        }
        receiving.finish()
    }

    proptest! {
        #[test]
        fn what_was_sent_arrives_however_it_is_cut(
            floats in proptest::collection::vec(proptest::num::f32::ANY, 0..40),
            more in proptest::collection::vec(-1.0_f32..1.0, 0..10),
            counters in proptest::collection::vec(any::<i64>(), 0..5),
            bytes_sent in proptest::collection::vec(any::<u8>(), 0..20),
            indices in proptest::collection::vec(any::<u32>(), 0..10),
            cuts in proptest::collection::vec(1_usize..50, 1..20),
            from in 0_u64..300,
        ) {
            let mut sent = bundle(&[("a", floats), ("b", more), ("empty", vec![])], &[("a", counters)]);
            sent.bytes.insert("a".to_owned(), bytes_sent);
            sent.indices.insert("a".to_owned(), indices);
            let content = Content::of_numbers(Arc::new(sent.clone()));
            let bytes = bytes_of(&content);
            prop_assert_eq!(bytes.len() as u64, content.object().num_bytes);
            prop_assert_eq!(Digest::of(&bytes), content.object().digest);
            // From any byte on, the rest is what it was.
            let rest = content.chunk(from).unwrap_or_default();
            prop_assert_eq!(&rest[..], bytes.get(usize::try_from(from).unwrap_or(0)..).unwrap_or_default());
            let received = receive(content.object(), &bytes, &cuts).expect("it is what was sent");
            let bits = |bundle: &Bundle| -> Vec<u32> { bundle.floats.values().flatten().map(|value| value.to_bits()).collect() };
            prop_assert_eq!(bits(&received), bits(&sent));
            prop_assert_eq!(received.counters, sent.counters);
            prop_assert_eq!(received.bytes, sent.bytes);
            prop_assert_eq!(received.indices, sent.indices);
            prop_assert_eq!(received.scalars, sent.scalars);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), is_header in any::<bool>(), cuts in proptest::collection::vec(1_usize..50, 1..5)) {
            let bytes = if is_header { [&30_u32.to_le_bytes()[..], &bytes].concat() } else { bytes };
            let object = Object { digest: Digest::of(&bytes), num_bytes: bytes.len() as u64 };
            let _ = receive(object, &bytes, &cuts);
        }
    }

    #[test]
    fn damage_is_named() {
        let content = Content::of_numbers(Arc::new(bundle(&[("model", vec![1.0, 2.0])], &[])));
        let (object, bytes) = (content.object(), bytes_of(&content));
        let mut other = bytes.clone();
        *other.last_mut().expect("it has bytes") ^= 1;
        let digest = receive(object, &other, &[7]).expect_err("a bit was changed");
        assert!(matches!(digest, Damage::Digest { .. }), "{digest}");
        assert_eq!(receive(object, &bytes[..9], &[7]), Err(Damage::Short { num_bytes: object.num_bytes, found: 9 }));
        assert_eq!(receive(object, &[&bytes[..], &[0]].concat(), &[5]), Err(Damage::Long { num_bytes: object.num_bytes }));
        let mut receiving = Receiving::bundle(object, 1 << 20).expect("it is small");
        assert_eq!(receiving.push(1, &bytes[1..]), Err(Damage::Offset { expected: 0, found: 1 }));
        receiving.push(0, &bytes).expect("it goes on as if nothing had been");
        assert_eq!(receiving.finish().expect("it is whole").floats["model"], [1.0, 2.0]);
        assert!(Receiving::bundle(object, 3).is_err());
        // A header that promises more than comes makes no room for it.
        let header =
            BundleHeader { floats: vec![crate::wire::v1::ArrayHeader { name: "a".to_owned(), len: u64::MAX }], ..Default::default() };
        let header = header.encode_to_vec();
        let lying = [&u32::try_from(header.len()).expect("it is short").to_le_bytes()[..], &header, &[0; 8]].concat();
        let object = Object { digest: Digest::of(&lying), num_bytes: lying.len() as u64 };
        assert!(matches!(receive(object, &lying, &[100]), Err(Damage::Header(_))));
        let huge = Object { digest: Digest([0; 32]), num_bytes: u64::MAX };
        let mut receiving = Receiving::bundle(huge, u64::MAX).expect("it is allowed");
        assert!(matches!(receiving.push(0, &u32::MAX.to_le_bytes()), Err(Damage::Header(_))));
    }

    #[test]
    fn a_large_model_is_cut_into_chunks_and_gets_no_more_room_than_it_needs() {
        let len = (CHUNK_BYTES / 4) * 3 + 5;
        let values: Vec<f32> = (0_u16..1000).map(f32::from).cycle().take(len).collect();
        let content = Content::of_numbers(Arc::new(bundle(&[("model", values.clone())], &[])));
        let mut receiving = Receiving::bundle(content.object(), u64::MAX).expect("it is allowed");
        let mut num_chunks = 0;
        while let Some(chunk) = content.chunk(receiving.num_received()) {
            receiving.push(receiving.num_received(), &chunk).expect("it is next");
            num_chunks += 1;
        }
        assert_eq!(num_chunks, 4);
        let mut bundle = receiving.finish().expect("it is whole");
        let model = bundle.take_floats("model").expect("it is there");
        assert_eq!((model.len(), model.capacity()), (len, len));
        assert_eq!(model, values);
        assert!(bundle.take_floats("model").is_err() && bundle.take_counters("model").is_err());
        assert!(bundle.take_bytes("model").is_err() && bundle.take_indices("model").is_err());
    }
}
