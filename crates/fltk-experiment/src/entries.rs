//! JSON Schemas of catalogues: the definitions to which the schema of a file format only refers.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde_json::{Map, Value as Json, json};

use super::schema;
use fltk_core::{
    catalogue::{Catalogue, Catalogues, Constant, DatasetEntry, Entry, Kind, Parameter, Preset, Range, Tag},
    experiment::FOUND_OUT,
};

/// The alternative to the name of a net, for hints.
pub(crate) const OWN_NET: &str =
    "or a net of your own, in fltk's own format: `network: { torchscript: net.pt }`, saved with `torch.jit.script(net).save(\"net.pt\")`";

/// Returns the schema of `T`, in which every object is closed, with the definitions that are catalogues.
pub(crate) fn generate_with<T: JsonSchema>(catalogues: &Catalogues) -> Json {
    with_catalogues(schema::generate::<T>(), catalogues)
}

/// Adds the definitions that are catalogues.
pub(crate) fn with_catalogues(mut schema: Json, catalogues: &Catalogues) -> Json {
    apply(&mut schema, catalogues);
    schema
}

/// Adds the definitions that `schema` refers to and that are catalogues.
fn apply(schema: &mut Json, catalogues: &Catalogues) {
    loop {
        let mut references = BTreeSet::new();
        collect_references(schema, &mut references);
        let is_missing = |name: &&String| schema.get("$defs").and_then(|definitions| definitions.get(*name)).is_none();
        let made: Vec<(String, Json)> =
            references.iter().filter(is_missing).filter_map(|name| Some((name.clone(), definition(name, catalogues)?))).collect();
        if made.is_empty() {
            return;
        }
        for (name, definition) in made {
            schema["$defs"][name] = definition;
        }
    }
}

