//! Tests of runs on a virtual clock: times by hand, the same records for any number of workers, and the same bits after an interruption anywhere.

mod support;

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, sync::atomic::AtomicBool};

use fltk_core::{
    attendance::Absence,
    catalogue::Choice,
    experiment::{Clock, CrashConfig, Duration, FaultsConfig, FederatedConfig, ParticipationConfig, SimulationConfig},
    ids::{ClientId, Round},
    metrics::Evaluation,
    model_state::ModelState,
    server_state::ServerState,
};
use fltk_fed::{
    BoxError,
    client::Evaluator,
    drive::RunError,
    dummy::Dummy,
    round::{Failure, Federation, Record, Setup, SetupError},
    simulation::{Fleet, TraceFile},
    transport::in_process,
};

use support::{SEED, bits, config, dummy, final_state, setup};

/// The dummy's model has 19 numbers of 4 bytes and a counter of 8 bytes, so 80 bytes: 0.64 ms at 1 Mbit/s.
fn simulation(devices: Choice, network: Choice, availability: Choice) -> SimulationConfig {
    SimulationConfig { clock: Clock::Virtual, devices, network, availability, server: Duration::from_millis(0), impose_links: false }
}

fn constant(ms_per_sample: f64) -> Choice {
    Choice::new("constant").with("ms_per_sample", ms_per_sample)
}

