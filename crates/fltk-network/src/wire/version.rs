//! The versions of the protocol, and which of them may talk to each other.

/// The versions that this program speaks, ascending.
///
/// | version | since fltk | may talk to |
/// |---|---|---|
/// | 1 | 0.1.0 | 1, unless the net is a module in Python |
/// | 2 | 0.1.0 | 1, 2: adds errands, for nets that are modules in Python, and evaluations by clients that have data of their own |
///
/// A version is added when a message means something else than before, or has to be understood that wasn't there. Fields that may be ignored need no new version. A
/// version is removed once no program that speaks it is in use.
pub const SPOKEN: &[u32] = &[1, 2];

/// The first version with errands.
pub const ERRANDS: u32 = 2;

/// Returns the newest version that both sides speak; `None` if there is none.
#[must_use]
pub fn common(other: &[u32]) -> Option<u32> {
    SPOKEN.iter().rev().copied().find(|version| other.contains(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_speak_the_newest_version_that_both_know() {
        for (other, expected) in
            [(&[1][..], Some(1)), (&[1, 2, 3], Some(2)), (&[], None), (&[0, 3], None), (&[3, 1, 1], Some(1)), (&[2], Some(2))]
        {
            assert_eq!(common(other), expected, "{other:?}");
        }
        assert!(SPOKEN.is_sorted() && SPOKEN.contains(&ERRANDS));
    }
}
