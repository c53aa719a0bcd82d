//! Rules about the text of single files.

use super::{Finding, Source, code};

/// The largest number of lines in a file: a longer one contains more than one idea.
const LINES_MAX: usize = 700;

/// Names that may appear only at the named edges, in code that isn't a test.
struct Confined {
    /// Paths in the code, matched as whole words at both ends (a trailing `*` matches any continuation).
    words: &'static [&'static str],
    /// True for the files or folders in which the names are searched.
    within: fn(&str) -> bool,
    /// The places where they may appear anyway, and why.
    allowed: &'static [(&'static str, &'static str)],
    /// The reason, and what to use instead.
    why: &'static str,
}

/// Packages, folders and files of decisions.
const PURE: [&str; 7] = ["fltk-plan", "plan", "round", "selection", "simulation", "strategy", "tracker"];

const CONFINED: &[Confined] = &[
    Confined {
        words: &["unsafe"],
        within: |_| true,
        allowed: &[
            ("crates/torch-dist/", "calls C++"),
            ("crates/torch-script/", "calls C++"),
            ("crates/fltk-train/src/process.rs", "mallopt and _exit have no safe wrapper"),
        ],
        why: "unsafe code is confined to torch-dist, torch-script and one file of fltk-train, so that it can be read in whole",
    },
    Confined {
        words: &["async", "await"],
        within: |path| PURE.iter().any(|name| path.contains(&format!("/{name}/")) || path.ends_with(&format!("/{name}.rs"))),
        allowed: &[],
        why: "decisions are pure functions, which wait for nothing",
    },
    Confined {
        words: &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"],
        within: is_inner,
        allowed: CLOCKS,
        why: "time is an argument; clocks are read in the programs and at named edges (CLOCKS in xtask/src/tidy/sources.rs)",
    },
    Confined {
        words: &["println!", "eprintln!", "print!", "eprint!"],
        within: is_ours,
        allowed: &[("crates/libtorch-build/", "cargo reads what a build script prints")],
        why: "these panic where nothing can be written, as on a full disk: `tracing::info!` drops what can't be written, `output::text` fails",
    },
    Confined {
        words: &["io::stdout", "anstream::stdout", "anstream::stderr"],
        within: is_ours,
        allowed: &[("crates/fltk/src/output.rs", "the one place where the programs say anything")],
        why: "what is said is mostly somebody else's text, which must reach a terminal as text: `output` sees to that",
    },
    Confined {
        words: &["env::var*", "env::set_var", "env::args*"],
        within: is_inner,
        allowed: &[
            ("crates/fltk-http/src/trust.rs", "the library that reads certificates looks there; the error names what it looked at"),
            ("crates/libtorch-build/", "cargo tells build scripts everything in the environment"),
        ],
        why: "the environment is read in the programs, which pass on what it says",
    },
    Confined {
        words: &["Device::Cpu", "Device::Cuda*", "cuda_if_available"],
        within: |path| path.starts_with("crates/fltk-train/src/"),
        allowed: &[],
        why: "a device is an argument: whoever makes a model names it, and batches, moments and masks follow the model",
    },
    Confined {
        words: &["thread_rng", "rand::rng", "rand::random", "OsRng", "SysRng", "from_os_rng", "from_entropy", "RandomState", "from_rng"],
        within: is_inner,
        allowed: &[],
        why: "randomness is derived from the experiment's seed by purpose and index, never from the system",
    },
];

/// The files of inner crates that read a clock.
const CLOCKS: &[(&str, &str)] = &[
    ("crates/fltk-kubernetes/src/actor.rs", "requests are measured"),
    ("crates/fltk-kubernetes/src/claim.rs", "waiting for a pod has an end"),
    ("crates/fltk-kubernetes/src/down.rs", "waiting for removed objects to be gone has an end"),
    ("crates/fltk-kubernetes/src/edge.rs", "the loop that tells the tracker what time it is"),
    ("crates/fltk-kubernetes/src/retry.rs", "waiting for removed objects to be gone has an end"),
    ("crates/fltk-kubernetes/src/watch.rs", "a list shows the state of its beginning or later; waits after errors grow"),
    ("crates/fltk-data/src/fetch/", "downloads and waiting for another process have time-outs"),
    ("crates/fltk-fed/src/drive.rs", "the loop that tells the state machine what time it is"),
    ("crates/fltk-fed/src/transport/", "the edge that measures how long clients train"),
    ("crates/fltk-network/src/federator/desk.rs", "the thread that tells the hub what time it is"),
    ("crates/fltk-network/src/metrics/timed.rs", "the edge that measures how long a federator evaluates, waits and records"),
    ("crates/fltk-network/src/node/", "a node calls again for a while, and notices that a federator is silent"),
    ("crates/fltk-web/src/server/live/watch.rs", "a look at folders is measured, so that looking takes a bounded part of the time"),
    ("crates/fltk-server/src/lib.rs", "the edge that tells the seats what time it is"),
    ("crates/torch-dist/src/group/roll_call.rs", "waiting for the signs of life of other ranks has an end"),
];