fn fleet(simulation: &SimulationConfig, files: &[(&'static str, &str)]) -> Fleet {
    let files: BTreeMap<_, _> = files.iter().map(|(block, text)| (*block, TraceFile { name: "trace.csv", text })).collect();
    Fleet::new(simulation, &files, SEED, 8).expect("the settings are possible")
}

/// Runs from the start, or from the last checkpoint in `records`, until so many records were made.
fn run(
    (config, fleet, dummy): (&FederatedConfig, &Fleet, &Dummy),
    workers: usize,
    begun: &[Record],
    stop_at: usize,
) -> (Vec<Record>, Result<(), RunError>) {
    let checkpoint = begun.iter().rev().find_map(|record| match record {
        Record::Checkpoint { round, state, server, .. } => Some((*round, Arc::clone(state), server.as_ref().clone())),
        _ => None,
    });
    let (round, state, server) = checkpoint.unwrap_or_else(|| (Round(0), Arc::new(dummy.initial()), ServerState::default()));
    let setup = setup(config, dummy).with_fleet(fleet.clone());
    let federation = Federation::resume(setup, round, state, server).expect("a checkpoint is sound");
    let mut records = Vec::new();
    let outcome = in_process::run(
        federation,
        NonZeroUsize::new(workers).expect("there are workers"),
        &|_| Ok(Box::new(dummy)),
        Box::new(dummy),
        &AtomicBool::new(false),
        &mut |record| {
            let mut record = record.clone();
            match &mut record {
                Record::ClientTrained(record) => record.seconds = 0.0,
                Record::RoundEnded(record) => (record.train_seconds, record.test_seconds) = (0.0, 0.0),
                _ => {}
            }
            records.push(record);
            if records.len() == stop_at { Err("killed".into()) } else { Ok(()) }
        },
    );
    (records, outcome.map(drop))
}

/// The whole run with three workers; with one and with five it has the same records of clients and of rounds, in these orders.
fn whole(run_of: (&FederatedConfig, &Fleet, &Dummy)) -> Vec<Record> {
    let (records, outcome) = run(run_of, 3, &[], usize::MAX);
    outcome.expect("it finishes");
    for workers in [1, 5] {
        assert_eq!(support::by_kind(&run(run_of, workers, &[], usize::MAX).0), support::by_kind(&records), "{workers} workers");
    }
    records
}

/// Kills the run at every record, and lets it go on with another number of workers.
fn check_killed_at_every_record(run_of: (&FederatedConfig, &Fleet, &Dummy)) -> Vec<Record> {
    let whole = whole(run_of);
    let (clients, rounds) = support::by_kind(&whole);
    for stop_at in 1..whole.len() {
        let (begun, outcome) = run(run_of, 3, &[], stop_at);
        assert!(matches!(outcome, Err(RunError::Observer(_))));
        let (resumed, outcome) = run(run_of, 2, &begun, usize::MAX);
        outcome.expect("it finishes");
        assert_eq!(bits(final_state(&resumed)), bits(final_state(&whole)), "killed after {stop_at} records");
        let (clients_again, rounds_again) = support::by_kind(&resumed);
        assert_eq!(clients_again[..], clients[clients.len() - clients_again.len()..], "killed after {stop_at} records");
        let ended =
            |records: &[Record]| records.iter().filter(|record| matches!(record, Record::RoundEnded(_))).cloned().collect::<Vec<_>>();
        let (again, before) = (ended(&rounds_again), ended(&rounds));
        assert_eq!(again[..], before[before.len() - again.len()..], "killed after {stop_at} records");
    }
    whole
}

fn counted(records: &[Record]) -> BTreeMap<(u32, u32), f64> {
    let time = |record: &Record| match record {
        Record::ClientTrained(record) => Some(((record.round.0, record.client.0), record.virtual_seconds?)),
        _ => None,
    };
    records.iter().filter_map(time).collect()
}

fn ends(records: &[Record]) -> Vec<f64> {
    records.iter().filter_map(|record| if let Record::RoundEnded(record) = record { record.virtual_seconds } else { None }).collect()
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-5
}

/// Two clients with 100 and 300 samples, 2 ms a sample, links of 1 Mbit/s and 10 ms: 10.64 ms for the model to come and to go. Client 0 answers after
/// 200 + 21.28 ms, client 1 after 621.28 ms; the server takes 50 ms, so a round takes 671.28 ms.
#[test]
fn times_are_those_of_the_way_there_the_training_and_the_way_back() {
    let mut dummy = dummy(2);
    dummy.samples = vec![100, 300];
    let link = Choice::new("constant").with("up_mbit", 1.0).with("down_mbit", 1.0).with("latency_ms", 10.0);
    let simulation = SimulationConfig { server: Duration::from_millis(50), ..simulation(constant(2.0), link, Choice::new("always")) };
    let config = FederatedConfig::new(2, 2, 3);
    let records = whole((&config, &fleet(&simulation, &[]), &dummy));
    let (times, ends) = (counted(&records), ends(&records));
    for round in 0..3_u32 {
        let began = f64::from(round) * 0.671_28;
        assert!(close(times[&(round + 1, 0)], began + 0.221_28), "{times:?}");
        assert!(close(times[&(round + 1, 1)], began + 0.621_28), "{times:?}");
        assert!(close(ends[round as usize + 1], began + 0.671_28), "{ends:?}");
    }
    // Of steps on batches of 8 it is the steps that count.
    let config = FederatedConfig { epochs_per_round: None, steps_per_round: Some(5), ..config };
    let records = whole((&config, &fleet(&simulation, &[]), &dummy));
    assert!(counted(&records).into_iter().filter(|((round, _), _)| *round == 1).all(|(_, at)| close(at, 0.080 + 0.021_28)));
}

/// 1 ms a sample, so a client needs as many milliseconds as it has samples: those with more than 400 are late, and one with 400 is in time.
#[test]
fn deadlines_are_those_of_the_virtual_clock() {
    let mut dummy = dummy(12);
    dummy.samples = (0..12).map(|client| if client % 3 == 0 { 400 } else { 100 * (client + 1) }).collect();
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: Some(Duration::from_millis(400)), over_select: 0.0 });
    let config = FederatedConfig { participation, ..config() };
    let simulation = simulation(constant(1.0), Choice::new("instant"), Choice::new("always"));
    let records = check_killed_at_every_record((&config, &fleet(&simulation, &[]), &dummy));
    let mut num_late = 0;
    for record in &records {
        match record {
            Record::ClientTrained(record) => assert!(dummy.samples[record.client.0 as usize] <= 400, "{record:?}"),
            Record::ClientAbsent(record) => {
                assert!(record.absence == Absence::Late && dummy.samples[record.client.0 as usize] > 400, "{record:?}");
                num_late += 1;
            }
            _ => {}
        }
    }
    assert!(num_late > 3);
    // Rounds with late clients last until the deadline.
    assert!(
        ends(&records).windows(2).all(|ends| ends[1] - ends[0] <= 0.4 + 1e-9)
            && ends(&records).windows(2).any(|ends| close(ends[1] - ends[0], 0.4))
    );
}

