//! The objects, and every change of them in order: the counterpart of etcd and the API server's storage.

use std::collections::{BTreeMap, VecDeque};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{answer::Failure, kinds::Kind, selector::Selector, watch::Watch};

/// The key of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub group: &'static str,
    pub plural: &'static str,
    /// The namespace; empty for objects without one.
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: &'static Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.namespaced { namespace } else { "" };
        Self { group: kind.group, plural: kind.plural, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub fn is_of(&self, kind: &'static Kind, namespace: Option<&str>) -> bool {
        self.group == kind.group && self.plural == kind.plural && namespace.is_none_or(|namespace| self.namespace == namespace)
    }
}

/// One step of the history.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub key: Key,
    pub before: Option<Value>,
    /// The object after the change; `None` once it is deleted.
    pub after: Option<Value>,
}

/// The part of an object that a request addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything except the status.
    Object,
    /// The status only.
    Status,
}

/// The length of the history kept, bounded like the watch cache of the real server. A test makes far fewer changes.
const HISTORY_MAX: usize = 10_000;

/// The time at which a scenario begins. It is fixed, so that no test depends on the day it runs.
const BEGINNING: &str = "2026-01-01T00:00:00Z";

pub struct Store {
    objects: BTreeMap<Key, Value>,
    /// The version of the latest change.
    version: u64,
    /// The oldest version from which watches can start.
    horizon: u64,
    history: VecDeque<Change>,
    pub watches: Vec<Watch>,
    /// The reason for which operators can't create pods.
    pub pods_refused: Option<String>,
    /// The counter for uids and generated names.
    num_names: u64,
    began: Instant,
}

