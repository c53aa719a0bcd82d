//! References to the definitions of a schema that catalogues fill in.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Refers to the definition of a net by name.
pub fn net(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/net" })
}

/// Refers to the definition of a net by name, or nothing.
pub fn optional_net(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/net" }, { "type": "null" }] })
}

/// Refers to the definition of the net of a task.
pub fn network(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/network" })
}

/// Refers to the definition of a data set with its settings.
pub fn dataset(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/dataset" })
}

/// Refers to the definition of a data set by name.
pub fn dataset_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/dataset_name" })
}

/// Refers to the definition of a data set by name, or nothing.
pub fn optional_dataset_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/dataset_name" }, { "type": "null" }] })
}

/// Refers to the definition of a loss by name.
pub fn loss(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/loss" })
}

/// Refers to the definition of an optimizer.
pub fn optimizer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/optimizer" })
}

/// Refers to the definition of any settings of an optimizer, or nothing.
pub fn role_optimizer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/role_optimizer" }, { "type": "null" }] })
}

/// Refers to the definition of a partition.
pub fn partition(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/partition" })
}

/// Refers to the definition of a selection of clients.
pub fn selection(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/selection" })
}

/// Refers to the definition of the compression of updates, or nothing.
pub fn optional_compression(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/compression" }, { "type": "null" }] })
}

/// Refers to the definition of an attack, or nothing.
pub fn optional_attack(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/attack" }, { "type": "null" }] })
}

/// Refers to the definition of clients' devices.
pub fn devices(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/devices" })
}

/// Refers to the definition of clients' links.
pub fn links(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/links" })
}

/// Refers to the definition of clients' availability.
pub fn availability(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/availability" })
}

/// Refers to the definition of a strategy.
pub fn strategy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/strategy" })
}
