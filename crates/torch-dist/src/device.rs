//! The choice of the network interface for gloo.

use crate::Error;

/// The place where a rank listens for the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GlooDevice {
    /// The address that this machine's host name resolves to, or the loopback address if it doesn't resolve. This is PyTorch's default.
    #[default]
    HostName,
    /// These interfaces, such as `eth0`. Several are used in turn.
    Interfaces(Vec<String>),
    /// The interface with this address, or with the address of this host name.
    Address(String),
}

impl GlooDevice {
    /// Returns the choice that PyTorch makes for this value of `GLOO_SOCKET_IFNAME` (a comma-separated list of interfaces).
    ///
    /// # Errors
    /// If an interface in the list has no name.
    pub fn from_gloo_socket_ifname(value: Option<&str>) -> Result<Self, Error> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Self::HostName) };
        let names: Vec<String> = value.split(',').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return Err(Error::Argument(format!("GLOO_SOCKET_IFNAME is `{value}`: an interface has no name")));
        }
        Ok(Self::Interfaces(names))
    }

    /// Returns the shim's code for the kind, and the names.
    pub(crate) fn parts(&self) -> (i32, Vec<&str>) {
        match self {
            Self::HostName => (0, Vec::new()),
            Self::Interfaces(names) => (1, names.iter().map(String::as_str).collect()),
            Self::Address(address) => (2, vec![address]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_like_in_pytorch() {
        let check = |value, expected| assert_eq!(GlooDevice::from_gloo_socket_ifname(value).ok(), expected);
        check(None, Some(GlooDevice::HostName));
        check(Some(""), Some(GlooDevice::HostName));
        check(Some("eth0"), Some(GlooDevice::Interfaces(vec!["eth0".into()])));
        check(Some("eth0,eth1"), Some(GlooDevice::Interfaces(vec!["eth0".into(), "eth1".into()])));
        check(Some("eth0,"), None);
    }
}
