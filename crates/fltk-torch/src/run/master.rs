//! The address at which rank 0 listens for the others: the address by which they know it, if it belongs to this machine. Ranks don't authenticate
//! their peers, so anybody who reaches the port can take part: it should not be open on other interfaces.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
};

/// The name by which every machine means itself.
const LOOPBACK: &str = "localhost";

/// The addresses at which rank 0's store is served.
#[derive(Debug)]
pub enum Listening {
    /// One address of this machine.
    At(TcpListener),
    /// All addresses of this machine, with the reason.
    Everywhere(String),
}

/// Listens at the address of `host`, which resolves to `addresses`.
///
/// A loopback address counts only if the name itself is one: `/etc/hosts` often maps a machine's own name to a loopback address, while others reach
/// the machine by another. In a pod it doesn't count either: older training operators give `localhost` to rank 0 alone, and its Service to the others.
///
/// # Errors
/// If an address belongs to this machine but can't be listened at.
pub fn listen(host: &str, addresses: &[SocketAddr], in_pod: bool) -> io::Result<Listening> {
    let is_meant = !in_pod && (host == LOOPBACK || host.parse().is_ok_and(|address: IpAddr| address.is_loopback()));
    for address in addresses.iter().filter(|address| is_meant || !address.ip().is_loopback()) {
        match TcpListener::bind(address) {
            Ok(listener) => return Ok(Listening::At(listener)),
            Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => return Err(error),
            // The address belongs to another machine, or to a network that isn't up.
            Err(_) => {}
        }
    }
    let why = if !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()) {
        "which is a loopback address here, so they reach it by another"
    } else {
        "which is none of them"
    };
    Ok(Listening::Everywhere(format!(
        "rank 0 listens at all addresses of this machine: the others know it as `{host}`, {why}\nhint: ranks don't authenticate each other; name an address of this \
         machine, or make sure that only they reach the port"
    )))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(host: &str, addresses: &[Ipv4Addr], in_pod: bool) -> Option<IpAddr> {
        let addresses: Vec<SocketAddr> = addresses.iter().map(|address| (*address, 0).into()).collect();
        match listen(host, &addresses, in_pod).unwrap() {
            Listening::At(listener) => Some(listener.local_addr().unwrap().ip()),
            Listening::Everywhere(why) => {
                assert!(why.contains(&format!("`{host}`")), "{why}");
                None
            }
        }
    }

    #[test]
    fn master_listens_only_at_the_given_address() {
        let (here, loopback) = (Ipv4Addr::LOCALHOST, Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(at("127.0.0.1", &[here], false), loopback);
        assert_eq!(at("localhost", &[here], false), loopback);
        // The address is reserved for documentation: no machine has it.
        let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(at("192.0.2.1", &[elsewhere], false), None);
        assert_eq!(at("localhost", &[elsewhere, here], false), loopback);
    }

    #[test]
    fn ranks_reach_a_host_that_resolves_its_name_to_loopback() {
        assert_eq!(at("host-a", &[Ipv4Addr::new(127, 0, 1, 1)], false), None);
        let listening = listen("host-a", &[(Ipv4Addr::new(127, 0, 1, 1), 0).into()], false).unwrap();
        assert!(matches!(listening, Listening::Everywhere(why) if why.contains("a loopback address here")));
        assert_eq!(at("localhost", &[Ipv4Addr::LOCALHOST], true), None);
    }

    #[test]
    fn occupied_port_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(listen("127.0.0.1", &[address], false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
