//! The data set of a task.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IntoDeserializer as _},
    ser::SerializeMap as _,
};
use serde_json::{Map, Value as Json};

use crate::catalogue::{Choice, Tag};

/// A data set of the catalogue, with its settings, and optionally the path from which it is read; or data of one's own, with its format. In files it is a name,
/// or a block such as `{ name: mnist, path: ... }`, `{ name: synthetic, alpha: 0.5 }` or `{ path: ..., format: csv }`.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetConfig {
    /// The data set, with its settings; or the format, with its settings.
    pub data: Choice,
    /// A folder or archive to read instead of the cache and the known sources; that of one's own data.
    pub path: Option<String>,
}

/// The key of [`DatasetConfig::path`].
const PATH: &str = "path";

/// The name of the format of data whose format is found out when it is read.
pub const FOUND_OUT: &str = "auto";

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

    /// Data of one's own at `path`.
    #[must_use]
    pub fn own(format: &str, path: &str) -> Self {
        Self { data: Choice::format(format), path: Some(path.to_owned()) }
    }

    /// Returns true if it is data of one's own, and not one of the known data sets.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.data.tag() == Tag::Format
    }

    /// Returns the name of the data set, or of the format of data of one's own.
    #[must_use]
    pub fn name(&self) -> &str {
        self.data.name()
    }
}

impl Serialize for DatasetConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.data.tag().name(), self.name())?;
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
        let is_given = |tag: Tag| block.contains_key(tag.name());
        match (is_given(Tag::Name), is_given(Tag::Format), &path) {
            (true, false, _) | (false, true, _) => {}
            (true, true, _) => return Err(de::Error::custom("a data set has a name or a format, not both")),
            (false, false, Some(_)) => {
                block.insert(Tag::Format.name().to_owned(), FOUND_OUT.into());
            }
            (false, false, None) => return Err(de::Error::missing_field(Tag::Name.name())),
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
            (DatasetConfig::own("csv", "a.csv"), json!({ "format": "csv", "path": "a.csv" })),
            (DatasetConfig { data: Choice::dataset("made").with("alpha", 0.5), path: None }, json!({ "name": "made", "alpha": 0.5 })),
        ] {
            assert_eq!(serde_json::to_value(&config).unwrap(), written);
            assert_eq!(serde_json::from_value::<DatasetConfig>(written).unwrap(), config);
        }
        assert_eq!(serde_json::from_value::<DatasetConfig>(json!({ "name": "mnist", "path": null })).unwrap().path, None);
        assert_eq!(serde_json::from_value::<DatasetConfig>(json!({ "path": "a" })).unwrap(), DatasetConfig::own(FOUND_OUT, "a"));
        for wrong in [
            json!({ "name": "mnist", "format": "idx", "path": "a" }),
            json!({}),
            json!({ "name": "mnist", "path": 3 }),
            json!({ "name": 3 }),
            json!({ "type": "mnist" }),
            json!("mnist"),
        ] {
            assert!(serde_json::from_value::<DatasetConfig>(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
