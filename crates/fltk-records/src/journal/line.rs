//! Encoding and decoding of one line of the journal.

use std::{fmt, marker::PhantomData};

use fltk_core::experiment::Duration;
use jiff::Timestamp;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor},
};

use super::{
    Entry, JournalEvent,
    of_kind::{OfKind, Own, skip},
};

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
    let mut body = format!("\"seq\":{seq},\"time\":\"{at}\",");
    if let Some(now) = event.now() {
        body += &format!("\"now\":{},", serde_json::to_string(&now)?);
    }
    // From `{"kind":{"field":...}}`, or `"kind"` where there are no fields, to `"event":"kind","field":...}`.
    let event = serde_json::to_string(&event.to_wire())?;
    match event.strip_prefix('{').and_then(|event| event.strip_suffix('}')?.split_once(":{")) {
        Some((kind, "}")) => body += &format!("\"event\":{kind}}}"),
        Some((kind, fields)) => body += &format!("\"event\":{kind},{fields}"),
        None => body += &format!("\"event\":{event}}}"),
    }
    Ok(format!("{{\"crc\":\"{:08x}\",{body}\n", crc32c::crc32c(body.as_bytes())).into_bytes())
}

/// Decodes the entry on `line` (without its newline), which must be number `seq`.
pub(super) fn decode<E: JournalEvent>(line: &[u8], seq: u64) -> Result<Entry<E>, LineProblem> {
    let damaged = |problem: &dyn std::fmt::Display| LineProblem::Damaged(problem.to_string());
    let (body, written) = split(line).ok_or_else(|| damaged(&"it does not begin with a checksum"))?;
    let computed = crc32c::crc32c(body);
    if computed != written {
        return Err(damaged(&format_args!("its checksum is {written:08x} where its bytes give {computed:08x}")));
    }
    let text = std::str::from_utf8(line).map_err(|error| damaged(&error))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let entry = json.deserialize_map(OfEntry { seq, of: PhantomData }).map_err(|error| damaged(&error))?;
    json.end().map_err(|error| damaged(&error))?;
    entry
}

/// Reads the object of a line, which must be number `seq`.
struct OfEntry<E> {
    seq: u64,
    of: PhantomData<E>,
}

impl<'de, E: JournalEvent> Visitor<'de> for OfEntry<E> {
    type Value = Result<Entry<E>, LineProblem>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Field {
            Seq,
            Time,
            Now,
            Event,
            #[serde(other)]
            Other,
        }

        let (mut seq, mut at, mut now): (Option<u64>, Option<Timestamp>, Option<Duration>) = (None, None, None);
        let kind = loop {
            match fields.next_key()? {
                Some(Field::Seq) => once(&mut seq, fields.next_value()?, "seq")?,
                Some(Field::Time) => once(&mut at, fields.next_value()?, "time")?,
                Some(Field::Now) => once(&mut now, fields.next_value()?, "now")?,
                Some(Field::Event) => break fields.next_value_seed(Kind(E::KINDS))?,
                Some(Field::Other) => _ = fields.next_value::<IgnoredAny>()?,
                None => return Err(A::Error::missing_field("event")),
            }
        };
        let (Some(seq), Some(at)) = (seq, at) else {
            return Err(A::Error::missing_field(if seq.is_none() { "seq" } else { "time" }));
        };
        if seq != self.seq {
            skip(fields)?;
            return Ok(Err(LineProblem::Damaged(format!("it is event {seq} where event {} was expected", self.seq))));
        }
        match kind {
            Ok(kind) => Ok(Ok(Entry { seq, at, event: E::from_wire(now, OfKind { kind, fields: Own(fields) })? })),
            Err(kind) => {
                skip(fields)?;
                Ok(Err(LineProblem::UnknownEvent(kind)))
            }
        }
    }
}

/// Sets a field that may be there only once.
fn once<T, E: serde::de::Error>(field: &mut Option<T>, value: T, name: &'static str) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

/// Reads the kind of an event: one of those that are known, or else its name.
struct Kind(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Result<&'static str, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Kind {
    type Value = Result<&'static str, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the kind of an event")
    }

    fn visit_str<R: serde::de::Error>(self, text: &str) -> Result<Self::Value, R> {
        Ok(self.0.iter().find(|kind| **kind == text).copied().ok_or_else(|| text.to_owned()))
    }
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

    #[test]
    fn fields_are_there_once_and_the_kind_comes_first() {
        let check = |body: &str, expected: &str| {
            let line = format!("{{\"crc\":\"{:08x}\",{body}", crc32c::crc32c(body.as_bytes()));
            match decode::<RunEvent>(line.as_bytes(), 0) {
                Err(LineProblem::Damaged(problem)) => assert!(problem.contains(expected), "{body}: {problem}"),
                other => panic!("{body}: {other:?}"),
            }
        };
        let head = "\"seq\":0,\"time\":\"1970-01-01T00:00:00Z\"";
        check(&format!("{head},\"seq\":0,\"event\":\"failed\",\"reason\":\"a\"}}"), "duplicate field `seq`");
        for again in ["\"seq\":1", "\"event\":\"finished\"", "\"crc\":\"00000000\"", "\"time\":0"] {
            check(&format!("{head},\"event\":\"failed\",\"reason\":\"a\",{again}}}"), "is there twice");
        }
        check(&format!("{head},\"event\":\"failed\",\"reason\":\"a\",\"reason\":\"b\"}}"), "duplicate field `reason`");
        check(&format!("{head},\"reason\":\"a\",\"event\":\"failed\"}}"), "missing field `reason`");
        check(&format!("{head}}}"), "missing field `event`");
        check("\"event\":\"failed\",\"reason\":\"a\",\"seq\":0}", "missing field `seq`");
        check(&format!("{head},\"event\":\"failed\",\"reason\":\"a\"}}x"), "trailing");
    }
}
