//! The place of this process among its ranks, as its launcher sets it in the environment: Kubeflow's operator, torchrun, Kubeflow Trainer v2, or `fltk run`.

use std::{
    net::{TcpListener, ToSocketAddrs as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use fltk::{
    exit::{Exit, OrExit as _, failure},
    work::Work,
};
use fltk_train::Device;
use torch_dist::{Checks, Error, GlooDevice, GroupOptions, Groups, TcpStore, TcpStoreOptions};

use super::{
    Stopped,
    master::{self, Listening},
};

/// The interval of lookups of a name that doesn't resolve yet: a pod's name appears within seconds of the pod.
const LOOKUP_EVERY: Duration = Duration::from_millis(500);

/// The time limit of one try to reach rank 0's store. Its name may resolve differently at the next try: a pod that is created again has another address.
const TRY: Duration = Duration::from_secs(10);

/// The wait until the next try while rank 0 isn't there: it takes seconds to restart.
const TRY_EVERY: Duration = Duration::from_millis(250);

/// The interval at which the stop flag is checked while waiting for the others.
const STOP_EVERY: Duration = Duration::from_millis(50);

/// The port of the master if only its host is given: PyTorch's default.
const MASTER_PORT: &str = "29500";

/// A process's place among the ranks of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The rank, from 0.
    pub rank: u32,
    /// The number of ranks of the job.
    pub size: u32,
    /// The host of rank 0.
    pub host: String,
    /// The port of rank 0.
    pub port: u16,
}

/// The network settings with which a rank reaches the others.
#[derive(Debug, Default)]
pub struct Network {
    /// The interfaces to use, as `GLOO_SOCKET_IFNAME` names them.
    pub socket_ifname: Option<String>,
    /// A listener on the store's port, which rank 0 serves, if the launcher opened one.
    pub listener: Option<TcpListener>,
    /// True if this process is in a pod of Kubernetes.
    pub in_pod: bool,
}

impl Place {
    /// Reads the place from the variables that `get` returns; without them, the process is alone. `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and
    /// `MASTER_PORT` take precedence; otherwise `PET_NNODES`, `PET_NODE_RANK`, `PET_NPROC_PER_NODE`, `PET_MASTER_ADDR` and `PET_MASTER_PORT` are
    /// read, which are all that Kubeflow Trainer v2 sets.
    ///
    /// # Errors
    /// If some variables are set but others are missing, or a value is invalid.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let place = if get("WORLD_SIZE").is_some() || get("RANK").is_some() {
            let (rank, size) = (number(&get, "RANK")?, number(&get, "WORLD_SIZE")?);
            Self::at(&get, rank, size, "MASTER_ADDR", "MASTER_PORT")?
        } else if get("PET_NNODES").is_some() {
            let processes = match get("PET_NPROC_PER_NODE").as_deref() {
                None | Some("auto" | "cpu" | "gpu") => 1,
                Some(_) => number(&get, "PET_NPROC_PER_NODE")?,
            };
            let node: u32 = number(&get, "PET_NODE_RANK")?;
            let local: u32 = match (processes, get("LOCAL_RANK")) {
                (1, _) => 0,
                (_, Some(_)) => number(&get, "LOCAL_RANK")?,
                (_, None) => {
                    let message = format!(
                        "PET_NPROC_PER_NODE is {processes}, and one `fltk client` is one rank\nhint: set `numProcPerNode: 1` and raise `numNodes`"
                    );
                    return Err(failure(Exit::General, message));
                }
            };
            let size = number::<u32>(&get, "PET_NNODES")?.saturating_mul(processes);
            Self::at(&get, node.saturating_mul(processes).saturating_add(local), size, "PET_MASTER_ADDR", "PET_MASTER_PORT")?
        } else {
            Self { rank: 0, size: 1, host: "127.0.0.1".to_owned(), port: 0 }
        };
        if place.rank >= place.size {
            return Err(failure(Exit::General, format!("there is no rank {} among {} ranks: ranks begin at 0", place.rank, place.size)));
        }
        Ok(place)
    }

    fn at(get: &dyn Fn(&str) -> Option<String>, rank: u32, size: u32, host: &str, port: &str) -> anyhow::Result<Self> {
        if size <= 1 {
            return Ok(Self { rank, size, host: "127.0.0.1".to_owned(), port: 0 });
        }
        let text = get(port).unwrap_or_else(|| MASTER_PORT.to_owned());
        let port_number = text.parse().map_err(|_| failure(Exit::General, format!("{port} is `{text}`, which isn't a port")))?;
        let Some(host) = get(host) else {
            return Err(failure(Exit::General, format!("{host} is not set\nhint: it names the host of rank 0")));
        };
        Ok(Self { rank, size, host, port: port_number })
    }

    /// Joins the other ranks; returns `None` for a process that is alone. Waits at most `timeout` for the master's name to resolve, as long again for the
    /// others, and as long until all are connected in each of the two groups, of which one is for tensors on `device`. A rank that comes back after it was lost waits, twice the `timeout` at most, until the master
    /// serves another store: the others are about to restart.
    ///
    /// # Errors
    /// If the others don't come, or the process was asked to stop.
    pub fn join(&self, timeout: Duration, network: Network, device: Device, stop: &AtomicBool) -> anyhow::Result<Option<Groups>> {
        if self.size == 1 {
            return Ok(None);
        }
        let _work = Work::wait(format!("rank {} waits for the others, {} in all", self.rank, self.size));
        self.wait_for_name(timeout, stop)?;
        // The groups are joined on a thread, which is left behind if this one is asked to stop: libtorch's waiting has a time limit, but can't be interrupted.
        let (send, joined) = channel();
        let place = self.clone();
        thread::spawn(move || send.send(place.meet(timeout, network, device)));
        loop {
            match joined.recv_timeout(STOP_EVERY) {
                Ok(joined) => return joined.map(Some),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failure(Exit::General, "the thread that joins the other ranks panicked"));
                }
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => return Err(Stopped.into()),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn meet(&self, timeout: Duration, network: Network, device: Device) -> anyhow::Result<Groups> {
        let interface = match GlooDevice::from_gloo_socket_ifname(network.socket_ifname.as_deref()).or_exit(Exit::General)? {
            // If all ranks are on this machine, its host name may still resolve to an address that is down.
            GlooDevice::HostName if ["127.0.0.1", "::1", "localhost"].contains(&self.host.as_str()) => {
                GlooDevice::Address(self.host.clone())
            }
            interface => interface,
        };
        let options = GroupOptions { timeout, device: interface, checks: Checks::EveryCall };
        if self.rank > 0 {
            return self.find(&options, device).or_exit(Exit::Ranks);
        }
        let store = TcpStoreOptions { is_server: true, num_workers: self.size, timeout };
        let listener = match network.listener {
            None => self.listen(network.in_pod)?,
            listener => listener,
        };
        let store = match listener {
            Some(listener) => TcpStore::on(listener, &store),
            None => TcpStore::new(&self.host, self.port, &store),
        };
        Groups::join(&Arc::new(store.or_exit(Exit::Ranks)?), self.rank, self.size, &options, device).or_exit(Exit::Ranks)
    }

    /// Joins at rank 0's store, or at the next one that rank 0 serves after a restart, if this store goes away. A store at which this rank has joined
    /// before belongs to ranks that are about to notice its loss, and to end. They may need a whole time-out for that, so this rank then gets one
    /// more time-out to meet them.
    fn find(&self, options: &GroupOptions, device: Device) -> Result<Groups, Error> {
        let began = Instant::now();
        let mut limit = options.timeout;
        loop {
            let left = || limit.saturating_sub(began.elapsed());
            let error = match self.reach(options.timeout, left().min(TRY)) {
                Ok(store) => match Groups::join(&store, self.rank, self.size, options, device) {
                    Err(error @ Error::JoinedBefore { .. }) => {
                        tracing::info!("rank {} has lost the other ranks: it waits for rank 0 to restart", self.rank);
                        limit = options.timeout * 2;
                        if !gone(&store, limit.saturating_sub(began.elapsed())) {
                            return Err(error);
                        }
                        error
                    }
                    Err(error @ Error::Join { .. }) if !gone(&store, Duration::ZERO) => return Err(error),
                    Err(error) => error,
                    joined => return joined,
                },
                Err(error) => error,
            };
            let may_pass = matches!(
                error,
                Error::Connect { .. } | Error::Store { .. } | Error::StoreTimeout { .. } | Error::JoinedBefore { .. } | Error::Join { .. }
            );
            let left = limit.saturating_sub(began.elapsed());
            if !may_pass || left.is_zero() {
                return Err(error);
            }
            thread::sleep(TRY_EVERY.min(left));
        }
    }

    /// Connects to rank 0's store within `limit`; later requests to it may take `timeout`.
    fn reach(&self, timeout: Duration, limit: Duration) -> Result<Arc<TcpStore>, Error> {
        let options = TcpStoreOptions { is_server: false, num_workers: self.size, timeout: limit };
        let mut store = TcpStore::new(&self.host, self.port, &options)?;
        store.set_timeout(timeout)?;
        Ok(Arc::new(store))
    }

    /// Listens for the others at rank 0's address; returns `None`, after a warning, if all addresses of this machine are needed.
    fn listen(&self, in_pod: bool) -> anyhow::Result<Option<TcpListener>> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs().map(Vec::from_iter);
        let addresses = addresses.map_err(|error| failure(Exit::Ranks, format!("`{}` has no address: {error}", self.host)))?;
        match master::listen(&self.host, &addresses, in_pod) {
            Ok(Listening::At(listener)) => Ok(Some(listener)),
            Ok(Listening::Everywhere(why)) => {
                tracing::warn!("{why}");
                Ok(None)
            }
            Err(error) => Err(Error::Listen { port: self.port, message: error.to_string() }).or_exit(Exit::Ranks),
        }
    }

    /// Waits until the master's name resolves: a pod's name may appear after the pods that look for it.
    fn wait_for_name(&self, timeout: Duration, stop: &AtomicBool) -> anyhow::Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let problem = match (self.host.as_str(), self.port).to_socket_addrs() {
                Ok(addresses) if addresses.len() > 0 => return Ok(()),
                Ok(_) => "it has no address".to_owned(),
                Err(error) => error.to_string(),
            };
            if stop.load(Ordering::Relaxed) {
                return Err(Stopped.into());
            }
            if Instant::now() >= deadline {
                let message = format!(
                    "rank {} waited {} s for the name `{}` of rank 0's host: {problem}\nhint: does rank 0 run? in Kubernetes its service gives the name",
                    self.rank,
                    timeout.as_secs(),
                    self.host
                );
                return Err(failure(Exit::Ranks, message));
            }
            thread::sleep(LOOKUP_EVERY);
        }
    }
}

