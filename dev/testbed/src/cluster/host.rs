//! The requirements of the cluster on this machine: root, some Debian packages, and a network namespace.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::{ADDRESS, NAMESPACE, inside};
use crate::{setup::debian, sh};

/// Debian packages, each with a file that shows whether it is installed.
const PACKAGES: [(&str, &str); 10] = [
    ("containerd", "/usr/bin/containerd"),
    ("runc", "/usr/sbin/runc"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iptables", "/usr/sbin/iptables"),
    ("iproute2", "/sbin/ip"),
    ("buildah", "/usr/bin/buildah"),
    ("busybox-static", "/bin/busybox"),
    ("openssl", "/usr/bin/openssl"),
    // This package's C library can be linked statically.
    ("libc6-dev", "/usr/include/stdio.h"),
    ("procps", "/usr/bin/pgrep"),
];

/// Installs what is missing. `Err` says why the cluster can't run here.
pub fn prepare() -> Result<(), String> {
    if !debian::is_root() {
        return Err("the cluster needs root: network namespaces, containers and control groups".to_owned());
    }
    if !is_go_there() {
        return Err("there is no Go to build Kubernetes with; hint: install Go 1.26 or later".to_owned());
    }
    let missing: Vec<&str> = PACKAGES.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() { Ok(()) } else { debian::install(&missing) }
}

/// Makes a bridge with the node's address, and a default route, which leads nowhere but makes cluster addresses reachable from the node
/// itself.
pub fn make_namespace() -> anyhow::Result<()> {
    const BRIDGE: &str = "k8sbr0";
    sh::run(Command::new("ip").args(["netns", "add", NAMESPACE]), sh::LOOKUP_LIMIT)?;
    let ip = |arguments: &[&str]| sh::run(inside("ip").args(arguments), sh::LOOKUP_LIMIT);
    ip(&["link", "set", "lo", "up"])?;
    ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    ip(&["addr", "add", &format!("{ADDRESS}/24"), "dev", BRIDGE])?;
    ip(&["link", "set", BRIDGE, "up"])?;
    ip(&["route", "add", "default", "dev", BRIDGE])?;
    sh::run(inside("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]), sh::LOOKUP_LIMIT)
}

/// True if Go can be run. (`go --version` is not a command.)
pub fn is_go_there() -> bool {
    sh::quiet_output(Command::new("go").arg("version").stdin(Stdio::null()), sh::LOOKUP_LIMIT).is_ok()
}
