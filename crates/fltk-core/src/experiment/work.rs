//! The amount of local training of clients: numbers of epochs, whole or not, and amounts that differ between clients.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, SeqAccess, Visitor},
};

/// A number of epochs, whole or not. A whole one is written without a decimal point.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(transparent)]
pub struct Epochs(pub f64);

impl From<u32> for Epochs {
    fn from(epochs: u32) -> Self {
        Self(epochs.into())
    }
}

impl fmt::Display for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Epochs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range, as just checked")]
        if self.0.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&self.0) {
            serializer.serialize_u32(self.0 as u32)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl JsonSchema for Epochs {
    fn schema_name() -> Cow<'static, str> {
        "epochs".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "format": "double", "exclusiveMinimum": 0.0, "maximum": 100_000.0 })
    }
}

/// Amounts of local training that differ between clients, drawn at random: uniformly from `min` to `max`, or, with `mean` and `deviation`, from
/// a normal distribution that is cut off at both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "work")]
#[serde(deny_unknown_fields)]
pub struct WorkConfig {
    /// The smallest amount.
    pub min: Epochs,
    /// The largest amount.
    pub max: Epochs,
    /// The mean of the normal distribution, before it is cut off; uniform if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The standard deviation of the normal distribution, before it is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub deviation: Option<f64>,
    /// The unit of the amounts.
    #[serde(default)]
    pub unit: WorkUnit,
    /// The use of each draw.
    #[serde(default)]
    pub each: DrawnFor,
}

impl WorkConfig {
    /// Returns true if every amount is a whole number: steps, or epochs between whole bounds.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.unit == WorkUnit::Steps || (self.min.0.fract() == 0.0 && self.max.0.fract() == 0.0)
    }
}

/// The unit of an amount of local training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "work_unit")]
pub enum WorkUnit {
    /// Passes over all of a client's samples.
    #[default]
    Epochs,
    /// Optimizer steps.
    Steps,
}

/// The use of a drawn amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "drawn_for")]
pub enum DrawnFor {
    /// One draw for each client, which holds for all of its rounds.
    #[default]
    Client,
    /// Another draw in each round.
    Round,
}

/// Settings of some clients, in place of those of all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "client_group")]
#[serde(deny_unknown_fields)]
pub struct ClientGroup {
    /// The clients: a number, a text of numbers and ranges, such as `0-9, 15`, or a list of both, such as `[0-9, 15]`.
    #[serde(deserialize_with = "clients_text")]
    #[schemars(schema_with = "clients_schema")]
    pub clients: String,
    /// Local epochs in one round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs_per_round: Option<Epochs>,
    /// Optimizer steps in one round, instead of epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub steps_per_round: Option<u64>,
    /// Initial learning rate; the schedule is that of all clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: Option<f64>,
}

impl ClientGroup {
    /// Returns the ranges of clients, both ends included, in the order of the text.
    ///
    /// # Errors
    /// The index of the part which is neither a number nor a range, and a sentence that names it.
    pub fn ranges(&self) -> Result<Vec<(u32, u32)>, (usize, String)> {
        let parts = self.clients.split(',').map(str::trim).enumerate();
        parts.map(|(index, part)| range(part).map_err(|problem| (index, problem))).collect()
    }
}

fn clients_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": ["string", "integer", "array"],
        "format": "uint32",
        "minimum": 0,
        "items": { "type": ["string", "integer"], "format": "uint32", "minimum": 0 },
        "minItems": 1,
    })
}

/// Reads the clients of a group as one text, whichever way they are written.
fn clients_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Clients;
    impl<'de> Visitor<'de> for Clients {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the number of a client, a text such as `0-9, 15`, or a list of both")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<String, A::Error> {
            let mut parts = Vec::new();
            while let Some(Part(part)) = list.next_element()? {
                parts.push(part);
            }
            Ok(parts.join(", "))
        }
    }
    /// An item of a list.
    struct Part(String);
    impl<'de> Deserialize<'de> for Part {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct NumberOrText;
            impl Visitor<'_> for NumberOrText {
                type Value = Part;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("the number of a client, or a text such as `0-9, 15`")
                }

                fn visit_u64<E: de::Error>(self, number: u64) -> Result<Part, E> {
                    Ok(Part(number.to_string()))
                }

                fn visit_str<E: de::Error>(self, text: &str) -> Result<Part, E> {
                    Ok(Part(text.to_owned()))
                }
            }
            deserializer.deserialize_any(NumberOrText)
        }
    }
    deserializer.deserialize_any(Clients)
}

fn range(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(first), Some(last)) => Err(format!("the range `{first}-{last}` is empty")),
        _ => Err(format!("`{text}` is neither the number of a client nor a range such as `0-9`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_epochs_are_written_as_before() {
        let text = |epochs| serde_json::to_string(&Epochs(epochs)).unwrap();
        assert_eq!([text(1.0), text(0.5), text(100_000.0), text(2.25)], ["1", "0.5", "100000", "2.25"]);
        for text in ["1", "1.0", "0.5"] {
            assert_eq!(serde_json::from_str::<Epochs>(text).unwrap().0, text.parse::<f64>().unwrap());
        }
    }

    #[test]
    fn clients_of_groups_are_numbers_and_ranges() {
        let group =
            |clients: &str| ClientGroup { clients: clients.to_owned(), epochs_per_round: None, steps_per_round: None, learning_rate: None };
        assert_eq!(group("0-9, 15,20 - 22").ranges(), Ok(vec![(0, 9), (15, 15), (20, 22)]));
        let read = |clients: &str| serde_json::from_str::<ClientGroup>(&format!("{{ \"clients\": {clients} }}")).map(|group| group.clients);
        for (written, text) in [("7", "7"), ("\"0-4, 7\"", "0-4, 7"), ("[0, 1, \"5-9\"]", "0, 1, 5-9"), ("[3]", "3")] {
            assert_eq!(read(written).unwrap(), text);
        }
        for wrong in ["true", "[[1]]", "-1", "1.5", "{}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        for (wrong, part) in [
            ("", "``"),
            ("1,", "``"),
            ("a", "`a`"),
            ("-1", "`-1`"),
            ("3-1", "`3-1`"),
            ("1-2-3", "`1-2-3`"),
            ("99999999999", "`99999999999`"),
        ] {
            assert!(group(wrong).ranges().unwrap_err().1.contains(part), "{wrong}");
        }
    }
}