fn collect_references(schema: &Json, found: &mut BTreeSet<String>) {
    match schema {
        Json::Object(map) => {
            let name = map.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix("#/$defs/"));
            found.extend(name.map(str::to_owned));
            map.values().for_each(|value| collect_references(value, found));
        }
        Json::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Returns the definition of this name, if it is a catalogue or a part of one.
fn definition(name: &str, catalogues: &Catalogues) -> Option<Json> {
    Some(match name {
        "net" => {
            let mut names = names(&catalogues.nets, "The name of a net.");
            names["x-beside"] = OWN_NET.into();
            names
        }
        "network" => network(catalogues),
        "dataset" => datasets(catalogues),
        "dataset_name" => names(&catalogues.datasets, "The name of a data set."),
        "loss" => names(&catalogues.losses, "A loss over (logits, class index), with PyTorch's name."),
        "optimizer" => tagged(&catalogues.optimizers, "A local optimizer, with PyTorch's formulas and defaults."),
        "role_optimizer" => any_of_all(&catalogues.optimizers, "Any of the settings of `optimizer`."),
        "partition" => tagged(&catalogues.partitioners, "The division of the training set among clients."),
        "selection" => tagged(&catalogues.selections, "The selection of the clients of a round."),
        "devices" => tagged(&catalogues.devices, "The devices of clients on a virtual clock."),
        "links" => tagged(&catalogues.links, "The links of clients on a virtual clock."),
        "availability" => tagged(&catalogues.availability, "The times at which clients are there, on a virtual clock."),
        "compression" => tagged(&catalogues.compressions, "The compression of clients' updates."),
        "attack" => tagged(&catalogues.attacks, "The attack of malicious clients."),
        "strategy" => strategy(catalogues),
        _ => {
            if let Some(net) = catalogues.nets.iter().find(|net| net.block == Some(name)) {
                return Some(object(net.entry.parameters, Map::new(), &format!("The settings of `{}`.", net.entry.name)));
            }
            let parameters = all_parameters(&catalogues.partitioners)
                .chain(all_parameters(&catalogues.strategies))
                .chain(all_parameters(&catalogues.selections))
                .chain(all_parameters(&catalogues.attacks))
                .chain(all_parameters(&catalogues.compressions))
                .chain(all_parameters(&catalogues.devices))
                .chain(all_parameters(&catalogues.links))
                .chain(all_parameters(&catalogues.availability))
                .chain(all_parameters(&catalogues.optimizers))
                .chain(all_parameters(&catalogues.nets))
                .chain(all_parameters(&catalogues.datasets))
                .chain(all_parameters(&catalogues.formats));
            return nested(parameters, name);
        }
    })
}

/// Returns the definition of this name of a choice among `parameters`, or within such a choice.
fn nested(parameters: impl Iterator<Item = Parameter>, name: &str) -> Option<Json> {
    parameters.into_iter().find_map(|parameter| match parameter.kind {
        Kind::Choice { tag, definition, doc, entries } if definition == name => {
            Some(json!({ "oneOf": entries.iter().map(|entry| variant(entry, tag.name())).collect::<Vec<_>>(), "description": doc }))
        }
        Kind::Choice { entries, .. } => entries.iter().find_map(|entry| nested(entry.parameters.iter().copied(), name)),
        Kind::Number(_)
        | Kind::Whole { .. }
        | Kind::Switch
        | Kind::Word(_)
        | Kind::Text
        | Kind::Numbers { .. }
        | Kind::Wholes { .. }
        | Kind::Path => None,
    })
}

fn all_parameters<T: AsRef<Entry>>(catalogue: &Catalogue<T>) -> impl Iterator<Item = Parameter> {
    catalogue.iter().flat_map(|entry| entry.as_ref().parameters.iter().copied())
}

/// A name of the catalogue.
fn names<T: AsRef<Entry>>(catalogue: &Catalogue<T>, doc: &str) -> Json {
    let name = |entry: &Entry| json!({ "type": "string", "const": entry.name, "description": described(entry) });
    let names: Vec<Json> = catalogue.iter().map(|entry| name(entry.as_ref())).collect();
    json!({ "oneOf": names, "description": doc })
}

/// A block whose `type` is a name of the catalogue.
fn tagged<T: AsRef<Entry>>(catalogue: &Catalogue<T>, doc: &str) -> Json {
    let variants: Vec<Json> = catalogue.iter().map(|entry| variant(entry.as_ref(), "type")).collect();
    json!({ "oneOf": variants, "description": doc })
}

/// A block whose `name` is that of a data set, with a path if it is read from files; or a block with the path of data of one's own, and its format unless that
/// is found out.
fn datasets(catalogues: &Catalogues) -> Json {
    let known = known_datasets(&catalogues.datasets);
    if catalogues.formats.iter().next().is_none() {
        return known;
    }
    let path = json!({ "type": "string", "description": "The file, archive or folder, relative to the experiment file." });
    let mut unsaid = Json::Null;
    let variants = catalogues.formats.iter().map(|format| {
        let mut variant = variant(&format.entry, Tag::Format.name());
        variant["properties"]["path"] = path.clone();
        variant["required"] = json!([Tag::Format.name(), "path"]);
        if format.entry.name == FOUND_OUT {
            unsaid = variant.clone();
        }
        variant
    });
    let own = json!({ "oneOf": variants.collect::<Vec<_>>(), "description": "Data of one's own, with its format." });
    let mut alternatives = vec![known, own];
    if let Some(properties) = unsaid.get_mut("properties").and_then(Json::as_object_mut) {
        properties.shift_remove(Tag::Format.name());
        unsaid["required"] = json!(["path"]);
        alternatives.push(unsaid);
    }
    json!({ "anyOf": alternatives, "description": "A data set with its settings, or with its own path; or data of one's own." })
}

/// A block whose `name` is that of a data set; with a path if it is read from files.
fn known_datasets(datasets: &Catalogue<DatasetEntry>) -> Json {
    let path = json!({ "type": ["string", "null"], "default": null, "description": "A folder or archive to read instead of the cache and the known sources." });
    let variants = datasets.iter().map(|dataset| {
        let mut variant = variant(&dataset.entry, Tag::Name.name());
        if dataset.has_files {
            variant["properties"]["path"] = path.clone();
        }
        variant
    });
    json!({ "oneOf": variants.collect::<Vec<_>>(), "description": "A data set with its settings, or with its own path." })
}

/// A net by name, with its settings in a block, a TorchScript module, or a module in Python.
fn network(catalogues: &Catalogues) -> Json {
    let mut alternatives = vec![json!({ "$ref": "#/$defs/net", "description": "The name of a net." })];
    let key = |key: &str, value: Json, doc: &str| json!({ "type": "object", "properties": { key: value }, "required": [key], "description": doc, "additionalProperties": false });
    for net in catalogues.nets.iter() {
        if let Some(block) = net.block {
            let doc = format!("Another form of `{{ type: {}, ... }}`.", net.entry.name);
            alternatives.push(key(block, json!({ "$ref": format!("#/$defs/{block}") }), &doc));
        }
    }
    let path = json!({ "type": "string", "description": "Path of the `.pt` file, relative to the experiment file." });
    alternatives.push(key("torchscript", path, "A TorchScript module from a file, trained instead of a net of the catalogue."));
    let python = json!({ "type": "string", "description": "A file, relative to the experiment file, and the name in it of a function that makes the net, or of a class of clients: `model.py:make_model`." });
    alternatives.push(code(&python, "A module in Python, which nodes in Python train."));
    let variants: Vec<Json> = catalogues.nets.iter().map(|net| variant(&net.entry, "type")).collect();
    alternatives.push(json!({ "oneOf": variants, "description": "A net with its settings." }));
    json!({ "anyOf": alternatives, "description": "The net of a task." })
}

/// A strategy of the catalogue, or a class in Python.
fn strategy(catalogues: &Catalogues) -> Json {
    let known = tagged(&catalogues.strategies, "A strategy with its settings.");
    let python = json!({ "type": "string", "description": "A file, relative to the experiment file, and the name in it of a subclass of `fltk.strategy.Strategy`: `mine.py:Mine`." });
    let own = code(&python, "A strategy of one's own in Python, which runs in a process beside the program.");
    json!({ "anyOf": [known, own], "description": "The strategy that turns client updates into the next global model." })
}

/// A block that names code in Python.
fn code(python: &Json, doc: &str) -> Json {
    let environment = json!({ "type": "string", "description": "The Python that runs it: the folder of a virtual environment, or a program, relative to the experiment file. Without it, what `FLTK_PYTHON` names, or `python3`." });
    json!({
        "type": "object",
        "properties": { "python": python, "environment": environment },
        "required": ["python"],
        "description": doc,
        "additionalProperties": false
    })
}

/// A block of an entry's name and parameters.
fn variant(entry: &Entry, tag: &str) -> Json {
    let mut properties = Map::new();
    properties.insert(tag.to_owned(), json!({ "type": "string", "const": entry.name }));
    object(entry.parameters, properties, &described(entry))
}

fn described(entry: &Entry) -> String {
    if entry.paper.is_empty() { entry.doc.to_owned() } else { format!("{}\n\n{}.", entry.doc, entry.paper) }
}

/// A block of parameters after `properties`, all of which are required.
fn object(parameters: &[Parameter], mut properties: Map<String, Json>, doc: &str) -> Json {
    let mut required: Vec<String> = properties.keys().cloned().collect();
    for parameter in parameters {
        if parameter.preset == Preset::Required {
            required.push(parameter.name.to_owned());
        }
        properties.insert(parameter.name.to_owned(), property(parameter));
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false, "description": doc })
}

