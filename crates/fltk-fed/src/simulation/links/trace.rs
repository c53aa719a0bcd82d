//! Links from a file.

use fltk_core::catalogue::{Entry, FilePath};

use super::{
    super::{draw::ASSIGN, table::Table},
    LATENCY_MAX, Link, Links, RATE_MAX, RATE_MIN,
};

const PATH: FilePath = FilePath::required(
    "path",
    "A CSV file with the columns `up_mbit` and `down_mbit`, rates in Mbit/s, and perhaps `latency_ms`, one row for each link. Other columns are ignored, so \
     the file may be that of the devices, too.",
);

/// The rates and the latency are those of a row of the file.
pub static LAW: Links = Links {
    entry: Entry::new("trace", "Links from a file, such as FedScale's (`python/fedscale_traces.py` converts it).")
        .paper("Lai et al., FedScale: benchmarking model and system performance of federated learning at scale, 2022, arXiv:2105.11367")
        .parameters(&[PATH.parameter(), ASSIGN.parameter()]),
    read: Some(|text| {
        Table::rows(text, &[("up_mbit", RATE_MIN, RATE_MAX), ("down_mbit", RATE_MIN, RATE_MAX)], &[("latency_ms", 0.0, LATENCY_MAX)])
    }),
    link: |client| {
        let [up_mbit, down_mbit, latency_ms] = *client.table.row(client).as_chunks::<3>().0.first()?;
        Some(Link { up_mbit, down_mbit, latency_ms })
    },
};
