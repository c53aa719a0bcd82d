//! Removes what a run made, and nothing else: what has its label, of the kinds that we make.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client, Error, Resource,
    api::{DeleteParams, ListParams},
    core::{DynamicObject, ObjectList, PartialObjectMeta, Request, request::Error as RequestError},
};
use serde::de::DeserializeOwned;
use tokio::time::{Duration, Instant, sleep};

use super::{api, config::Backend, manifest::run_selector};

/// How long removed objects may take to be gone: containers have half a minute to end.
const GONE_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Objects that are removed by one request: a second or two.
const PAGE_SIZE: u32 = 500;

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// `PyTorchJob`s and `TrainJob`s.
    pub jobs: usize,
    /// Config maps: those that were there, whether we or their jobs' end took them.
    pub config_maps: usize,
    /// `TrainingRuntime`s.
    pub runtimes: usize,
    /// What may not be listed, and was skipped: in the server's words.
    pub skipped: Vec<String>,
    /// Pods that were still there when we stopped waiting.
    pub pods_left: usize,
}

/// Removes everything of `run` in `namespace`, and waits until it's gone.
///
/// # Errors
/// If the API server refuses.
pub async fn down(client: &Client, namespace: &str, run: &str) -> Result<Removed, Error> {
    let selected = ListParams::default().labels(&run_selector(run));
    let mut removed = Removed::default();
    let config_maps: Api<ConfigMap> = api::config_maps(client, namespace);
    // Before their jobs go, with which the cluster removes them in its own time. What may not be listed is said below.
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

/// Removes what is selected, page by page: all at once may take the API server longer than it gives a request. How many that were.
async fn remove<K>(client: &Client, api: &Api<K>, selected: &ListParams, skipped: &mut Vec<String>) -> Result<usize, Error>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    each_page(api, selected, skipped, async |page| remove_page(client, api, page).await).await
}

/// Lists what is selected, page by page, and does `act` with each that isn't empty. How many objects that were. A kind that the cluster doesn't know has
/// nothing.
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
            // Who runs jobs of one kind may have no rights for the other.
            Err(Error::Api(status)) if status.code == 403 && count == 0 => {
                skipped.push(status.message.clone());
                None
            }
            // Where it was is too long ago: goes on from there as all now is.
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
    // Those that kube leaves out. A token is of base64's letters for URLs.
    let token = page.continue_token.as_ref().map(|token| format!("&continue={token}")).unwrap_or_default();
    let uri = format!("{}&limit={PAGE_SIZE}{token}", request.uri());
    *request.uri_mut() = uri.parse().map_err(|_| Error::BuildRequest(RequestError::Validation(format!("`{uri}` is no address"))))?;
    // It tells what is removed, or only that it is.
    client.request_status::<ObjectList<PartialObjectMeta<K>>>(request).await.map(drop)
}
