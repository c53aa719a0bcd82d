//! The image of the jobs of a namespace.

use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::{Api, Client, Error, Resource, api::ListParams, core::DynamicObject};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    api::{in_time, job_resource, runtime_resource},
    config::Backend,
    manifest::{COMMAND_LABEL, CONTAINERS, RUN_LABEL},
};

/// The names per list request, and the number of list requests per kind: together more jobs than a namespace holds at once.
const LIST_MAX: u32 = 500;
const LISTS_MAX: usize = 40;

/// The image of our newest job in `namespace`, taken from its pods, its object, or the runtime that `TrainJob`s share. `None` if there is none, or if
/// we may not see it.
///
/// # Errors
/// If the API server doesn't answer.
pub async fn image_of_jobs(client: &Client, namespace: &str) -> Result<Option<String>, Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    if let Some((_, image)) = image_of_newest(&pods).await? {
        return Ok(Some(image));
    }
    let mut newest = None;
    for resource in [job_resource(Backend::PyTorchJob), runtime_resource()] {
        let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        newest = newest.max(image_of_newest(&objects).await?);
    }
    Ok(newest.map(|(_, image)| image))
}

/// The image of our newest object, with the object's creation time.
async fn image_of_newest<K>(api: &Api<K>) -> Result<Option<(Option<Time>, String)>, Error>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let Some((made_at, name)) = newest(api).await? else { return Ok(None) };
    // The object is also read by a list: a user who may list may lack the right to get.
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let object = in_time(api.list(&named)).await?.items.into_iter().next();
    // The object may be gone by now.
    let json = object.and_then(|object| serde_json::to_value(object).ok());
    Ok(json.and_then(|json| Some((made_at, image(&json)?))))
}

/// The name and creation time of our newest object; `None` if there is none, if the cluster has no such kind, or if we may not list it.
async fn newest<K>(api: &Api<K>) -> Result<Option<(Option<Time>, String)>, Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut ours = ListParams::default().labels(RUN_LABEL).limit(LIST_MAX);
    let mut newest = None;
    for _ in 0..LISTS_MAX {
        let list = match in_time(api.list_metadata(&ours)).await {
            Err(Error::Api(status)) if matches!(status.code, 403 | 404) => return Ok(None),
            list => list?,
        };
        // The image of a program of the user's own has nothing of ours.
        let has_ours =
            |labels: &Option<BTreeMap<String, String>>| !labels.as_ref().is_some_and(|labels| labels.contains_key(COMMAND_LABEL));
        let ours_alone = list.items.into_iter().filter(|object| has_ours(&object.metadata.labels));
        newest = ours_alone.filter_map(|object| Some((object.metadata.creation_timestamp, object.metadata.name?))).max().max(newest);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => ours = ours.continue_token(&token),
            None => break,
        }
    }
    Ok(newest)
}

/// The image of our container, wherever in `json` its pods are specified.
fn image(json: &Json) -> Option<String> {
    match json {
        Json::Array(items) => items.iter().find_map(image),
        Json::Object(fields) => {
            let is_ours = fields.get("name").and_then(Json::as_str).is_some_and(|name| CONTAINERS.contains(&name));
            let own = fields.get("image").and_then(Json::as_str).filter(|image| is_ours && !image.is_empty());
            own.map(str::to_owned).or_else(|| fields.values().find_map(image))
        }
        _ => None,
    }
}
