//! Objects: what travels by its digest, in chunks, and goes on where a transfer broke.

mod bundle;
mod content;
mod fill;
mod receive;

use std::fmt;

use crate::wire::v1;

pub use bundle::Bundle;
pub use content::{Content, Numbers, Part};
pub use receive::{Damage, Receiving};

/// The largest chunk: large enough that its envelope costs nothing, and small beside any limit of a message.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The size of the chunks that we send: its envelope still costs nothing, and while it is copied from layer to layer it stays in a core's cache.
pub const CHUNK_BYTES: usize = 1 << 18;

/// The address of an object: the BLAKE3 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Returns the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// An object that somebody has, as a message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// The digest.
    pub digest: Digest,
    /// The number of bytes.
    pub num_bytes: u64,
}

impl From<Object> for v1::Object {
    fn from(object: Object) -> Self {
        Self { digest: object.digest.0.to_vec(), num_bytes: object.num_bytes }
    }
}

impl TryFrom<&v1::Object> for Object {
    type Error = &'static str;

    fn try_from(object: &v1::Object) -> Result<Self, Self::Error> {
        let digest = <[u8; 32]>::try_from(&object.digest[..]).map_err(|_| "a digest hasn't 32 bytes")?;
        Ok(Self { digest: Digest(digest), num_bytes: object.num_bytes })
    }
}
