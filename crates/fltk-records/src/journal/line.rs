//! Encoding and decoding of one line of the journal.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Entry, JournalEvent};

const CRC_OPENING: &[u8] = b"{\"crc\":\"";
const CRC_CLOSING: &[u8] = b"\",";
/// The offset at which the checksummed rest of a line begins: after `{"crc":"xxxxxxxx",`.
const BODY_AT: usize = CRC_OPENING.len() + 8 + CRC_CLOSING.len();

/// The reason why a line is not one that we wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineProblem {
    /// The line is damaged; the problem in words.
    Damaged(String),
    /// The line is intact, but its event is of a kind that this version doesn't know.
    UnknownEvent(String),
}

/// Encodes the line of an entry, with its newline.
pub(super) fn encode<E: JournalEvent>(seq: u64, at: Timestamp, event: &E) -> Result<Vec<u8>, serde_json::Error> {
    let event = serde_json::to_string(&event.to_wire())?;
    let body = format!("\"seq\":{seq},\"time\":\"{at}\",{}", event.trim_start_matches('{'));
    Ok(format!("{{\"crc\":\"{:08x}\",{body}\n", crc32c::crc32c(body.as_bytes())).into_bytes())
}

/// Decodes the entry on `line` (without its newline), which must be number `seq`.
pub(super) fn decode<E: JournalEvent>(line: &[u8], seq: u64) -> Result<Entry<E>, LineProblem> {
    #[derive(Deserialize)]
    struct Head {
        seq: u64,
        time: Timestamp,
        event: String,
    }

    let damaged = |problem: &dyn std::fmt::Display| LineProblem::Damaged(problem.to_string());
    let (body, written) = split(line).ok_or_else(|| damaged(&"it does not begin with a checksum"))?;
    let computed = crc32c::crc32c(body);
    if computed != written {
        return Err(damaged(&format_args!("its checksum is {written:08x} where its bytes give {computed:08x}")));
    }
    let head: Head = serde_json::from_slice(line).map_err(|error| damaged(&error))?;
    if head.seq != seq {
        return Err(damaged(&format_args!("it is event {} where event {seq} was expected", head.seq)));
    }
    if !E::KINDS.contains(&head.event.as_str()) {
        return Err(LineProblem::UnknownEvent(head.event));
    }
    let event = E::from_wire(line).map_err(|error| damaged(&error))?;
    Ok(Entry { seq, at: head.time, event })
}

/// Splits a line into its checksummed rest and the checksum in front of it.
fn split(line: &[u8]) -> Option<(&[u8], u32)> {
    let digits = line.strip_prefix(CRC_OPENING)?.get(..8)?;
    if line.get(BODY_AT - CRC_CLOSING.len()..BODY_AT)? != CRC_CLOSING {
        return None;
    }
    // Lower case only: otherwise a flipped bit in a digit could go unnoticed.
    if !digits.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let written = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    Some((&line[BODY_AT..], written))
}

#[cfg(test)]
mod tests {
    use fltk_core::event::RunEvent;

    use super::*;

    #[test]
    fn format_on_disk_is_fixed() {
        let event = RunEvent::CheckpointSaved { at: 3.into(), parameters_sha256: "ab".into() };
        let line = encode(7, Timestamp::UNIX_EPOCH, &event).unwrap();
        let expected = "{\"crc\":\"0fb6d8c8\",\"seq\":7,\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"checkpoint_saved\",\"at\":3,\"parameters_sha256\":\"ab\"}\n";
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }
}
