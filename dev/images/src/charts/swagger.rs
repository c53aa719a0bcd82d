//! The API of each supported Kubernetes version, from its own source: fetched once through the Go module proxy, and kept in the cache.

use std::{
    fs, io,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::api::Api;
use crate::{checkout::Checkout, sh};

/// The versions, with the SHA-256 of each one's API.
const VERSIONS: [(&str, &str); 5] = [
    ("v1.33.13", "2af5abf98554af1599e516f31f7f1698085e6faa12b816401f569c097b9f7ef6"),
    ("v1.34.4", "d3b0cdc2fda15c753206d25ab459dc7c12df64e2fd652b6809687471ea751c37"),
    ("v1.35.4", "483500149ee52ce5753d75f5639101d985bb4f5e902cc05b1ba7627465d62446"),
    ("v1.36.3", "dcede2063da1d7ad62ecb5af8adb6d7fabd0b52385a7fa0048afb491dac90450"),
    ("v1.37.2", "465276aedf437726de5a6ed23a41b86d78bb0d347edf251a755ae26a93cdd8a6"),
];

const MODULE: &str = "k8s.io/kubernetes";
/// The path of the API in the module.
const FILE: &str = "api/openapi-spec/swagger.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: String,
}

/// Returns the APIs, which are fetched if they aren't in the cache.
pub fn ensure(checkout: &Checkout) -> anyhow::Result<Vec<Api>> {
    let folder = checkout.cache.join("kubernetes-api");
    fs::create_dir_all(&folder).with_context(|| format!("can't make `{}`", folder.display()))?;
    let api = |(version, digest): (&'static str, &str)| {
        let path = folder.join(format!("{version}.json"));
        let bytes = match fs::read(&path) {
            Ok(bytes) if is(&bytes, digest) => bytes,
            Ok(_) => get(&folder, &path, version, digest)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => get(&folder, &path, version, digest)?,
            Err(error) => return Err(error).with_context(|| format!("can't read `{}`", path.display())),
        };
        Api::of(version, &serde_json::from_slice(&bytes)?)
    };
    VERSIONS.into_iter().map(api).collect()
}

fn is(bytes: &[u8], digest: &str) -> bool {
    hex::encode(Sha256::digest(bytes)) == digest
}

/// Fetches the module into a temporary cache, which is removed at once: a quarter of a gigabyte is not needed any more.
fn get(folder: &Path, path: &Path, version: &str, digest: &str) -> anyhow::Result<Vec<u8>> {
    let work = tempfile::tempdir_in(folder)?;
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", &format!("{MODULE}@{version}")]).current_dir(work.path()).stdin(Stdio::null());
    go.env("GOMODCACHE", work.path().join("modules")).env("GOFLAGS", "-modcacherw");
    let downloaded: Downloaded = serde_json::from_str(&sh::output(&mut go, sh::INSTALL_LIMIT)?)?;
    let bytes = fs::read(Path::new(&downloaded.dir).join(FILE)).with_context(|| format!("{MODULE} {version} has no {FILE}"))?;
    if !is(&bytes, digest) {
        bail!("the API of {MODULE} {version} isn't the one that it was (VERSIONS in dev/images/src/charts/swagger.rs)");
    }
    let new = work.path().join("new.json");
    fs::write(&new, &bytes)?;
    fs::rename(new, path)?;
    Ok(bytes)
}
