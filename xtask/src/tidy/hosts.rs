//! The hosts that the project names: all of them are on one list, each with a reason.

use super::{Finding, Source};

/// The hosts that addresses in the checkout may have.
const HOSTS: &[(&str, &str)] = &[
    ("arxiv.org", "papers"),
    ("doi.org", "papers"),
    ("proceedings.mlr.press", "papers"),
    ("docs.rs", "documentation"),
    ("doc.rust-lang.org", "documentation"),
    ("rustup.rs", "installing Rust"),
    ("pytorch.org", "documentation"),
    ("docs.pytorch.org", "documentation"),
    ("github.com", "projects referred to; Fashion-MNIST's home"),
    ("keepachangelog.com", "the form of CHANGELOG.md"),
    ("semver.org", "the meaning of versions"),
    ("json-schema.org", "the dialect of the schema"),
    ("www.w3.org", "the name space of SVG"),
    ("html.spec.whatwg.org", "the specification of server-sent events"),
    ("raw.githubusercontent.com", "source of data sets"),
    ("ossci-datasets.s3.amazonaws.com", "source of data sets: PyTorch's mirror of MNIST"),
    ("storage.googleapis.com", "source of data sets: TensorFlow's mirrors"),
    ("fashion-mnist.s3-website.eu-central-1.amazonaws.com", "source of data sets: its authors'"),
    ("www.cs.toronto.edu", "source of data sets: CIFAR's authors'"),
    ("tech.zalando.com", "in the license of Fashion-MNIST"),
    ("kubernetes-sigs.github.io", "charts of the Kubernetes project"),
    ("127.0.0.1", "this machine, in tests"),
    ("kubernetes.default.svc", "the API server, inside of a cluster"),
    ("localhost", "this machine, in examples"),
    ("federator", "a container of compose.yaml"),
    ("federator.invalid", "the host of a socket of this machine, which has none; reserved, RFC 2606"),
    ("example.com", "reserved for examples, RFC 2606"),
    ("example.org", "reserved for examples, RFC 2606"),
    ("proxy.example.org", "reserved for examples, RFC 2606"),
];

/// Checks every address in `source`.
pub fn check(source: &Source, findings: &mut Vec<Finding>) {
    // This is cargo's own file, which contains the registry's address for every package.
    if source.path == "Cargo.lock" {
        return;
    }
    for (index, line) in source.text.lines().enumerate() {
        for host in hosts(line) {
            if !HOSTS.iter().any(|(known, _)| *known == host) {
                let problem = format!("`{host}` is not on the list of hosts in xtask/src/tidy/hosts.rs: say there what it is for");
                findings.push(Finding { file: source.path.clone(), line: index + 1, problem });
            }
        }
    }
}

/// Returns the hosts of the addresses in `line`. A placeholder that is filled in when the program runs (`{}`) doesn't count.
fn hosts(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for scheme in ["http://", "https://"] {
        for (at, _) in line.match_indices(scheme) {
            let rest = &line[at + scheme.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-._".contains(c)).unwrap_or(rest.len());
            let host = rest[..end].trim_end_matches('.');
            if !host.is_empty() {
                found.push(host);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_text() {
        let check = |line: &str, expected: &[&str]| assert_eq!(hosts(line), expected, "{line}");
        check("see <https://docs.rs/clap>, http://127.0.0.1:80/.", &["127.0.0.1", "docs.rs"]);
        check("format!(\"http://{address}/a\") https:// ", &[]);
        check("at https://github.com.", &["github.com"]);
    }

    #[test]
    fn unknown_hosts_are_found_with_their_line() {
        let check_text = |text: &str| {
            let mut findings = Vec::new();
            check(&Source { path: "a.md".to_owned(), text: text.to_owned() }, &mut findings);
            findings
        };
        assert!(check_text("https://arxiv.org/abs/1602.05629").is_empty());
        let findings = check_text(concat!("\nhttps:/", "/mirror.internal/x"));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
        assert!(findings[0].problem.contains("mirror.internal"));
    }
}
