//! Faults that the cluster can be told to have: lasting ones, and those of single requests.

use std::collections::{BTreeSet, VecDeque};

use crate::kinds::Kind;

/// The fault of the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The request isn't carried out, and the answer says so.
    Refused { code: u16, retry_after: Option<u32> },
    /// The request is carried out, and the connection breaks before the answer.
    AnswerLost,
}

/// The faults in effect. By default there are none.
#[derive(Debug, Default)]
pub struct Faults {
    /// True if the API server is unreachable.
    pub away: bool,
    /// True if the web hooks of the operators can't be reached, so that objects of their kinds can't be created or updated.
    pub webhook_down: bool,
    /// True if the operators do nothing. Pods continue.
    pub operators_away: bool,
    /// The faults of the next requests, in order.
    pub mishaps: VecDeque<Mishap>,
    /// Kinds and names of objects that are refused whatever their contents, with the code.
    refused: Vec<(&'static Kind, String, u16)>,
    /// Forbidden verbs with qualified plurals.
    forbidden: BTreeSet<(String, String)>,
    /// Groups whose definitions are missing.
    uninstalled: BTreeSet<String>,
}

impl Faults {
    pub fn refuse(&mut self, kind: &'static Kind, name: &str, code: u16) {
        self.refused.push((kind, name.to_owned(), code));
    }

    /// The code with which the creation of this object is refused.
    pub fn refuses(&self, kind: &Kind, name: &str) -> Option<u16> {
        self.refused.iter().find(|(other, refused, _)| *other == kind && refused == name).map(|(_, _, code)| *code)
    }

    pub fn forbid(&mut self, verb: &str, kind: &Kind) {
        self.forbidden.insert((verb.to_owned(), kind.qualified()));
    }

    pub fn allow(&mut self, verb: &str, kind: &Kind) {
        self.forbidden.remove(&(verb.to_owned(), kind.qualified()));
    }

    pub fn allows(&self, verb: &str, kind: &Kind) -> bool {
        self.allows_named(verb, kind.group, kind.plural)
    }

    pub fn allows_named(&self, verb: &str, group: &str, plural: &str) -> bool {
        let qualified = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        !self.forbidden.contains(&(verb.to_owned(), qualified))
    }

    pub fn uninstall(&mut self, group: &str) {
        self.uninstalled.insert(group.to_owned());
    }

    pub fn install(&mut self, group: &str) {
        self.uninstalled.remove(group);
    }

    pub fn serves(&self, kind: &Kind) -> bool {
        !self.uninstalled.contains(kind.group)
    }
}
