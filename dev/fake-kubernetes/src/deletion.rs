//! Deletion of objects: finalizers, grace periods, and deletion of owned objects as by the garbage collector, but without its delay.

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    answer::Failure,
    kinds::Kind,
    store::{Key, Store, has_finalizers, remove},
};

/// The treatment of the objects that name the deleted one as their owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted after the object.
    #[default]
    Background,
    /// The deleted object remains until they are gone.
    Foreground,
    /// They remain.
    Orphan,
}

/// The body of a `DELETE`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub propagation: Propagation,
    /// The grace period of pods, in seconds; `None` for the pod's own.
    pub grace_seconds: Option<u64>,
    uid: Option<String>,
    resource_version: Option<String>,
    pub is_dry: bool,
}

impl Options {
    pub fn parse(body: &Value, is_dry: bool) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            propagation: match body["propagationPolicy"].as_str() {
                Some("Foreground") => Propagation::Foreground,
                Some("Orphan") => Propagation::Orphan,
                _ => Propagation::Background,
            },
            grace_seconds: body["gracePeriodSeconds"].as_u64(),
            uid: text(&body["preconditions"]["uid"]),
            resource_version: text(&body["preconditions"]["resourceVersion"]),
            is_dry: is_dry || body["dryRun"][0] == "All",
        }
    }
}

/// The finalizer of owners that are deleted in the foreground.
const FOREGROUND: &str = "foregroundDeletion";

/// The grace period in seconds that Kubernetes gives pods without a setting of their own.
const GRACE_SECONDS: u64 = 30;

impl Store {
    /// Deletes an object. Returns it as it is afterwards, and true if it is gone: it may have to wait.
    pub fn delete(&mut self, kind: &'static Kind, key: &Key, options: &Options) -> Result<(Value, bool), Failure> {
        let Some(object) = self.get(key).cloned() else { return Err(Failure::not_found(kind, &key.name)) };
        for (field, expected) in [("uid", &options.uid), ("resourceVersion", &options.resource_version)] {
            if let Some(expected) = expected
                && object["metadata"][field] != expected.as_str()
            {
                let why = format!("the {field} in the precondition ({expected}) does not match {}", object["metadata"][field]);
                return Err(Failure::conflict(kind, &key.name, &why));
            }
        }
        if options.is_dry {
            return Ok((object, true));
        }
        let dependents = self.dependents(&object);
        if options.propagation == Propagation::Orphan {
            dependents.iter().for_each(|dependent| self.disown(dependent, &object));
        }
        let grace_seconds = grace_seconds(kind, &object, options);
        let mut after = object.clone();
        if options.propagation == Propagation::Foreground && !dependents.is_empty() {
            add_finalizer(&mut after);
        }
        if grace_seconds == 0 && !has_finalizers(&after) {
            if kind.plural == "pods" {
                // Watches see a pod marked for deletion even if it is removed at once.
                self.mark(&mut after, 0);
                self.commit(key.clone(), Some(after));
            }
            self.remove(key);
            return Ok((object, true));
        }
        if !object["metadata"]["deletionTimestamp"].is_string() {
            self.mark(&mut after, grace_seconds);
            self.commit(key.clone(), Some(after));
        }
        if options.propagation == Propagation::Foreground {
            self.delete_all(&dependents);
        }
        Ok(self.get(key).cloned().map_or((object, true), |object| (object, false)))
    }

    /// Removes an object immediately, as when its pod has stopped, and then the objects that it owns.
    pub fn remove(&mut self, key: &Key) {
        let Some(object) = self.get(key).cloned() else { return };
        self.commit(key.clone(), None);
        let dependents = self.dependents(&object);
        self.delete_all(&dependents);
        if key.plural == "namespaces" {
            let within: Vec<Key> = self.all().map(|(other, _)| other).filter(|other| other.namespace == key.name).cloned().collect();
            within.iter().for_each(|other| self.remove(other));
        }
        self.release_owners(&object);
    }

    /// Objects that name `owner` as one of their owners.
    fn dependents(&self, owner: &Value) -> Vec<Key> {
        let uid = &owner["metadata"]["uid"];
        self.all().filter(|(_, object)| owners(object).any(|owner| owner == uid)).map(|(key, _)| key.clone()).collect()
    }

    fn delete_all(&mut self, keys: &[Key]) {
        for key in keys {
            // It may have been removed together with another of them.
            if self.get(key).is_some() {
                let kind = crate::kinds::KINDS.iter().find(|kind| key.is_of(kind, None)).expect("it was stored");
                self.delete(kind, key, &Options::default()).expect("it is there, and nothing is asked of it");
            }
        }
    }

    fn disown(&mut self, key: &Key, owner: &Value) {
        let Some(mut object) = self.get(key).cloned() else { return };
        if let Some(references) = object["metadata"]["ownerReferences"].as_array_mut() {
            references.retain(|reference| reference["uid"] != owner["metadata"]["uid"]);
        }
        self.commit(key.clone(), Some(object));
    }

    /// Marks `object` for deletion.
    fn mark(&self, object: &mut Value, grace_seconds: u64) {
        let grace = SignedDuration::from_secs(i64::try_from(grace_seconds).expect("tests are short"));
        let metadata = &mut object["metadata"];
        metadata["deletionTimestamp"] = (self.now() + grace).to_string().into();
        metadata["deletionGracePeriodSeconds"] = grace_seconds.into();
        if let Some(generation) = metadata["generation"].as_u64() {
            metadata["generation"] = (generation + 1).into();
        }
    }

    /// Releases the owners that waited for `gone` and now have nothing left to wait for.
    fn release_owners(&mut self, gone: &Value) {
        let waits = |object: &Value| object["metadata"]["finalizers"].as_array().is_some_and(|all| all.contains(&FOREGROUND.into()));
        let owns = |object: &Value| owners(gone).any(|owner| *owner == object["metadata"]["uid"]);
        let waiting: Vec<Key> = self.all().filter(|(_, object)| owns(object) && waits(object)).map(|(key, _)| key.clone()).collect();
        for key in waiting {
            let Some(mut object) = self.get(&key).cloned() else { continue };
            if !self.dependents(&object).is_empty() {
                continue;
            }
            if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
                finalizers.retain(|finalizer| finalizer != FOREGROUND);
            }
            if has_finalizers(&object) {
                self.commit(key, Some(object));
            } else {
                remove(&mut object["metadata"], &["finalizers"]);
                self.remove(&key);
            }
        }
    }
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten().map(|reference| &reference["uid"])
}

fn add_finalizer(object: &mut Value) {
    match object["metadata"]["finalizers"].as_array_mut() {
        Some(finalizers) => finalizers.push(FOREGROUND.into()),
        None => object["metadata"]["finalizers"] = json!([FOREGROUND]),
    }
}

/// The grace period in seconds. Only a pod that a kubelet runs is given time to stop.
fn grace_seconds(kind: &'static Kind, object: &Value, options: &Options) -> u64 {
    let is_over = ["Succeeded", "Failed"].contains(&object["status"]["phase"].as_str().unwrap_or_default());
    if kind.plural != "pods" || is_over || !object["spec"]["nodeName"].is_string() {
        return 0;
    }
    options.grace_seconds.or(object["spec"]["terminationGracePeriodSeconds"].as_u64()).unwrap_or(GRACE_SECONDS)
}
