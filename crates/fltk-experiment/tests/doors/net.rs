//! A net of a user's own.

use fltk_core::catalogue::{Entry, NetEntry, Number, Range, SampleKind, Whole};

pub const WIDTH: Whole = Whole::new("width", 64, "Width of the hidden layer.").within(1, 4096);
pub const DROPOUT: Number = Number::new("dropout", 0.0, "Dropout after the hidden layer.").within(Range::BELOW_ONE);

pub static ENTRY: NetEntry = NetEntry::new(
    Entry::new("Perceptron", "One hidden layer.").paper("Rosenblatt 1958").parameters(const { &[WIDTH.parameter(), DROPOUT.parameter()] }),
    SampleKind::images(1, 28, 10),
);