/// True for library code: all crates except those of the two programs.
fn is_inner(path: &str) -> bool {
    is_ours(path) && !["crates/fltk/", "crates/fltk-torch/"].iter().any(|program| path.starts_with(program))
}

/// True for code of the two programs and their libraries.
fn is_ours(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/") && !is_test(path)
}

/// True for a module of tests in a separate file.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Checks `source` against all rules of this file.
pub fn check(source: &Source, findings: &mut Vec<Finding>) {
    let Source { path, text } = source;
    let mut find = |line: usize, problem: String| findings.push(Finding { file: path.clone(), line, problem });
    if let Some(pattern) = machine_path(text) {
        find(pattern.0, format!("`{}` is a path of one machine", pattern.1));
    }
    for (line, word) in unfinished(text) {
        find(line, format!("`{word}`: what is committed is finished; file an issue for the rest"));
    }
    let is_rust = path.ends_with(".rs");
    let num_lines = text.lines().count();
    if (is_rust || path.ends_with(".py")) && num_lines > LINES_MAX {
        find(num_lines, format!("{num_lines} lines, more than {LINES_MAX}: divide it by idea"));
    }
    if !is_rust {
        return;
    }
    if path.contains("/src/") && !is_test(path) && !text.trim_start().starts_with("//!") {
        find(1, "no `//!` that says what the module is for, and what not".to_owned());
    }
    let code = code::without_comments_and_literals(text);
    for (word, why) in
        [("#[ignore*", "a test that is not run checks nothing"), ("todo!", "not finished"), ("unimplemented!", "not finished")]
    {
        for line in lines_with(&code, word) {
            find(line, format!("`{}`: {why}", word.trim_end_matches('*')));
        }
    }
    let code = code::without_tests(&code);
    for Confined { words, within, allowed, why } in CONFINED {
        if !within(path) || allowed.iter().any(|(prefix, _)| path.starts_with(prefix)) {
            continue;
        }
        for word in *words {
            for line in lines_with(code, word) {
                find(line, format!("`{}`: {why}", word.trim_end_matches('*')));
            }
        }
    }
}

/// Returns the lines, counted from 1, of `code` with `word` as a whole word; a `*` at its end matches any continuation.
fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let (word, open_end) = word.strip_suffix('*').map_or((word, false), |word| (word, true));
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let starts_in_word = word.starts_with(is_part);
    let has_word = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back().is_some_and(|c| starts_in_word && is_part(c));
            let after = line[at + word.len()..].chars().next().is_some_and(is_part);
            !before && (open_end || !after)
        })
    };
    code.lines().enumerate().filter(|(_, line)| has_word(line)).map(|(index, _)| index + 1).collect()
}

/// Returns the first path in `text` that belongs to somebody's machine, with its line.
fn machine_path(text: &str) -> Option<(usize, &'static str)> {
    // The paths are in pieces, otherwise this file would be the first to be found.
    const PATHS: [&str; 4] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    let starts = |line: &str, path: &str| {
        line.match_indices(path).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.)}>*".contains(c)))
    };
    text.lines().enumerate().find_map(|(index, line)| {
        let path = PATHS.into_iter().find(|path| starts(line, path))?;
        Some((index + 1, path))
    })
}

