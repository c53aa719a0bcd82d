//! Tests of certificates: who may take part, and who is told why not.

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use fltk_network::{
    federator::{Listener, NodeReport},
    node::{Access, Address, Introduction, NodeError},
    pki::{Credentials, Folder, Role},
    tls,
};

use support::{bits, config, dummy, federate_on, federation, here, introduction, node_at};

/// A node that gives up soon.
fn hasty(name: &str) -> Introduction {
    Introduction { patience: Duration::from_millis(200), ..introduction(name) }
}

fn credentials(folder: &Folder, role: Role, name: &str) -> Credentials {
    Credentials::parse(&folder.issue(role, name).expect("it is issued"), name).expect("it is whole")
}

/// Raises its flag when it is dropped.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn only_whom_the_authority_knows_may_take_part() {
    let temporary = tempfile::tempdir().expect("there is room");
    let folder = Folder::open_or_create(&temporary.path().join("pki")).expect("it is made");
    let elsewhere = Folder::open_or_create(&temporary.path().join("other")).expect("it is made");
    let config_of_federator =
        tls::federator(&credentials(&folder, Role::Federator, "federator"), Some(folder.clone())).expect("it can be used");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    let address: Address = format!("https://127.0.0.1:{port}").parse().expect("it is one");
    let (dummy, never, may_end) = (&dummy(12), &AtomicBool::new(false), AtomicBool::new(false));
    let joined = std::sync::Mutex::new(Vec::new());
    let expected = bits(&here(federation(&config(), dummy), dummy));
    let (folder, address, may_end, joined) = (&folder, &address, &may_end, &joined);
    thread::scope(|scope| {
        // Whatever fails below, the run comes to its end.
        let _guard = Raise(may_end);
        let listener = Listener::Tls(listener, Arc::clone(&config_of_federator));
        let report = |report: NodeReport| {
            if let NodeReport::Joined { joined: node, .. } = report {
                joined.lock().expect("no panic").push(node.name);
            }
        };
        let running = scope.spawn(move || {
            federate_on(listener, Some(folder.clone()), federation(&config(), dummy), dummy, &report, never, &mut Vec::new())
        });
        // The first node begins, and waits until the others have tried.
        let wait = |_: &_| {
            while !may_end.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
        };
        let good = Access::Credentials(credentials(folder, Role::Node, "good"));
        let working = scope.spawn(move || node_at(address.clone(), &good, &mut |_| (), introduction("liar"), dummy, &wait, never));
        let tries = |access: &Access, name: &str| {
            let outcome = node_at(address.clone(), access, &mut |_| (), hasty(name), dummy, &|_| (), never);
            outcome.expect_err(name).to_string()
        };
        let has = |error: String, word: &str| assert!(error.contains(word), "no `{word}` in {error}");
        has(
            tries(&Access::Credentials(credentials(&elsewhere, Role::Node, "stranger")), "stranger"),
            "isn't one of the authority that this node trusts",
        );
        has(
            tries(&Access::Credentials(credentials(folder, Role::Federator, "posing")), "posing"),
            "doesn't accept this node's certificate",
        );
        let revoked = credentials(folder, Role::Node, "revoked");
        folder.revoke("revoked").expect("it is there");
        has(tries(&Access::Credentials(revoked), "revoked"), "(CertificateRevoked)");
        has(tries(&Access::Open, "bare"), "neither credentials nor an invitation");
        has(
            tries(&Access::Invitation(elsewhere.invite(None).expect("it is made")), "invited"),
            "isn't the one that the invitation is from",
        );

        // An invitation brings credentials once, and these may be used again.
        let invitation = folder.invite(None).expect("it is made");
        let mut own = String::new();
        let stop = AtomicBool::new(false);
        let ended = node_at(
            address.clone(),
            &Access::Invitation(invitation.clone()),
            &mut |text| {
                text.clone_into(&mut own);
                stop.store(true, Ordering::Relaxed);
            },
            introduction("guest 1"),
            dummy,
            &|_| (),
            &stop,
        );
        assert_eq!(ended, Err(NodeError::Stopped));
        has(tries(&Access::Invitation(invitation), "again"), "an invitation admits one node");
        let own = Access::Credentials(Credentials::parse(&own, "guest").expect("it is whole"));

        // Without a handshake nothing is answered.
        let mut plain = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("it listens");
        let mut answer = Vec::new();
        plain.set_read_timeout(Some(Duration::from_secs(5))).expect("it can be set");
        let _ = plain.read_to_end(&mut answer);
        assert!(!answer.windows(4).any(|bytes| bytes == b"HTTP"), "{answer:?}");

        may_end.store(true, Ordering::Relaxed);
        let guest = scope.spawn(move || node_at(address.clone(), &own, &mut |_| (), introduction("liar"), dummy, &|_| (), never));
        assert_eq!(bits(&running.join().expect("no panic").expect("it runs")), expected);
        assert_eq!(working.join().expect("no panic").expect("it ends well"), "the run is complete");
        drop(guest.join());
    });
    // Names are those of certificates, whatever a node says.
    let joined = joined.lock().expect("no panic");
    assert!(joined.contains(&"good".to_owned()) && !joined.contains(&"liar".to_owned()), "{joined:?}");
    let names: Vec<String> = folder.issued().expect("it can be read").into_iter().map(|issued| issued.name).collect();
    assert_eq!(names, ["federator", "good", "guest-1", "posing", "revoked"]);
}
