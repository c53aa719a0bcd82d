//! Lists of a user's file with a limit on their length, since a few bytes of text can stand for a list that takes many times as much memory.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, SeqAccess, Visitor},
};

/// A list of at most `MAX` values.
#[derive(Debug)]
pub(super) struct AtMost<T, const MAX: usize>(pub Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for AtMost<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = AtMost<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                read_at_most(list, MAX).map(AtMost)
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// Reads the rest of a list, unless it has more than `max` values.
pub(super) fn read_at_most<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(mut list: A, max: usize) -> Result<Vec<T>, A::Error> {
    let mut values = Vec::new();
    while values.len() < max {
        match list.next_element()? {
            Some(value) => values.push(value),
            None => return Ok(values),
        }
    }
    match list.next_element::<IgnoredAny>()? {
        Some(_) => Err(de::Error::custom(format_args!("the list has more than {max} values"))),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_lists_are_refused() {
        let read = |text: &str| serde_json::from_str::<AtMost<u32, 2>>(text).map(|list| list.0).map_err(|error| error.to_string());
        for (text, expected) in [("[]", vec![]), ("[1]", vec![1]), ("[1, 2]", vec![1, 2])] {
            assert_eq!(read(text), Ok(expected));
        }
        assert_eq!(read("[1, 2, 3]"), Err("the list has more than 2 values at line 1 column 9".to_owned()));
        assert!(read("3").is_err_and(|error| error.starts_with("invalid type: integer `3`, expected a list")));
    }
}
