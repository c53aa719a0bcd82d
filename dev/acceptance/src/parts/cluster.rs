//! The orchestrator on a real Kubernetes: a real API server, scheduler and operators; real pods that train, and thousands on kwok nodes.
//!
//! One part starts the cluster, all others use it, each in a separate process, and the last one stops it.

mod deployment;
mod kfltk_files;
mod kinds;
mod losses;
mod made_once;
mod many_jobs;
mod nodes;
mod pushed_out;
mod rights;
mod streams;

use anyhow::{Context as _, bail};

use self::{
    deployment::{
        takeover::{self, Takeover},
        workplace::Workplace,
    },
    streams::Streams,
};
use super::{fltk, images};
use crate::{
    checkout::Checkout,
    cluster::{self, Helm, TestCluster},
    outcome::Outcome,
    setup::debian,
};

/// The number of kwok nodes.
const NODES: u32 = 50;

/// Runs the part `name`.
pub fn run(checkout: &Checkout, name: &str) -> anyhow::Result<Outcome> {
    match name {
        "Debian packages" => return Ok(debian::install(PACKAGES).map_or_else(Outcome::Skipped, |()| Outcome::passed())),
        "Kubernetes, built" => {
            return match cluster::can_run() {
                Ok(()) => cluster::build(checkout).map(|()| Outcome::passed()),
                Err(reason) => Ok(Outcome::Skipped(reason)),
            };
        }
        "a real Kubernetes" => return TestCluster::up(checkout, NODES).map(|_| Outcome::passed()),
        "stopping Kubernetes" => {
            let was_ours = TestCluster::down(checkout)?;
            return Ok(Outcome::Passed(if was_ours {
                String::new()
            } else {
                "none was started for the tests; one that runs goes on".to_owned()
            }));
        }
        "images, built again" => return images::again(checkout),
        _ => {}
    }
    let cluster = TestCluster::of_parts(checkout)?;
    let folder = checkout.target.join("xtask-test-streams").join(name.replace([' ', ','], "-"));
    let streams = Streams { cluster: &cluster, program: &fltk(checkout), folder: &folder };
    streams.clear()?;
    let outcome = match name {
        "a namespace without rights" => rights::run(&streams),
        "500 jobs on 50 nodes" => many_jobs::run(&streams),
        "KFLTK's files in real pods, TrainJobs" => kfltk_files::run(&streams, "trainjob"),
        "priorities on a tainted node" => pushed_out::run(&streams),
        "a gang on a tainted node" => pushed_out::gang(&streams),
        "a stream of all kinds" => kinds::run(&streams),
        "lost ranks" => losses::few(&streams),
        "nodes of a federated job" => nodes::run(&streams),
        _ => {
            // Installing, upgrading and uninstalling is tested with the newer version, everything else with the older one.
            let helm = if name == "both charts twice in a namespace" { Helm::Four } else { Helm::Three };
            let workplace = Workplace::new(checkout, &cluster, name, helm)?;
            match name {
                "the guide" => deployment::guide::run(&cluster, &workplace).map(|()| Outcome::passed()),
                "both charts twice in a namespace" => deployment::side_by_side::run(&cluster, &workplace),
                "data sets through a proxy" => deployment::data_sets::run(&cluster, &workplace),
                "an orchestrator in its pod, PyTorchJobs" => {
                    takeover::run(&cluster, &workplace, &Takeover { backend: "pytorchjob", jobs: 30, force: true })
                }
                "an orchestrator in its pod, TrainJobs" => {
                    takeover::run(&cluster, &workplace, &Takeover { backend: "trainjob", jobs: 12, force: false })
                }
                "ranks as containers" => deployment::compose::run(&workplace),
                _ => bail!("`{name}` is on the list, and nothing is done for it"),
            }
        }
    }?;
    // The files of a failed part stay for inspection.
    streams.clear().context("what the part left can't be removed")?;
    Ok(outcome)
}

/// Tests the whole table of lost ranks, on the running cluster and with the image that was loaded into it.
pub fn test_losses(checkout: &Checkout) -> anyhow::Result<()> {
    let cluster = TestCluster::of_parts(checkout)?;
    let folder = checkout.target.join("xtask-test-streams").join("losses");
    let streams = Streams { cluster: &cluster, program: &fltk(checkout), folder: &folder };
    streams.clear()?;
    losses::all(&streams)
}

/// The Debian packages that any part here needs: installing all at once takes a fraction of the time of one after the other.
const PACKAGES: &[&str] = &[
    "aardvark-dns",
    "binutils",
    "buildah",
    "busybox-static",
    "containerd",
    "containernetworking-plugins",
    "curl",
    "iproute2",
    "iptables",
    "netavark",
    "openssl",
    "patchelf",
    "podman",
    "podman-compose",
    "runc",
];
