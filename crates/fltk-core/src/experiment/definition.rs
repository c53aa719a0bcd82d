//! References to the definitions of a schema that catalogues fill in.

use schemars::{Schema, SchemaGenerator, json_schema};

pub(super) fn net(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/net" })
}

pub(super) fn optional_net(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/net" }, { "type": "null" }] })
}

pub(super) fn network(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/network" })
}

pub(super) fn dataset_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/dataset_name" })
}

pub(super) fn optional_dataset_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/dataset_name" }, { "type": "null" }] })
}

pub(super) fn loss(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/loss" })
}

pub(super) fn optimizer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/optimizer" })
}

pub(super) fn role_optimizer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [{ "$ref": "#/$defs/role_optimizer" }, { "type": "null" }] })
}

pub(super) fn partition(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/partition" })
}

pub(super) fn selection(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/selection" })
}

pub(super) fn strategy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/strategy" })
}
