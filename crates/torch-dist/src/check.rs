//! The comparison of calls before a collective: gloo aborts the process when tensors differ in size, so they must not get that far.
//!
//! Each rank describes its call in a line of text (`all_reduce(sum) of Float [3, 4]`). All lines are gathered, padded to one length, and each
//! rank compares the others' lines with its own.

use tch::{Device, Kind, TchError, Tensor};

use crate::Error;

/// The bytes of a rank's line: a hash of the whole text, then as much of the text as fits. Shapes of more than about twenty dimensions are
/// cut.
const LINE_BYTES: usize = 256;
const HASH_BYTES: usize = 8;

/// Returns a call as text, such as `all_reduce(sum) of Float [3, 4]`.
pub fn describe(operation: &str, tensors: &[&Tensor]) -> String {
    let tensors: Vec<String> = tensors.iter().map(|tensor| format!("{:?} {:?}", tensor.kind(), tensor.size())).collect();
    if tensors.is_empty() { operation.to_owned() } else { format!("{operation} of {}", tensors.join(", ")) }
}

/// Returns `text` as a tensor of [`LINE_BYTES`].
pub fn line(text: &str) -> Tensor {
    let mut bytes = [b' '; LINE_BYTES];
    bytes[..HASH_BYTES].copy_from_slice(&fnv1a(text.as_bytes()).to_le_bytes());
    let shown = text.len().min(LINE_BYTES - HASH_BYTES);
    bytes[HASH_BYTES..HASH_BYTES + shown].copy_from_slice(&text.as_bytes()[..shown]);
    Tensor::from_slice(&bytes)
}

/// Returns an empty tensor for each rank's line.
pub fn blanks(size: u32, device: Device) -> Result<Vec<Tensor>, TchError> {
    (0..size).map(|_| Tensor::f_zeros([LINE_BYTES as i64], (Kind::Uint8, device))).collect()
}

/// Returns an error if a rank's line differs from `here`.
pub fn compare(rank: u32, here: &str, lines: &[Tensor]) -> Result<(), Error> {
    let own = bytes(&line(here))?;
    for (other_rank, other) in (0..).zip(lines) {
        let other = bytes(other)?;
        if other != own {
            let there = String::from_utf8_lossy(other.get(HASH_BYTES..).unwrap_or_default()).trim_end().to_owned();
            return Err(Error::Mismatch { rank, here: here.to_owned(), other_rank, there });
        }
    }
    Ok(())
}

fn bytes(line: &Tensor) -> Result<Vec<u8>, Error> {
    Vec::<u8>::try_from(line).map_err(|error| Error::Torch(error.to_string()))
}

/// The 64-bit FNV-1a hash, which is the same on every machine.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_long_lines_are_distinguished() {
        let tensor = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
        assert_eq!(describe("all_reduce(sum)", &[&tensor]), "all_reduce(sum) of Float [3, 4]");
        assert_eq!(describe("barrier", &[]), "barrier");
        assert_eq!(compare(0, "barrier", &[line("barrier"), line("barrier")]), Ok(()));
        let (long, other) = ("x".repeat(400), format!("{}y", "x".repeat(399)));
        assert!(matches!(compare(0, &long, &[line(&long), line(&other)]), Err(Error::Mismatch { other_rank: 1, .. })));
        let error = compare(1, "send", &[line("barrier"), line("send")]).expect_err("they differ");
        assert!(error.to_string().starts_with("ranks disagree: rank 1 called send, rank 0 called barrier\n"), "{error}");
    }
}
