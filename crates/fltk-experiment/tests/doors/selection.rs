//! A selection of a user's own, with a check of its parameters together.

use fltk_core::catalogue::{Choice, Entry, Misfit, SelectionEntry, Whole};

pub const FEWEST: Whole = Whole::new("fewest", 1, "The smallest number of rounds between two turns of a client.");
pub const MOST: Whole = Whole::required("most", "The largest number of rounds between two turns of a client.").within(1, 1000);

pub static ENTRY: SelectionEntry = SelectionEntry::new(
    Entry::new("in_turn", "Clients take turns.").parameters(const { &[FEWEST.parameter(), MOST.parameter()] }).check(check),
);

fn check(choice: &Choice) -> Result<(), Misfit> {
    let (fewest, most) = (FEWEST.of(choice), MOST.of(choice));
    if fewest <= most {
        return Ok(());
    }
    let message = format!("`fewest` is {fewest}, above `most`, which is {most}");
    Err(Misfit { parameter: FEWEST.name(), message, hint: format!("at most {most}, or raise `most`") })
}
