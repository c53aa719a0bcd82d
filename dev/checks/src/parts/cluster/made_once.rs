//! That no job of a namespace was made twice, by two witnesses: its objects as they are seen from time to time, of which none may become another of the
//! same name; and the API server's audit log, which also knows what came and went between two looks. One whose maker was killed before it had its answer
//! may be without one in the log; that one is seen.

use std::collections::BTreeMap;

use anyhow::ensure;

use crate::cluster::TestCluster;

/// What was seen so far.
pub struct MadeOnce<'a> {
    cluster: &'a TestCluster,
    namespace: &'a str,
    /// Their kind's plural.
    resource: &'a str,
    /// How long the audit log was at the beginning.
    since: usize,
    uids: BTreeMap<String, String>,
}

impl<'a> MadeOnce<'a> {
    /// Begins to look, before any job is made.
    pub fn new(cluster: &'a TestCluster, namespace: &'a str, resource: &'a str) -> anyhow::Result<Self> {
        Ok(Self { cluster, namespace, resource, since: cluster.audit_len()?, uids: BTreeMap::new() })
    }

    /// Looks at what is there; how many there are.
    pub fn look(&mut self) -> anyhow::Result<usize> {
        let there = self.cluster.uids(self.namespace, self.resource)?;
        for (name, uid) in &there {
            let before = self.uids.entry(name.clone()).or_insert_with(|| uid.clone());
            ensure!(before == uid, "`{name}` was made twice");
        }
        Ok(there.len())
    }

    /// Looks for the last time: that each of `num` jobs was to be made, and none was made twice, whatever became of them. How many are there.
    pub fn end(mut self, num: usize) -> anyhow::Result<usize> {
        let there = self.look()?;
        let made = self.cluster.made(self.namespace, self.resource, self.since)?;
        ensure!(made.len() == num, "{} {} were to be made in place of {num}", made.len(), self.resource);
        let again = made.iter().find(|(_, times)| **times > 1);
        ensure!(again.is_none(), "made more than once: {again:?}");
        Ok(there)
    }
}
