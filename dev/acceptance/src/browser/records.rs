//! Folders of runs that were never trained: copies of a real one, with other names, settings and figures, as the program itself would have written them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The time between two made runs.
const APART: SignedDuration = SignedDuration::from_mins(3);

/// One of so many made runs has failed, and another one was interrupted.
const FAILED_EVERY: usize = 40;

/// The values of settings that differ between made runs. Each list has a period of its own, so that every combination occurs.
const STRATEGIES: [&str; 4] = ["FedAvg", "FedProx", "FedAdam", "SCAFFOLD"];
const LEARNING_RATES: [f64; 5] = [0.01, 0.02, 0.03, 0.05, 0.1];
const BATCH_SIZES: [f64; 3] = [16.0, 32.0, 64.0];

/// The names of hostile runs: what a folder's name may be, and what would be a program if a page took it for HTML.
pub const HOSTILE_NAMES: [&str; 5] = [
    "<img src=x onerror=hacked=1>",
    "\"><svg onload=hacked=1>",
    "'+hacked=1+' & \"quoted\" %3Cb%3E #?run=a&b",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{645}\u{631}\u{62d}\u{628}\u{627}",
    "${hacked=1}`{{hacked=1}}",
];

/// A text for the places where one may be longer, and have slashes.
pub const HOSTILE_TEXT: &str = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1> \u{202e}kcab ot tnorf";

/// A real run's files, as far as they are copied.
pub struct Template {
    description: Map<String, Value>,
    journal: Vec<Map<String, Value>>,
    /// Other files by name, which are copied as they are.
    others: Vec<(String, Vec<u8>)>,
    began: Timestamp,
}

impl Template {
    /// Reads the only run in `runs`.
    ///
    /// # Errors
    /// If there is no run, or it has other files than those that we know.
    pub fn of(runs: &Path) -> anyhow::Result<Self> {
        let mut folders: Vec<PathBuf> = fs::read_dir(runs)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
        folders.retain(|folder| folder.join("run.json").is_file());
        ensure!(folders.len() == 1, "`{}` has {} runs, not one", runs.display(), folders.len());
        let folder = &folders[0];
        let read = |name: &str| fs::read_to_string(folder.join(name)).with_context(|| format!("can't read `{name}` of a run"));
        let description: Map<String, Value> = serde_json::from_str(&read("run.json")?)?;
        let journal = read("journal.jsonl")?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<anyhow::Result<_>>()?;
        let mut others = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_file() && !["run.json", "journal.jsonl"].contains(&name.as_str()) {
                others.push((name, fs::read(&path)?));
            }
        }
        let began = description["started_at"].as_str().context("a run without a beginning")?.parse()?;
        Ok(Self { description, journal, others, began })
    }

    /// Writes a run's folder with this description and this journal.
    fn write(&self, folder: &Path, description: &Map<String, Value>, journal: &[Map<String, Value>]) -> anyhow::Result<()> {
        fs::create_dir(folder).with_context(|| format!("can't make `{}`", folder.display()))?;
        fs::create_dir(folder.join("checkpoints"))?;
        fs::write(folder.join("run.json"), serde_json::to_string_pretty(description)? + "\n")?;
        fs::write(folder.join("journal.jsonl"), lines(journal)?)?;
        self.others.iter().try_for_each(|(name, bytes)| fs::write(folder.join(name), bytes)).context("can't write a copy of a run")
    }

    /// Returns the journal with every time later by `later`, and the figures of every test changed by `factor`.
    fn journal(&self, later: SignedDuration, factor: f64) -> anyhow::Result<Vec<Map<String, Value>>> {
        let changed = |entry: &Map<String, Value>| {
            let mut entry = entry.clone();
            let at: Timestamp = entry["time"].as_str().context("an entry without a time")?.parse()?;
            entry["time"] = at.checked_add(later)?.to_string().into();
            if let Some(test) = entry.get_mut("test").filter(|test| test.is_object()) {
                for (figure, factor) in [("accuracy", factor), ("loss", 2.0 - factor)] {
                    if let Some(value) = test[figure].as_f64() {
                        test[figure] = json!(value * factor);
                    }
                }
            }
            Ok(entry)
        };
        self.journal.iter().map(changed).collect()
    }
}

/// Returns the lines of a journal: each has its number and the checksum of the rest.
fn lines(journal: &[Map<String, Value>]) -> anyhow::Result<String> {
    let mut text = String::new();
    for (seq, entry) in journal.iter().enumerate() {
        let mut entry = entry.clone();
        entry.shift_remove("crc");
        entry["seq"] = seq.into();
        let body = serde_json::to_string(&entry)?;
        let body = body.strip_prefix('{').context("an entry that is no object")?;
        text.push_str(&format!("{{\"crc\":\"{:08x}\",{body}\n", crc32c::crc32c(body.as_bytes())));
    }
    Ok(text)
}