/// True if `store` goes away within `limit`. The check is repeated: a machine that is gone is noticed only by a missing answer.
fn gone(store: &TcpStore, limit: Duration) -> bool {
    /// The time limit for one check.
    const ASK: Duration = Duration::from_secs(2);
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if store.is_gone_within(left.min(ASK)) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}

fn number<T: std::str::FromStr>(get: &dyn Fn(&str) -> Option<String>, name: &str) -> anyhow::Result<T> {
    let Some(text) = get(name) else { return Err(failure(Exit::General, format!("{name} is not set, though related variables are"))) };
    text.parse().map_err(|_| failure(Exit::General, format!("{name} is `{text}`, which isn't a valid number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<(u32, u32, String, u16), String> {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Place::read(get).map(|place| (place.rank, place.size, place.host, place.port)).map_err(|error| error.to_string())
    }

    #[test]
    fn places_are_read_from_kubeflow_and_torchrun() {
        let here = |rank, size, host: &str, port| Ok((rank, size, host.to_owned(), port));
        assert_eq!(read(&[]), here(0, 1, "127.0.0.1", 0));
        let operator = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "job-master-0"), ("MASTER_PORT", "23456")];
        assert_eq!(read(&operator), here(1, 2, "job-master-0", 23456));
        assert_eq!(read(&operator[..3]), here(1, 2, "job-master-0", 29500));
        assert_eq!(read(&[("RANK", "0"), ("WORLD_SIZE", "1")]), here(0, 1, "127.0.0.1", 0));
        let trainer = [
            ("PET_NNODES", "2"),
            ("PET_NODE_RANK", "1"),
            ("PET_NPROC_PER_NODE", "auto"),
            ("PET_MASTER_ADDR", "job-node-0-0.job"),
            ("PET_MASTER_PORT", "29400"),
        ];
        assert_eq!(read(&trainer), here(1, 2, "job-node-0-0.job", 29400));
        let several = [&trainer[..2], &[("PET_NPROC_PER_NODE", "4"), ("LOCAL_RANK", "3"), ("PET_MASTER_ADDR", "m")]].concat();
        assert_eq!(read(&several), here(7, 8, "m", 29500));
    }

    #[test]
    fn missing_or_impossible_settings_are_named() {
        let refused = |variables: &[(&str, &str)], words: &str| {
            let error = read(variables).expect_err("refused");
            assert!(error.contains(words), "{error}");
        };
        refused(&[("RANK", "1")], "WORLD_SIZE is not set");
        refused(&[("RANK", "x"), ("WORLD_SIZE", "2")], "RANK is `x`");
        refused(&[("RANK", "-1"), ("WORLD_SIZE", "2")], "RANK is `-1`");
        refused(&[("RANK", "2"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "m")], "there is no rank 2");
        refused(&[("RANK", "0"), ("WORLD_SIZE", "2")], "MASTER_ADDR is not set");
        refused(&[("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "m"), ("MASTER_PORT", "99999")], "isn't a port");
        refused(&[("PET_NNODES", "2"), ("PET_NODE_RANK", "0"), ("PET_NPROC_PER_NODE", "2")], "numProcPerNode");
    }

    /// A place among two ranks whose rank 0 serves at `port`.
    fn rank_1(port: u16) -> Place {
        Place { rank: 1, size: 2, host: "127.0.0.1".to_owned(), port }
    }

    fn old_store() -> TcpStore {
        let store = TcpStore::new("127.0.0.1", 0, &TcpStoreOptions { is_server: true, num_workers: 0, timeout: TIMEOUT }).unwrap();
        // The store looks as if a rank had joined already.
        store.add("torch_dist/present/0/1", 1).unwrap();
        store
    }

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Lets rank 1 come to an old store with this time-out, and ends that store so long after it came.
    fn comes_back(timeout: Duration, until_others_end: Duration) {
        let old = old_store();
        let port = old.port();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let back = scope.spawn(|| rank_1(port).join(timeout, Network::default(), Device::Cpu, &stop));
            let began = Instant::now();
            while old.add("torch_dist/present/0/1", 0).unwrap() < 2 {
                assert!(began.elapsed() < TIMEOUT, "it never came");
                thread::sleep(STOP_EVERY);
            }
            thread::sleep(until_others_end);
            assert!(!back.is_finished());
            drop(old);
            let rank_0 = Place { rank: 0, ..rank_1(port) };
            let _first = rank_0.join(TIMEOUT, Network::default(), Device::Cpu, &stop).unwrap().unwrap();
            assert_eq!(back.join().unwrap().unwrap().unwrap().rank(), 1);
        });
    }

    #[test]
    fn restarted_rank_waits_for_the_next_store() {
        comes_back(TIMEOUT, Duration::ZERO);
    }

    #[test]
    fn restarted_rank_waits_longer_than_the_detection_of_its_loss() {
        let timeout = Duration::from_secs(4);
        comes_back(timeout, timeout + Duration::from_secs(1));
    }

    #[test]
    fn duplicate_rank_does_not_wait_forever() {
        let old = old_store();
        let error =
            rank_1(old.port()).join(Duration::from_millis(300), Network::default(), Device::Cpu, &AtomicBool::new(false)).unwrap_err();
        assert!(error.to_string().contains("a rank 1 has joined at this store before"), "{error}");
        assert_eq!(fltk::exit::code(&error), Exit::Ranks);
    }
}