#[test]
fn of_the_over_selected_the_first_answers_count() {
    let dummy = dummy(12);
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: None, over_select: 0.6 });
    let config = FederatedConfig { participation, ..config() };
    let lognormal = Choice::new("lognormal").with("median_ms", 3.0).with("sigma", 1.5);
    let fleet = fleet(&simulation(lognormal, Choice::new("instant"), Choice::new("always")), &[]);
    let records = check_killed_at_every_record((&config, &fleet, &dummy));
    for round in 1..=6 {
        let duration = |client: ClientId| fleet.ms_per_sample(client) * dummy.samples[client.0 as usize] as f64;
        let (mut counted, mut surplus) = (Vec::new(), Vec::new());
        for record in &records {
            match record {
                Record::ClientTrained(record) if record.round == Round(round) => counted.push(duration(record.client)),
                Record::ClientAbsent(record) if record.round == Round(round) => {
                    assert_eq!(record.absence, Absence::Surplus);
                    surplus.push(duration(record.client));
                }
                _ => {}
            }
        }
        assert_eq!((counted.len(), surplus.len()), (5, 3));
        let slowest = counted.into_iter().fold(0.0, f64::max);
        assert!(surplus.into_iter().all(|duration| duration >= slowest - 1e-3));
    }
}

/// Clients 0 to 3 are there in the first 10 s of each minute, and the others in the 10 s from 30 s on. A round of 4 needs four of them; one client
/// needs 8 s for its samples, so two rounds never fit into 10 s, and the second goes on where the first left off.
#[test]
fn work_goes_on_only_while_a_client_is_there() {
    let mut dummy = dummy(12);
    dummy.samples = vec![8000; 12];
    let mut text = "device,from_s,to_s\n".to_owned();
    for client in 0..12 {
        let from = if client < 4 { 0 } else { 30 };
        text.push_str(&format!("{client},{from},{}\n", from + 10));
    }
    // Someone else's device makes the file a minute long.
    text.push_str("99,59,60\n");
    let availability = Choice::new("trace").with("path", "trace.csv");
    let simulation = simulation(constant(1.0), Choice::new("instant"), availability);
    let config = FederatedConfig { clients_per_round: 4, rounds: 4, ..config() };
    let fleet = fleet(&simulation, &[("availability", &text)]);
    let records = check_killed_at_every_record((&config, &fleet, &dummy));
    let cohort = |round| counted(&records).into_keys().filter(|(of, _)| *of == round).map(|(_, client)| client).collect::<Vec<_>>();
    assert_eq!(cohort(1), [0, 1, 2, 3]);
    // The first round ends at 8 s. The same clients begin the second, leave at 10 s and come back at 60 s: 2 s are done then, and 6 s are left.
    assert_eq!(cohort(2), [0, 1, 2, 3]);
    let ends = ends(&records);
    assert!(close(ends[1], 8.0) && close(ends[2], 66.0), "{ends:?}");
    // At 66 s the same are there: 4 s until they leave, and 4 s from 120 s on. At 124 s again: 6 s, and 2 s from 180 s on.
    assert!(close(ends[3], 124.0) && close(ends[4], 182.0), "{ends:?}");
    // With 5 a round, it waits for the others, of whom there are 8.
    let config = FederatedConfig { clients_per_round: 5, rounds: 1, ..config };
    let records = whole((&config, &fleet, &dummy));
    assert!(close(self::ends(&records)[1], 38.0) && cohort_of(&records).iter().all(|client| *client >= 4), "{records:?}");
    // Nine are never there at once.
    let config = FederatedConfig { clients_per_round: 9, ..config };
    let (_, outcome) = run((&config, &fleet, &dummy), 1, &[], usize::MAX);
    assert!(matches!(outcome, Err(RunError::Failed(Failure::NeverThere { needed: 9, num_clients: 12, .. }))), "{outcome:?}");
}

fn cohort_of(records: &[Record]) -> Vec<u32> {
    counted(records).into_keys().map(|(_, client)| client).collect()
}

