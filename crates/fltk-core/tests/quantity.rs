//! Quantities compared with Kubernetes' own parser, and with an independent arithmetic for the grammar.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::cmp::Ordering;

use fltk_core::experiment::{Quantity, QuantityError};
use proptest::prelude::*;

/// Texts, with the results of Kubernetes' parser.
const KUBERNETES: &str = include_str!("quantity/kubernetes.csv");
/// The cap on amounts with a binary suffix, in billionths.
const BINARY_MAX: &str = "9223372036854775807000000000";

fn parse(text: &str) -> Result<i128, QuantityError> {
    text.parse::<Quantity>().map(|quantity| quantity.nanos())
}

#[test]
fn quantities_have_the_values_of_kubernetes() {
    let rows = KUBERNETES.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(',').unwrap());
    let (mut values, mut errors, mut too_large, mut without_digits) = (0, 0, 0, 0);
    for (text, expected) in rows {
        let found = parse(text);
        let has_digit = text.trim_start_matches(['+', '-', '.']).starts_with(|c: char| c.is_ascii_digit());
        match expected.parse::<i128>() {
            _ if expected == "error" => {
                assert!(matches!(found, Err(QuantityError::Number | QuantityError::Suffix(_))), "{text}: {found:?}");
                errors += 1;
            }
            // The text is not in the grammar.
            Ok(0) if !has_digit => {
                assert_eq!(found, Err(QuantityError::Number), "{text}");
                without_digits += 1;
            }
            Ok(nanos) => {
                assert_eq!(found, Ok(nanos), "{text}");
                values += 1;
            }
            // The amount is beyond the range of our type.
            Err(_) => {
                assert_eq!(found, Err(QuantityError::Range), "{text}");
                too_large += 1;
            }
        }
    }
    assert_eq!((values, errors, too_large, without_digits), (105, 40, 5, 8));
}

#[test]
fn invalid_quantities_are_refused_with_a_reason() {
    let check = |text: &str, error: QuantityError| assert_eq!(parse(text), Err(error), "{text}");
    check("", QuantityError::Number);
    check("m", QuantityError::Number);
    check(".", QuantityError::Number);
    check("1.2.3", QuantityError::Number);
    check("1 Gi", QuantityError::Suffix(" Gi".into()));
    check("1GB", QuantityError::Suffix("GB".into()));
    check("1K", QuantityError::Suffix("K".into()));
    check("1e", QuantityError::Suffix("e".into()));
    check("170141183460469231731687303715884105728n", QuantityError::Range);
    check("-170141183460469231731687303715884105728n", QuantityError::Range);
    check("170141183460469231731687303715884105727.1n", QuantityError::Range);
    check(&"9".repeat(1000), QuantityError::Range);
}

/// Exponents in Kubernetes' parser wrap around at 32 bits.
#[test]
fn exponents_of_any_size_are_read() {
    check_exponent("e2147483647", Err(QuantityError::Range));
    check_exponent("E99999999999999999999", Err(QuantityError::Range));
    check_exponent("e-2147483648", Ok(1));
    check_exponent("E-99999999999999999999", Ok(1));
}

fn check_exponent(exponent: &str, of_one: Result<i128, QuantityError>) {
    assert_eq!(parse(&format!("1{exponent}")), of_one, "{exponent}");
    assert_eq!(parse(&format!("-0.01{exponent}")), of_one.map(|nanos| -nanos), "{exponent}");
    assert_eq!(parse(&format!("0.00{exponent}")), Ok(0), "{exponent}");
}

/// A natural number of any size, in digits of base 2^32, the lowest first, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Natural(Vec<u32>);

impl Natural {
    fn of_decimal(digits: &str) -> Self {
        digits.bytes().fold(Self(Vec::new()), |number, digit| number.times_plus(10, u32::from(digit - b'0')))
    }

    fn times_plus(mut self, factor: u32, more: u32) -> Self {
        let mut carry = u64::from(more);
        for digit in &mut self.0 {
            let value = u64::from(*digit) * u64::from(factor) + carry;
            *digit = u32::try_from(value & u64::from(u32::MAX)).unwrap();
            carry = value >> 32;
        }
        if carry > 0 {
            self.0.push(u32::try_from(carry).unwrap());
        }
        self
    }

