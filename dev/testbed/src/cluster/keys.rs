//! The keys and certificates of the cluster, which last as long as it runs.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::{ADDRESS, NODE};
use crate::sh;

/// The token of the administrator, for `system:masters`.
pub const ADMIN_TOKEN: &str = "admintoken";
/// The token of the node.
pub const NODE_TOKEN: &str = "nodetoken";

/// Makes a certificate authority, the certificates of the API server and of its calls to the kubelet, the key of service accounts, and
/// tokens.
pub fn make(folder: &Path) -> anyhow::Result<()> {
    const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    fs::create_dir_all(folder)?;
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sh::quiet_output(&mut command, sh::LOOKUP_LIMIT).map(drop)
    };
    let request = |name: &str, subject: &str| {
        let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
        openssl(&[&["req"], &KEY[..], &["-keyout", &key, "-out", &csr, "-subj", subject]].concat())
    };
    let sign = |name: &str, more: &[&str]| {
        let (csr, certificate) = (format!("{name}.csr"), format!("{name}.crt"));
        let by = ["x509", "-req", "-in", &csr, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", &certificate, "-days", "30"];
        openssl(&[&by[..], more].concat())
    };
    openssl(&[&["req", "-x509"], &KEY[..], &["-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=ca"]].concat())?;
    request("api", "/CN=kube-apiserver")?;
    let names = format!("subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:{ADDRESS}\n");
    fs::write(folder.join("names"), names)?;
    sign("api", &["-extfile", "names"])?;
    request("kubelet", "/CN=apiserver-kubelet-client/O=system:masters")?;
    sign("kubelet", &[])?;
    openssl(&["genrsa", "-out", "accounts.key", "2048"])?;
    openssl(&["rsa", "-in", "accounts.key", "-pubout", "-out", "accounts.pub"])?;
    let tokens = format!("{ADMIN_TOKEN},admin,admin,system:masters\n{NODE_TOKEN},system:node:{NODE},{NODE},system:nodes\n");
    Ok(fs::write(folder.join("tokens.csv"), tokens)?)
}