impl Store {
    pub fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            version: 1,
            horizon: 1,
            history: VecDeque::new(),
            watches: Vec::new(),
            pods_refused: None,
            num_names: 0,
            began: Instant::now(),
        }
    }

    /// Tokio's clock counted from [`BEGINNING`], so that it stands still where a test pauses it.
    pub fn now(&self) -> Timestamp {
        let beginning: Timestamp = BEGINNING.parse().expect("a time stamp");
        let seconds = i64::try_from(self.began.elapsed().as_secs()).expect("tests are short");
        Timestamp::from_second(beginning.as_second() + seconds).expect("tests are short")
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn horizon(&self) -> u64 {
        self.horizon
    }

    /// Drops the history of changes.
    pub fn forget_history(&mut self) {
        // A client that has seen the latest change has to list again as well.
        self.version += 1;
        self.horizon = self.version;
        self.history.clear();
    }

    pub fn changes_after(&self, version: u64) -> impl Iterator<Item = &Change> {
        self.history.iter().filter(move |change| change.version > version)
    }

    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub fn keys(&self, kind: &'static Kind, namespace: Option<&str>) -> Vec<Key> {
        self.objects.keys().filter(|key| key.is_of(kind, namespace)).cloned().collect()
    }

    pub fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.iter()
    }

    /// The objects that existed at `version`, in order of keys.
    pub fn list(&self, kind: &'static Kind, namespace: Option<&str>, selector: &Selector, version: u64) -> Vec<(Key, Value)> {
        let of_kind = self.objects.iter().filter(|(key, _)| key.is_of(kind, namespace));
        let mut objects: BTreeMap<Key, Value> = of_kind.map(|(key, object)| (key.clone(), object.clone())).collect();
        for change in self.history.iter().rev().filter(|change| change.version > version && change.key.is_of(kind, namespace)) {
            match &change.before {
                Some(object) => objects.insert(change.key.clone(), object.clone()),
                None => objects.remove(&change.key),
            };
        }
        objects.into_iter().filter(|(_, object)| selector.matches(object)).collect()
    }

    /// An unused name: `base` and five characters, the same in every run.
    pub fn generate_name(&mut self, base: &str) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.num_names += 1;
        // An odd factor spreads consecutive numbers over the suffixes.
        let mut rest = self.num_names.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
        let suffix = std::iter::repeat_with(|| {
            let character = ALPHABET[usize::try_from(rest % 27).expect("below 27")];
            rest /= 27;
            char::from(character)
        });
        base.chars().chain(suffix.take(5)).collect()
    }

    /// Adds an object. With `is_dry`, it only checks and changes nothing.
    pub fn create(&mut self, kind: &'static Kind, namespace: &str, mut object: Value, is_dry: bool) -> Result<Value, Failure> {
        let metadata = &object["metadata"];
        let name = match (metadata["name"].as_str().unwrap_or_default(), metadata["generateName"].as_str().unwrap_or_default()) {
            ("", "") => return Err(Failure::invalid(kind, "", "metadata.name: Required value: name or generateName is required")),
            ("", base) => self.generate_name(base),
            (name, _) => name.to_owned(),
        };
        let key = Key::new(kind, namespace, &name);
        if self.objects.contains_key(&key) {
            return Err(Failure::already_exists(kind, &name));
        }
        self.num_names += 1;
        let now = self.now().to_string();
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.kind.into();
        let metadata = &mut object["metadata"];
        metadata["name"] = name.into();
        if kind.namespaced {
            metadata["namespace"] = namespace.into();
        }
        metadata["uid"] = format!("{:08x}-0000-4000-8000-000000000000", self.num_names).into();
        metadata["creationTimestamp"] = now.into();
        remove(metadata, &["resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"]);
        if kind.has_generation() {
            metadata["generation"] = 1.into();
        }
        if kind.has_status {
            remove(&mut object, &["status"]);
        }
        match kind.plural {
            "pods" => object["status"] = json!({ "phase": "Pending" }),
            "namespaces" => object["status"] = json!({ "phase": "Active" }),
            _ => {}
        }
        if !is_dry {
            object = self.commit(key, Some(object)).expect("it was just stored");
        }
        Ok(object)
    }

    /// Replaces `part` of an object. With `is_dry`, it only checks and changes nothing.
    pub fn update(&mut self, kind: &'static Kind, key: &Key, mut new: Value, part: Part, is_dry: bool) -> Result<Value, Failure> {
        let Some(old) = self.objects.get(key).cloned() else { return Err(Failure::not_found(kind, &key.name)) };
        for field in ["resourceVersion", "uid"] {
            let expected = new["metadata"][field].as_str().unwrap_or_default();
            if !expected.is_empty() && old["metadata"][field] != expected {
                let why = "the object has been modified; please apply your changes to the latest version and try again";
                return Err(Failure::conflict(kind, &key.name, why));
            }
        }
        if part == Part::Status {
            let status = new["status"].take();
            new = old.clone();
            new["status"] = status;
        }
        if old["immutable"] == true && ["data", "immutable"].iter().any(|field| new[*field] != old[*field]) {
            return Err(Failure::invalid(kind, &key.name, "data: Forbidden: field is immutable when `immutable` is set"));
        }
        for field in [
            "name",
            "namespace",
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "resourceVersion",
        ] {
            keep(&mut new["metadata"], &old["metadata"], field);
        }
        for field in ["apiVersion", "kind"] {
            keep(&mut new, &old, field);
        }
        if part == Part::Object && kind.has_status {
            keep(&mut new, &old, "status");
        }
        if kind.has_generation() && new["spec"] != old["spec"] {
            new["metadata"]["generation"] = (old["metadata"]["generation"].as_u64().unwrap_or_default() + 1).into();
        }
        if is_dry || new == old {
            return Ok(new);
        }
        let was_kept_by_finalizers = old["metadata"]["deletionTimestamp"].is_string() && has_finalizers(&old);
        let stored = self.commit(key.clone(), Some(new)).expect("it was just stored");
        if was_kept_by_finalizers && !has_finalizers(&stored) {
            self.remove(key);
        }
        Ok(stored)
    }

    /// Sets the status of an existing object, as its controller does.
    pub fn set_status(&mut self, kind: &'static Kind, key: &Key, status: Value) -> bool {
        let before = self.version;
        self.update(kind, key, json!({ "status": status }), Part::Status, false).expect("its controller has just seen it");
        self.version != before
    }

    /// Makes a change, and sends it to every watch. Returns the object with its new version.
    pub fn commit(&mut self, key: Key, mut after: Option<Value>) -> Option<Value> {
        self.version += 1;
        let version = self.version;
        if let Some(object) = &mut after {
            object["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let before = match &after {
            Some(object) => self.objects.insert(key.clone(), object.clone()),
            None => self.objects.remove(&key),
        };
        let change = Change { version, key, before, after: after.clone() };
        self.watches.retain_mut(|watch| watch.tell(&change));
        self.history.push_back(change);
        if self.history.len() > HISTORY_MAX
            && let Some(oldest) = self.history.pop_front()
        {
            self.horizon = oldest.version;
        }
        after
    }
}

pub fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Removes fields, which may be missing.
pub fn remove(object: &mut Value, fields: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

/// Sets `field` to its value in `old`.
fn keep(new: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => new[field] = value.clone(),
        None => remove(new, &[field]),
    }
}
