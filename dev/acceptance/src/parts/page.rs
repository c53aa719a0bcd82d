//! The page of `fltk serve` in a real browser.

mod charts;
pub mod fixtures;
pub mod large;
mod list;
mod live;
mod safety;
mod saved;
mod shape;
pub mod visit;

use std::time::Instant;

use anyhow::Context as _;

use self::fixtures::Fixtures;
use crate::{browser::Browser, checkout::Checkout, outcome::Outcome};

/// Runs all tests: one that fails is no reason to leave out the next.
pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let fixtures = Fixtures::new(checkout)?;
    let browser = Browser::start()?;
    let few = fixtures.serve(&fixtures.few()?, &[])?;
    let many = fixtures.serve(&fixtures.many()?, &[])?;
    let tests: [(&str, &dyn Fn() -> anyhow::Result<()>); 10] = [
        ("charts and tables", &|| charts::check(&browser, &few)),
        ("the list", &|| list::check(&browser, &many)),
        ("the keyboard", &|| list::check_keyboard(&browser, &few)),
        ("widths and colors", &|| shape::check(&browser, &few)),
        ("many records", &|| large::check(&browser, &many)),
        ("saved charts", &|| saved::check(&browser, &few)),
        ("hostile names", &|| safety::check_names(&fixtures, &browser)),
        ("tokens", &|| safety::check_token(&fixtures, &browser)),
        ("other sites", &|| safety::check_other_sites(&browser, &few)),
        ("a run that trains", &|| live::check(&fixtures, &browser)),
    ];
    let mut failed = Vec::new();
    for (name, test) in tests {
        let began = Instant::now();
        let outcome = test().with_context(|| name.to_owned());
        eprintln!("--- {name}: {:.1} s", began.elapsed().as_secs_f64());
        if let Err(error) = outcome {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    anyhow::ensure!(failed.is_empty(), "these failed: {}", failed.join(", "));
    Ok(Outcome::Passed(format!("{} tests", tests.len())))
}
