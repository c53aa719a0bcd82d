//! The messages between the program and a strategy in Python: a header in JSON, and the numbers that it describes, as raw little-endian arrays.
//!
//! A message is two lengths (u32 of the header, u64 of the numbers), the header and the numbers. `python/fltk/src/fltk/strategy/frames.py` is the other
//! side, which is the user's: nothing that comes from there is believed before it is checked.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// The version of the protocol.
pub const VERSION: u32 = 1;

/// The largest header: thousands of arrays, and the terms of a million clients.
const HEADER_BYTES_MAX: u32 = 1 << 27;

/// The numbers that are converted at once.
const CHUNK: usize = 1 << 14;

/// An array to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// The beginning of its name, which says what it is part of.
    pub prefix: &'a str,
    /// The rest of its name.
    pub name: &'a str,
    /// The sizes of its dimensions.
    pub shape: &'a [usize],
    /// The elements.
    pub numbers: Numbers<'a>,
}

/// The elements of an array.
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Elements of parameters and buffers.
    F32(&'a [f32]),
    /// Elements of the strategy's state.
    F64(&'a [f64]),
    /// Elements of counters.
    I64(&'a [i64]),
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Parameters and buffers.
    F32,
    /// The strategy's state.
    F64,
    /// Counters.
    I64,
}

impl Dtype {
    const fn num_bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// The description of an array in a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// The sizes of its dimensions.
    pub shape: Vec<usize>,
}

impl Described {
    /// Returns the number of elements; `None` if it is beyond all bounds.
    pub fn num_elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))
    }

    fn num_bytes(&self) -> Option<u64> {
        u64::try_from(self.num_elements()?).ok()?.checked_mul(self.dtype.num_bytes())
    }
}

/// The header of an answer. Which fields have a meaning depends on its kind.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// `ready`, `terms`, `combined` or `failed`.
    pub kind: String,
    /// The version of the protocol that the other side speaks.
    #[serde(default)]
    pub version: u32,
    /// The reason of a failure.
    #[serde(default)]
    pub reason: String,
    /// True if the machine may be the cause of a failure, and not the code.
    #[serde(default)]
    pub is_of_machine: bool,
    /// The terms of each client of a round.
    #[serde(default)]
    pub terms: Vec<Terms>,
    /// The number of arrays, the last ones, that are the state.
    #[serde(default)]
    pub num_state: usize,
    /// The arrays that follow.
    #[serde(default)]
    pub arrays: Vec<Described>,
}

/// The terms of a client, as far as a strategy may change them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// The step size of local steps.
    pub learning_rate: f64,
    /// The strength of the proximal term.
    pub proximal_mu: f64,
    /// The local epochs, unless the work is in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// The local steps, unless the work is in epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

/// Sends a message.
///
/// # Errors
/// If the other side isn't there.
pub fn write(to: &mut dyn Write, mut header: Json, arrays: &[Sent<'_>]) -> io::Result<()> {
    let described = |sent: &Sent<'_>| {
        let (dtype, len) = match sent.numbers {
            Numbers::F32(numbers) => (Dtype::F32, numbers.len()),
            Numbers::F64(numbers) => (Dtype::F64, numbers.len()),
            Numbers::I64(numbers) => (Dtype::I64, numbers.len()),
        };
        (json!({ "name": format!("{}{}", sent.prefix, sent.name), "dtype": dtype, "shape": sent.shape }), len as u64 * dtype.num_bytes())
    };
    let (arrays_described, bytes): (Vec<Json>, Vec<u64>) = arrays.iter().map(described).unzip();
    header["arrays"] = arrays_described.into();
    let text = serde_json::to_vec(&header)?;
    let length = u32::try_from(text.len()).map_err(|_| io::Error::other("a header beyond 4 GiB"))?;
    to.write_all(&[&length.to_le_bytes()[..], &bytes.iter().sum::<u64>().to_le_bytes(), &text].concat())?;
    for sent in arrays {
        match sent.numbers {
            Numbers::F32(numbers) => write_numbers(to, numbers, |number| number.to_le_bytes())?,
            Numbers::F64(numbers) => write_numbers(to, numbers, |number| number.to_le_bytes())?,
            Numbers::I64(numbers) => write_numbers(to, numbers, |number| number.to_le_bytes())?,
        }
    }
    Ok(())
}

