//! The check that no job in a namespace was created twice. It has two sources: the objects as they are seen from time to time, none of which may be
//! replaced by another of the same name; and the API server's audit log, which also has objects that came and went between two looks. The log may lack
//! the creation of a job whose creator was killed before it had its answer; such a job is seen among the objects.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;

use crate::cluster::TestCluster;

/// The observations so far.
pub struct MadeOnce<'a> {
    cluster: &'a TestCluster,
    namespace: &'a str,
    /// The plural of the jobs' kind.
    resource: &'a str,
    /// The length of the audit log in bytes when the observation started.
    since: usize,
    uids: BTreeMap<String, String>,
    /// The names of jobs that failed, are removed, and are then made anew.
    anew: BTreeSet<String>,
}

impl<'a> MadeOnce<'a> {
    /// Starts the observation, before any job is created.
    pub fn new(cluster: &'a TestCluster, namespace: &'a str, resource: &'a str) -> anyhow::Result<Self> {
        Ok(Self { cluster, namespace, resource, since: cluster.audit_len()?, uids: BTreeMap::new(), anew: BTreeSet::new() })
    }

    /// Expects that the job called `name` is made a second time.
    pub fn expect_anew(&mut self, name: String) {
        self.anew.insert(name);
    }

    /// Looks at the existing objects, and returns their number.
    pub fn look(&mut self) -> anyhow::Result<usize> {
        let there = self.cluster.uids(self.namespace, self.resource)?;
        for (name, uid) in &there {
            let before = self.uids.entry(name.clone()).or_insert_with(|| uid.clone());
            ensure!(before == uid || self.anew.contains(name), "`{name}` was made twice");
        }
        Ok(there.len())
    }

    /// Looks for the last time: checks that there were attempts to create `num` jobs, and that none was created twice. Returns the number of
    /// existing objects.
    pub fn end(mut self, num: usize) -> anyhow::Result<usize> {
        let there = self.look()?;
        let made = self.cluster.made(self.namespace, self.resource, self.since)?;
        ensure!(made.len() == num, "{} {} were to be made in place of {num}", made.len(), self.resource);
        let wrong = made.iter().find(|(name, times)| if self.anew.contains(*name) { **times != 2 } else { **times > 1 });
        ensure!(wrong.is_none(), "made too often, or not again: {wrong:?}");
        Ok(there)
    }
}
