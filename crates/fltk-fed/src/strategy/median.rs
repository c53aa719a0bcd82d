//! The median of the clients' models: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018,
//! arXiv:1803.01498, definition 1.

use fltk_core::{
    catalogue::{Entry, StrategyEntry},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{Gathered, Gathering, Spec, robust};

/// The median of the clients' models, coordinate by coordinate. That of an even number of clients is the mean of the middle two.
///
/// With clients at (1, 10), (2, 30) and (9, 20) it is (2, 20); with a fourth at (4, 0) it is (3, 15).
pub static SPEC: Spec = Spec::robust(
    StrategyEntry::new(
        Entry::new("Median", "The median of the clients' models, coordinate by coordinate; robust.")
            .paper("Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018, arXiv:1803.01498"),
    ),
    finish,
);

fn finish(round: &Gathering<'_>, gathered: Gathered, _: &mut ServerState) -> Result<ModelState, WrongLength> {
    let parameters = robust::by_coordinate(round, &gathered.updates, robust::median);
    Ok(robust::model(round, &gathered.updates, parameters))
}

#[cfg(test)]
mod tests {
    use fltk_core::catalogue::Choice;

    use super::*;
    use crate::strategy::by_hand::{Run, client};

    #[test]
    fn middle_two_are_averaged_and_samples_do_not_weigh() {
        let mut run = Run::new(&SPEC, Choice::new("Median"), &[0.0, 0.0]);
        let mut answers =
            vec![client(&[1.0, 10.0]).buffer(4.0), client(&[2.0, 30.0]).buffer(1e30).samples(1 << 52), client(&[9.0, 20.0]).buffer(2.0)];
        assert_eq!((run.round(&answers), run.buffer()), (vec![2.0, 20.0], 4.0));
        answers.push(client(&[4.0, 0.0]).buffer(3.0));
        assert_eq!((run.round(&answers), run.buffer()), (vec![3.0, 15.0], 3.5));
    }
}
