//! Devices from a file.

use fltk_core::catalogue::{Entry, FilePath};

use super::{
    super::{draw::ASSIGN, table::Table},
    Devices, MS_MAX,
};

const PATH: FilePath = FilePath::required(
    "path",
    "A CSV file with the column `ms_per_sample`, one row for each device: the milliseconds for a step on one sample. Other columns are ignored, so the file \
     may be that of the links, too.",
);

/// The time for a sample is that of a row of the file.
pub static LAW: Devices = Devices {
    entry: Entry::new("trace", "Devices from a file, such as FedScale's (`python/fedscale_traces.py` converts it).")
        .paper("Lai et al., FedScale: benchmarking model and system performance of federated learning at scale, 2022, arXiv:2105.11367")
        .parameters(&[PATH.parameter(), ASSIGN.parameter()]),
    read: Some(|text| Table::rows(text, &[("ms_per_sample", 0.0, MS_MAX)], &[])),
    ms_per_sample: |client| client.table.row(client).first().copied().unwrap_or(0.0),
};