/// Returns marks of unfinished work in `text`, with their lines.
fn unfinished(text: &str) -> Vec<(usize, &'static str)> {
    const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let marks = MARKS.into_iter().flat_map(|mark| lines_with(text, mark).into_iter().map(move |line| (line, mark)));
    marks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut findings = Vec::new();
        check(&Source { path: path.to_owned(), text: format!("//! About.\n{text}") }, &mut findings);
        findings
            .into_iter()
            .map(|finding| (finding.line, finding.problem.split([':', ' ']).next().unwrap_or_default().to_owned()))
            .collect()
    }

    #[track_caller]
    fn finds(path: &str, text: &str, expected: &[usize]) {
        let lines: Vec<usize> = problems(path, text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, expected, "{path}: {text}");
    }

    #[test]
    fn unsafe_code_is_found_outside_its_files() {
        finds("crates/fltk-data/src/a.rs", "fn f() {\n unsafe { g() }\n}", &[3]);
        finds("crates/fltk/src/main.rs", "unsafe fn f() {}", &[2]);
        finds("crates/fltk-train/src/process.rs", "unsafe { g() }", &[]);
        finds("crates/torch-dist/src/store.rs", "unsafe { g() }", &[]);
        finds("crates/fltk-data/src/a.rs", "// unsafe\n#![deny(unsafe_code)]\nlet s = \"unsafe\";", &[]);
    }

    #[test]
    fn async_code_is_found_in_pure_crates() {
        for path in ["crates/fltk-fed/src/round/step.rs", "crates/fltk-fed/src/strategy.rs", "crates/fltk-plan/src/orchestrator.rs"] {
            finds(path, "async fn f() {\n g().await\n}", &[2, 3]);
        }
        finds("crates/fltk-fed/src/transport/grpc.rs", "async fn f() {}", &[]);
    }

    #[test]
    fn clocks_environment_and_randomness_are_found_outside_edges() {
        let text = "let a = std::time::Instant::now();\nlet b = std::env::var_os(\"A\");\nlet c = rand::rng();";
        finds("crates/fltk-core/src/a.rs", text, &[2, 3, 4]);
        for path in [
            "crates/fltk/src/main.rs",
            "crates/fltk-torch/src/a.rs",
            "xtask/src/a.rs",
            "crates/fltk-core/tests/a.rs",
            "crates/fltk-train/examples/a.rs",
        ] {
            finds(path, text, &[]);
        }
        finds("crates/fltk-core/src/a.rs", &format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{text}\n}}"), &[]);
        finds("crates/fltk-core/src/a.rs", "fn f(now: Instant) {}\nlet x = brand::rng_of();", &[]);
    }

    #[test]
    fn devices_are_found_outside_edges() {
        finds("crates/fltk-train/src/a.rs", "let t = zeros(Device::Cpu);\nlet t = zeros(tch::Device::Cuda(0));", &[2, 3]);
        finds("crates/fltk-train/src/a.rs", "fn f(device: Device) {}\n#[cfg(test)]\nmod tests {\nf(Device::Cpu)\n}", &[]);
        finds("crates/fltk-torch/src/cmd/a.rs", "f(Device::Cpu)", &[]);
    }

    #[test]
    fn printing_macros_are_found() {
        finds("crates/fltk/src/a.rs", "anstream::eprintln!(\"a\");", &[2]);
        finds("crates/fltk/src/a.rs", "println!(\"b\");", &[2]);
        finds("crates/fltk-torch/src/a.rs", "eprint!(\"a\");\nwriteln!(out, \"b\")?;", &[2]);
        finds("xtask/src/a.rs", "println!(\"b\");", &[]);
    }

    #[test]
    fn ignored_tests_and_todos_are_found() {
        finds("crates/fltk-core/tests/a.rs", "#[ignore]\nfn f() {}", &[2]);
        finds("crates/fltk-core/tests/a.rs", "#[ignore = \"slow\"]\nfn f() { todo!() }", &[2, 3]);
        finds("crates/fltk-core/src/a.rs", concat!("// TO", "DO: more"), &[2]);
        finds("docs/a.md", concat!("// FIX", "ME"), &[2]);
        finds("docs/a.md", "a to-do list, MASTODON", &[]);
    }

    #[test]
    fn long_and_undocumented_files_are_found() {
        finds("crates/fltk-core/src/a.rs", &"\n".repeat(LINES_MAX - 1), &[]);
        finds("python/a.py", &"\n".repeat(LINES_MAX), &[LINES_MAX + 1]);
        finds("docs/a.md", &"\n".repeat(LINES_MAX), &[]);
        let mut findings = Vec::new();
        check(&Source { path: "crates/fltk-core/src/a.rs".to_owned(), text: "fn f() {}".to_owned() }, &mut findings);
        assert!(findings[0].problem.contains("`//!`"));
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        for text in [concat!("cd /ho", "me/joe"), concat!("\"/ro", "ot/.cache\""), concat!("(/Us", "ers/joe)")] {
            finds("docs/a.md", text, &[2]);
        }
        finds("docs/a.md", concat!("https://example.com/wo", "rk/ $HOME/ro", "ot/"), &[]);
    }
}
