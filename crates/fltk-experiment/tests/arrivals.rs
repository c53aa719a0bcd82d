//! Streams: which jobs arrive and when, at random and from traces.

use std::collections::BTreeMap;

use fltk_catalogue::catalogues;
use fltk_core::{
    arrivals::{Arrival, ArrivalsError, arrivals, read_trace},
    experiment::Experiment,
};
use fltk_experiment::{SourceFile, parse};

/// An experiment with two tasks and the given stream.
fn experiment(tasks: [&str; 2], stream: &str) -> Experiment {
    let task = |name: &str, more: &str| {
        format!("  - {{ name: {name}, kind: distributed, network: LeNet5, dataset: mnist, distributed: {{ epochs: 1 }}{more} }}\n")
    };
    let text = format!("name: x\nseeds: [7, 8]\ntasks:\n{}{}{stream}", task("a", tasks[0]), task("b", tasks[1]));
    let source = SourceFile { name: "x.yaml".into(), text };
    parse(&[source], &[], catalogues()).unwrap_or_else(|report| panic!("{report}")).experiment
}

const EVEN: [&str; 2] = [", class_probability: 1", ", class_probability: 1"];

fn simulated(tasks: [&str; 2], duration: &str, more: &str, gaps: &str) -> Experiment {
    experiment(
        tasks,
        &format!(
            "stream:\n  orchestrator: simulated\n  duration: {duration}\n{more}  groups: [{{ name: g, tasks: [a, b], gaps: {{ {gaps} }} }}]\n"
        ),
    )
}

fn gaps(arrivals: &[Arrival]) -> Vec<u64> {
    let starts = std::iter::once(0).chain(arrivals.iter().map(|arrival| arrival.at.as_millis()));
    starts.zip(arrivals).map(|(before, arrival)| arrival.at.as_millis() - before).collect()
}

#[test]
fn gaps_of_a_poisson_process_are_exponential() {
    let experiment = simulated(EVEN, "3000h", "  max_jobs: 1000\n", "type: exponential, mean: 90s");
    for replication in 0..2 {
        let arrivals = arrivals(&experiment, replication, &[]).unwrap();
        assert_eq!(arrivals.len(), 1000);
        let mut gaps: Vec<f64> = gaps(&arrivals).into_iter().map(|gap| gap as f64 / 90_000.0).collect();
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        // Kolmogorov-Smirnov: the largest distance between the empirical and the exponential distribution function.
        let distance = gaps.iter().enumerate().map(|(rank, gap)| {
            let expected = 1.0 - (-gap).exp();
            (expected - rank as f64 / n).abs().max(((rank + 1) as f64 / n - expected).abs())
        });
        let largest = distance.fold(0.0, f64::max);
        // The critical value at 1 %.
        assert!(largest < 1.628 / n.sqrt(), "{largest}");
    }
}

#[test]
fn simulated_arrivals_are_fixed() {
    let experiment = simulated(
        [
            ", class_probability: 3",
            ", class_probability: 1, priorities: [{ priority: 2, probability: 1 }, { priority: 5, probability: 1 }]",
        ],
        "10min",
        "",
        "type: exponential, mean: 90s",
    );
    let got: Vec<_> = arrivals(&experiment, 0, &[]).unwrap().iter().map(|a| (a.at.as_millis(), a.task, a.priority, a.seed.0)).collect();
    // Golden values: a stream that was planned once must be planned the same way again.
    insta::assert_debug_snapshot!(got);
}

#[test]
fn gaps_follow_their_distribution() {
    let of = |text: &str| gaps(&arrivals(&simulated(EVEN, "1h", "", text), 0, &[]).unwrap());
    let fixed = of("type: deterministic, every: 10s");
    assert_eq!((fixed.len(), fixed.iter().all(|gap| *gap == 10_000)), (359, true), "the one at the end isn't before it");
    let uniform = of("type: uniform, min: 5s, max: 15s");
    assert!(uniform.iter().all(|gap| (5_000..=15_000).contains(gap)), "{uniform:?}");
    let mean = uniform.iter().sum::<u64>() as f64 / uniform.len() as f64;
    assert!((mean - 10_000.0).abs() < 600.0, "{mean}");
    assert_eq!(of("type: uniform, min: 3s, max: 3s")[..2], [3000, 3000]);
}

#[test]
fn classes_arrive_in_proportion_to_their_weights() {
    let weights = [
        ", class_probability: 3",
        ", class_probability: 1, priorities: [{ priority: 0, probability: 1 }, { priority: 4, probability: 9 }]",
    ];
    let all = arrivals(&simulated(weights, "1000h", "  max_jobs: 4000\n", "type: exponential, mean: 10s"), 0, &[]).unwrap();
    let share = all.iter().filter(|arrival| arrival.task == 0).count() as f64 / 4000.0;
    assert!((share - 0.75).abs() < 0.03, "{share}");
    let mut priorities = BTreeMap::new();
    for arrival in &all {
        *priorities.entry((arrival.task, arrival.priority)).or_insert(0) += 1;
    }
    assert_eq!(priorities.keys().copied().collect::<Vec<_>>(), [(0, 0), (1, 0), (1, 4)]);
    let low = f64::from(priorities[&(1, 4)]) / f64::from(priorities[&(1, 0)] + priorities[&(1, 4)]);
    assert!((low - 0.9).abs() < 0.03, "{low}");
    let seeds: std::collections::BTreeSet<u64> = all.iter().map(|arrival| arrival.seed.0).collect();
    assert_eq!(seeds.len(), 4000, "each job has a seed of its own");
}

