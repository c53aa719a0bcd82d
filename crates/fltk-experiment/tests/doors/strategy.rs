//! A strategy of a user's own, whose server has an optimizer: a choice within the choice.

use fltk_core::catalogue::{Choice, Entry, Misfit, Nested, Number, Numbers, Range, StrategyEntry, Switch, Tag};

pub const RATE: Number = Number::new("rate", 1.0, "Step size of the server.").within(Range::POSITIVE);
pub const BETAS: Numbers<2> = Numbers::new("betas", &[0.9, 0.99], "Decay rates of the two moments.").within(Range::BELOW_ONE);
static PLAIN: Entry = Entry::new("plain", "A plain step.").parameters(const { &[RATE.parameter()] });
static YOGI: Entry = Entry::new("yogi", "A step of Yogi.").parameters(const { &[RATE.parameter(), BETAS.parameter()] }).check(check_yogi);

pub const SERVER: Nested =
    Nested::required("server", Tag::Type, "server_optimizer", const { &[&PLAIN, &YOGI] }, "The optimizer of the server.");
pub const WEIGHTED: Switch = Switch::new("weighted", true, "True if clients count by their samples.");

pub static ENTRY: StrategyEntry = StrategyEntry::new(
    Entry::new("FedOpt", "The server takes a step along the mean of the clients' updates.")
        .paper("Reddi et al. 2021, arXiv:2003.00295")
        .parameters(const { &[SERVER.parameter(), WEIGHTED.parameter()] }),
);

fn check_yogi(choice: &Choice) -> Result<(), Misfit> {
    let rate = RATE.of(choice);
    if rate <= 2.0 {
        return Ok(());
    }
    let message = format!("`rate` is {rate}, too large for Yogi");
    Err(Misfit { parameter: "rate", message, hint: "at most 2".to_owned() })
}
