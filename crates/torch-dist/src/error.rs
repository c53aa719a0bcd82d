//! The errors of this crate, divided by what a caller could do about them.

use std::fmt;

/// The reason why a call failed. Texts from libtorch are in `message`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The store can't be served at this port.
    #[error("can't serve the store at port {port}: {message}\nhint: is the port in use? choose another MASTER_PORT")]
    Listen {
        /// The port.
        port: u16,
        /// The text from libtorch.
        message: String,
    },
    /// The store can't be reached, or not all ranks came in time.
    #[error("can't reach the store at `{host}:{port}`: {message}\nhint: it is served by rank 0: does rank 0 run, and is the port open?")]
    Connect {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The text from libtorch.
        message: String,
    },
    /// Nobody set these keys in time.
    #[error("waited {timeout_ms} ms in vain for the store's `{keys}`")]
    StoreTimeout {
        /// The keys, comma-separated.
        keys: String,
        /// The time waited, in milliseconds.
        timeout_ms: u128,
    },
    /// The store failed, most likely because the connection to rank 0 is lost.
    #[error("the store failed at {operation}: {message}\nhint: the store lives in rank 0: has it ended?")]
    Store {
        /// The operation that failed.
        operation: String,
        /// The text from libtorch.
        message: String,
    },
    /// A process with this rank has joined at this store before. If it has ended, the other ranks will lose it soon, and rank 0 serves another store
    /// when it starts again: [`TcpStore::is_gone_within`](crate::TcpStore::is_gone_within) waits for the end of this one.
    #[error(
        "a rank {rank} has joined at this store before\nhint: does another process have this rank? if the one before has ended, rank 0 has to begin again too"
    )]
    JoinedBefore {
        /// This rank.
        rank: u32,
    },
    /// Not all ranks joined the group, or some can't connect to each other.
    #[error(
        "rank {rank} of {size} can't join the group: {message}{}\nhint: ranks connect to each other directly: see that each can reach the others' addresses (GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME chooses an interface), and over NCCL that each has a GPU of its own",
        named(missing, "not seen so far")
    )]
    Join {
        /// This rank.
        rank: u32,
        /// The number of ranks in the group.
        size: u32,
        /// The ranks that this crate didn't see join. It never sees ranks in Python.
        missing: Vec<u32>,
        /// The text from libtorch.
        message: String,
    },
    /// A collective, a reduction of gradients, a send or a receive failed. The group is closed.
    #[error("rank {rank}: {operation} failed: {cause}: {message}{}", named(missing, "not heard of since"))]
    Collective {
        /// This rank.
        rank: u32,
        /// The call that failed.
        operation: String,
        /// The kind of failure.
        cause: Cause,
        /// The ranks that didn't report the failure within four seconds: lost ones, but also ranks that compute for longer before they
        /// next communicate, and ranks in Python.
        missing: Vec<u32>,
        /// The text from libtorch.
        message: String,
    },
    /// Ranks made different calls, or gave tensors that differ. This was found before anything was sent, so the group stays usable.
    #[error(
        "ranks disagree: rank {rank} called {here}, rank {other_rank} called {there}\nhint: every rank has to call the same collectives in the same order, on tensors of one shape and type"
    )]
    Mismatch {
        /// This rank.
        rank: u32,
        /// The call of this rank.
        here: String,
        /// A rank whose call differs.
        other_rank: u32,
        /// The call of that rank.
        there: String,
    },
    /// The parameters of the ranks' models differ in number or shape.
    #[error("rank {rank}: the ranks' models differ: {message}\nhint: every rank has to build the same net")]
    Parameters {
        /// This rank.
        rank: u32,
        /// The text from libtorch, which names the ranks.
        message: String,
    },
    /// Some parameters got no gradient in the last step, so its reduction never ended. The group is closed.
    #[error("rank {rank}: the loss of the last step doesn't depend on `{}`\nhint: leave such parameters out, or look for them in each step (`find_unused_parameters`)", names.join("`, `"))]
    UnusedParameters {
        /// This rank.
        rank: u32,
        /// The names of the parameters.
        names: Vec<String>,
    },
    /// The group was closed by an earlier error.
    #[error("the group is closed since an earlier failure\nhint: a group can't be repaired: make a new one")]
    Closed,
    /// An argument is invalid.
    #[error("{0}")]
    Argument(String),
    /// A computation failed.
    #[error("libtorch: {0}")]
    Torch(String),
}

/// The cause of a failed collective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A rank didn't answer within the group's time-out.
    Timeout,
    /// A connection to another rank broke: that rank has ended, or the network failed.
    LostPeer,
    /// Any other cause; the message says which.
    Other,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "another rank didn't answer in time",
            Self::LostPeer => "the connection to another rank broke",
            Self::Other => "libtorch refused",
        })
    }
}

impl Cause {
    /// Tells the cause from the text: gloo, NCCL and c10d throw one type for all.
    pub(crate) fn of(message: &str) -> Self {
        const TIMEOUT: [&str; 4] = ["Timed out", "timed out", "timeout", "Timeout"];
        const LOST: [&str; 8] = [
            "not connected",
            "Connection closed",
            "Connection reset",
            "Connection refused",
            "Broken pipe",
            "closed by peer",
            "Socket closed",
            "ncclRemoteError",
        ];
        if TIMEOUT.iter().any(|words| message.contains(words)) {
            Self::Timeout
        } else if LOST.iter().any(|words| message.contains(words)) {
            Self::LostPeer
        } else {
            Self::Other
        }
    }
}

/// Returns `; WHAT: rank 1`, `; WHAT: ranks 1, 3`, or nothing.
fn named(ranks: &[u32], what: &str) -> String {
    let list = ranks.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    match ranks {
        [] => String::new(),
        [_] => format!("; {what}: rank {list}"),
        _ => format!("; {what}: ranks {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_ranks() {
        let lost = Error::Collective {
            rank: 0,
            operation: "all_reduce".into(),
            cause: Cause::of("[pair.cc:1] Connection closed by peer [127.0.0.1]:1"),
            missing: vec![2],
            message: "m".into(),
        };
        assert_eq!(lost.to_string(), "rank 0: all_reduce failed: the connection to another rank broke: m; not heard of since: rank 2");
        assert_eq!(Cause::of("Timed out waiting 1000ms for recv operation to complete"), Cause::Timeout);
        assert_eq!(
            Cause::of("ncclRemoteError: A call failed possibly due to a network error or a remote process exiting"),
            Cause::LostPeer
        );
        assert_eq!(Cause::of("Watchdog caught collective operation timeout: WorkNCCL(SeqNum=2)"), Cause::Timeout);
        assert_eq!(Cause::of("invalid tensor type"), Cause::Other);
        assert_eq!(named(&[1, 3], "gone"), "; gone: ranks 1, 3");
    }
}
