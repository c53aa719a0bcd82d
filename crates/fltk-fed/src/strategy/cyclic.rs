//! Cyclic weight transfer: Chang et al., Distributed deep learning networks among institutions for medical imaging, 2018,
//! doi:10.1093/jamia/ocy017.

use fltk_core::catalogue::{Choice, Entry, Misfit, StrategyEntry};

use super::{Spec, fedavg};

/// The model goes from client to client: the global model after a round is that of the round's only client. It needs
/// the selection `cyclic`, by which the clients take turns in their order, or a file that says whose turn it is.
///
/// From w = 0, client 0 trains to 1, and client 1 from there to 3: the global models are 1 and 3, whatever samples they hold.
pub static SPEC: Spec = Spec::fold(
    StrategyEntry::new(
        Entry::new(
            "Cyclic",
            "The model goes from client to client, one in a round. It needs the selection `cyclic`, or a file that says whose turn it is.",
        )
        .paper("Chang et al., Distributed deep learning networks among institutions for medical imaging, 2018, doi:10.1093/jamia/ocy017"),
    )
    .cohort(check)
    .selection("cyclic"),
    fedavg::take,
    fedavg::finish,
);

fn check(_: &Choice, cohort: u32) -> Result<(), Misfit> {
    if cohort == 1 {
        return Ok(());
    }
    let message = format!("`Cyclic` trains one client in a round, and `clients_per_round` is {cohort}");
    Err(Misfit { parameter: "type", message, hint: "set `clients_per_round: 1`".to_owned() })
}
