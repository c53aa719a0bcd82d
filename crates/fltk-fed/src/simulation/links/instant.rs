//! Links that take no time.

use fltk_core::catalogue::Entry;

use super::Links;

/// Models arrive at once.
pub static LAW: Links = Links {
    entry: Entry::new("instant", "Links that take no time: only devices and availability delay answers."),
    read: None,
    link: |_| None,
};
