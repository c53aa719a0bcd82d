//! Kubernetes quantities, such as `500m` or `1Gi`, exactly by their grammar.

use std::{fmt, num::IntErrorKind, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// Billionths per unit, the resolution that Kubernetes uses too.
const NANOS_PER_UNIT: i128 = 1_000_000_000;
/// The value at which Kubernetes caps amounts with a binary suffix, `2^63 - 1`, in billionths.
const BINARY_NANOS_MAX: i128 = i64::MAX as i128 * NANOS_PER_UNIT;

/// An amount of a resource: cores, or bytes of memory.
///
/// The grammar (`k8s.io/apimachinery/pkg/api/resource`) is a signed decimal number, then one of `Ki Mi Gi Ti Pi Ei`, `n u m k M G T P E`, or
/// `e`/`E` and a signed exponent. Parts below a billionth are rounded up, away from zero; amounts with a binary suffix are capped at `2^63 - 1`,
/// so `8Ei` has that value. A quantity keeps its text as written.
///
/// **Caveats**: there are three differences to Kubernetes' parser. Amounts beyond [`Self::NANOS_MAX`] are refused, while it has no limit. A text
/// without a digit, such as `Ki`, is refused too: it isn't in the grammar, but Kubernetes reads it as zero. And an exponent of more than 32 bits
/// doesn't wrap around.
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

/// The reason why a text isn't a [`Quantity`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// The text doesn't begin with a number, or the number has an invalid character.
    #[error("a quantity begins with a decimal number")]
    Number,
    /// The suffix isn't in the grammar.
    #[error("`{0}` isn't a unit: units are `n u m k M G T P E Ki Mi Gi Ti Pi Ei`, or an exponent such as `e3`")]
    Suffix(String),
    /// The amount is beyond [`Quantity::NANOS_MAX`] on either side.
    #[error("a quantity is at most 2^127 - 1 billionths, about 1.7e29")]
    Range,
}

/// The factor for the number before a suffix.
enum Scale {
    /// A power of ten.
    Decimal { exponent: i32 },
    /// The factor itself.
    Binary { factor: i128 },
}

impl Quantity {
    /// The largest amount, in billionths: the limit of the integer type.
    pub const NANOS_MAX: i128 = i128::MAX;

    /// Returns the amount in billionths of a core or byte, within [`Self::NANOS_MAX`] on either side.
    #[must_use]
    pub fn nanos(&self) -> i128 {
        self.nanos
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
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
        let scale = scale(suffix)?;
        // All digits as one whole number, which counts billionths where the exponent is 0.
        let digits = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0');
        let digits: String = digits.map(char::from).collect();
        let places = 9i32.saturating_sub_unsigned(u32::try_from(fraction.len()).unwrap_or(u32::MAX));
        let nanos = match scale {
            Scale::Decimal { exponent } => scaled(&digits, 1, exponent.saturating_add(places)).ok_or(QuantityError::Range)?,
            Scale::Binary { factor } => scaled(&digits, factor, places).map_or(BINARY_NANOS_MAX, |nanos| nanos.min(BINARY_NANOS_MAX)),
        };
        Ok(Self { text: text.to_owned(), nanos: if negative { -nanos } else { nanos } })
    }
}

fn scale(suffix: &str) -> Result<Scale, QuantityError> {
    let decimal = |exponent| Ok(Scale::Decimal { exponent });
    let binary = |power: u32| Ok(Scale::Binary { factor: 1 << power });
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let unknown = || QuantityError::Suffix(suffix.to_owned());
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(unknown)?;
            match exponent.parse::<i32>().map_err(|error| *error.kind()) {
                Ok(exponent) => decimal(exponent),
                // With these too, any amount but zero is far out of range, or rounded up.
                Err(IntErrorKind::PosOverflow) => decimal(i32::MAX),
                Err(IntErrorKind::NegOverflow) => decimal(i32::MIN),
                Err(_) => Err(unknown()),
            }
        }
    }
}

/// Returns `digits * factor * 10^exponent`, rounded up; `None` if the value doesn't fit.
fn scaled(digits: &str, factor: i128, exponent: i32) -> Option<i128> {
    if digits.is_empty() {
        return Some(0);
    }
    if exponent >= 0 {
        let value = digits.parse::<i128>().ok()?.checked_mul(factor)?;
        return value.checked_mul(10i128.checked_pow(exponent.unsigned_abs())?);
    }
    // The division can't overflow: it takes digits * factor in decimal, and drops the last `cut` digits.
    let product = multiplied(digits, factor);
    let cut = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX).min(product.len());
    let (kept, lost) = product.split_at(product.len() - cut);
    let kept = if kept.is_empty() { 0 } else { kept.parse::<i128>().ok()? };
    kept.checked_add(i128::from(lost.bytes().any(|digit| digit != b'0')))
}

/// Returns `digits * factor` in decimal, of any length.
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
