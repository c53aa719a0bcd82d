//! The environment of a rank: the variables that the task allows and sets, and the rank's place among the others, as torchrun says it.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use fltk_core::{experiment::CommandConfig, seed::Seed};

/// The address at which ranks of one machine meet.
const HERE: &str = "127.0.0.1";

/// The place of a rank on this machine.
#[derive(Clone, Copy, Debug)]
pub struct RankPlace<'a> {
    /// The rank, from 0.
    pub rank: u32,
    /// The port of rank 0 at which the ranks may meet.
    pub port: u16,
    /// The job's seed.
    pub seed: Seed,
    /// The folder that the program may keep files in.
    pub folder: &'a Path,
}

/// Returns all variables of a rank. `outer` looks a variable up in the environment of this process.
pub fn environment(config: &CommandConfig, place: RankPlace<'_>, outer: &dyn Fn(&str) -> Option<OsString>) -> BTreeMap<String, OsString> {
    let allowed = config.environment.iter().filter_map(|name| Some((name.clone(), outer(name)?)));
    let given = config.variables.iter().map(|(name, value)| (name.clone(), value.into()));
    let ranks = config.ranks.to_string();
    let ours = [
        ("RANK", place.rank.to_string()),
        ("LOCAL_RANK", place.rank.to_string()),
        ("WORLD_SIZE", ranks.clone()),
        ("LOCAL_WORLD_SIZE", ranks),
        ("MASTER_ADDR", HERE.to_owned()),
        ("MASTER_PORT", place.port.to_string()),
        ("FLTK_SEED", place.seed.0.to_string()),
    ];
    let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    let folder = std::iter::once(("FLTK_FOLDER".to_owned(), place.folder.into()));
    allowed.chain(given).chain(ours).chain(folder).collect()
}

#[cfg(test)]
mod tests {
    use fltk_core::experiment::Duration;

    use super::*;

    #[test]
    fn environment_is_what_is_allowed_and_the_place_of_the_rank() {
        let config = CommandConfig {
            run: vec!["a".to_owned()],
            ranks: 2,
            image: None,
            folder: None,
            environment: vec!["PATH".to_owned(), "HOME".to_owned(), "TZ".to_owned()],
            variables: [("HOME".to_owned(), "/tmp".to_owned()), ("X".to_owned(), "1".to_owned())].into(),
            restarts: 0,
            grace: Duration::from_millis(1),
        };
        let outer = |name: &str| match name {
            "PATH" | "HOME" | "SECRET" => Some(OsString::from(format!("outer {name}"))),
            _ => None,
        };
        let place = RankPlace { rank: 1, port: 29500, seed: Seed(7), folder: Path::new("/runs/a/program") };
        let found: Vec<String> =
            environment(&config, place, &outer).into_iter().map(|(name, value)| format!("{name}={}", value.display())).collect();
        let expected = [
            "FLTK_FOLDER=/runs/a/program",
            "FLTK_SEED=7",
            "HOME=/tmp",
            "LOCAL_RANK=1",
            "LOCAL_WORLD_SIZE=2",
            "MASTER_ADDR=127.0.0.1",
            "MASTER_PORT=29500",
            "PATH=outer PATH",
            "RANK=1",
            "WORLD_SIZE=2",
            "X=1",
        ];
        assert_eq!(found, expected);
    }
}