#[test]
fn candidates_measure_on_the_virtual_clock_too() {
    let mut dummy = dummy(12);
    dummy.samples = (0..12).map(|client| if client % 4 == 1 { 900 } else { 20 * client + 10 }).collect();
    let selection = Choice::new("power_of_choice").with("candidates", 6).with("losses", "current");
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: Some(Duration::from_millis(250)), over_select: 0.0 });
    let config = FederatedConfig { clients_per_round: 3, selection, participation, ..config() };
    let fleet = fleet(&simulation(constant(1.0), Choice::new("instant"), Choice::new("diurnal").with("share", 0.9)), &[]);
    let records = check_killed_at_every_record((&config, &fleet, &dummy));
    // A third of the time of a step: candidates with more than 750 samples have no loss in time.
    for record in &records {
        match record {
            Record::ClientAbsent(record) if record.absence == Absence::Unmeasured => assert!(dummy.samples[record.client.0 as usize] > 750),
            Record::ClientTrained(record) => assert!(dummy.samples[record.client.0 as usize] <= 250),
            _ => {}
        }
    }
}

/// Tiers and durations are those of devices, not of samples.
#[test]
fn selections_by_speed_go_by_the_virtual_clock() {
    let mut dummy = dummy(12);
    dummy.samples = (0..12).map(|client| 100 + client).collect();
    // The more samples a client has the faster it is.
    let text = (0..12).fold("ms_per_sample\n".to_owned(), |text, client| format!("{text}{}\n", 20 - client));
    let devices = Choice::new("trace").with("path", "devices.csv");
    let fleet = fleet(&simulation(devices, Choice::new("instant"), Choice::new("always")), &[("devices", &text)]);
    let selection = Choice::new("tifl").with("tiers", 3).with("tier_weights", vec![1, 0, 0]);
    let config = FederatedConfig { clients_per_round: 3, selection, ..config() };
    let records = whole((&config, &fleet, &dummy));
    assert!(cohort_of(&records).iter().all(|client| *client >= 8), "{:?}", cohort_of(&records));
    let selection = Choice::new("oort").with("pacer_step", 1).with("window", 3);
    let config = FederatedConfig { selection, ..config };
    let records = check_killed_at_every_record((&config, &fleet, &dummy));
    let server = records.iter().rev().find_map(|record| if let Record::Checkpoint { server, .. } = record { Some(server) } else { None });
    let times = &server.expect("the last round has one").arrays["selection.steps"];
    let expected = |client: u32| f64::from((100 + client) * (20 - client)) / 1000.0;
    assert!((0..).zip(times).filter(|(_, time)| **time > 0.0).all(|(client, time)| close(*time, expected(client))), "{times:?}");
}

/// A client that measured a loss may be selected, although others have come and gone since; and a tier is drawn that has enough clients there.
#[test]
fn selections_work_where_clients_come_and_go() {
    let mut dummy = dummy(40);
    dummy.samples = (0..40).map(|client| 300 + 10 * client).collect();
    // A day of 4 s.
    let diurnal = Choice::new("diurnal").with("period_h", 0.001_111).with("share", 0.6).with("spread", 0.2);
    let fleet = fleet(&simulation(constant(3.0), Choice::new("instant"), diurnal), &[]);
    for selection in [
        Choice::new("power_of_choice").with("candidates", 8).with("losses", "current"),
        Choice::new("tifl").with("tiers", 5),
        Choice::new("oort").with("pacer_step", 1),
    ] {
        let base = FederatedConfig::new(40, 4, 9);
        let config = FederatedConfig { selection, ..base };
        let records = check_killed_at_every_record((&config, &fleet, &dummy));
        let of = |round| counted(&records).into_keys().filter(|(of, _)| *of == round).count();
        assert!((1..=9).all(|round| of(round) == 4), "{:?}", config.selection);
        let different: std::collections::BTreeSet<u32> = cohort_of(&records).into_iter().collect();
        assert!(different.len() > 8, "{different:?}");
    }
    // So many have to be there for a round as are selected in addition.
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: None, over_select: 1.0 });
    let config = FederatedConfig { participation, ..FederatedConfig::new(40, 8, 3) };
    let records = whole((&config, &fleet, &dummy));
    let surplus = records.iter().filter(|record| matches!(record, Record::ClientAbsent(absent) if absent.absence == Absence::Surplus));
    assert_eq!(surplus.count(), 3 * 8);
}

