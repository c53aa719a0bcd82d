//! Which of several files are training and which are test, by their names.

use super::{error::OwnError, place::Place};

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Samples to train on.
    Train,
    /// Samples to validate on, which are the test part where there is no other.
    Validation,
    /// Samples to test on.
    Test,
}

/// The words in names that tell the part.
const WORDS: &[(&str, Role)] = &[
    ("train", Role::Train),
    ("training", Role::Train),
    ("test", Role::Test),
    ("testing", Role::Test),
    ("t10k", Role::Test),
    ("validation", Role::Validation),
    ("valid", Role::Validation),
    ("val", Role::Validation),
    ("dev", Role::Validation),
];

/// Returns the words of a name or path: runs of letters and digits, in lower case.
pub(super) fn words(name: &str) -> impl Iterator<Item = String> + '_ {
    name.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Returns the part that a name or path tells: by its last word that tells one.
pub(super) fn role(name: &str) -> Option<Role> {
    words(name).filter_map(|word| WORDS.iter().find(|(known, _)| *known == word).map(|(_, role)| *role)).last()
}

/// The files of each part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// Those to train on; all of them, if the names tell no part.
    pub train: Vec<&'a str>,
    /// Those to test on; none if there is no test part.
    pub test: Vec<&'a str>,
}

/// Divides `names` by the parts that they tell. Without a test part, the validation part is the test part; otherwise it is left out.
///
/// # Errors
/// If some names tell a part and others don't, or there is nothing to train on.
pub(super) fn divide<'a>(names: &[&'a str], place: &Place) -> Result<Parts<'a>, OwnError> {
    let of = |wanted: Option<Role>| names.iter().copied().filter(|name| role(name) == wanted).collect::<Vec<_>>();
    let (train, test, unsaid) = (of(Some(Role::Train)), of(Some(Role::Test)), of(None));
    let test = if test.is_empty() { of(Some(Role::Validation)) } else { test };
    match (train.is_empty(), unsaid.first()) {
        (true, None) => Err(place.error("it has no training part".to_owned()).hint("a file or folder with `train` in its name has it")),
        // What isn't named as the test part is to train on.
        (true, Some(_)) => Ok(Parts { train: unsaid, test }),
        (false, None) => Ok(Parts { train, test }),
        (false, Some(name)) => {
            let hint =
                "name the other files, or say with `path` which one to read; `train`, `validation` and `test` in a name tell the part";
            Err(place.error_in(name, "it is neither of the training part nor of the test part, and other files are").hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_part() {
        for (name, expected) in [
            ("train-images-idx3-ubyte", Some(Role::Train)),
            ("emnist-letters-test-labels-idx1-ubyte.gz", Some(Role::Test)),
            ("t10k-images-idx3-ubyte", Some(Role::Test)),
            ("data/train-00000-of-00001.parquet", Some(Role::Train)),
            ("test/all_data_niid_0_keep_0_train_9.json", Some(Role::Train)),
            ("val_images", Some(Role::Validation)),
            ("trains.csv", None),
            ("data.csv", None),
        ] {
            assert_eq!(role(name), expected, "{name}");
        }
    }
}
