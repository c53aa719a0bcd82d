//! The text of a case as plain values. What they mean together is decided in [`rounds`](super::rounds).

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::tensors::{Precision, ReadTensors, Tensors, WHOLE_MAX, not_finite, precision_in_model};

/// The largest number of rounds of a case.
const ROUNDS_MAX: usize = 1000;
/// The largest number of updates of a round.
const UPDATES_MAX: usize = 1000;

/// A case as it is written.
#[derive(Debug)]
pub struct Case {
    /// The rounds.
    pub rounds: Vec<RoundText>,
    /// True if they are in a list; otherwise the case is one round.
    pub is_list: bool,
}

/// A round as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundText {
    pub strategy: Option<StrategyText>,
    pub global: Option<Model>,
    #[serde(deserialize_with = "objects")]
    pub updates: Vec<UpdateText>,
    pub root: Option<UpdateText>,
    pub state: Option<State>,
    pub client_learning_rate: Option<Scalar>,
    pub clients: Option<Count>,
    pub round: Option<Count>,
}

/// A client's update as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateText {
    pub client: Option<Count>,
    pub samples: Option<Count>,
    pub steps: Option<Count>,
    pub values: Model,
    pub base: Option<Model>,
    pub staleness: Option<Count>,
    pub extra: Option<Extra>,
}

/// A strategy's name, and its settings if there are any, as JSON.
#[derive(Debug)]
pub struct StrategyText(pub String);

/// A model.
#[derive(Debug)]
pub struct Model(pub Tensors);

/// The values that a client sends in addition to its model; arrays are f32.
#[derive(Debug)]
pub struct Extra(pub Vec<(String, Value)>);

/// The values that the server keeps; arrays are f64.
#[derive(Debug)]
pub struct State(pub Vec<(String, Value)>);

/// A scalar, or an array over the elements of parameters.
#[derive(Debug)]
pub enum Value {
    Scalar(f64),
    Array(Tensors),
}

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(pub f64);

/// A whole number from 0 to 2^53.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

impl<'de> Deserialize<'de> for Case {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rounds;
        impl<'de> Visitor<'de> for Rounds {
            type Value = Case;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a round, or a list of rounds")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Case, A::Error> {
                let mut rounds = Vec::new();
                while let Some(Object(round)) = list.next_element()? {
                    rounds.push(round);
                    if rounds.len() > ROUNDS_MAX {
                        return Err(A::Error::custom(format!("a case has at most {ROUNDS_MAX} rounds")));
                    }
                }
                Ok(Case { rounds, is_list: true })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Case, A::Error> {
                Ok(Case { rounds: vec![RoundText::deserialize(MapAccessDeserializer::new(map))?], is_list: false })
            }
        }
        deserializer.deserialize_any(Rounds)
    }
}

/// A value that is written as an object. By itself, serde reads a list of its values too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(Keys(PhantomData)).map(Self)
    }
}

/// Reads a list of at most [`UPDATES_MAX`] objects.
fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Objects<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Objects<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut objects = Vec::new();
            while let Some(Object(object)) = list.next_element()? {
                objects.push(object);
                if objects.len() > UPDATES_MAX {
                    return Err(A::Error::custom(format!("at most {UPDATES_MAX} updates are combined here")));
                }
            }
            Ok(objects)
        }
    }
    deserializer.deserialize_seq(Objects(PhantomData))
}

impl<'de> Deserialize<'de> for StrategyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Block;
        impl<'de> Visitor<'de> for Block {
            type Value = StrategyText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a strategy, or a block such as {\"type\": \"FedAvgM\", \"momentum\": 0.5}")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<StrategyText, E> {
                Ok(StrategyText(serde_json::json!({ "type": name }).to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StrategyText, A::Error> {
                let mut block = serde_json::Map::new();
                while let Some((key, value)) = map.next_entry::<String, serde_json::Value>()? {
                    if block.insert(key, value).is_some() {
                        return Err(A::Error::custom("this setting is there twice"));
                    }
                }
                Ok(StrategyText(serde_json::Value::Object(block).to_string()))
            }
        }
        deserializer.deserialize_any(Block)
    }
}

impl<'de> Deserialize<'de> for Model {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ReadTensors(precision_in_model).deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadValues(|_| Precision::Single)).map(Self)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadValues(|_| Precision::Double)).map(Self)
    }
}

/// Reads scalars and arrays by name.
struct ReadValues(fn(&str) -> Precision);

impl<'de> Visitor<'de> for ReadValues {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers, or tensors by name, such as {\"loss\": 0.5, \"control_change\": {\"x\": [1, 2]}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = std::collections::BTreeSet::new();
        let mut values = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("this name is there twice"));
            }
            values.push((name, map.next_value_seed(ReadValue(self.0))?));
        }
        Ok(values)
    }
}

/// Reads a scalar, or an array.
struct ReadValue(fn(&str) -> Precision);

impl<'de> DeserializeSeed<'de> for ReadValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or tensors by name, such as {\"x\": [1, 2]}")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(rounded(value.into())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(rounded(value.into())))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        not_finite(text).map(Value::Scalar)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        ReadTensors(self.0).visit_map(map).map(Value::Array)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number is read as the nearest f64")]
fn rounded(value: i128) -> f64 {
    value as f64
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 to 2^53")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Count, E> {
                if value <= WHOLE_MAX { Ok(Count(value)) } else { Err(E::invalid_value(serde::de::Unexpected::Unsigned(value), &self)) }
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Count, E> {
                if value.fract() != 0.0 || !(0.0..=rounded(WHOLE_MAX.into())).contains(&value) {
                    return Err(E::invalid_value(serde::de::Unexpected::Float(value), &self));
                }
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range, as just checked")]
                Ok(Count(value as u64))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Count, E> {
                Err(E::invalid_value(serde::de::Unexpected::Signed(value), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}
