//! A partitioner of a user's own.

use fltk_core::catalogue::{ClientCount, Entry, Number, PartitionerEntry, Range, Whole};

pub const SHARE: Number =
    Number::required("share", "The part of a client's samples that is of its own class.").within(Range::between(0.0, 1.0));
pub const ROUNDING: Whole = Whole::changed("rounding", 1, 2, "`2` carries remainders over, `1` rounds each class on its own.").within(1, 2);

pub static ENTRY: PartitionerEntry = PartitionerEntry {
    clients: ClientCount::MultipleOfClasses,
    ..PartitionerEntry::by_label(
        Entry::new("home_class", "Every client has a class of its own, and some of the others.")
            .parameters(const { &[SHARE.parameter(), ROUNDING.parameter()] }),
    )
};
