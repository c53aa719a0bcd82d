//! Removes what a run made, and nothing else: what has its label, of the kinds that we make.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client, Error,
    api::{DeleteParams, ListParams},
    core::DynamicObject,
};
use tokio::time::{Duration, Instant, sleep};

use super::{
    api::{self, Failure, failure},
    config::Backend,
    manifest::run_selector,
};

/// How long removed objects may take to be gone: containers have half a minute to end.
const GONE_LIMIT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// `PyTorchJob`s and `TrainJob`s.
    pub jobs: usize,
    /// Config maps that no job took with it.
    pub config_maps: usize,
    /// `TrainingRuntime`s.
    pub runtimes: usize,
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
    for backend in [Backend::PyTorchJob, Backend::TrainJob] {
        removed.jobs += remove(&api::jobs(client, namespace, backend), &selected).await?;
    }
    let config_maps: Api<ConfigMap> = api::config_maps(client, namespace);
    removed.config_maps = remove(&config_maps, &selected).await?;
    let runtimes: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &api::runtime_resource());
    removed.runtimes = remove(&runtimes, &selected).await?;
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

/// Removes what is selected; a kind that the cluster doesn't know has nothing.
async fn remove<K>(api: &Api<K>, selected: &ListParams) -> Result<usize, Error>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let count = match api.list_metadata(selected).await {
        Ok(list) => list.items.len(),
        Err(Error::Api(status)) if status.code == 404 => return Ok(0),
        Err(error) => return Err(error),
    };
    if count > 0 {
        match api.delete_collection(&DeleteParams::background(), selected).await {
            Ok(_) => {}
            Err(error) if failure(&error) == Failure::Missing => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
