//! The parameters of an entry: plain data, and typed handles through which implementations read their values.

use std::fmt;

use super::{Choice, Entry, Tag, Value};

/// A parameter of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// The key in experiment files.
    pub name: &'static str,
    /// The meaning and the unit, in one or a few sentences.
    pub doc: &'static str,
    /// The type and range of its values.
    pub kind: Kind,
    /// The value if a file gives none.
    pub preset: Preset,
}

/// The type and range of a parameter's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A finite number.
    Number(Range),
    /// A whole number, within both bounds.
    Whole {
        /// The smallest value.
        min: u32,
        /// The largest value.
        max: u32,
    },
    /// `true` or `false`.
    Switch,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A list of finite numbers.
    Numbers {
        /// The length of the shortest list.
        count_min: usize,
        /// The length of the longest list.
        count_max: usize,
        /// The range of each number.
        each: Range,
    },
    /// A list of whole numbers, each within both bounds.
    Wholes {
        /// The length of the shortest list.
        count_min: usize,
        /// The length of the longest list.
        count_max: usize,
        /// The smallest value.
        min: u32,
        /// The largest value.
        max: u32,
    },
    /// A short text, such as the name of a column.
    Text,
    /// The path of a file of the user's, relative to the experiment file.
    Path,
    /// One of several entries with parameters of their own.
    Choice {
        /// The key that names the entry.
        tag: Tag,
        /// The name of the choice in the schema.
        definition: &'static str,
        /// The documentation of the choice in the schema.
        doc: &'static str,
        /// The entries.
        entries: &'static [&'static Entry],
    },
}

impl fmt::Display for Kind {
    /// Says in words which values there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(range) => write!(f, "a number{range}"),
            Self::Whole { min, max: u32::MAX } => write!(f, "a whole number, at least {min}"),
            Self::Whole { min, max } => write!(f, "a whole number, {min} to {max}"),
            Self::Switch => f.write_str("`true` or `false`"),
            Self::Word(words) => f.write_str(&words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")),
            Self::Numbers { count_min, count_max, each } if count_min == count_max => {
                write!(f, "a list of {count_min} numbers, each{each}")
            }
            Self::Numbers { count_min, count_max, each } => write!(f, "a list of {count_min} to {count_max} numbers, each{each}"),
            Self::Wholes { count_min, count_max, min, max } => {
                write!(f, "a list of {count_min} to {count_max} whole numbers, each {min} to {max}")
            }
            Self::Text => f.write_str("a text"),
            Self::Path => f.write_str("a path, relative to the experiment file"),
            Self::Choice { tag, entries, .. } => {
                let names: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
                write!(f, "a block whose `{}` is one of {}", tag.name(), names.join(", "))
            }
        }
    }
}

/// The range of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The lower bound, and true if it is excluded.
    pub min: Option<(f64, bool)>,
    /// The upper bound, and true if it is excluded.
    pub max: Option<(f64, bool)>,
}

impl Range {
    /// The range of all finite numbers.
    pub const ANY: Self = Self { min: None, max: None };
    /// The range of numbers above 0.
    pub const POSITIVE: Self = Self { min: Some((0.0, true)), max: None };
    /// The range of numbers from 0 on.
    pub const NOT_NEGATIVE: Self = Self::between(0.0, f64::INFINITY);
    /// The range of numbers from 0 to below 1.
    pub const BELOW_ONE: Self = Self { min: Some((0.0, false)), max: Some((1.0, true)) };

    /// Creates the range of numbers from `min` to `max`, both included.
    #[must_use]
    pub const fn between(min: f64, max: f64) -> Self {
        Self { min: Some((min, false)), max: if max.is_finite() { Some((max, false)) } else { None } }
    }

    /// Creates the range of numbers above 0, up to and including `max`.
    #[must_use]
    pub const fn positive_up_to(max: f64) -> Self {
        Self { min: Some((0.0, true)), max: Some((max, false)) }
    }

    /// Returns true if `value` is finite and within the range.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        let above = self.min.is_none_or(|(min, is_excluded)| if is_excluded { value > min } else { value >= min });
        let below = self.max.is_none_or(|(max, is_excluded)| if is_excluded { value < max } else { value <= max });
        value.is_finite() && above && below
    }
}

