//! A measurement of what an API server takes at most: it creates the objects of a stream's jobs, and does nothing else.
//!
//! `creates KUBECONFIG NAMESPACE RUN CONCURRENCY EXPERIMENT TRACE KUBERNETES`. Prints one line of JSON: jobs, and seconds from the first one created to
//! the last. The requests are those of the orchestrator, by the same client; they are written before the first is sent, and of the answers only the uid
//! is read that a job's config maps need. Nothing is watched, planned or recorded.

use std::{
    collections::BTreeMap,
    env, fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use fltk_catalogue::catalogues;
use fltk_core::arrivals::read_trace;
use fltk_experiment::{SourceFile, parse};
use fltk_kubernetes::{
    api::{FIELD_MANAGER, job_resource},
    config::{Backend, KubernetesConfig},
    connect::{Address, connect},
    manifest::{Credentials, RunContext, job_name},
};
use fltk_plan::{JobId, jobs};
use http::{Request, header::CONTENT_TYPE};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value as Json, json};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Stands where a job's uid comes.
const UID: &str = "00000000-0000-0000-0000-000000000000";

/// The objects of one job, as they are sent.
struct Bodies {
    job: String,
    config_maps: Vec<String>,
}

#[derive(Deserialize)]
struct Created {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kubeconfig, namespace, run, concurrency, files @ ..] = arguments.as_slice() else { return Err("too few arguments".into()) };
    let client = connect(&Address { kubeconfig: Some(kubeconfig.into()), context: None }).await?.client;
    let bodies = Arc::new(bodies(namespace, run, files)?);
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = (0..concurrency.parse()?)
        .map(|_| tokio::spawn(work(client.clone(), namespace.clone(), Arc::clone(&bodies), Arc::clone(&next))))
        .collect();
    let mut created = Vec::new();
    for worker in workers {
        created.extend(worker.await??);
    }
    let (first, last) = (created.iter().min().ok_or("no job")?, created.iter().max().ok_or("no job")?);
    println!("{}", json!({ "jobs": created.len(), "seconds": last.duration_since(*first).as_secs_f64() }));
    Ok(())
}

/// Creates one job after another, each before its config maps; returns when each job was there.
async fn work(client: Client, namespace: String, bodies: Arc<Vec<Bodies>>, next: Arc<AtomicUsize>) -> Result<Vec<Instant>, kube::Error> {
    let jobs = format!("/apis/kubeflow.org/v1/namespaces/{namespace}/pytorchjobs?fieldManager={FIELD_MANAGER}");
    let config_maps = format!("/api/v1/namespaces/{namespace}/configmaps?fieldManager={FIELD_MANAGER}");
    let mut created = Vec::new();
    while let Some(bodies) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        let job: Created = client.request(post(&jobs, bodies.job.clone())?).await?;
        created.push(Instant::now());
        for config_map in &bodies.config_maps {
            client.request_text(post(&config_maps, config_map.replace(UID, &job.metadata.uid))?).await?;
        }
    }
    Ok(created)
}

fn post(path: &str, body: String) -> Result<Request<Vec<u8>>, kube::Error> {
    Request::post(path).header(CONTENT_TYPE, "application/json").body(body.into_bytes()).map_err(kube::Error::HttpError)
}

fn bodies(namespace: &str, run: &str, files: &[String]) -> Result<Vec<Bodies>, Error> {
    let [experiment, trace, kubernetes] = files else { return Err("the files are EXPERIMENT TRACE KUBERNETES".into()) };
    let source = |name: &String| fs::read_to_string(name).map(|text| SourceFile { name: name.clone(), text });
    let experiment = parse(&[source(experiment)?], &[], catalogues()).map_err(|report| report.render(false))?.experiment;
    let specs = jobs(&experiment, run, 0, &read_trace(trace, &source(trace)?.text)?)?;
    let (config, _) = KubernetesConfig::parse(&source(kubernetes)?).map_err(|report| report.render(false))?;
    let image = config.image.clone().ok_or("no image is named")?;
    let (run, namespace) = (run.to_owned(), namespace.to_owned());
    // Its jobs are compared with others that have no Secret.
    let issue = || Err("these jobs have no nodes".to_owned());
    let context = RunContext { run, namespace, image, config, experiment, catalogues: catalogues(), modules: BTreeMap::new(), issue };
    let bodies = specs.iter().map(|spec| {
        let mut manifests = context.manifests(spec, 1, &Credentials::none());
        manifests.config_maps.iter_mut().for_each(|config_map| config_map["metadata"]["ownerReferences"] = json!([owner(&spec.id)]));
        Bodies { job: manifests.job.to_string(), config_maps: manifests.config_maps.iter().map(Json::to_string).collect() }
    });
    Ok(bodies.collect())
}

fn owner(job: &JobId) -> Json {
    let resource = job_resource(Backend::PyTorchJob);
    json!({
        "apiVersion": resource.api_version,
        "blockOwnerDeletion": true,
        "controller": true,
        "kind": resource.kind,
        "name": job_name(job),
        "uid": UID,
    })
}
