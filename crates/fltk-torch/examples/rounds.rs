//! Measures what a federated round costs beyond its training, and prints one line of JSON: milliseconds of processor time a round.
//!
//! 100 clients answer in a microsecond each; what is left is orders, answers, the mean of the models, the test, and the journal with its sync.

use std::{
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicBool},
};

use fltk_core::{event::RunEvent, experiment::FederatedConfig, schedule::LearningRates, seed::Seed};
use fltk_fed::{
    dummy::Dummy,
    round::{Federation, Record, Setup},
    transport::in_process,
};
use fltk_records::journal::Journal;
use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: u32 = 300;
const COHORT: u32 = 100;

fn main() -> anyhow::Result<()> {
    let dummy = Dummy::new(Seed(42), 8, vec![3; COHORT as usize]);
    let rates = LearningRates { initial: 0.1, scheduler: None };
    let setup = Setup::new(FederatedConfig::new(COHORT, COHORT, ROUNDS), rates, Seed(42), dummy.samples.clone(), ROUNDS)?;
    let federation = Federation::new(setup, Arc::new(dummy.initial()))?;
    let folder = tempfile::tempdir()?;
    let mut records = Records { journal: Journal::create(&folder.path().join("journal.jsonl"))?, pending: Vec::new() };
    let before = processor_seconds();
    in_process::run(
        federation,
        NonZeroUsize::MIN,
        &|_worker| Ok(Box::new(&dummy)),
        Box::new(&dummy),
        &AtomicBool::new(false),
        &mut |record| Ok(records.take(record)?),
    )?;
    let round_ms = (processor_seconds() - before) * 1e3 / f64::from(ROUNDS);
    println!("{}", serde_json::json!({ "clients": COHORT, "rounds": ROUNDS, "round_ms": round_ms }));
    Ok(())
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "the time of a short process")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
    seconds
}

/// The journal of a run, written as `fltk run` does: a round costs one sync.
struct Records {
    journal: Journal<RunEvent>,
    pending: Vec<RunEvent>,
}

impl Records {
    fn take(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::ClientTrained(client) => self.pending.push(client.into()),
            Record::RoundEnded(round) => {
                self.pending.push(round.into());
                self.journal.append_all(&self.pending, Timestamp::now())?;
                self.pending.clear();
            }
            _ => {}
        }
        Ok(())
    }
}