impl fmt::Display for Range {
    /// Says the range in words, to follow "a number"; nothing if it is unlimited.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let min = self.min.map(|(min, is_excluded)| format!("{} {min}", if is_excluded { "above" } else { "at least" }));
        let max = self.max.map(|(max, is_excluded)| format!("{} {max}", if is_excluded { "below" } else { "at most" }));
        match (min, max) {
            (None, None) => Ok(()),
            (Some(one), None) | (None, Some(one)) => write!(f, " {one}"),
            (Some(min), Some(max)) => write!(f, " {min} and {max}"),
        }
    }
}

/// The value of a parameter that a file doesn't give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Preset {
    /// There is none: the file must give it.
    Required,
    /// The default.
    Value(Constant),
    /// A default that has changed. A user's file gets the newest, and a record of fltk without the parameter has the earliest, since it was
    /// written before there was a choice.
    Changed {
        /// The meaning before the parameter existed.
        earliest: Constant,
        /// The default of today.
        newest: Constant,
    },
}

/// A default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Constant {
    /// A number.
    Number(f64),
    /// A whole number.
    Whole(u32),
    /// `true` or `false`.
    Switch(bool),
    /// A word.
    Word(&'static str),
    /// A list of numbers.
    Numbers(&'static [f64]),
    /// A list of whole numbers.
    Wholes(&'static [u32]),
}

/// The step size of an optimizer. Every optimizer has this parameter, since schedules and strategies change it.
pub const LEARNING_RATE: Number = Number::required("learning_rate", "Step size.").within(Range::POSITIVE);

const fn parameter(name: &'static str, doc: &'static str, kind: Kind, preset: Preset) -> Parameter {
    Parameter { name, doc, kind, preset }
}

impl Parameter {
    /// Returns the value in `choice`, otherwise the default.
    fn value_in(&self, choice: &Choice) -> Value {
        let given = choice.get(self.name).map(|value| match value {
            Value::Open { newest, .. } => newest.into(),
            value => value.clone(),
        });
        given.or_else(|| self.default()).expect("a choice that was read has every parameter without a default")
    }

    /// Returns the default of today, if there is one.
    #[must_use]
    pub fn default(&self) -> Option<Value> {
        match &self.preset {
            Preset::Required => None,
            Preset::Value(value) | Preset::Changed { newest: value, .. } => Some(value.into()),
        }
    }
}

/// A handle of a parameter that is a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(Parameter);

impl Number {
    /// Creates a parameter that files must give.
    #[must_use]
    pub const fn required(name: &'static str, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Number(Range::ANY), Preset::Required))
    }

    /// Creates a parameter with a default.
    #[must_use]
    pub const fn new(name: &'static str, default: f64, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Number(Range::ANY), Preset::Value(Constant::Number(default))))
    }

    /// Returns the same parameter with a range.
    #[must_use]
    pub const fn within(self, range: Range) -> Self {
        Self(Parameter { kind: Kind::Number(range), ..self.0 })
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's value in `choice`, or its default if `choice` doesn't give it.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> f64 {
        match self.0.value_in(choice) {
            Value::Number(value) => value,
            Value::Whole(value) => f64::from(value),
            value => unreachable!("`{}` is a number, not {value:?}", self.0.name),
        }
    }
}

/// A handle of a parameter that is a whole number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whole(Parameter);

impl Whole {
    /// Creates a parameter that files must give.
    #[must_use]
    pub const fn required(name: &'static str, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Whole { min: 0, max: u32::MAX }, Preset::Required))
    }

    /// Creates a parameter with a default.
    #[must_use]
    pub const fn new(name: &'static str, default: u32, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Whole { min: 0, max: u32::MAX }, Preset::Value(Constant::Whole(default))))
    }

    /// Creates a parameter whose default has changed.
    #[must_use]
    pub const fn changed(name: &'static str, earliest: u32, newest: u32, doc: &'static str) -> Self {
        let preset = Preset::Changed { earliest: Constant::Whole(earliest), newest: Constant::Whole(newest) };
        Self(parameter(name, doc, Kind::Whole { min: 0, max: u32::MAX }, preset))
    }

    /// Returns the same parameter with the bounds `min` and `max`, both included.
    #[must_use]
    pub const fn within(self, min: u32, max: u32) -> Self {
        Self(Parameter { kind: Kind::Whole { min, max }, ..self.0 })
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's value in `choice`, or its default if `choice` doesn't give it.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> u32 {
        match self.0.value_in(choice) {
            Value::Whole(value) => value,
            value => unreachable!("`{}` is a whole number, not {value:?}", self.0.name),
        }
    }

    /// The key in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0.name
    }
}

/// A handle of a parameter that is `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Switch(Parameter);

impl Switch {
    /// Creates a parameter with a default.
    #[must_use]
    pub const fn new(name: &'static str, default: bool, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Switch, Preset::Value(Constant::Switch(default))))
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's value in `choice`, or its default if `choice` doesn't give it.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> bool {
        match self.0.value_in(choice) {
            Value::Switch(value) => value,
            value => unreachable!("`{}` is true or false, not {value:?}", self.0.name),
        }
    }
}

/// A handle of a parameter that is one of a few words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Word(Parameter, &'static [&'static str]);

impl Word {
    /// Creates a parameter that is one of `words`, of which the first is the default.
    #[must_use]
    pub const fn new(name: &'static str, words: &'static [&'static str], doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Word(words), Preset::Value(Constant::Word(words[0]))), words)
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's value in `choice`, or its default if `choice` doesn't give it.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> &'static str {
        match self.0.value_in(choice) {
            Value::Word(value) => self.1.iter().find(|word| ***word == *value).expect("a choice that was read has one of the words"),
            value => unreachable!("`{}` is a word, not {value:?}", self.0.name),
        }
    }
}

/// A handle of a parameter that is a short text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Text(Parameter);

impl Text {
    /// Creates a parameter with a default.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static str, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Text, Preset::Value(Constant::Word(default))))
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's value in `choice`, or its default if `choice` doesn't give it.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> String {
        match self.0.value_in(choice) {
            Value::Word(value) => value.as_ref().to_owned(),
            value => unreachable!("`{}` is a text, not {value:?}", self.0.name),
        }
    }

    /// The key in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0.name
    }
}

/// A handle of a parameter that is a list of `N` numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers<const N: usize>(Parameter);

impl<const N: usize> Numbers<N> {
    /// Creates a parameter with a default.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static [f64; N], doc: &'static str) -> Self {
        Self(parameter(
            name,
            doc,
            Kind::Numbers { count_min: N, count_max: N, each: Range::ANY },
            Preset::Value(Constant::Numbers(default)),
        ))
    }

    /// Returns the same parameter with a range for each number.
    #[must_use]
    pub const fn within(self, each: Range) -> Self {
        Self(Parameter { kind: Kind::Numbers { count_min: N, count_max: N, each }, ..self.0 })
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's values in `choice`, or its default if `choice` doesn't give them.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> [f64; N] {
        match self.0.value_in(choice) {
            Value::Numbers(values) => values.try_into().expect("a choice that was read has lists of the right length"),
            value => unreachable!("`{}` is a list of numbers, not {value:?}", self.0.name),
        }
    }
}

/// A handle of a parameter that is a list of numbers, which may be of any length up to a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberList(Parameter);

impl NumberList {
    /// Creates a parameter that files must give, whose lists have 1 to `count_max` numbers.
    #[must_use]
    pub const fn required(name: &'static str, count_max: usize, each: Range, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Numbers { count_min: 1, count_max, each }, Preset::Required))
    }

    /// Creates a parameter with a default, whose lists have up to `count_max` numbers and may be empty.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static [f64], count_max: usize, each: Range, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Numbers { count_min: 0, count_max, each }, Preset::Value(Constant::Numbers(default))))
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's values in `choice`, or its default if `choice` doesn't give them.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> Vec<f64> {
        match self.0.value_in(choice) {
            Value::Numbers(values) => values,
            Value::Wholes(values) => values.into_iter().map(f64::from).collect(),
            value => unreachable!("`{}` is a list of numbers, not {value:?}", self.0.name),
        }
    }

    /// The key in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0.name
    }
}

/// A handle of a parameter that is a list of whole numbers, which may be of any length up to a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wholes(Parameter);

impl Wholes {
    /// Creates a parameter that files must give, whose lists have at most `count_max` numbers from `min` to `max`, both included.
    #[must_use]
    pub const fn required(name: &'static str, count_max: usize, (min, max): (u32, u32), doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Wholes { count_min: 1, count_max, min, max }, Preset::Required))
    }

    /// Creates a parameter with a default, whose lists have at most `count_max` numbers from `min` to `max`, both included.
    #[must_use]
    pub const fn new(name: &'static str, default: &'static [u32], count_max: usize, (min, max): (u32, u32), doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Wholes { count_min: 1, count_max, min, max }, Preset::Value(Constant::Wholes(default))))
    }

    /// Returns the same parameter, whose lists may be empty.
    #[must_use]
    pub const fn or_none(self) -> Self {
        match self.0.kind {
            Kind::Wholes { count_max, min, max, .. } => {
                Self(Parameter { kind: Kind::Wholes { count_min: 0, count_max, min, max }, ..self.0 })
            }
            _ => self,
        }
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns this parameter's values in `choice`, or its default if `choice` doesn't give them.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> Vec<u32> {
        match self.0.value_in(choice) {
            Value::Wholes(values) => values,
            value => unreachable!("`{}` is a list of whole numbers, not {value:?}", self.0.name),
        }
    }

    /// The key in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0.name
    }
}

/// A handle of a parameter that is the path of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilePath(Parameter);

impl FilePath {
    /// Creates a parameter that files must give.
    #[must_use]
    pub const fn required(name: &'static str, doc: &'static str) -> Self {
        Self(parameter(name, doc, Kind::Path, Preset::Required))
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns the path in `choice`.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> String {
        match self.0.value_in(choice) {
            // In a choice that wasn't settled, a path is still a word.
            Value::Path(path) | Value::Word(path) => path.as_ref().to_owned(),
            value => unreachable!("`{}` is a path, not {value:?}", self.0.name),
        }
    }

    /// The key in experiment files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.0.name
    }
}

/// A handle of a parameter that is a choice among entries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nested(Parameter);

impl Nested {
    /// Creates a parameter that files must give: a block whose key `tag` names one of `entries`. `definition` is its name in the schema.
    #[must_use]
    pub const fn required(
        name: &'static str,
        tag: Tag,
        definition: &'static str,
        entries: &'static [&'static Entry],
        doc: &'static str,
    ) -> Self {
        Self(parameter(name, doc, Kind::Choice { tag, definition, doc, entries }, Preset::Required))
    }

    /// Returns the parameter as plain data, for its entry.
    #[must_use]
    pub const fn parameter(self) -> Parameter {
        self.0
    }

    /// Returns the value in `choice`.
    #[must_use]
    pub fn of(&self, choice: &Choice) -> Choice {
        match self.0.value_in(choice) {
            Value::Choice(value) => *value,
            value => unreachable!("`{}` is a block, not {value:?}", self.0.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Number = Number::required("rate", "A rate.").within(Range::POSITIVE);
    const SHARE: Number = Number::new("share", 0.1, "A share.").within(Range::BELOW_ONE);
    const COUNT: Whole = Whole::new("count", 3, "A count.").within(1, 10);
    const LIMIT: Whole = Whole::required("limit", "A limit.");
    const FLAG: Switch = Switch::new("flag", true, "A flag.");
    const PAIR: Numbers<2> = Numbers::new("pair", &[0.9, 0.999], "Two numbers.");
    const SIZES: Wholes = Wholes::new("sizes", &[3, 4], 3, (1, 9), "Whole numbers.");
    const HOW: Word = Word::new("how", &["slow", "fast"], "A word.");
    const LENGTHS: Wholes = Wholes::required("lengths", 2, (0, 5), "Whole numbers.");
    const FILE: FilePath = FilePath::required("file", "A file.");
    const VERSION: Whole = Whole::changed("version", 1, 2, "A default that has changed.").within(1, 2);
    static INNER: Entry = Entry::new("inner", "An entry.").parameters(const { &[SHARE.parameter()] });
    const SKEW: Nested = Nested::required("skew", Tag::Law, "skew", const { &[&INNER] }, "A choice.");

    #[test]
    fn handles_return_given_values_or_defaults() {
        let given = Choice::new("x").with("rate", 0.5).with("share", 0.25).with("count", 7).with("limit", 9).with("flag", false);
        let given = given.with("pair", [1.0, 2.0]).with("version", 1).with("skew", Choice::law("inner").with("share", 0.5));
        assert_eq!((RATE.of(&given), SHARE.of(&given), COUNT.of(&given), LIMIT.of(&given)), (0.5, 0.25, 7, 9));
        assert_eq!((FLAG.of(&given), PAIR.of(&given), VERSION.of(&given)), (false, [1.0, 2.0], 1));
        assert_eq!(SHARE.of(&SKEW.of(&given)), 0.5);
        assert_eq!((HOW.of(&given), HOW.of(&given.clone().with("how", "fast"))), ("slow", "fast"));
        assert_eq!((SIZES.of(&given), SIZES.of(&given.clone().with("sizes", [1, 2, 3]))), (vec![3, 4], vec![1, 2, 3]));
        assert_eq!(FILE.of(&given.clone().with("file", "a/b.json")), "a/b.json");
        let bare = Choice::new("x");
        assert_eq!((SHARE.of(&bare), COUNT.of(&bare), FLAG.of(&bare), PAIR.of(&bare)), (0.1, 3, true, [0.9, 0.999]));
        // A number may have been given as a whole one.
        assert_eq!(RATE.of(&Choice::new("x").with("rate", 2)), 2.0);
    }

    #[test]
    fn changed_defaults_have_the_newest_value_unless_closed() {
        static ENTRY: Entry = Entry::new("x", "An entry.").parameters(const { &[VERSION.parameter()] });
        let open = Choice::new("x").settled(&ENTRY).unwrap();
        assert_eq!((VERSION.of(&Choice::new("x")), VERSION.of(&open)), (2, 2));
        assert_eq!(VERSION.of(&open.with_earliest_defaults()), 1);
    }

    #[test]
    fn current_default_is_returned_if_there_is_one() {
        let check = |parameter: Parameter, expected: Option<Value>| assert_eq!(parameter.default(), expected, "{}", parameter.name);
        check(RATE.parameter(), None);
        check(LIMIT.parameter(), None);
        check(SKEW.parameter(), None);
        check(SHARE.parameter(), Some(Value::Number(0.1)));
        check(COUNT.parameter(), Some(Value::Whole(3)));
        check(FLAG.parameter(), Some(Value::Switch(true)));
        check(PAIR.parameter(), Some(Value::Numbers(vec![0.9, 0.999])));
        check(SIZES.parameter(), Some(Value::Wholes(vec![3, 4])));
        check(HOW.parameter(), Some(Value::Word("slow".into())));
        check(LENGTHS.parameter(), None);
        check(FILE.parameter(), None);
        check(VERSION.parameter(), Some(Value::Whole(2)));
    }

    #[test]
    fn ranges_contain_finite_numbers_within_bounds() {
        let check = |range: Range, inside: &[f64], outside: &[f64]| {
            assert!(inside.iter().all(|value| range.contains(*value)), "{range:?} {inside:?}");
            let never = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
            assert!(!outside.iter().chain(&never).any(|value| range.contains(*value)), "{range:?} {outside:?}");
        };
        check(Range::ANY, &[f64::MIN, -1.0, 0.0, f64::MAX], &[]);
        check(Range::POSITIVE, &[f64::MIN_POSITIVE, 1.0, f64::MAX], &[0.0, -0.0, -1.0]);
        check(Range::NOT_NEGATIVE, &[0.0, -0.0, f64::MAX], &[-f64::MIN_POSITIVE]);
        check(Range::BELOW_ONE, &[0.0, 0.999], &[1.0, -0.001]);
        check(Range::between(-2.0, 3.0), &[-2.0, 0.0, 3.0], &[-2.001, 3.001]);
        check(Range::positive_up_to(100.0), &[0.001, 100.0], &[0.0, 100.001]);
    }
}