/// A block of any of the parameters of all entries, without defaults.
fn any_of_all<T: AsRef<Entry>>(catalogue: &Catalogue<T>, doc: &str) -> Json {
    let mut properties = Map::new();
    let names: Vec<Json> = catalogue.names().map(Json::from).chain([Json::Null]).collect();
    properties.insert("type".to_owned(), json!({ "type": ["string", "null"], "enum": names, "description": "The name of an optimizer." }));
    for parameter in all_parameters(catalogue) {
        let mut property = property(&Parameter { preset: Preset::Required, ..parameter });
        if let Some(kind) = property.get("type").cloned() {
            property["type"] = json!([kind, "null"]);
        }
        properties.entry(parameter.name).or_insert(property);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false, "description": doc })
}

fn property(parameter: &Parameter) -> Json {
    let mut schema = match parameter.kind {
        Kind::Number(range) => number(range),
        Kind::Whole { min, max } => whole(min, max),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Numbers { count_min, count_max, each } => {
            json!({ "type": "array", "items": number(each), "minItems": count_min, "maxItems": count_max })
        }
        Kind::Wholes { count_min, count_max, min, max } => {
            json!({ "type": "array", "items": whole(min, max), "minItems": count_min, "maxItems": count_max })
        }
        Kind::Text | Kind::Path => json!({ "type": "string" }),
        Kind::Choice { definition, .. } => json!({ "$ref": format!("#/$defs/{definition}") }),
    };
    schema["description"] = parameter.doc.into();
    match parameter.preset {
        Preset::Required => {}
        Preset::Value(value) => {
            schema["default"] = match value {
                Constant::Number(value) => value.into(),
                Constant::Whole(value) => value.into(),
                Constant::Switch(value) => value.into(),
                Constant::Word(value) => value.into(),
                Constant::Numbers(values) => values.into(),
                Constant::Wholes(values) => values.into(),
            };
        }
        // A file may leave it open, also with `null`: the meaning depends on who wrote the file.
        Preset::Changed { .. } => {
            if let Some(kind) = schema.get("type").cloned() {
                schema["type"] = json!([kind, "null"]);
            }
        }
    }
    schema
}

fn whole(min: u32, max: u32) -> Json {
    let mut schema = json!({ "type": "integer", "format": "uint32", "minimum": min });
    if max < u32::MAX {
        schema["maximum"] = max.into();
    }
    schema
}

fn number(range: Range) -> Json {
    let mut schema = json!({ "type": "number", "format": "double" });
    if let Some((min, is_excluded)) = range.min {
        schema[if is_excluded { "exclusiveMinimum" } else { "minimum" }] = min.into();
    }
    if let Some((max, is_excluded)) = range.max {
        schema[if is_excluded { "exclusiveMaximum" } else { "maximum" }] = max.into();
    }
    schema
}