#[test]
fn a_client_that_leaves_for_good_fails() {
    let dummy = dummy(12);
    let text = "device,from_s,to_s\n0,0,0.001\n1,0,100000\n";
    let availability = Choice::new("trace").with("path", "trace.csv").with("period_h", 100_000.0);
    let fleet = fleet(&simulation(constant(1.0), Choice::new("instant"), availability), &[("availability", text)]);
    let config = FederatedConfig { clients_per_round: 12, rounds: 1, ..config() };
    let (_, outcome) = run((&config, &fleet, &dummy), 2, &[], usize::MAX);
    // It would come back for a millisecond every 11 years.
    assert!(
        matches!(&outcome, Err(RunError::Failed(Failure::Client { client: ClientId(0), reason, .. })) if reason.contains("never comes back"))
    );
}

/// Three clients with 1 s, 2 s and 5 s of training, all of whom work all the time; a model after every two updates. Client 0 answers at 1 s and client 1
/// at 2 s: the first model. A client counts in a round once, so client 0 has waited from 1 s on; both begin anew. Client 0 answers at 3 s and client 1 at 4 s: the
/// second one. Client 2 answers at 5 s, two models after it began, and so does client 0: the third one.
#[test]
fn a_buffer_is_filled_by_whoever_answers() {
    let mut dummy = dummy(3);
    dummy.samples = vec![1000, 2000, 5000];
    let strategy = Choice::new("FedBuff").with("buffer_size", 2);
    let config = FederatedConfig { strategy, evaluate_every: 1, ..FederatedConfig::new(3, 3, 4) };
    let fleet = fleet(&simulation(constant(1.0), Choice::new("instant"), Choice::new("always")), &[]);
    let records = check_killed_at_every_record((&config, &fleet, &dummy));
    let parts: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::ClientTrained(record) => Some((record.round.0, record.client.0, record.staleness?, record.virtual_seconds?)),
            _ => None,
        })
        .collect();
    assert_eq!(parts[..6], [(1, 0, 0, 1.0), (1, 1, 0, 2.0), (2, 0, 0, 3.0), (2, 1, 0, 4.0), (3, 2, 2, 5.0), (3, 0, 0, 5.0)]);
    assert_eq!(ends(&records)[..4], [0.0, 2.0, 4.0, 5.0]);
}

/// Asynchronous runs with devices of all kinds, clients that come and go, drop out, crash or send their opposite, and more models than may wait for an
/// evaluation.
#[test]
fn asynchronous_runs_killed_at_any_record_end_with_the_same_bits() {
    let mut dummy = dummy(12);
    dummy.samples = (0..12).map(|client| 500 + 100 * (client % 3)).collect();
    let crash = Some(CrashConfig { fraction: 0.2, first_round: 3, last_round: None });
    let attack = Some(Choice::new("sign_flip").with("fraction", 0.2));
    let faults = Some(FaultsConfig { drop_out: 0.2, crash, attack });
    let lognormal = Choice::new("lognormal").with("median_ms", 4.0).with("sigma", 1.0);
    let diurnal = Choice::new("diurnal").with("period_h", 0.005).with("share", 0.6).with("spread", 0.3);
    for strategy in [Choice::new("FedBuff").with("buffer_size", 3), Choice::new("FedAsync").with("staleness", "hinge").with("mu", 0.1)] {
        let config = FederatedConfig { rounds: 14, faults: faults.clone(), strategy, evaluate_every: 1, ..config() };
        // The server takes longer than the time between two answers.
        let server = Duration::from_millis(1500);
        let fleet = fleet(&SimulationConfig { server, ..simulation(lognormal.clone(), Choice::new("instant"), diurnal.clone()) }, &[]);
        let records = check_killed_at_every_record((&config, &fleet, &dummy));
        let staleness: Vec<u32> =
            records.iter().filter_map(|record| if let Record::ClientTrained(record) = record { record.staleness } else { None }).collect();
        assert!(staleness.iter().any(|staleness| *staleness > 1) && staleness.contains(&0), "{staleness:?}");
        let absent =
            |absence| records.iter().filter(|record| matches!(record, Record::ClientAbsent(absent) if absent.absence == absence)).count();
        assert!(absent(Absence::DroppedOut) + absent(Absence::Crashed) > 0);
        assert!(ends(&records).windows(2).all(|ends| ends[1] - ends[0] >= 1.5 - 1e-9), "one step after another: {:?}", ends(&records));
    }
}

