//! The JSON file of a division that somebody else has made: the samples of each client and, where given, the clients of each round.
//!
//! ```json
//! { "clients": [[0, 5, 7], [1, 2]], "cohorts": [[0, 1], [1]], "labels_digest": "e3b0..." }
//! ```
//!
//! `clients` may also be an object with the clients' numbers as keys. What `fltk data split --output json` prints for one task and one seed is such a
//! file. It is for the partition and the selection `file`, which check what they use.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    bounded::{AtMost, read_at_most},
    error::PartitionError,
    partitioner::CLIENTS_MAX,
    user_file::UserFile,
};

/// The largest number of rounds in a file: more than any study has.
const ROUNDS_MAX: usize = 1_000_000;

/// The largest number of divisions in a file that is refused with their number. One is read.
const DIVISIONS_MAX: usize = 1000;

/// The content of a file, not yet compared with a task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SplitFile {
    /// The samples of each client.
    pub clients: Option<Clients>,
    /// The clients of each round, from round 1.
    pub cohorts: Option<AtMost<Vec<u32>, ROUNDS_MAX>>,
    /// The digest of the labels of the training set that was divided.
    pub labels_digest: Option<String>,
    /// The task that it was printed for, which says nothing about the division.
    #[serde(rename = "task")]
    _task: Option<IgnoredAny>,
    /// The samples among them that clients were tested on, which are drawn from the seed again.
    #[serde(rename = "test")]
    _test: Option<IgnoredAny>,
    /// The seed that it was printed for, which says nothing about the division.
    #[serde(rename = "seed")]
    _seed: Option<IgnoredAny>,
}

/// The samples of each client, in the order of the file.
#[derive(Debug)]
pub(super) struct Clients(pub Vec<Vec<u32>>);

impl SplitFile {
    /// Reads a file: a block, or a list of one.
    pub(super) fn read(file: UserFile<'_>) -> Result<Self, PartitionError> {
        if !file.text.trim_start().starts_with('[') {
            return file.json();
        }
        let AtMost(mut blocks): AtMost<Self, DIVISIONS_MAX> = file.json()?;
        match blocks.pop() {
            Some(block) if blocks.is_empty() => Ok(block),
            last => {
                let count = blocks.len() + usize::from(last.is_some());
                let problem = format!(
                    "its length is {count}, and it should be one division\nhint: `fltk data split` prints one for each task and seed: take one of them"
                );
                Err(file.refuse("the list".to_owned(), problem))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Clients {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrMap;
        impl<'de> Visitor<'de> for ListOrMap {
            type Value = Clients;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of lists of samples, or an object of such lists by client")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Clients, A::Error> {
                read_at_most(list, CLIENTS_MAX as usize).map(Clients)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Clients, A::Error> {
                let mut clients: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    let client = key.parse().ok().filter(|client: &u32| client.to_string() == key);
                    let client = client.ok_or_else(|| de::Error::custom(format_args!("`{key}` is not the number of a client")))?;
                    if clients.insert(client, map.next_value()?).is_some() {
                        return Err(de::Error::custom(format_args!("client {client} is given twice")));
                    }
                    if clients.len() > CLIENTS_MAX as usize {
                        return Err(de::Error::custom(format_args!("there are more clients than a partition may have ({CLIENTS_MAX})")));
                    }
                }
                match (0..).zip(clients.keys()).find(|(place, client)| place != *client) {
                    Some((missing, _)) => Err(de::Error::custom(format_args!("client {missing} is missing"))),
                    None => Ok(Clients(clients.into_values().collect())),
                }
            }
        }
        deserializer.deserialize_any(ListOrMap)
    }
}