fn write_numbers<T: Copy, const N: usize>(to: &mut dyn Write, numbers: &[T], bytes: impl Fn(T) -> [u8; N]) -> io::Result<()> {
    for chunk in numbers.chunks(CHUNK) {
        let chunk: Vec<u8> = chunk.iter().flat_map(|number| bytes(*number)).collect();
        to.write_all(&chunk)?;
    }
    Ok(())
}

/// Reads the header of an answer, whose numbers follow.
///
/// # Errors
/// If the other side isn't there, or the header isn't one of an answer.
pub fn read_header(from: &mut dyn Read) -> io::Result<Answer> {
    let (mut of_header, mut of_numbers) = ([0; 4], [0; 8]);
    from.read_exact(&mut of_header)?;
    from.read_exact(&mut of_numbers)?;
    let (length, num_bytes) = (u32::from_le_bytes(of_header), u64::from_le_bytes(of_numbers));
    let malformed = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    if length > HEADER_BYTES_MAX {
        return Err(malformed(format!("a header of {length} bytes")));
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text)?;
    let answer: Answer = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
    let total = answer.arrays.iter().try_fold(0_u64, |sum, array| sum.checked_add(array.num_bytes()?));
    if total != Some(num_bytes) {
        return Err(malformed(format!("its arrays aren't of {num_bytes} bytes")));
    }
    Ok(answer)
}

/// Reads `count` numbers of N bytes each, which `number` makes of these.
///
/// # Errors
/// If the other side isn't there.
pub fn read_numbers<T, const N: usize>(from: &mut dyn Read, count: usize, number: impl Fn([u8; N]) -> T) -> io::Result<Vec<T>> {
    let mut numbers = Vec::with_capacity(count);
    let mut buffer = vec![0; CHUNK.min(count) * N];
    while numbers.len() < count {
        let wanted = (count - numbers.len()).min(CHUNK) * N;
        from.read_exact(&mut buffer[..wanted])?;
        numbers.extend(buffer[..wanted].as_chunks().0.iter().map(|bytes| number(*bytes)));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(header: &str, numbers: &[u8]) -> Vec<u8> {
        let length = u32::try_from(header.len()).unwrap();
        [&length.to_le_bytes()[..], &(numbers.len() as u64).to_le_bytes(), header.as_bytes(), numbers].concat()
    }

    #[test]
    fn arrays_travel_bit_for_bit() {
        let mut bytes = Vec::new();
        let (floats, counters) = ([1.5_f32, -0.0, f32::MIN_POSITIVE], [i64::MIN]);
        let sent = [
            Sent { prefix: "m.", name: "w", shape: &[3], numbers: Numbers::F32(&floats) },
            Sent { prefix: "m.", name: "n", shape: &[], numbers: Numbers::I64(&counters) },
        ];
        write(&mut bytes, json!({ "kind": "update" }), &sent).unwrap();
        let mut from = &bytes[..];
        let header = read_header(&mut from).unwrap();
        assert_eq!((header.kind.as_str(), header.arrays.len(), header.arrays[0].name.as_str()), ("update", 2, "m.w"));
        let read = read_numbers(&mut from, 3, f32::from_le_bytes).unwrap();
        assert_eq!(read.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), floats.map(f32::to_bits));
        assert_eq!(read_numbers(&mut from, 1, i64::from_le_bytes).unwrap(), counters);
        for length in 0..bytes.len() - 20 {
            assert!(read_header(&mut &bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn malformed_answers_are_refused_before_memory_is_taken() {
        let check = |bytes: Vec<u8>, expected: &str| {
            let error = read_header(&mut &bytes[..]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(u32::MAX.to_le_bytes().into_iter().chain([0; 8]).collect(), "a header of 4294967295 bytes");
        check(message("[]", &[]), "invalid length 0");
        check(message("{\"kind\": 3}", &[]), "invalid type");
        check(
            message("{\"kind\": \"combined\", \"arrays\": [{\"name\": \"w\", \"dtype\": \"f16\", \"shape\": []}]}", &[]),
            "unknown variant",
        );
        let array =
            |shape: &str| format!("{{\"kind\": \"combined\", \"arrays\": [{{\"name\": \"w\", \"dtype\": \"f32\", \"shape\": {shape}}}]}}");
        check(message(&array("[2]"), &[0; 4]), "its arrays aren't of 4 bytes");
        check(message(&array("[4294967296, 4294967296, 4294967296]"), &[0; 4]), "its arrays aren't of 4 bytes");
        check(message(&array("[-1]"), &[0; 4]), "invalid value");
    }
}
