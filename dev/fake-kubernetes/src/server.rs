//! The API server: the effect of each request on the objects.

use axum::body::Body;
use http::Response;
use serde_json::{Value, json};

use crate::{
    World, admission,
    answer::{self, Failure},
    asked::{Asked, Target},
    deletion, discovery,
    kinds::Kind,
    owners,
    selector::Selector,
    store::{Key, Part},
    watch::{Watch, Wish},
};

type Answer = Result<Response<Body>, Failure>;

/// Carries out a request.
pub fn answer(world: &mut World, asked: &Asked) -> Answer {
    if let Some(object) = discovery::answer(&asked.path, &world.faults) {
        return Ok(answer::object(200, &object));
    }
    if asked.path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" {
        return Ok(access_review(world, asked));
    }
    let target = asked.target().filter(|target| world.faults.serves(target.kind)).ok_or_else(Failure::no_such_page)?;
    let Target { kind, namespace, .. } = &target;
    let verb = asked.verb(&target);
    if !world.faults.allows(verb, kind) {
        return Err(Failure::forbidden(verb, kind, namespace.as_deref(), target.name.as_deref().unwrap_or_default()));
    }
    let part = match target.subresource.as_deref() {
        None => Part::Object,
        Some("status") if kind.has_status => Part::Status,
        Some(_) => return Err(Failure::no_such_page()),
    };
    let key = target.name.as_deref().map(|name| Key::new(kind, namespace.as_deref().unwrap_or_default(), name));
    match (verb, key) {
        ("create", None) => create(world, asked, &target),
        ("list", None) => list(world, asked, &target),
        ("watch", None) => watch(world, asked, &target),
        ("deletecollection", None) => delete_collection(world, asked, &target),
        ("get", Some(key)) => {
            let object = world.store.get(&key).ok_or_else(|| Failure::not_found(kind, &key.name))?;
            Ok(answer::object(200, object))
        }
        ("update", Some(key)) => update(world, asked, kind, &key, part, asked.body.clone()),
        ("patch", Some(key)) => patch(world, asked, &target, &key, part),
        ("delete", Some(key)) => {
            let options = deletion::Options::parse(&asked.body, asked.is_dry());
            let uid = world.store.get(&key).map(|object| object["metadata"]["uid"].clone()).unwrap_or_default();
            let (object, is_gone) = world.store.delete(kind, &key, &options)?;
            // The server answers with the last state of a deleted pod, but for other kinds with a `Status`.
            let is_told = is_gone && kind.plural != "pods";
            Ok(answer::object(200, &if is_told { answer::deleted(kind, &key.name, &uid) } else { object }))
        }
        _ => Err(Failure::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")),
    }
}

fn create(world: &mut World, asked: &Asked, target: &Target) -> Answer {
    let Target { kind, namespace, .. } = target;
    let namespace = namespace.as_deref().unwrap_or_default();
    let object = create_object(world, asked, kind, namespace, asked.body.clone())?;
    Ok(answer::object(201, &object))
}

/// Adds an object, unless admission refuses it, and records the attempt.
fn create_object(world: &mut World, asked: &Asked, kind: &'static Kind, namespace: &str, mut object: Value) -> Result<Value, Failure> {
    admission::check(&world.store, &world.faults, kind, namespace, &object, admission::Operation::Create)?;
    let asked_name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    owners::note(kind, &Value::Null, &mut object, asked.parameter("fieldManager"));
    let result = world.store.create(kind, namespace, object, asked.is_dry());
    if !asked.is_dry() {
        let name = result.as_ref().map_or(asked_name, |object| object["metadata"]["name"].as_str().unwrap_or_default().to_owned());
        world.creates.push((kind, name));
    }
    result
}

fn update(world: &mut World, asked: &Asked, kind: &'static Kind, key: &Key, part: Part, mut new: Value) -> Answer {
    if part == Part::Object {
        admission::check(&world.store, &world.faults, kind, &key.namespace, &new, admission::Operation::Update)?;
        let old = world.store.get(key).unwrap_or(&Value::Null);
        owners::note(kind, old, &mut new, asked.parameter("fieldManager"));
    }
    Ok(answer::object(200, &world.store.update(kind, key, new, part, asked.is_dry())?))
}

/// Patches as RFC 7396 says. A server-side apply does the same here, and adds the object if it doesn't exist.
fn patch(world: &mut World, asked: &Asked, target: &Target, key: &Key, part: Part) -> Answer {
    let kind = target.kind;
    let is_apply = match asked.content_type.as_str() {
        "application/merge-patch+json" => false,
        "application/strategic-merge-patch+json" if !kind.is_custom() => false,
        "application/apply-patch+yaml" => true,
        _ => return Err(Failure::new(415, "UnsupportedMediaType", "the body of the request was in an unknown format")),
    };
    if is_apply && asked.parameter("fieldManager").is_empty() {
        return Err(Failure::new(422, "Invalid", "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value"));
    }
    match world.store.get(key).cloned() {
        Some(mut object) => {
            // The version in an object is a precondition only if the patch names it.
            object["metadata"]["resourceVersion"] = Value::Null;
            merge(&mut object, &asked.body);
            update(world, asked, kind, key, part, object)
        }
        None if is_apply && part == Part::Object => {
            let mut object = json!({});
            merge(&mut object, &asked.body);
            Ok(answer::object(201, &create_object(world, asked, kind, &key.namespace, object)?))
        }
        None => Err(Failure::not_found(kind, &key.name)),
    }
}

fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (field, value) in fields {
        if value.is_null() {
            crate::store::remove(object, &[field]);
        } else {
            merge(&mut object[field], value);
        }
    }
}

fn selector(asked: &Asked) -> Result<Selector, Failure> {
    Selector::parse(asked.parameter("labelSelector"), asked.parameter("fieldSelector"))
}

/// A page of a list.
struct Page {
    items: Vec<(Key, Value)>,
    /// The list's metadata: its version, and the token of the next page.
    metadata: Value,
}

/// The page that a request asks for. The token of the next page is the version shared by all pages, and the last object of this one.
fn page(world: &World, asked: &Asked, target: &Target) -> Result<Page, Failure> {
    let store = &world.store;
    let bad = || Failure::new(400, "BadRequest", "invalid continue token");
    let (version, after) = match asked.parameter("continue") {
        "" if asked.parameter("resourceVersionMatch") == "Exact" => (asked.parameter("resourceVersion").parse().map_err(|_| bad())?, None),
        "" => (store.version(), None),
        token => {
            let (version, key) = token.split_once('-').ok_or_else(bad)?;
            let (namespace, name) = key.split_once('_').ok_or_else(bad)?;
            let after = Key::new(target.kind, namespace, name);
            match version.parse().map_err(|_| bad())? {
                // The rest of the list, at the current version.
                0 => (store.version(), Some(after)),
                version if version < store.horizon() => return Err(Failure::expired_page(&format!("0-{key}"))),
                version => (version, Some(after)),
            }
        }
    };
    if version < store.horizon() {
        return Err(Failure::expired(version, store.horizon()));
    }
    let mut items = store.list(target.kind, target.namespace.as_deref(), &selector(asked)?, version);
    items.retain(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let limit = asked.parameter("limit").parse().ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let left = items.len().saturating_sub(limit);
    items.truncate(limit);
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let Some((last, _)) = items.last().filter(|_| left > 0) {
        metadata["continue"] = format!("{version}-{}_{}", last.namespace, last.name).into();
        metadata["remainingItemCount"] = left.into();
    }
    Ok(Page { items, metadata })
}

fn list(world: &World, asked: &Asked, target: &Target) -> Answer {
    let Page { items, metadata } = page(world, asked, target)?;
    let items = items.into_iter().map(|(_, object)| object);
    if asked.wants_metadata {
        let partial =
            |object: Value| json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"] });
        let items: Vec<Value> = items.map(partial).collect();
        let list = json!({ "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items });
        return Ok(answer::object(200, &list));
    }
    Ok(answer::object(200, &collection(target.kind, metadata, items.collect())))
}

/// A list. Objects of built-in kinds omit their kind and version in it.
fn collection(kind: &Kind, metadata: Value, mut items: Vec<Value>) -> Value {
    if !kind.is_custom() {
        items.iter_mut().for_each(|item| crate::store::remove(item, &["apiVersion", "kind"]));
    }
    json!({ "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata, "items": items })
}

fn watch(world: &mut World, asked: &Asked, target: &Target) -> Answer {
    let wish = Wish {
        kind: target.kind,
        namespace: target.namespace.clone(),
        selector: selector(asked)?,
        takes_bookmarks: asked.parameter("allowWatchBookmarks") == "true",
        version: asked.parameter("resourceVersion").parse().ok(),
        marks_initial_end: asked.parameter("sendInitialEvents") == "true",
        timeout: asked.parameter("timeoutSeconds").parse().ok(),
    };
    Ok(answer::respond(200, "application/json", Watch::open(&mut world.store, wish)))
}

/// Removes the objects that a list with the same parameters would contain.
fn delete_collection(world: &mut World, asked: &Asked, target: &Target) -> Answer {
    let options = deletion::Options::parse(&asked.body, asked.is_dry());
    let Page { items, metadata } = page(world, asked, target)?;
    let store = &mut world.store;
    for (key, _) in &items {
        // It may have been removed together with another of them, or since the version that the pages show.
        if store.get(key).is_some() {
            store.delete(target.kind, key, &options)?;
        }
    }
    Ok(answer::object(200, &collection(target.kind, metadata, items.into_iter().map(|(_, object)| object).collect())))
}

fn access_review(world: &World, asked: &Asked) -> Response<Body> {
    let mut review = asked.body.clone();
    let attributes = &review["spec"]["resourceAttributes"];
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    let is_allowed = world.faults.allows_named(text("verb"), text("group"), text("resource"));
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["kind"] = "SelfSubjectAccessReview".into();
    review["status"] = json!({ "allowed": is_allowed });
    answer::object(201, &review)
}
