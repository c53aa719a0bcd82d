//! Clients that are always there.

use fltk_core::catalogue::Entry;

use super::{Availability, Presence};

/// Every client is always there.
pub static LAW: Availability = Availability {
    entry: Entry::new("always", "Clients that are always there."),
    read: None,
    is_always: true,
    presence: |_, _| Presence { is_there: true, until: None },
    cycle: |_| None,
};