    fn times_power(self, base: u32, exponent: u32) -> Self {
        (0..exponent).fold(self, |number, _| number.times_plus(base, 0))
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A text of the grammar, split into its parts.
#[derive(Clone, Debug)]
struct Written {
    sign: &'static str,
    whole: String,
    /// The digits after the dot, possibly none; `None` without a dot.
    fraction: Option<String>,
    suffix: Suffix,
}

#[derive(Clone, Debug)]
enum Suffix {
    Decimal(&'static str, i32),
    Binary(&'static str, u32),
    Exponent { letter: char, sign: &'static str, digits: String },
}

impl Written {
    fn text(&self) -> String {
        let Self { sign, whole, fraction, suffix } = self;
        let fraction = fraction.as_ref().map(|digits| format!(".{digits}")).unwrap_or_default();
        let suffix = match suffix {
            Suffix::Decimal(name, _) | Suffix::Binary(name, _) => (*name).to_owned(),
            Suffix::Exponent { letter, sign, digits } => format!("{letter}{sign}{digits}"),
        };
        format!("{sign}{whole}{fraction}{suffix}")
    }

    /// Returns the absolute amount in billionths: a numerator, the number of times to divide it by ten, and true if Kubernetes caps it.
    fn nanos(&self) -> (Natural, u32, bool) {
        let fraction = self.fraction.as_deref().unwrap_or_default();
        let (powers_of_1024, exponent) = match &self.suffix {
            Suffix::Decimal(_, exponent) => (0, *exponent),
            Suffix::Binary(_, powers) => (*powers, 0),
            Suffix::Exponent { sign, digits, .. } => (0, digits.parse::<i32>().unwrap() * if *sign == "-" { -1 } else { 1 }),
        };
        let tens = exponent + 9 - i32::try_from(fraction.len()).unwrap();
        let digits = Natural::of_decimal(&format!("{}{fraction}", self.whole));
        let numerator = digits.times_power(1024, powers_of_1024).times_power(10, u32::try_from(tens).unwrap_or(0));
        (numerator, u32::try_from(-tens).unwrap_or(0), powers_of_1024 > 0)
    }
}

fn numbers() -> impl Strategy<Value = (String, Option<String>)> {
    let digits = || prop_oneof!["[0-9]{1,4}", "[0-9]{1,45}", "0{1,30}[0-9]{1,3}", "[1-9]0{1,30}"];
    prop_oneof![
        digits().prop_map(|whole| (whole, None)),
        digits().prop_map(|whole| (whole, Some(String::new()))),
        digits().prop_map(|fraction| (String::new(), Some(fraction))),
        (digits(), digits()).prop_map(|(whole, fraction)| (whole, Some(fraction))),
    ]
}

fn suffixes() -> impl Strategy<Value = Suffix> {
    let decimal = vec![("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
    let binary = vec![("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];
    let exponent = (prop_oneof![Just('e'), Just('E')], signs(), "0{0,2}[0-9]{1,2}");
    prop_oneof![
        prop::sample::select(decimal).prop_map(|(name, exponent)| Suffix::Decimal(name, exponent)).boxed(),
        prop::sample::select(binary).prop_map(|(name, powers)| Suffix::Binary(name, powers)).boxed(),
        exponent.prop_map(|(letter, sign, digits)| Suffix::Exponent { letter, sign, digits }).boxed(),
    ]
}

fn signs() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(""), Just("+"), Just("-")]
}

fn written() -> impl Strategy<Value = Written> {
    (signs(), numbers(), suffixes()).prop_map(|(sign, (whole, fraction), suffix)| Written { sign, whole, fraction, suffix })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// The amount is the smallest whole number of billionths that isn't less than the written one; or the cap; or refused as out of range.
    #[test]
    fn parsed_quantities_follow_the_grammar(written in written()) {
        let text = written.text();
        let (numerator, tens, capped) = written.nanos();
        let exceeds = |limit: &str| numerator > Natural::of_decimal(limit).times_power(10, tens);
        let nanos = match parse(&text) {
            Ok(nanos) => nanos,
            Err(error) => {
                prop_assert_eq!(error, QuantityError::Range, "{}", text);
                prop_assert!(!capped && exceeds(&Quantity::NANOS_MAX.to_string()), "{}", text);
                return Ok(());
            }
        };
        prop_assert!(if written.sign == "-" { nanos <= 0 } else { nanos >= 0 }, "{}: {}", text, nanos);
        let amount = nanos.unsigned_abs();
        if capped && exceeds(BINARY_MAX) {
            prop_assert_eq!(amount.to_string(), BINARY_MAX, "{}", text);
            return Ok(());
        }
        prop_assert!(!exceeds(&amount.to_string()), "{}: {} is too little", text, nanos);
        if let Some(less) = amount.checked_sub(1) {
            prop_assert!(exceeds(&less.to_string()), "{}: {} is too much", text, nanos);
        }
    }

    #[test]
    fn arbitrary_texts_never_panic(text in "\\PC{0,40}|[-+0-9.eEinumkKMGTP]{0,12}") {
        if let Ok(quantity) = text.parse::<Quantity>() {
            prop_assert_eq!(quantity.to_string(), text);
        }
    }
}
