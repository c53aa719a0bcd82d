//! Removal of the objects of a run, and nothing else: objects with its label, of the kinds that we create.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client, Error, Resource,
    api::{DeleteParams, ListParams},
    core::{DynamicObject, ObjectList, PartialObjectMeta, Request, request::Error as RequestError},
};
use serde::de::DeserializeOwned;
use tokio::time::{Duration, Instant, sleep};

use crate::{api, config::Backend, manifest::run_selector};

/// The time limit for removed objects to be gone: containers have half a minute to end.
const GONE_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The number of objects that one request removes, which takes a second or two.
const PAGE_SIZE: u32 = 500;

/// The result of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// The number of removed `PyTorchJob`s and `TrainJob`s.
    pub jobs: usize,
    /// The number of config maps that existed, whether we removed them or the cluster did with their jobs.
    pub config_maps: usize,
    /// The number of removed `TrainingRuntime`s.
    pub runtimes: usize,
    /// The kinds that were skipped since we may not list them, in the server's words.
    pub skipped: Vec<String>,
    /// The number of pods that still existed when we stopped waiting.
    pub pods_left: usize,
}

/// Removes all objects of `run` in `namespace`, and waits until they are gone.
///
/// # Errors
/// If the API server refuses.
pub async fn down(client: &Client, namespace: &str, run: &str) -> Result<Removed, Error> {
    let selected = ListParams::default().labels(&run_selector(run));
    let mut removed = Removed::default();
    let config_maps: Api<ConfigMap> = api::config_maps(client, namespace);
    // Config maps are counted before their jobs are removed, since the cluster removes them with the jobs in its own time. Kinds that may not be
    // listed are reported below.
    removed.config_maps = each_page(&config_maps, &selected, &mut Vec::new(), async |_| Ok(())).await?;
    for backend in [Backend::PyTorchJob, Backend::TrainJob] {
        removed.jobs += remove(client, &api::jobs(client, namespace, backend), &selected, &mut removed.skipped).await?;
    }
    remove(client, &config_maps, &selected, &mut removed.skipped).await?;
    let runtimes: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &api::runtime_resource());
    removed.runtimes = remove(client, &runtimes, &selected, &mut removed.skipped).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let deadline = Instant::now() + GONE_LIMIT;
    loop {
        removed.pods_left = pods.list_metadata(&selected).await?.items.len();
        if removed.pods_left == 0 || Instant::now() >= deadline {
            return Ok(removed);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Removes the selected objects page by page, since removing all at once may exceed the API server's request time limit. Returns their number.
async fn remove<K>(client: &Client, api: &Api<K>, selected: &ListParams, skipped: &mut Vec<String>) -> Result<usize, Error>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    each_page(api, selected, skipped, async |page| remove_page(client, api, page).await).await
}

/// Lists the selected objects page by page, and calls `act` for each page that isn't empty. Returns the number of objects, which is 0 for a kind that
/// the cluster doesn't know.
async fn each_page<K>(
    api: &Api<K>,
    selected: &ListParams,
    skipped: &mut Vec<String>,
    act: impl AsyncFn(&ListParams) -> Result<(), Error>,
) -> Result<usize, Error>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    let mut page = selected.clone().limit(PAGE_SIZE);
    let mut count = 0;
    loop {
        let of_page = async {
            let list = api.list_metadata(&page).await?;
            if !list.items.is_empty() {
                act(&page).await?;
            }
            Ok((list.items.len(), list.metadata.continue_))
        };
        let next = match of_page.await {
            Ok((num_items, next)) => {
                count += num_items;
                next
            }
            Err(Error::Api(status)) if status.code == 404 => None,
            // A user who runs jobs of one kind may have no rights for the other.
            Err(Error::Api(status)) if status.code == 403 && count == 0 => {
                skipped.push(status.message.clone());
                None
            }
            // The continue token has expired: the listing goes on at the same place in the current state.
            Err(Error::Api(status)) if status.code == 410 => status.metadata.and_then(|metadata| metadata.continue_),
            Err(error) => return Err(error),
        };
        page.continue_token = next.filter(|token| !token.is_empty());
        if page.continue_token.is_none() {
            return Ok(count);
        }
    }
}

async fn remove_page<K>(client: &Client, api: &Api<K>, page: &ListParams) -> Result<(), Error>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    let mut request = Request::new(api.resource_url()).delete_collection(&DeleteParams::background(), page).map_err(Error::BuildRequest)?;
    // kube leaves out these parameters. A token consists of letters of URL-safe base64.
    let token = page.continue_token.as_ref().map(|token| format!("&continue={token}")).unwrap_or_default();
    let uri = format!("{}&limit={PAGE_SIZE}{token}", request.uri());
    *request.uri_mut() = uri.parse().map_err(|_| Error::BuildRequest(RequestError::Validation(format!("`{uri}` is no address"))))?;
    // The server answers with the list of removed objects, or with a status alone.
    client.request_status::<ObjectList<PartialObjectMeta<K>>>(request).await.map(drop)
}
