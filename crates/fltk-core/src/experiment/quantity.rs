//! Kubernetes quantities, such as `500m` or `1Gi`, exactly by their grammar.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// Parts of one: Kubernetes counts in billionths, too.
const NANOS_PER_UNIT: i128 = 1_000_000_000;
/// The largest quantity that Kubernetes holds, `2^63 - 1`.
const UNITS_MAX: i128 = i64::MAX as i128;
/// Most characters: more digits than any value in range needs.
const CHARS_MAX: usize = 64;

/// An amount of a resource: cores, or bytes of memory.
///
/// Grammar (`k8s.io/apimachinery/pkg/api/resource`): a signed decimal number, then one of `Ki Mi Gi Ti Pi Ei`, `n u m k M G T P E`,
/// or `e`/`E` and a signed exponent. Parts below a billionth are rounded up, away from zero. It keeps the text it was written as.
///
/// ```
/// use fltk_core::experiment::Quantity;
/// let memory: Quantity = "1.5Gi".parse()?;
/// assert_eq!(memory.nanos() / 1_000_000_000, 1_610_612_736);
/// assert_eq!(memory.to_string(), "1.5Gi");
/// # Ok::<(), fltk_core::experiment::QuantityError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    nanos: i128,
}

/// Why a text isn't a [`Quantity`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// No number at its beginning, or something strange in it.
    #[error("a quantity begins with a decimal number")]
    Number,
    /// The suffix isn't one of the grammar's.
    #[error("`{0}` isn't a unit: units are `n u m k M G T P E Ki Mi Gi Ti Pi Ei`, or an exponent such as `e3`")]
    Suffix(String),
    /// Beyond `2^63 - 1` on either side.
    #[error("a quantity is at most 2^63 - 1")]
    Range,
}

impl Quantity {
    /// The amount in billionths of a core or byte.
    #[must_use]
    pub fn nanos(&self) -> i128 {
        self.nanos
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.len() > CHARS_MAX {
            return Err(QuantityError::Range);
        }
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_len = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_len);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(QuantityError::Number);
        }
        let (factor, exponent) = scale(suffix)?;
        // value = digits * factor * 10^exponent, with all digits as one whole number.
        let digits = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
        let digits: String = digits.map(char::from).collect();
        let exponent = exponent.saturating_sub(i32::try_from(fraction.len()).unwrap_or(i32::MAX)).saturating_add(9);
        let nanos = scaled(&digits, factor, exponent)?;
        if nanos > UNITS_MAX * NANOS_PER_UNIT {
            return Err(QuantityError::Range);
        }
        Ok(Self { text: text.to_owned(), nanos: if negative { -nanos } else { nanos } })
    }
}

/// The binary factor and the decimal exponent of a suffix.
fn scale(suffix: &str) -> Result<(i128, i32), QuantityError> {
    Ok(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let unknown = || QuantityError::Suffix(suffix.to_owned());
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(unknown)?;
            (1, exponent.parse().map_err(|_| unknown())?)
        }
    })
}

/// `digits * factor * 10^exponent`, rounded up.
fn scaled(digits: &str, factor: i128, exponent: i32) -> Result<i128, QuantityError> {
    if digits.is_empty() {
        return Ok(0);
    }
    // In range it has at most 19 + 9 digits before any division; what is longer can only come with a negative exponent.
    if exponent >= 0 {
        let value = digits.parse::<i128>().ok().and_then(|value| value.checked_mul(factor));
        let power = 10i128.checked_pow(exponent.unsigned_abs());
        return value.zip(power).and_then(|(value, power)| value.checked_mul(power)).ok_or(QuantityError::Range);
    }
    // Divide by cutting digits off, so that nothing overflows on the way: digits * factor in decimal, then the last `cut` digits go.
    let product = multiplied(digits, factor);
    let cut = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX).min(product.len());
    let (kept, lost) = product.split_at(product.len() - cut);
    let kept = if kept.is_empty() { 0 } else { kept.parse::<i128>().map_err(|_| QuantityError::Range)? };
    Ok(kept + i128::from(lost.bytes().any(|digit| digit != b'0')))
}