#[test]
fn job_limits_end_a_task_or_the_stream() {
    let limited = [", class_probability: 1, max_jobs: 3", ", class_probability: 1"];
    let all = arrivals(&simulated(limited, "10min", "", "type: deterministic, every: 10s"), 0, &[]).unwrap();
    assert_eq!((all.len(), all.iter().filter(|arrival| arrival.task == 0).count()), (59, 3));
    let both = [", class_probability: 1, max_jobs: 3", ", class_probability: 1, max_jobs: 2"];
    assert_eq!(arrivals(&simulated(both, "10min", "", "type: deterministic, every: 10s"), 0, &[]).unwrap().len(), 5);
    assert_eq!(arrivals(&simulated(both, "10min", "  max_jobs: 4\n", "type: deterministic, every: 10s"), 0, &[]).unwrap().len(), 4);
    let endless = simulated(EVEN, "3000d", "", "type: exponential, mean: 1ms");
    assert_eq!(arrivals(&endless, 0, &[]), Err(ArrivalsError::TooMany));
    let bounded = simulated(EVEN, "3000d", "  max_jobs: 10\n", "type: exponential, mean: 1ms");
    assert_eq!(arrivals(&bounded, 0, &[]).unwrap().len(), 10);
}

#[test]
fn groups_are_independent() {
    let stream = |second: &str| {
        let groups = format!(
            "[{{ name: g, tasks: [a], gaps: {{ type: exponential, mean: 20s }} }}, {{ name: h, tasks: [b], gaps: {{ {second} }} }}]"
        );
        let text = format!("stream: {{ orchestrator: simulated, duration: 1h, groups: {groups} }}\n");
        let tasks = [", class_probability: 1, priorities: [{ priority: 1, probability: 1 }, { priority: 2, probability: 1 }]", EVEN[1]];
        arrivals(&experiment(tasks, &text), 0, &[]).unwrap()
    };
    let times = |arrivals: &[Arrival]| -> Vec<_> {
        let own = arrivals.iter().filter(|arrival| arrival.group == 1);
        own.map(|arrival| (arrival.at, arrival.position, arrival.priority, arrival.seed)).collect()
    };
    let (one, other) = (stream("type: exponential, mean: 20s"), stream("type: deterministic, every: 1min"));
    assert_eq!(times(&one), times(&other));
    assert!(one.is_sorted_by_key(|arrival| (arrival.at, arrival.index)));
    let of = |group| one.iter().filter(|arrival| arrival.group == group).map(|arrival| arrival.at).collect::<Vec<_>>();
    assert_ne!(of(1), of(2));
}

#[test]
fn batch_has_every_task_once_with_the_replications_seed() {
    let experiment = experiment(["", ""], "");
    for (replication, seed) in [(0, 7), (1, 8)] {
        let all = arrivals(&experiment, replication, &[]).unwrap();
        assert_eq!(
            all.iter().map(|a| (a.index, a.at.as_millis(), a.task, a.seed.0)).collect::<Vec<_>>(),
            [(0, 0, 0, seed), (1, 0, 1, seed)]
        );
    }
}

#[test]
fn trace_is_replayed_in_order() {
    let stream = |more: &str| experiment(EVEN, &format!("stream: {{ orchestrator: trace, trace: t.csv{more} }}\n"));
    let csv = "time,class,priority\n90,b,\n# a remark\n 1.5min , a , 4\n0,a,-1\n";
    let json =
        r#"[{"time": 90, "class": "b"}, {"time": "1.5min", "class": "a", "priority": 4}, {"time": 0, "class": "a", "priority": -1}]"#;
    for text in [csv, json] {
        let trace = read_trace("t", text).unwrap();
        let times = |experiment: &Experiment| -> Vec<_> {
            arrivals(experiment, 0, &trace)
                .unwrap()
                .iter()
                .map(|arrival| (arrival.at.as_millis(), arrival.task, arrival.priority))
                .collect()
        };
        assert_eq!(times(&stream("")), [(0, 0, -1), (90_000, 1, 0), (90_000, 0, 4)]);
        assert_eq!(times(&stream(", duration: 90s")), [(0, 0, -1)]);
        assert_eq!(times(&stream(", max_jobs: 2")), [(0, 0, -1), (90_000, 1, 0)]);
    }
    let unknown = read_trace("t.csv", "class,time\nc,1\n").unwrap();
    let error = arrivals(&stream(""), 0, &unknown).unwrap_err().to_string();
    assert!(error.starts_with("t.csv:2: there is no task `c`") && error.ends_with("`a`, `b`"), "{error}");
}