#[test]
fn a_round_that_nobody_can_fill_ends_the_run() {
    let dummy = dummy(12);
    let crash = Some(CrashConfig { fraction: 0.5, first_round: 1, last_round: Some(1) });
    let faults = Some(FaultsConfig { drop_out: 0.0, crash, attack: None });
    let config = FederatedConfig { strategy: Choice::new("FedBuff").with("buffer_size", 7), faults, ..config() };
    let fleet = fleet(&simulation(constant(1.0), Choice::new("instant"), Choice::new("always")), &[]);
    let (_, outcome) = run((&config, &fleet, &dummy), 2, &[], usize::MAX);
    let Err(RunError::Failed(Failure::Unfilled { buffer: 7, at_most: 6, absences, .. })) = outcome else { panic!("{outcome:?}") };
    assert_eq!(absences, [(Absence::Crashed, 6, None)]);
}

#[test]
fn what_asynchronous_strategies_cannot_use_is_refused() {
    let dummy = dummy(12);
    let refused = |config: FederatedConfig| match Setup::new(config, support::RATES, SEED, dummy.samples.clone(), 3) {
        Err(SetupError::Asynchronous { strategy: "FedBuff", problem }) => problem,
        other => panic!("{other:?}"),
    };
    let with = |buffer_size: u32| FederatedConfig { strategy: Choice::new("FedBuff").with("buffer_size", buffer_size), ..config() };
    assert_eq!(refused(with(13)), "a model needs 13 updates of different clients, and 12 hold samples");
    let selection = Choice::new("tifl").with("tiers", 2);
    assert_eq!(refused(FederatedConfig { selection, ..with(3) }), "the selection `tifl` doesn't select single clients");
    let participation = Some(ParticipationConfig { min_updates: 1, deadline: None, over_select: 0.0 });
    assert_eq!(refused(FederatedConfig { participation, ..with(3) }), "`participation` is for rounds that begin together");
    let attack = Some(Choice::new("a_little_is_enough").with("fraction", 0.2));
    let faults = Some(FaultsConfig { drop_out: 0.0, crash: None, attack });
    assert!(refused(FederatedConfig { faults, ..with(3) }).contains("malicious clients that know each other's models"));
}

/// An evaluator that takes longer than any client.
struct Slow<'a>(&'a Dummy);

impl Evaluator for Slow<'_> {
    fn evaluate(&mut self, _: Round, state: &ModelState) -> Result<Evaluation, BoxError> {
        std::thread::sleep(std::time::Duration::from_millis(10));
        Ok(self.0.score(state))
    }
}

/// While more models than may wait for their evaluation do, answers of clients wait, too, and none is lost.
#[test]
fn asynchronous_strategies_work_on_the_wall_clock_too() {
    let dummy = dummy(12);
    for strategy in [Choice::new("FedBuff").with("buffer_size", 3), Choice::new("FedAsync")] {
        let config = FederatedConfig { strategy, evaluate_every: 1, rounds: 20, ..config() };
        let mut ended = Vec::new();
        let federation = support::federation(&config, &dummy);
        let workers = NonZeroUsize::new(3).expect("not 0");
        let run = in_process::run(
            federation,
            workers,
            &|_| Ok(Box::new(&dummy)),
            Box::new(Slow(&dummy)),
            &AtomicBool::new(false),
            &mut |record| {
                if let Record::RoundEnded(record) = record {
                    ended.push((record.round.0, record.clients.len(), record.virtual_seconds));
                }
                Ok(())
            },
        );
        run.expect("it finishes");
        let per_round = if config.strategy.name() == "FedBuff" { 3 } else { 1 };
        assert_eq!(ended, (0..=20).map(|round| (round, if round == 0 { 0 } else { per_round }, None)).collect::<Vec<_>>());
    }
}
