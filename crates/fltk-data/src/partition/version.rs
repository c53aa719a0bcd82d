//! The parameter `version` of partitioners that give clients fractions of classes, which have to be rounded to whole samples.
//!
//! - 1: each class is rounded on its own, in the order of clients. If a class has few samples for each of many clients, the same clients get
//!   more of every class.
//! - 2: the remainder of one class carries over to the next, so that each client's total is right, up to about one sample.

use fltk_core::{catalogue::Whole, seed::Purpose};

use super::{carry::Carry, error::PartitionError, partitioner::Request};

/// The parameter. The meaning of a file that leaves it open depends on who wrote the file.
pub(super) const VERSION: Whole = Whole::changed(
    "version",
    1,
    2,
    "The rounding of fractions of samples: `2` carries remainders over from class to class, `1` rounds each class on its own. If left out, \
     it is `2`; in records that fltk wrote before this setting existed, `1`.",
)
.within(1, 2);

/// Returns the carry from class to class; `None` if each class is rounded on its own. Its draws come from a stream of their own.
pub(super) fn carry(request: &Request<'_>) -> Result<Option<Carry>, PartitionError> {
    match VERSION.of(request.settings) {
        1 => Ok(None),
        2 => Ok(Some(Carry::new(request.clients as usize, &mut request.seed.stream(Purpose::Partition, &[1])))),
        other => Err(PartitionError::Parameter { name: VERSION.name(), value: f64::from(other), range: "1 or 2" }),
    }
}
