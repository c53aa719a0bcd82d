//! What a person with a cluster does: the guide as it is written, charts beside each other, an orchestrator whose pod is killed.

mod compose;
mod data_sets;
mod guide;
mod side_by_side;
mod takeover;
mod workplace;

use std::path::Path;

use self::{takeover::Takeover, workplace::Workplace};
use crate::{checkout::Checkout, cluster::TestCluster, test::report::Report};

/// All of it. The guide comes first: it builds the images.
pub fn run(checkout: &Checkout, report: &mut Report, cluster: &TestCluster, program: &Path) {
    let Some(workplace) = report.part_with("a folder as a reader's", || Workplace::new(checkout, cluster, program)) else { return };
    let guide = report.part_with("the guide, from a cluster to results", || guide::run(cluster, &workplace));
    if guide.is_none() {
        return report.skip("charts and containers", "the guide, which builds the images, failed");
    }
    report.part("both charts twice, upgraded and uninstalled", || side_by_side::run(cluster, &workplace));
    report.part("data sets through a proxy, and a job that trains with them", || data_sets::run(cluster, &workplace));
    let kinds = [Takeover { backend: "pytorchjob", jobs: 60, kills: 4 }, Takeover { backend: "trainjob", jobs: 18, kills: 1 }];
    for takeover in kinds {
        let Takeover { backend, kills, .. } = takeover;
        report.part(&format!("an orchestrator in its pod, with {backend}s, deleted {kills} times"), || {
            takeover::run(cluster, &workplace, &takeover)
        });
    }
    report.part("ranks as containers", || compose::run(&workplace));
}
