//! The orchestrator against a real Kubernetes: real API server, scheduler, operators; real pods that train, and thousands in name only.
//!
//! One stream after another, since each counts on what nodes have left.

mod deployment;
mod kfltk_files;
mod made_once;
mod many_jobs;
mod pushed_out;
mod rights;
mod streams;

use std::path::Path;

use self::streams::Streams;
use super::report::{Outcome, Report};
use crate::{
    checkout::Checkout,
    cluster::{self, TestCluster},
};

/// Nodes in name only.
const NODES: u32 = 50;

/// Only what is about deployment.
pub fn deployment(checkout: &Checkout, report: &mut Report, program: &Path) {
    let Some(cluster) = report.part_with("a real Kubernetes", || TestCluster::up(checkout, NODES)) else { return };
    deployment::run(checkout, report, &cluster, program);
    report.part("stopping Kubernetes", || cluster.down().map(|()| Outcome::Passed(String::new())));
}

/// All of it. `fashion_mnist` says why the full data set is not here, if it isn't.
pub fn run(checkout: &Checkout, report: &mut Report, program: &Path, fashion_mnist: &Result<(), String>) {
    const TITLE: &str = "a real Kubernetes";
    if let Err(reason) = cluster::can_run() {
        return report.skip("the orchestrator on a real Kubernetes", &reason);
    }
    let Some(cluster) = report.part_with(TITLE, || TestCluster::up(checkout, NODES)) else {
        return report.skip("the orchestrator on a real Kubernetes", "it could not be started");
    };
    let folder = checkout.target.join("xtask-test-streams");
    let streams = Streams { cluster: &cluster, program, folder: &folder };
    if let Err(error) = streams.clear() {
        report.part("streams", || Err(error));
        return;
    }
    report.part("a namespace without rights", || rights::run(&streams));
    report.part("500 jobs on 50 nodes, killed five times", || many_jobs::run(&streams));
    match fashion_mnist {
        Ok(()) => {
            if report.part_with("our image", || cluster.load(program)).is_some() {
                report.part("KFLTK's files in real pods, PyTorchJobs", || kfltk_files::run(&streams, "pytorchjob"));
                report.part("KFLTK's files in real pods, TrainJobs", || kfltk_files::run(&streams, "trainjob"));
                report.part("priorities: pushed out and resumed on a tainted node", || pushed_out::run(&streams));
                report.part("a gang waits for its place on a tainted node", || pushed_out::gang(&streams));
            }
            deployment::run(checkout, report, &cluster, program);
        }
        Err(reason) => report.skip("training in real pods, and deployment", reason),
    }
    if report.is_good(false) {
        report.part("removing the streams", || streams.clear().map(|()| Outcome::Passed(String::new())));
    }
    report.part("stopping Kubernetes", || cluster.down().map(|()| Outcome::Passed(String::new())));
}
