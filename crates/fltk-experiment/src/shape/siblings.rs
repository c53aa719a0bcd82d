//! The alternatives among which the tag of a block chooses, such as all strategies, for hints about a block that mixes them up.

use serde_json::{Map, Value as Json};

use super::{
    super::{
        schema::{resolve, tag_of},
        source::{quote, quote_all},
        tree::{Node, Value},
    },
    NAMES_LISTED_MAX,
};

/// The limit on characters of a block that a hint writes out.
const REWRITTEN_CHARS_MAX: usize = 100;

/// The alternatives of a block.
#[derive(Clone, Copy)]
pub(super) struct Siblings<'a> {
    root: &'a Json,
    all: &'a [Json],
    /// The key that chooses one of them.
    pub tag: &'a str,
}

impl<'a> Siblings<'a> {
    /// Returns the alternatives if they are blocks with a tag.
    pub(super) fn of(root: &'a Json, all: &'a [Json]) -> Option<Self> {
        tag_of(root, all).map(|tag| Self { root, all, tag })
    }

    fn variants(self) -> impl Iterator<Item = (&'a str, &'a Json)> {
        self.all.iter().map(move |variant| {
            let variant = resolve(self.root, variant);
            (variant["properties"][self.tag]["const"].as_str().unwrap_or_default(), variant)
        })
    }

    /// Returns the names of the alternatives.
    pub(super) fn names(self) -> impl Iterator<Item = &'a str> {
        self.variants().map(|(name, _)| name)
    }

    /// Returns the schema of the alternative `name`.
    pub(super) fn get(self, name: &str) -> Option<&'a Json> {
        self.variants().find(|(known, _)| *known == name).map(|(_, variant)| variant)
    }

    /// Returns, in words, which alternatives have the setting `key` that the one with the settings `own` lacks; `None` if none has.
    pub(super) fn owners(self, key: &str, own: &Map<String, Json>) -> Option<String> {
        let owners: Vec<&str> =
            self.variants().filter(|(_, variant)| variant["properties"].get(key).is_some()).map(|(name, _)| name).collect();
        if owners.is_empty() {
            return None;
        }
        let chosen = quote(own.get(self.tag)?.get("const")?.as_str()?);
        let settings: Vec<&str> = own.keys().map(String::as_str).filter(|setting| setting != &self.tag).take(NAMES_LISTED_MAX).collect();
        let settings = if settings.is_empty() { "none".to_owned() } else { quote_all(settings) };
        let owners = quote_all(owners.into_iter().take(NAMES_LISTED_MAX));
        Some(format!("{} is a setting of {owners}, not of {chosen}, which has {settings}", quote(key)))
    }

    fn tags_of(self, key: &str, own: &Map<String, Json>) -> Option<String> {
        let fits = |variant: &Json, key: &str| variant["properties"].get(key).is_some();
        // The block has no tag, and all that it has is in one of the alternatives.
        if own.is_empty() || own.contains_key(self.tag) || !self.variants().any(|(_, variant)| own.keys().all(|key| fits(variant, key))) {
            return None;
        }
        let owners: Vec<&str> = self.variants().filter(|(_, variant)| fits(variant, key)).map(|(name, _)| name).collect();
        let first = owners.first()?;
        let tag = self.tag;
        let written = quote(key);
        let owners = quote_all(owners.iter().copied().take(NAMES_LISTED_MAX));
        Some(format!("{written} is a setting where `{tag}` is {owners}: write it too, as in `{tag}: {first}`"))
    }

    /// Returns a hint that writes `node` with a tag if its only key is the name of an alternative, with its settings as the value.
    pub(super) fn rewritten(self, node: &Node) -> Option<String> {
        let Value::Map(entries) = &node.value else { return None };
        let [entry] = entries.as_slice() else { return None };
        let name = self.names().find(|name| *name == entry.key)?;
        let settings: Vec<String> = match &entry.node.value {
            Value::Null => Vec::new(),
            Value::Map(settings) => settings.iter().map(|setting| format!("{}: {}", setting.key, flow(&setting.node))).collect(),
            _ => return None,
        };
        let mut block = [vec![format!("{}: {name}", self.tag)], settings].concat().join(", ");
        if block.chars().count() > REWRITTEN_CHARS_MAX || block.contains(char::is_control) {
            block = format!("{}: {name}, ...", self.tag);
        }
        Some(format!("write it as `{{ {block} }}`"))
    }
}

/// Returns, in words, which tags would make a block with the settings `own`, which has no tag, one that has the setting `key` too; `None` if none would. So a data set
/// whose format is left out is told which formats have a label.
pub(super) fn tags_with(root: &Json, key: &str, own: &Map<String, Json>) -> Option<String> {
    let definitions = root.get("$defs")?.as_object()?;
    let groups = definitions.values().filter_map(|definition| definition["anyOf"].as_array()).flatten();
    let siblings = groups.filter_map(|group| Siblings::of(root, group["oneOf"].as_array()?));
    siblings.filter_map(|siblings| siblings.tags_of(key, own)).next()
}

/// Returns `node` on one line.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::Text(text) if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c)) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries: Vec<String> = entries.iter().map(|entry| format!("{}: {}", entry.key, flow(&entry.node))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        _ => node.to_json().to_string(),
    }
}
