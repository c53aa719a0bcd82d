//! Laws by hand: what clients draw, when they are there, and files that can't be used.

use std::collections::BTreeMap;

use fltk_core::{
    catalogue::Choice,
    experiment::{Clock, Duration, SimulationConfig},
    ids::ClientId,
    seed::Seed,
};

use super::{availability::Presence, *};

fn fleet(devices: Choice, network: Choice, availability: Choice, files: &[(&'static str, &str)]) -> Result<Fleet, FleetError> {
    let config =
        SimulationConfig { clock: Clock::Virtual, devices, network, availability, server: Duration::from_millis(0), impose_links: false };
    let files: BTreeMap<_, _> = files.iter().map(|(block, text)| (*block, TraceFile { name: "t.csv", text })).collect();
    Fleet::new(&config, &files, Seed(42), 10)
}

fn constant(ms: f64) -> Choice {
    Choice::new("constant").with("ms_per_sample", ms)
}

fn instant() -> Choice {
    Choice::new("instant")
}

fn always() -> Choice {
    Choice::new("always")
}

const HOUR: u64 = 3_600_000_000;

#[test]
fn classes_have_their_shares() {
    let classes = Choice::new("classes").with("ms_per_sample", vec![5.0, 50.0, 7.0]).with("shares", vec![3.0, 1.0, 0.0]);
    let fleet = fleet(classes, instant(), always(), &[]).unwrap();
    let times: Vec<f64> = (0..2000).map(|client| fleet.ms_per_sample(ClientId(client))).collect();
    let of = |ms: f64| times.iter().filter(|time| **time == ms).count();
    // Binomial(2000, 3/4): 1500, standard deviation 19.
    assert!((1420..1580).contains(&of(5.0)) && of(5.0) + of(50.0) == 2000, "{} {}", of(5.0), of(50.0));
    // Recorded from this code: these draws decide recorded results.
    assert_eq!(times[..6], [5.0, 5.0, 50.0, 5.0, 5.0, 5.0]);
}

#[test]
fn lognormal_times_have_their_median_and_spread() {
    let lognormal = Choice::new("lognormal").with("median_ms", 10.0).with("sigma", 0.5);
    let fleet = fleet(lognormal, instant(), always(), &[]).unwrap();
    let mut times: Vec<f64> = (0..4000).map(|client| fleet.ms_per_sample(ClientId(client))).collect();
    times.sort_by(f64::total_cmp);
    // The 84.13th percentile of a normal distribution is one standard deviation above the median.
    assert!((times[2000] / 10.0).ln().abs() < 0.04 && ((times[3365] / 10.0).ln() - 0.5).abs() < 0.05, "{} {}", times[2000], times[3365]);
}

#[test]
fn slow_links_are_slow_in_both_directions() {
    let links =
        Choice::new("classes").with("up_mbit", vec![1.0, 10.0]).with("down_mbit", vec![4.0, 40.0]).with("latency_ms", vec![100.0, 5.0]);
    let fleet = fleet(constant(0.0), links, always(), &[]).unwrap();
    // 1 MB down and half up: at 4 and 1 Mbit/s that is 2 s and 4 s, and 0.2 s of latency; on the faster link a tenth, and 10 ms.
    let job = Job { bytes_down: 1_000_000, samples: 0.0, bytes_up: 500_000 };
    let times: Vec<u64> = (0..20).map(|client| fleet.duration(ClientId(client), job).0).collect();
    assert!(times.iter().all(|time| [6_200_000, 610_000].contains(time)), "{times:?}");
    assert!(times.contains(&6_200_000) && times.contains(&610_000));
}

#[test]
fn days_begin_anew() {
    let diurnal = Choice::new("diurnal").with("share", 0.25).with("spread", 0.0).with("start_h", 0.0);
    let fleet = fleet(constant(1000.0), instant(), diurnal, &[]).unwrap();
    let at = |hours: u64| fleet.presence(ClientId(3), Micros(hours * HOUR));
    let until = |is_there, hours: u64| Presence { is_there, until: Some(Micros(hours * HOUR)) };
    assert_eq!(
        [at(0), at(8), at(9), at(14), at(15), at(23), at(33)],
        [until(false, 9), until(false, 9), until(true, 15), until(true, 15), until(false, 33), until(false, 33), until(true, 39),]
    );
    // Seven hours of work that begin at 14 h: one until 15 h, and six from 33 h on.
    let job = Job { bytes_down: 0, samples: 7.0 * 3600.0, bytes_up: 0 };
    assert_eq!(fleet.arrival(ClientId(3), Micros(14 * HOUR), job), Arrival::At(Micros(39 * HOUR)));
    assert_eq!(fleet.time_with(2, &[ClientId(1), ClientId(2)], Micros(0)), Some(Micros(9 * HOUR)));
    assert_eq!(fleet.time_with(3, &[ClientId(1), ClientId(2)], Micros(0)), None);
}

#[test]
fn times_of_a_file_begin_anew_and_touching_ones_are_one() {
    let text = "device,from_s,to_s\n7,30,40\n7,0,10\n7,10,20\n9,5,6\n";
    let trace = || Choice::new("trace").with("path", "t.csv");
    let fleet_of = |choice, text| fleet(constant(1.0), instant(), choice, &[("availability", text)]).unwrap();
    let fleet = fleet_of(trace(), text);
    let presence = |client, seconds: u64| {
        let Presence { is_there, until } = fleet.presence(ClientId(client), Micros(seconds * 1_000_000));
        (is_there, until.map(|until| until.0 / 1_000_000))
    };
    // The file begins anew after 40 s. Device 7 is client 0, and 2, which comes after the last; it stays from 30 s to 60 s.
    assert_eq!(
        [0, 5, 15, 20, 29, 30, 39, 40, 61].map(|seconds| presence(0, seconds)),
        [
            (true, Some(20)),
            (true, Some(20)),
            (true, Some(20)),
            (false, Some(30)),
            (false, Some(30)),
            (true, Some(60)),
            (true, Some(60)),
            (true, Some(60)),
            (false, Some(70)),
        ]
    );
    assert_eq!(presence(2, 15), presence(0, 15));
    assert_eq!([presence(1, 0), presence(1, 5), presence(1, 6)], [(false, Some(5)), (true, Some(6)), (false, Some(45))]);
    // A period of the device's own, and one of the settings, cut off what comes later.
    let own = fleet_of(trace(), "device,from_s,to_s,period_s\n1,0,10,30\n1,25,99,30\n");
    assert_eq!(own.presence(ClientId(0), Micros(26_000_000)), Presence { is_there: true, until: Some(Micros(40_000_000)) });
    let whole = fleet_of(trace().with("period_h", 0.001), "device,from_s,to_s\n1,0,99\n");
    assert_eq!(whole.presence(ClientId(0), Micros(5)), Presence { is_there: true, until: None });
    let never = fleet_of(trace().with("period_h", 0.001), "device,from_s,to_s\n1,50,99\n");
    assert_eq!(never.presence(ClientId(0), Micros(5)), Presence { is_there: false, until: None });
}

#[test]
fn rows_are_assigned_in_order_or_at_random() {
    let text = "ms_per_sample,down_mbit,up_mbit\n1,10,5\n2,20,6\n3,30,7\n";
    let trace = || Choice::new("trace").with("path", "t.csv");
    let fleet_of = |choice| fleet(choice, trace(), always(), &[("devices", text), ("network", text)]).unwrap();
    let in_order = fleet_of(trace());
    assert_eq!((0..5).map(|client| in_order.ms_per_sample(ClientId(client))).collect::<Vec<_>>(), [1.0, 2.0, 3.0, 1.0, 2.0]);
    // 1 MB at 30 and at 7 Mbit/s, and 3 ms.
    let job = Job { bytes_down: 1_000_000, samples: 1.0, bytes_up: 1_000_000 };
    assert_eq!(in_order.duration(ClientId(2), job), Micros(266_667 + 1_142_857 + 3_000));
    let random = fleet_of(trace().with("assign", "random"));
    let drawn: Vec<f64> = (0..300).map(|client| random.ms_per_sample(ClientId(client))).collect();
    assert!([1.0, 2.0, 3.0].iter().all(|ms| drawn.iter().filter(|drawn| *drawn == ms).count() > 60));
}

#[test]
fn files_that_cannot_be_used_are_refused_with_their_line() {
    let check = |block, choice: Choice, text, expected: &str| {
        let settings = choice.with("path", "t.csv");
        assert_eq!(check_file(block, &settings, text).map_err(|error| error.to_string()), Err(expected.to_owned()));
    };
    let trace = || Choice::new("trace");
    check("devices", trace(), "ms\n1\n", "line 1: there is no column `ms_per_sample`: the header has ms");
    check("devices", trace(), "ms_per_sample\n", "line 1: there is no row after the header");
    check("devices", trace(), "ms_per_sample\n1\n-2\n", "line 3: `ms_per_sample` is `-2`, and should be a number from 0 to 60000");
    check("devices", trace(), "ms_per_sample\nNaN\n", "line 2: `ms_per_sample` is `NaN`, and should be a number from 0 to 60000");
    check("devices", trace(), "ms_per_sample,b\n1\n", "line 2: there are 1 columns, and the header has 2");
    check("network", trace(), "up_mbit\n1\n", "line 1: there is no column `down_mbit`: the header has up_mbit");
    check("availability", trace(), "device,from_s,to_s\nx,1,2\n", "line 2: `device` is `x`, and should be a whole number");
    check("availability", trace(), "device,from_s,to_s\n1,1,2\n1,5,5\n", "line 3: the time from 5 s to 5 s has no length");
    check(
        "availability",
        trace(),
        "device,from_s,to_s,period_s\n1,1,2,9\n1,3,4,8\n",
        "line 3: `period_s` isn't that of an earlier row of device 1",
    );
    check("availability", trace(), "device,from_s,to_s\n1,0,0.0000004\n", "line 2: the time from 0 s to 0.0000004 s has no length");
    check(
        "availability",
        trace(),
        "device,from_s,to_s,period_s\n1,0,1,0.5\n",
        "line 2: `period_s` is `0.5`, and should be a number from 1 to 315360000",
    );
    check(
        "availability",
        trace(),
        "device,from_s,to_s,period_s\n1,60,100,50\n",
        "line 2: the time from 60 s on never comes: `period_s` is 50, after which the times of the device begin anew",
    );
    check("network", trace(), "up_mbit,down_mbit\n0,1\n", "line 2: `up_mbit` is `0`, and should be a number from 0.001 to 1000000");
    let error = fleet(constant(1.0), instant(), trace().with("path", "t.csv"), &[("availability", "")]).unwrap_err();
    assert!(error.to_string().starts_with("the file `t.csv` of `simulation.availability` can't be used: line 1: "), "{error}");
    assert_eq!(fleet(trace().with("path", "t.csv"), instant(), always(), &[]).unwrap_err(), FleetError::Missing { block: "devices" });
}

/// Ten years of work for a client that is there for a microsecond each second or day: 3.2e14 and more cycles, at once.
#[test]
fn long_jobs_in_short_times_are_known_at_once() {
    let job = Job { bytes_down: 0, samples: 5_256_000.0, bytes_up: 0 };
    let rare = Choice::new("diurnal").with("period_h", 0.001).with("share", 1e-9);
    let rare = fleet(constant(60_000.0), instant(), rare, &[]).unwrap();
    assert_eq!(rare.arrival(ClientId(0), Micros(0), job), Arrival::Never(Micros(0)));
    let trace = Choice::new("trace").with("path", "t.csv");
    let text = "device,from_s,to_s,period_s\n1,0,0.5,1\n";
    let half = fleet(constant(60_000.0), instant(), trace, &[("availability", text)]).unwrap();
    // Half of each second: twice the time, and the last half second ends a cycle early.
    assert_eq!(half.arrival(ClientId(0), Micros(0), job), Arrival::At(Micros(2 * 5_256_000 * 60_000_000 - 500_000)));
}
