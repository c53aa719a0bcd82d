//! Groups over NCCL where there is no GPU: an error, and no end of the process. What they do on GPUs is untested.

#![cfg(feature = "nccl")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{sync::Arc, time::Duration};

use torch_dist::{Checks, Error, NcclOptions, ProcessGroup, TcpStore, TcpStoreOptions};

#[test]
fn a_gpu_that_is_not_there_is_an_error() {
    let timeout = Duration::from_secs(5);
    let store = Arc::new(TcpStore::new("127.0.0.1", 0, &TcpStoreOptions { is_server: true, num_workers: 0, timeout }).unwrap());
    let device = tch::Cuda::device_count().unsigned_abs() as usize;
    let error = ProcessGroup::nccl(&store, 0, 1, &NcclOptions { timeout, device, checks: Checks::EveryCall }).unwrap_err();
    assert!(matches!(&error, Error::Join { message, .. } if message.contains("there is no GPU")), "{error}");
}
