//! The data set of a task.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IntoDeserializer as _},
    ser::SerializeMap as _,
};
use serde_json::{Map, Value as Json};

use crate::catalogue::Choice;

/// A data set of the catalogue, with its settings, and optionally the path from which it is read. In files it is a name, or a block such as
/// `{ name: mnist, path: ... }` or `{ name: synthetic, alpha: 0.5 }`.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetConfig {
    /// The data set, with its settings.
    pub data: Choice,
    /// A folder or archive to read instead of the cache and the known sources.
    pub path: Option<String>,
}

/// The key of [`DatasetConfig::path`].
const PATH: &str = "path";

impl DatasetConfig {
    /// The data set `name` with its default settings, from the cache or the known sources.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { data: Choice::dataset(name), path: None }
    }

    /// Returns the same data set, read from `path`.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// Returns the name of the data set.
    #[must_use]
    pub fn name(&self) -> &str {
        self.data.name()
    }
}

impl Serialize for DatasetConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", self.name())?;
        for (name, value) in self.data.settings() {
            map.serialize_entry(name, value)?;
        }
        if let Some(path) = &self.path {
            map.serialize_entry(PATH, path)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DatasetConfig {
    /// Reads a data set as it is written. Its settings have to be settled before they are used.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut block = Map::deserialize(deserializer)?;
        let path = match block.remove(PATH) {
            None | Some(Json::Null) => None,
            Some(Json::String(path)) => Some(path),
            Some(_) => return Err(de::Error::custom("the path of a data set is a text")),
        };
        if !block.contains_key("name") {
            return Err(de::Error::missing_field("name"));
        }
        let data = Choice::deserialize(block.into_deserializer()).map_err(de::Error::custom)?;
        Ok(Self { data, path })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_data_set_is_read_back_as_it_was_written() {
        for (config, written) in [
            (DatasetConfig::named("mnist"), json!({ "name": "mnist" })),
            (DatasetConfig::named("mnist").at("a/b"), json!({ "name": "mnist", "path": "a/b" })),
            (DatasetConfig { data: Choice::dataset("made").with("alpha", 0.5), path: None }, json!({ "name": "made", "alpha": 0.5 })),
        ] {
            assert_eq!(serde_json::to_value(&config).unwrap(), written);
            assert_eq!(serde_json::from_value::<DatasetConfig>(written).unwrap(), config);
        }
        assert_eq!(serde_json::from_value::<DatasetConfig>(json!({ "name": "mnist", "path": null })).unwrap().path, None);
        for wrong in [
            json!({ "path": "a" }),
            json!({ "name": "mnist", "path": 3 }),
            json!({ "name": 3 }),
            json!({ "type": "mnist" }),
            json!("mnist"),
        ] {
            assert!(serde_json::from_value::<DatasetConfig>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
