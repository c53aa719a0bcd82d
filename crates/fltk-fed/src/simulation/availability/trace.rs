//! Clients that come and go as a file says.

use fltk_core::catalogue::{Entry, FilePath, Number, Range};

use super::{
    super::{Micros, draw::ASSIGN, table::Table},
    Availability, ClientDraw, Cycle, Presence,
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
    cycle,
};

/// Returns the times in which a client is there, ascending, and the period after which they begin anew; `None` if there are none.
fn times<'a>(client: &ClientDraw<'a>) -> Option<(&'a [(Micros, Micros)], u64)> {
    let Table::Spans { devices, end } = client.table else { return None };
    let times = devices.get(client.row(devices.len()))?;
    let period = match (times.period, Micros::from_millis(PERIOD.of(client.settings) * 3_600_000.0)) {
        (Some(period), _) => period.0.max(1),
        (None, Micros(0)) => end.0.max(1),
        (None, Micros(period)) => period,
    };
    // Times after the end of the period never come.
    let num = times.spans.partition_point(|(from, _)| from.0 < period);
    (num > 0).then_some((&times.spans[..num], period))
}

fn cycle(client: &ClientDraw<'_>) -> Option<Cycle> {
    let (spans, period) = times(client)?;
    Some(Cycle { period: Micros(period), there: Micros(spans.iter().map(|(from, to)| to.0.min(period) - from.0).sum()) })
}

fn presence(client: &ClientDraw<'_>, at: Micros) -> Presence {
    let never = Presence { is_there: false, until: None };
    let Some((spans, period)) = times(client) else { return never };
    let (Some((first, first_end)), Some((_, last_end))) = (spans.first(), spans.last()) else { return never };
    // Someone who is there from the beginning of the period to its end never leaves.
    if first.0 == 0 && first_end.0 >= period {
        return Presence { is_there: true, until: None };
    }
    let (turn, within) = (at.0 / period, at.0 % period);
    let absolute = |turns: u64, within: u64| Some(Micros(turns.saturating_mul(period).saturating_add(within)).min(Micros::MAX));
    match spans.get(spans.partition_point(|(_, to)| to.0 <= within)) {
        Some((from, to)) if within >= from.0 => {
            // Nor does someone leave at the end who is there from the beginning.
            let goes_on = to.0 >= period && last_end.0 >= period && first.0 == 0;
            Presence { is_there: true, until: if goes_on { absolute(turn + 1, first_end.0) } else { absolute(turn, to.0.min(period)) } }
        }
        Some((from, _)) => Presence { is_there: false, until: absolute(turn, from.0) },
        None => Presence { is_there: false, until: absolute(turn + 1, first.0) },
    }
}
