//! The net of a task: one of the catalogue, a TorchScript module of the user's own, or a module in Python, which nodes in Python train.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor},
    ser::SerializeMap as _,
};

use crate::catalogue::{Choice, Value, file_and_name};

/// The net of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkConfig {
    /// A net of the catalogue: `LeNet5`, or `{ type: RedditLSTM, hidden: 400 }`.
    Named(Choice),
    /// A net of the catalogue whose settings are in a block of its own, such as `{ lstm: { hidden: 400 } }`.
    Block {
        /// The key of the block.
        key: String,
        /// The net that the block belongs to, with its settings.
        net: Choice,
    },
    /// A TorchScript module from a file.
    TorchScript {
        /// Path of the `.pt` file, relative to the experiment file.
        torchscript: String,
    },
    /// A module in Python.
    Python(PythonNet),
}

impl NetworkConfig {
    /// Returns the path of the TorchScript module; `None` if it is another kind of net.
    #[must_use]
    pub fn torchscript(&self) -> Option<&str> {
        match self {
            Self::TorchScript { torchscript } => Some(torchscript),
            Self::Named(_) | Self::Block { .. } | Self::Python(_) => None,
        }
    }
}

/// A net that a function in Python makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonNet {
    /// The file, whose path is relative to the experiment file, and the name in it of a function that makes the net, or of a class of clients: `model.py:make_model`.
    pub python: String,
    /// The Python that runs it: the folder of a virtual environment, or a program, relative to the experiment file. `None` for what `FLTK_PYTHON` names, or `python3`.
    pub environment: Option<String>,
}

impl PythonNet {
    /// Returns the path of the file and the name in it; `None` if either is missing.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, &str)> {
        file_and_name(&self.python)
    }

    /// Applies `change` to the paths of the file and of the environment.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn change_files<E>(&mut self, change: &dyn Fn(&str) -> Result<String, E>) -> Result<(), E> {
        if let Some((file, name)) = self.parts() {
            self.python = format!("{}:{name}", change(file)?);
        }
        if let Some(environment) = &mut self.environment {
            *environment = change(environment)?;
        }
        Ok(())
    }
}

impl NetworkConfig {
    /// Creates the net of the catalogue that has this name, with defaults for all of its settings.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::Named(Choice::new(name))
    }

    /// Returns the net of the catalogue; `None` for a module of the user's own.
    #[must_use]
    pub fn net(&self) -> Option<&Choice> {
        match self {
            Self::Named(net) | Self::Block { net, .. } => Some(net),
            Self::TorchScript { .. } | Self::Python(_) => None,
        }
    }

    /// Returns the net in Python; `None` for others.
    #[must_use]
    pub fn python(&self) -> Option<&PythonNet> {
        match self {
            Self::Python(net) => Some(net),
            Self::Named(_) | Self::Block { .. } | Self::TorchScript { .. } => None,
        }
    }
}

const TORCHSCRIPT: &str = "torchscript";
const PYTHON: &str = "python";
const ENVIRONMENT: &str = "environment";
const TYPE: &str = "type";

impl Serialize for NetworkConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(net) if net.is_bare() => serializer.serialize_str(net.name()),
            Self::Named(net) => net.serialize(serializer),
            Self::Block { key, net } => {
                let settings: Vec<(&str, &Value)> = net.settings().collect();
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(key, &Settings(&settings))?;
                map.end()
            }
            Self::TorchScript { torchscript } => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(TORCHSCRIPT, torchscript)?;
                map.end()
            }
            Self::Python(PythonNet { python, environment }) => {
                let mut map = serializer.serialize_map(Some(1 + usize::from(environment.is_some())))?;
                map.serialize_entry(PYTHON, python)?;
                if let Some(environment) = environment {
                    map.serialize_entry(ENVIRONMENT, environment)?;
                }
                map.end()
            }
        }
    }
}

/// Settings as a block.
struct Settings<'a>(&'a [(&'a str, &'a Value)]);

impl Serialize for Settings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl<'de> Deserialize<'de> for NetworkConfig {
    /// Reads a net as it is written. It has to be settled before it is used.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrBlock;
        impl<'de> Visitor<'de> for NameOrBlock {
            type Value = NetworkConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a net, or a block")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<NetworkConfig, E> {
                Ok(NetworkConfig::named(name))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NetworkConfig, A::Error> {
                let block: serde_json::Map<String, serde_json::Value> =
                    std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>()?;
                let wrong = de::Error::custom;
                if block.contains_key(TYPE) {
                    return serde_json::from_value(block.into()).map(NetworkConfig::Named).map_err(wrong);
                }
                if let Some(python) = block.get(PYTHON) {
                    let text =
                        |value: &serde_json::Value| value.as_str().map(str::to_owned).ok_or_else(|| de::Error::custom("a path is text"));
                    let environment = block.get(ENVIRONMENT).filter(|environment| !environment.is_null()).map(text).transpose()?;
                    return Ok(NetworkConfig::Python(PythonNet { python: text(python)?, environment }));
                }
                let Some((key, value)) = block.into_iter().next() else { return Err(de::Error::invalid_length(0, &"a key")) };
                match (key.as_str(), value) {
                    (TORCHSCRIPT, serde_json::Value::String(torchscript)) => Ok(NetworkConfig::TorchScript { torchscript }),
                    (_, serde_json::Value::Object(mut settings)) => {
                        // The catalogue knows which net has this block; until then, it goes by the block's key.
                        settings.shift_insert(0, TYPE.to_owned(), key.clone().into());
                        let net = serde_json::from_value(settings.into()).map_err(wrong)?;
                        Ok(NetworkConfig::Block { key, net })
                    }
                    _ => Err(de::Error::custom("a net's settings are a block")),
                }
            }
        }
        deserializer.deserialize_any(NameOrBlock)
    }
}
