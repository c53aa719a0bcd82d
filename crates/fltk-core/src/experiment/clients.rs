//! The clients of a federated task: so many, or those of a list of names.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::ids::ClientId;

/// The clients of a federated task. Those that have names keep their data where they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Clients {
    /// So many.
    Number(u32),
    /// These; the number of a client is its place in the list, from 0. A parser has checked that each is a [`Name`](crate::name::Name).
    Named(Vec<String>),
}

impl Clients {
    /// The most clients that a task may have.
    pub const MAX: u32 = 1_000_000;

    /// Returns how many there are.
    #[must_use]
    pub fn num(&self) -> u32 {
        match self {
            Self::Number(number) => *number,
            Self::Named(names) => u32::try_from(names.len()).unwrap_or(u32::MAX),
        }
    }

    /// Returns the names; none if the clients have none.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Number(_) => &[],
            Self::Named(names) => names,
        }
    }

    /// Returns the client of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<ClientId> {
        (0..).zip(self.names()).find(|(_, own)| *own == name).map(|(place, _)| ClientId(place))
    }
}

impl From<u32> for Clients {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl JsonSchema for Clients {
    fn schema_name() -> Cow<'static, str> {
        "clients".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "array"],
            "format": "uint32",
            "minimum": 1,
            "maximum": Self::MAX,
            "items": { "type": "string" },
            "minItems": 1,
        })
    }
}

/// The place of the clients' training data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "data_place")]
pub enum DataPlace {
    /// Every node has all of it: any node trains any client.
    #[default]
    Everywhere,
    /// Each client's own data is at its own node, and stays there.
    Here,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_a_number_or_names() {
        let read = |text: &str| serde_json::from_str::<Clients>(text);
        let named = read(r#"["north", "south-2"]"#).unwrap();
        assert_eq!((named.num(), named.by_name("south-2"), named.by_name("west")), (2, Some(ClientId(1)), None));
        assert_eq!(serde_json::to_string(&named).unwrap(), r#"["north","south-2"]"#);
        let numbered = read("7").unwrap();
        assert_eq!((numbered.num(), numbered.names(), numbered.by_name("0")), (7, &[][..], None));
        assert_eq!(serde_json::to_string(&numbered).unwrap(), "7");
        for wrong in [r#"[1]"#, "-1", r#""north""#, "1.5"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