/// `digits * factor` in decimal, of any length.
fn multiplied(digits: &str, factor: i128) -> String {
    let mut carry = 0i128;
    let mut reversed = Vec::new();
    for digit in digits.bytes().rev() {
        let value = i128::from(digit - b'0') * factor + carry;
        reversed.push(b'0' + u8::try_from(value % 10).unwrap_or_default());
        carry = value / 10;
    }
    while carry > 0 {
        reversed.push(b'0' + u8::try_from(carry % 10).unwrap_or_default());
        carry /= 10;
    }
    reversed.iter().rev().map(|digit| char::from(*digit)).collect()
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "format": "quantity",
            "description": "A Kubernetes quantity such as `500m` (half a core) or `1Gi`.",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_those_of_kubernetes() {
        let check = |text: &str, nanos: i128| assert_eq!(text.parse::<Quantity>().map(|q| q.nanos()), Ok(nanos), "{text}");
        check("0", 0);
        check("500m", 500_000_000);
        check("1", NANOS_PER_UNIT);
        check("+.5", 500_000_000);
        check("5.", 5 * NANOS_PER_UNIT);
        check("-1.5k", -1500 * NANOS_PER_UNIT);
        check("1Ki", 1024 * NANOS_PER_UNIT);
        check("0.5Ei", (1 << 59) * NANOS_PER_UNIT);
        check("1E", 10i128.pow(18) * NANOS_PER_UNIT);
        check("1E3", 1000 * NANOS_PER_UNIT);
        check("1e-3", 1_000_000);
        check("100n", 100);
        check("3u", 3000);
        check("0.1n", 1);
        check("-0.1n", -1);
        check("9223372036854775807", UNITS_MAX * NANOS_PER_UNIT);
        check("0.0000000000000000000000000000000000000000000001Ki", 1);
    }

    #[test]
    fn other_texts_are_refused() {
        let check = |text: &str, error: QuantityError| assert_eq!(text.parse::<Quantity>(), Err(error), "{text}");
        check("", QuantityError::Number);
        check("m", QuantityError::Number);
        check(".", QuantityError::Number);
        check("1.2.3", QuantityError::Number);
        check("1 Gi", QuantityError::Suffix(" Gi".into()));
        check("1GB", QuantityError::Suffix("GB".into()));
        check("1K", QuantityError::Suffix("K".into()));
        check("1e", QuantityError::Suffix("e".into()));
        check("9223372036854775808", QuantityError::Range);
        check("8Ei", QuantityError::Range);
        check("1e999999999", QuantityError::Range);
        check(&"9".repeat(60), QuantityError::Range);
    }

    proptest! {
        #[test]
        fn any_text_is_an_answer(text in "\\PC{0,40}") {
            let _ = text.parse::<Quantity>();
        }

        #[test]
        fn suffixes_scale(number in 0i64..1_000_000_000) {
            let nanos = |suffix: &str| format!("{number}{suffix}").parse::<Quantity>().expect("in range").nanos();
            prop_assert_eq!(nanos("k"), nanos("") * 1000);
            prop_assert_eq!(nanos("Mi"), nanos("Ki") * 1024);
            prop_assert_eq!(nanos("u"), nanos("n") * 1000);
            prop_assert_eq!(nanos("E0"), nanos(""));
            prop_assert_eq!(nanos("e3"), nanos("k"));
        }

        #[test]
        fn fractions_are_exact(whole in 0u32..1_000_000, fraction in 0u32..1_000_000_000) {
            let quantity: Quantity = format!("{whole}.{fraction:09}").parse().expect("in range");
            prop_assert_eq!(quantity.nanos(), i128::from(whole) * NANOS_PER_UNIT + i128::from(fraction));
        }
    }
}