/// Makes `count` runs in `root`, which differ in strategy, learning rate, batch size, seed and figures. Most have finished.
///
/// # Errors
/// If one can't be written.
pub fn make_runs(template: &Template, root: &Path, count: usize) -> anyhow::Result<Vec<String>> {
    let make = |index: usize| {
        let later = APART.checked_mul(i32::try_from(index)?).context("too many runs")?;
        let began = template.began.checked_add(later)?;
        let mut description = template.description.clone();
        let (strategy, seed) = (STRATEGIES[index % 4], index / 60 % 5 + 1);
        for (field, value) in [
            ("experiment", json!("many")),
            ("task", json!(format!("{}-{}", strategy.to_lowercase(), index / 4 % 5))),
            ("seed", json!(seed)),
            ("replication", json!(seed - 1)),
            ("group", json!(format!("{:016x}", index / 300))),
            ("group_name", json!(format!("group-{}", index / 300))),
            ("started_at", json!(began.to_string())),
        ] {
            description.insert(field.to_owned(), value);
        }
        let settings = description["hyperparameters"].as_object_mut().context("a run without settings")?;
        for (setting, value) in [
            ("federated.strategy.type", json!(strategy)),
            ("train.optimizer.learning_rate", json!(LEARNING_RATES[index / 4 % 5])),
            ("train.batch_size", json!(BATCH_SIZES[index / 20 % 3])),
        ] {
            settings.insert(setting.to_owned(), value);
        }
        // A factor in 0.7..1, different for neighbors, the same on every machine.
        let factor = 0.7 + 0.3 * (index * 7919 % 1000) as f64 / 1000.0;
        let mut journal = template.journal(later, factor)?;
        if index % FAILED_EVERY == 7 {
            fail(&mut journal, "the loss isn't finite");
        } else if index % FAILED_EVERY == 23 {
            journal.truncate(journal.len() * 2 / 3);
        }
        let name = format!("many-{}-{:08x}", began.strftime("%Y%m%d-%H%M%S"), index);
        template.write(&root.join(&name), &description, &journal)?;
        Ok(name)
    };
    fs::create_dir_all(root)?;
    (0..count).map(make).collect()
}

/// Makes runs whose names and texts try to be more than text.
///
/// # Errors
/// If one can't be written.
pub fn make_hostile(template: &Template, root: &Path) -> anyhow::Result<Vec<String>> {
    fs::create_dir_all(root)?;
    let mut names: Vec<String> = HOSTILE_NAMES.iter().map(|&name| name.to_owned()).collect();
    names.push(format!("long-{}", "x".repeat(95)));
    for name in &names {
        let mut description = template.description.clone();
        let settings = description["hyperparameters"].as_object_mut().context("a run without settings")?;
        settings.insert("network".to_owned(), HOSTILE_TEXT.into());
        settings.insert("dataset.name".to_owned(), name.as_str().into());
        settings.insert(format!("train.{HOSTILE_TEXT}"), HOSTILE_TEXT.into());
        description.insert("group_name".to_owned(), name.as_str().into());
        description["host"]["cpu"] = HOSTILE_TEXT.into();
        let sources = description["provenance"].as_object_mut().context("a run without provenance")?;
        sources.insert(name.clone(), HOSTILE_TEXT.into());
        let mut journal = template.journal(SignedDuration::ZERO, 1.0)?;
        fail(&mut journal, HOSTILE_TEXT);
        template.write(&root.join(name), &description, &journal)?;
    }
    Ok(names)
}

/// Replaces the end of a journal by a failure.
fn fail(journal: &mut [Map<String, Value>], reason: &str) {
    if let Some(last) = journal.last_mut() {
        last.retain(|field, _| ["crc", "seq", "time"].contains(&field.as_str()));
        last.insert("event".to_owned(), "failed".into());
        last.insert("reason".to_owned(), reason.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line is that of a test of the journal itself.
    #[test]
    fn lines_are_those_of_the_journal() {
        let entry = json!({ "crc": "00000000", "seq": 9, "time": "1970-01-01T00:00:00Z", "event": "checkpoint_saved", "at": 3, "parameters_sha256": "ab" });
        let entry = entry.as_object().unwrap().clone();
        let all = lines(&vec![entry; 8]).unwrap();
        let expected = "{\"crc\":\"0fb6d8c8\",\"seq\":7,\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"checkpoint_saved\",\"at\":3,\"parameters_sha256\":\"ab\"}";
        assert_eq!(all.lines().last(), Some(expected));
    }

    #[test]
    fn made_runs_differ_in_settings_and_figures() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real/a-run");
        fs::create_dir_all(&real).unwrap();
        fs::write(real.join("experiment.yaml"), "name: a\n").unwrap();
        fs::write(
            real.join("run.json"),
            r#"{"format":1,"seed":3,"provenance":{},"host":{"cpu":"a"},"hyperparameters":{"train.batch_size":8.0},"started_at":"2026-01-02T03:04:05Z"}"#,
        )
        .unwrap();
        let ended = r#"{"crc":"0","seq":0,"time":"2026-01-02T03:04:06Z","event":"round_ended","test":{"accuracy":0.5,"loss":1.0}}"#;
        let finished = r#"{"crc":"0","seq":1,"time":"2026-01-02T03:04:07Z","event":"finished"}"#;
        fs::write(real.join("journal.jsonl"), format!("{ended}\n{finished}\n")).unwrap();
        let template = Template::of(&folder.path().join("real")).unwrap();
        let made = make_runs(&template, &folder.path().join("many"), 60).unwrap();
        let read = |name: &str, file: &str| fs::read_to_string(folder.path().join("many").join(name).join(file)).unwrap();
        let described = |at: usize| serde_json::from_str::<Value>(&read(&made[at], "run.json")).unwrap();
        assert_eq!(described(0)["hyperparameters"]["federated.strategy.type"], "FedAvg");
        assert_eq!(described(21)["hyperparameters"]["train.batch_size"], 32.0);
        assert_eq!(described(1)["started_at"], "2026-01-02T03:07:05Z");
        assert!(read(&made[0], "journal.jsonl").contains("\"accuracy\":0.35,\"loss\":1.3"));
        assert!(read(&made[7], "journal.jsonl").ends_with("\"event\":\"failed\",\"reason\":\"the loss isn't finite\"}\n"));
        assert_eq!(read(&made[23], "journal.jsonl").lines().count(), 1);
        assert_eq!(make_hostile(&template, &folder.path().join("hostile")).unwrap().len(), HOSTILE_NAMES.len() + 1);
    }
}
