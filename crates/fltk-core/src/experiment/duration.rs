//! Lengths of time with their unit, such as `60s` or `1.5min`.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// The units and their milliseconds, from the largest.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];
/// The longest duration, in milliseconds: ten years of 365 days.
const MILLIS_MAX: u64 = 10 * 365 * 86_400_000;
/// The limit on characters in a duration: more digits than any value in range needs.
const CHARS_MAX: usize = 32;

/// A length of time, to the millisecond. It is written as a decimal number and a unit: `ms`, `s`, `min`, `h` or `d`.
///
/// ```
/// use fltk_core::experiment::Duration;
/// assert_eq!("1.5min".parse(), Ok(Duration::from_millis(90_000)));
/// assert_eq!(Duration::from_millis(90_000).to_string(), "90s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration {
    millis: u64,
}

/// The reason why a text isn't a [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// The text doesn't begin with a decimal number.
    #[error("a duration is a number and a unit, such as `60s` or `1.5min`")]
    Number,
    /// The unit is missing.
    #[error("the unit is missing: one of `ms`, `s`, `min`, `h`, `d`")]
    NoUnit,
    /// The unit isn't known.
    #[error("`{0}` isn't a unit of time: one of `ms`, `s`, `min`, `h`, `d`")]
    Unit(String),
    /// The duration isn't a whole number of milliseconds.
    #[error("a duration is a whole number of milliseconds")]
    Fraction,
    /// The duration is too long.
    #[error("a duration is at most ten years")]
    Range,
}

impl Duration {
    /// Returns the duration of `millis` milliseconds, capped at ten years, so that the written form can be read again.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis: if millis < MILLIS_MAX { millis } else { MILLIS_MAX } }
    }

    /// Returns its milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.millis
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text.len() > CHARS_MAX {
            return Err(DurationError::Range);
        }
        let number_len = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.contains('.') {
            return Err(DurationError::Number);
        }
        let unit = unit.trim_start();
        if unit.is_empty() {
            return Err(DurationError::NoUnit);
        }
        let (_, unit_millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| DurationError::Unit(unit.to_owned()))?;
        // The value is counted in steps of the last digit written: this is exact, unlike a float.
        let fraction = fraction.trim_end_matches('0');
        let steps: u128 = format!("{whole}{fraction}").parse().map_err(|_| DurationError::Range)?;
        let steps_per_unit = 10u128.checked_pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX)).ok_or(DurationError::Fraction)?;
        let scaled = steps.checked_mul(u128::from(*unit_millis)).ok_or(DurationError::Range)?;
        if scaled % steps_per_unit != 0 {
            return Err(DurationError::Fraction);
        }
        let millis = u64::try_from(scaled / steps_per_unit).ok().filter(|millis| *millis <= MILLIS_MAX).ok_or(DurationError::Range)?;
        Ok(Self { millis })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, millis)| self.millis > 0 && self.millis.is_multiple_of(*millis));
        match whole {
            Some((name, millis)) => write!(f, "{}{name}", self.millis / millis),
            None => f.write_str("0s"),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration", "description": "A length of time with its unit, such as `60s` or `1.5min`." })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_parsed_to_milliseconds() {
        let check = |text: &str, expected: Result<u64, DurationError>| {
            assert_eq!(text.parse::<Duration>().map(Duration::as_millis), expected, "{text}");
        };
        check("60s", Ok(60_000));
        check("1.5min", Ok(90_000));
        check("0.001s", Ok(1));
        check("2 h", Ok(7_200_000));
        check("60", Err(DurationError::NoUnit));
        check("60m", Err(DurationError::Unit("m".into())));
        check("-1s", Err(DurationError::Number));
        check("s", Err(DurationError::Number));
        check("1.2.3s", Err(DurationError::Number));
        check("0.5ms", Err(DurationError::Fraction));
        check("0.0000000000000000000000001s", Err(DurationError::Fraction));
        check("99999999999999999999d", Err(DurationError::Range));
        check("3651d", Err(DurationError::Range));
    }

    proptest! {
        #[test]
        fn displayed_durations_are_parsed_back(millis in 0..=MILLIS_MAX) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn arbitrary_texts_never_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Duration>();
        }
    }
}
