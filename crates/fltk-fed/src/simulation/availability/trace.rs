//! Clients that come and go as a file says.

use fltk_core::catalogue::{Entry, FilePath, Number, Range};

use super::{
    super::{Micros, draw::ASSIGN, table::Table},
    Availability, ClientDraw, Presence,
};

const PATH: FilePath = FilePath::required(
    "path",
    "A CSV file with the columns `device`, `from_s` and `to_s`: a row for each time in which a device is there, in seconds from the beginning. Devices are \
     numbered in any way; a device with several rows comes and goes. A column `period_s`, if there is one, says for each device after how many seconds its \
     times begin anew.",
);
const PERIOD: Number = Number::new("period_h", 0.0, "The hours after which the times of devices begin anew whose period the file doesn't say; 0 for the end of the file, the largest `to_s`.")
    .within(Range::between(0.0, 1e6));

/// A client is there in the times of one device of the file, again and again. The row of `assign` is the device, in ascending order of their numbers.
pub static LAW: Availability = Availability {
    entry: Entry::new("trace", "Clients that come and go as a file says, such as FedScale's (`python/fedscale_traces.py` converts it).")
        .paper("Lai et al., FedScale: benchmarking model and system performance of federated learning at scale, 2022, arXiv:2105.11367")
        .parameters(&[PATH.parameter(), PERIOD.parameter(), ASSIGN.parameter()]),
    read: Some(Table::spans),
    is_always: false,
    presence,
};

fn presence(client: &ClientDraw<'_>, at: Micros) -> Presence {
    let Table::Spans { devices, end } = client.table else { return Presence { is_there: false, until: None } };
    let Some(times) = devices.get(client.row(devices.len())) else { return Presence { is_there: false, until: None } };
    let period = match (times.period, Micros::from_millis(PERIOD.of(client.settings) * 3_600_000.0)) {
        (Some(period), _) => period.0.max(1),
        (None, Micros(0)) => end.0.max(1),
        (None, Micros(period)) => period,
    };
    let spans = &times.spans;
    // Times after the end of the period never come.
    let spans = || spans.iter().filter(|(from, _)| from.0 < period).map(|(from, to)| (from.0, to.0.min(period)));
    if spans().next().is_none() {
        return Presence { is_there: false, until: None };
    }
    if spans().eq([(0, period)]) {
        return Presence { is_there: true, until: None };
    }
    let (turn, within) = (at.0 / period, at.0 % period);
    let absolute = |turns: u64, within: u64| Some(Micros(turns.saturating_mul(period).saturating_add(within)).min(Micros::MAX));
    let first = spans().next().map_or(0, |(from, _)| from);
    match spans().find(|(_, to)| within < *to) {
        // Someone who is there until the end of the period, and from its beginning, doesn't leave in between.
        Some((from, to)) if within >= from && to == period && first == 0 => {
            Presence { is_there: true, until: absolute(turn + 1, spans().next().map_or(0, |(_, to)| to)) }
        }
        Some((from, to)) if within >= from => Presence { is_there: true, until: absolute(turn, to) },
        Some((from, _)) => Presence { is_there: false, until: absolute(turn, from) },
        None => Presence { is_there: false, until: absolute(turn + 1, first) },
    }
}