#[test]
fn invalid_traces_are_refused_with_the_location() {
    let check = |text: &str, expected: &str| {
        let error = read_trace("t", text).expect_err(text).to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check("when,what\n1,a\n", "t:1: its first line has no columns");
    check("time,class\n1,a\n-1,a\n", "t:3: the time -1 isn't between");
    check("time,class\nNaN,a\n", "t:2: the time NaN isn't between");
    check("time,class\n1e300,a\n", "t:2: the time");
    check("time,class\nsoon,a\n", "t:2: the time `soon` can't be read");
    check("time,class\n5,\n", "t:2: it names no class");
    check("time,class,priority\n5,a,high\n", "t:2: the priority `high` isn't a whole number");
    check("time,class,priority\n5,a,1.5\n", "t:2: the priority `1.5` isn't a whole number");
    check("time,class,priority\n5,a,3e9\n", "t:2: the priority `3e9` isn't between -2147483648 and 2147483647");
    check("time,class,priority\n5,a,nan\n", "t:2: the priority `nan` isn't a whole number");
    check("time,class,priority\n5,a,inf\n", "t:2: the priority `inf` isn't a whole number");
    check("time,class,priority\n1,a,1\n2,b,1,7\n", "t:3: it has 4 fields, and there are 3 columns");
    check("time,class\n1,a,\n", "t:2: it has 3 fields, and there are 2 columns");
    check("time,class,Time\n1,a,2\n", "t:1: it has the column `time` twice, the second time as its column 3");
    check("time,class,class\n1,a,b\n", "t:1: it has the column `class` twice");
    check("time,class,priority,priority\n1,a,1,2\n", "t:1: it has the column `priority` twice");
    check("[{\"time\": 1}]", "t:1: missing field `class`");
    check("[{\"time\": 1, \"class\": \"a\", \"prio\": 1}]", "t:1: unknown field `prio`");
    check("[{\"time\": 1, \"class\": \"a\"}, {\"time\": \"x\", \"class\": \"a\"}]", "t: entry 2: the time `x`");
    check("[{\"time\": 1, \"class\": \"a\", \"priority\": 0.5}]", "t: entry 1: the priority `0.5` isn't a whole number");
    check("[{\"time\": 1, \"class\": \"a\", \"time\": 2}]", "t:1: duplicate field `time`");
    check("\u{feff}\n[{\"time\": 1}]", "t:2: missing field `class`");
    check("{\"time\": {\"0\": 1}}", "t:1: invalid type: map");
}

#[test]
fn trace_errors_have_the_line_numbers_of_editors() {
    for (before, line) in [("", 3), ("\u{feff}", 3), ("\n\n", 5), ("# a remark\n", 4), ("# one\n\n# two\n", 6)] {
        for end in ["\n", "\r\n"] {
            let text = format!("{before}time,class\n1,a\nx,a\n").replace('\n', end);
            let error = read_trace("t", &text).expect_err("no time").to_string();
            assert!(error.starts_with(&format!("t:{line}: the time `x`")), "{text:?}: {error}");
        }
    }
    for (between, line) in [("\n", 4), ("\n\n# a remark\n", 6), ("  \n\t\n", 5), ("\"2\n\",\"b\nc\"\n", 6)] {
        for end in ["\n", "\r\n"] {
            let text = format!("time,class\n1,a\n{between}x,a\n").replace('\n', end);
            let error = read_trace("t", &text).expect_err("no time").to_string();
            assert!(error.starts_with(&format!("t:{line}: the time `x`")), "{text:?}: {error}");
        }
    }
    // An unknown name is detected later, so each entry carries its line.
    let entries = read_trace("t", "time,class\r\n1,a\r\n\r\n2,b\r\n").unwrap();
    assert_eq!(entries.iter().map(|entry| entry.place.as_str()).collect::<Vec<_>>(), ["t:2", "t:4"]);
}

#[test]
fn traces_written_by_tools_are_read() {
    let read = |text: &str| {
        read_trace("t", text).unwrap().into_iter().map(|entry| (entry.at.as_millis(), entry.class, entry.priority)).collect::<Vec<_>>()
    };
    let expected = [(0, "a".to_owned(), Some(1)), (1500, "b".to_owned(), None), (2000, "a".to_owned(), Some(-2))];
    // A column of integers in a data frame becomes floats where some are missing; its index is a column without a name.
    assert_eq!(read(",time,class,priority\r\n0,0.0,a,1.0\r\n1,1.5,b,\r\n2,2.0,a,-2.0\r\n"), expected);
    let json =
        r#"[{"time":0.0,"class":"a","priority":1.0},{"time":1.5,"class":"b","priority":null},{"time":2.0,"class":"a","priority":-2}]"#;
    for mark in ["", "\u{feff}", "\u{feff}\r\n  "] {
        assert_eq!(read(&format!("{mark}{json}")), expected);
        assert_eq!(read(&format!("{mark}time,class,priority\n0,a,1\n1.5,b\n2,a,-2e0\n")), expected);
    }
}
