//! The settings of a configuration, which remember those that were read.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use fltk_core::catalogue::Entry;

use super::{
    bibliography::Bibliography,
    text::{self, code, escaped},
};
use crate::Hyperparameter;

/// The keys that name an entry of a catalogue.
const TAGS: [&str; 4] = ["type", "name", "format", "law"];

/// The settings of a configuration.
pub(super) struct Settings<'a> {
    of: &'a BTreeMap<String, Hyperparameter>,
    /// The names that were asked for, whether they were there or not, each for all below it as well.
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Settings<'a> {
    pub fn new(of: &'a BTreeMap<String, Hyperparameter>) -> Self {
        Self { of, read: RefCell::default() }
    }

    /// Returns those of these names that were read.
    pub fn into_read(self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let read = self.read.into_inner();
        let is_read = |name: &&String| {
            let mut above = Some(name.as_str());
            while let Some(name) = above {
                if read.contains(name) {
                    return true;
                }
                above = name.rsplit_once('.').map(|(above, _)| above);
            }
            false
        };
        names.iter().filter(is_read).cloned().collect()
    }

    fn get(&self, name: &str) -> Option<&'a Hyperparameter> {
        self.read.borrow_mut().insert(name.to_owned());
        self.of.get(name)
    }

    /// Returns a text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match self.get(name)? {
            Hyperparameter::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Hyperparameter::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns true if a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Hyperparameter::Bool(true)))
    }

    /// Returns true if this is the kind of the task.
    pub fn is_kind(&self, kind: &str) -> bool {
        self.text("kind") == Some(kind)
    }

    /// Returns the settings below a name, without it and the point after it.
    pub fn below(&self, name: &str) -> Vec<(&'a str, &'a Hyperparameter)> {
        self.read.borrow_mut().insert(name.to_owned());
        let within = |(path, value): (&'a String, &'a Hyperparameter)| Some((path.strip_prefix(name)?.strip_prefix('.')?, value));
        self.of.iter().filter_map(within).collect()
    }

    /// Returns the entry that a block chooses, with its parameters and what it cites: `FedProx (mu = 0.1) [@li2020federated]`. `entry` finds it in its catalogue. `None` if the block isn't
    /// there.
    pub fn choice<T: AsRef<Entry> + 'static>(
        &self,
        block: &str,
        entry: impl Fn(&str) -> Option<&'static T>,
        bibliography: &mut Bibliography<'_>,
    ) -> Option<String> {
        let name = TAGS.iter().find_map(|tag| self.text(&format!("{block}.{tag}")))?;
        Some(format!("{}{}{}", escaped(name), self.parameters(block, false), bibliography.cite(entry(name).map(AsRef::as_ref))))
    }

    /// Returns the parameters of a block in parentheses, each list in one; nothing if there are none. Switches that are off and zeros are left out if `is_short`.
    pub fn parameters(&self, block: &str, is_short: bool) -> String {
        let mut lists: Vec<(String, Vec<String>)> = Vec::new();
        for (name, value) in self.below(block) {
            let is_nothing = matches!(value, Hyperparameter::Bool(false)) || *value == Hyperparameter::Number(0.0);
            if TAGS.contains(&name) || (is_short && is_nothing) {
                continue;
            }
            let (of_list, value) = match name.rsplit_once('.') {
                Some((list, index)) if index.bytes().all(|c| c.is_ascii_digit()) => (list, text::value(value)),
                _ if name.ends_with("sha256") => (name, text::digest(value)),
                _ => (name, text::value(value)),
            };
            let of_list = text::words(of_list);
            match lists.last_mut().filter(|(last, _)| *last == of_list) {
                Some((_, values)) => values.push(value),
                None => lists.push((of_list, vec![value])),
            }
        }
        let shown = |(name, values): (String, Vec<String>)| match &*values {
            [value] => format!("{name} = {value}"),
            values => format!("{name} = ({})", values.join(", ")),
        };
        if lists.is_empty() { String::new() } else { format!(" ({})", lists.into_iter().map(shown).collect::<Vec<_>>().join(", ")) }
    }

    /// Returns a file of one's own by the name of its setting, with the beginning of its digest.
    pub fn file(&self, setting: &str, digest: &str) -> Option<String> {
        let path = self.text(setting)?;
        let name = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(path);
        let digest = self.get(digest).map(|digest| format!(", SHA-256 {}", text::digest(digest))).unwrap_or_default();
        Some(format!("{}{digest}", code(name)))
    }
}
