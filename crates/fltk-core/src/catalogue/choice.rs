//! A choice out of a catalogue: the name of an entry, with values for its parameters.

mod conversions;
mod paths;
mod python;

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap as _,
};

pub use python::file_and_name;

use super::{Constant, Entry, Kind, Parameter, Preset};

/// The largest length of a text in characters: it is the name of a column or of an array.
const TEXT_CHARS_MAX: usize = 256;

/// An entry by name, with values for its parameters. In files it is a block such as `{ type: FedProx, mu: 0.01 }`.
///
/// A choice that was read from a file has a value for every parameter of its entry, in the entry's order, each of the right type and within
/// its range. [`Catalogue::settle`](super::Catalogue::settle) ensures that.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    tag: Tag,
    name: Arc<str>,
    settings: Vec<(Arc<str>, Value)>,
}

/// The key that holds the name of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// `type`, for nearly all choices.
    Type,
    /// `law`, for laws of numbers.
    Law,
    /// `name`, for data sets.
    Name,
    /// `format`, for data of one's own.
    Format,
    /// `python`, for code of the user's own: the name is a file and a name in it.
    Python,
}

impl Tag {
    /// Returns the key in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Law => "law",
            Self::Name => "name",
            Self::Format => "format",
            Self::Python => "python",
        }
    }
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Number(f64),
    /// A whole number.
    Whole(u32),
    /// `true` or `false`.
    Switch(bool),
    /// One of a few words.
    Word(Arc<str>),
    /// A list of numbers.
    Numbers(Vec<f64>),
    /// A list of whole numbers.
    Wholes(Vec<u32>),
    /// The path of a file, relative to the experiment file. In a choice that isn't settled yet, it is a [`Word`](Self::Word).
    Path(Arc<str>),
    /// A choice among further entries.
    Choice(Box<Choice>),
    /// A value that the file left open, and whose default has changed: its meaning depends on who wrote the file.
    Open {
        /// The meaning in a record that fltk wrote.
        earliest: Constant,
        /// The meaning in a user's file.
        newest: Constant,
    },
}

/// The reason why a choice isn't one of a catalogue.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChoiceError {
    /// No entry has that name.
    #[error("there is no `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The entry has no such parameter.
    #[error("`{entry}` has no `{parameter}`")]
    UnknownParameter {
        /// The entry.
        entry: &'static str,
        /// The key.
        parameter: String,
    },
    /// A parameter without a default isn't given.
    #[error("`{entry}` needs `{parameter}`")]
    Missing {
        /// The entry.
        entry: &'static str,
        /// The parameter.
        parameter: &'static str,
    },
    /// A value is of another type, or out of range.
    #[error("`{parameter}` of `{entry}` can't be {value}")]
    Value {
        /// The entry.
        entry: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// The value, as JSON.
        value: String,
    },
}

impl Choice {
    /// Creates the choice of the entry `name`, with defaults for every parameter.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { tag: Tag::Type, name: name.into(), settings: Vec::new() }
    }

    /// Creates the choice that a [`Nested`](super::Nested) parameter with the tag `law` has as its value.
    #[must_use]
    pub fn law(name: &str) -> Self {
        Self { tag: Tag::Law, ..Self::new(name) }
    }

    /// Creates the choice of the data set `name`.
    #[must_use]
    pub fn dataset(name: &str) -> Self {
        Self { tag: Tag::Name, ..Self::new(name) }
    }

    /// Creates the choice of the format `name` of one's own data.
    #[must_use]
    pub fn format(name: &str) -> Self {
        Self { tag: Tag::Format, ..Self::new(name) }
    }

    /// Returns the same choice with a value for `parameter`.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        match self.settings.iter_mut().find(|(known, _)| &**known == parameter) {
            Some((_, old)) => *old = value,
            None => self.settings.push((parameter.into(), value)),
        }
        self
    }

    /// Returns the same choice under another name, with the same values.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns the key that holds the name.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Returns the name of the entry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if it has no values at all: every parameter has its default.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.settings.is_empty()
    }

    /// Returns the value given for a parameter.
    #[must_use]
    pub fn get(&self, parameter: &str) -> Option<&Value> {
        self.settings.iter().find(|(name, _)| &**name == parameter).map(|(_, value)| value)
    }

    /// Returns the values, in order, but for those that are left open.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.settings.iter().filter(|(_, value)| !matches!(value, Value::Open { .. })).map(|(name, value)| (&**name, value))
    }

    /// Returns true if the file left something open whose default has changed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.settings.iter().any(|(_, value)| match value {
            Value::Open { .. } => true,
            Value::Choice(inner) => inner.is_open(),
            Value::Number(_)
            | Value::Whole(_)
            | Value::Switch(_)
            | Value::Word(_)
            | Value::Numbers(_)
            | Value::Wholes(_)
            | Value::Path(_) => false,
        })
    }

    /// Returns the choice with the newest default for each parameter that is left open: the meaning of a user's file.
    #[must_use]
    pub fn with_newest_defaults(self) -> Self {
        self.closed(|_, newest| newest)
    }

    /// Returns the choice with the earliest default for each parameter that is left open: the meaning of fltk's own records.
    #[must_use]
    pub fn with_earliest_defaults(self) -> Self {
        self.closed(|earliest, _| earliest)
    }

    fn closed(mut self, pick: fn(Constant, Constant) -> Constant) -> Self {
        for (_, value) in &mut self.settings {
            match value {
                Value::Open { earliest, newest } => *value = (&pick(*earliest, *newest)).into(),
                Value::Choice(inner) => **inner = inner.clone().closed(pick),
                Value::Number(_)
                | Value::Whole(_)
                | Value::Switch(_)
                | Value::Word(_)
                | Value::Numbers(_)
                | Value::Wholes(_)
                | Value::Path(_) => {}
            }
        }
        self
    }

    /// Returns the choice with every parameter of `entry`, in its order.
    ///
    /// # Errors
    /// If a parameter is missing, unknown, of another type or out of range.
    pub fn settled(mut self, entry: &Entry) -> Result<Self, ChoiceError> {
        let mut settings = Vec::with_capacity(entry.parameters.len());
        for parameter in entry.parameters {
            let given = self.settings.iter().position(|(name, _)| **name == *parameter.name).map(|at| self.settings.remove(at).1);
            let value = match (given, &parameter.preset) {
                (Some(value), _) => fitted(value, parameter, entry)?,
                (None, Preset::Required) => return Err(ChoiceError::Missing { entry: entry.name, parameter: parameter.name }),
                (None, Preset::Value(default)) => default.into(),
                (None, Preset::Changed { earliest, newest }) => Value::Open { earliest: *earliest, newest: *newest },
            };
            settings.push((parameter.name.into(), value));
        }
        match self.settings.into_iter().next() {
            Some((parameter, _)) => Err(ChoiceError::UnknownParameter { entry: entry.name, parameter: parameter.to_string() }),
            None => Ok(Self { tag: self.tag, name: entry.name.into(), settings }),
        }
    }
}

/// Returns the value as one of the parameter's type.
fn fitted(value: Value, parameter: &Parameter, entry: &Entry) -> Result<Value, ChoiceError> {
    let wrong = |value: &Value| {
        let value = serde_json::to_string(value).unwrap_or_default();
        ChoiceError::Value { entry: entry.name, parameter: parameter.name, value }
    };
    match (value, parameter.kind) {
        (value @ Value::Open { .. }, _) if matches!(parameter.preset, Preset::Changed { .. }) => Ok(value),
        (Value::Whole(value), Kind::Number(range)) if range.contains(value.into()) => Ok(Value::Number(value.into())),
        (Value::Number(value), Kind::Number(range)) if range.contains(value) => Ok(Value::Number(value)),
        (Value::Number(value), Kind::Whole { min, max }) => {
            whole(value, min, max).map(Value::Whole).ok_or_else(|| wrong(&Value::Number(value)))
        }
        (Value::Whole(value), Kind::Whole { min, max }) if (min..=max).contains(&value) => Ok(Value::Whole(value)),
        (Value::Switch(value), Kind::Switch) => Ok(Value::Switch(value)),
        (Value::Word(value), Kind::Word(words)) if words.contains(&&*value) => Ok(Value::Word(value)),
        (Value::Word(text), Kind::Text) if text.chars().count() <= TEXT_CHARS_MAX && !text.contains(char::is_control) => {
            Ok(Value::Word(text))
        }
        (Value::Numbers(values), Kind::Numbers { count_min, count_max, each })
            if (count_min..=count_max).contains(&values.len()) && values.iter().all(|value| each.contains(*value)) =>
        {
            Ok(Value::Numbers(values))
        }
        (Value::Wholes(values), Kind::Numbers { count_min, count_max, each })
            if (count_min..=count_max).contains(&values.len()) && values.iter().all(|value| each.contains((*value).into())) =>
        {
            Ok(Value::Numbers(values.into_iter().map(f64::from).collect()))
        }
        (Value::Numbers(values), Kind::Wholes { count_min, count_max, min, max }) if (count_min..=count_max).contains(&values.len()) => {
            let wholes: Option<Vec<u32>> = values.iter().map(|value| whole(*value, min, max)).collect();
            wholes.map(Value::Wholes).ok_or_else(|| wrong(&Value::Numbers(values)))
        }
        (Value::Wholes(values), Kind::Wholes { count_min, count_max, min, max })
            if (count_min..=count_max).contains(&values.len()) && values.iter().all(|value| (min..=max).contains(value)) =>
        {
            Ok(Value::Wholes(values))
        }
        (Value::Word(path) | Value::Path(path), Kind::Path) if !path.trim().is_empty() && !path.contains('\0') => Ok(Value::Path(path)),
        (Value::Choice(choice), Kind::Choice { tag, entries, .. }) if choice.tag == tag => {
            let Some(inner) = entries.iter().find(|inner| inner.name == choice.name()) else {
                return Err(ChoiceError::Unknown { name: choice.name().to_owned() });
            };
            Ok(Value::Choice(Box::new(choice.settled(inner)?)))
        }
        (value, _) => Err(wrong(&value)),
    }
}

/// Returns `value` as a whole number from `min` to `max`, if it is one.
fn whole(value: f64, min: u32, max: u32) -> Option<u32> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range, as just checked")]
    (value.fract() == 0.0 && (min.into()..=max.into()).contains(&value)).then_some(value as u32)
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.tag.name(), &*self.name)?;
        for (name, value) in self.settings() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(value) => serializer.serialize_f64(*value),
            Self::Whole(value) => serializer.serialize_u32(*value),
            Self::Switch(value) => serializer.serialize_bool(*value),
            Self::Word(value) | Self::Path(value) => serializer.serialize_str(value),
            Self::Numbers(values) => values.serialize(serializer),
            Self::Wholes(values) => values.serialize(serializer),
            Self::Choice(choice) => choice.serialize(serializer),
            Self::Open { .. } => serializer.serialize_unit(),
        }
    }
}

impl<'de> Deserialize<'de> for Choice {
    /// Reads a choice as it is written. It has to be settled before it is used.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Block;
        impl<'de> Visitor<'de> for Block {
            type Value = Choice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block with a `type`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Choice, A::Error> {
                let mut block: Vec<(String, serde_json::Value)> =
                    std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>()?;
                // Where several are keys, the later ones are parameters.
                let tags = [Tag::Type, Tag::Law, Tag::Name, Tag::Format, Tag::Python];
                let named = tags.into_iter().find_map(|tag| Some((tag, block.iter().position(|(key, _)| key == tag.name())?)));
                let (tag, at) = named.ok_or_else(|| de::Error::missing_field(Tag::Type.name()))?;
                let name: String = serde_json::from_value(block.remove(at).1).map_err(de::Error::custom)?;
                let mut settings = Vec::with_capacity(block.len());
                for (key, value) in block {
                    // A `null` leaves the parameter open.
                    let value = serde_json::from_value::<Option<Value>>(value).map_err(de::Error::custom)?;
                    settings.extend(value.map(|value| (key.into(), value)));
                }
                Ok(Choice { tag, name: name.into(), settings })
            }
        }
        deserializer.deserialize_map(Block)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, `true` or `false`, a word, a list of numbers or a block")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Switch(value))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Word(value.into()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                #[expect(clippy::cast_precision_loss, reason = "a number of a file; a parameter that takes it says its range")]
                Ok(u32::try_from(value).map_or(Value::Number(value as f64), Value::Whole))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
                #[expect(clippy::cast_precision_loss, reason = "a number of a file; a parameter that takes it says its range")]
                Ok(u32::try_from(value).map_or(Value::Number(value as f64), Value::Whole))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Number(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                let wholes = values.iter().map(|value| if let Value::Whole(value) = value { Some(*value) } else { None });
                if let Some(wholes) = wholes.collect() {
                    return Ok(Value::Wholes(wholes));
                }
                let numbers = values.iter().map(|value| match value {
                    Value::Whole(value) => Ok(f64::from(*value)),
                    Value::Number(value) => Ok(*value),
                    _ => Err(de::Error::custom("a list can have only numbers")),
                });
                Ok(Value::Numbers(numbers.collect::<Result<_, _>>()?))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                let choice = Choice::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Value::Choice(Box::new(choice)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{FilePath, Nested, Number, Numbers, Range, Switch, Whole, Wholes, Word},
        *,
    };

    const RATE: Number = Number::required("rate", "A rate.").within(Range::POSITIVE);
    const COUNT: Whole = Whole::new("count", 3, "A count.").within(1, 10);
    const FLAG: Switch = Switch::new("flag", false, "A flag.");
    const PAIR: Numbers<2> = Numbers::new("pair", &[0.9, 0.999], "Two numbers.").within(Range::BELOW_ONE);
    const SIZES: Wholes = Wholes::new("sizes", &[3, 4], 3, (1, 9), "Whole numbers.");
    const HOW: Word = Word::new("how", &["slow", "fast"], "A word.");
    const VERSION: Whole = Whole::changed("version", 1, 2, "A default that has changed.").within(1, 2);
    static PLAIN: Entry = Entry::new("plain", "An entry without parameters.");
    static FULL: Entry = Entry::new("full", "An entry with a parameter of every type.").parameters(
        const {
            &[
                RATE.parameter(),
                COUNT.parameter(),
                FLAG.parameter(),
                PAIR.parameter(),
                SIZES.parameter(),
                HOW.parameter(),
                VERSION.parameter(),
            ]
        },
    );
    const INNER: Nested = Nested::required("inner", Tag::Law, "inner", const { &[&PLAIN, &FULL] }, "A choice within a choice.");
    static OUTER: Entry = Entry::new("outer", "An entry with a choice.").parameters(const { &[COUNT.parameter(), INNER.parameter()] });

    const LENGTHS: Wholes = Wholes::required("lengths", 3, (1, 9), "Whole numbers.");
    const FILE: FilePath = FilePath::required("file", "A file.");
    static LISTED: Entry =
        Entry::new("listed", "An entry with a list and a file.").parameters(const { &[LENGTHS.parameter(), FILE.parameter()] });

    fn full() -> Choice {
        Choice::new("full").with("rate", 0.5)
    }

    fn read(block: serde_json::Value) -> Choice {
        serde_json::from_value(block).expect("a block with a `type`")
    }

    /// The names and values of a choice, in order, with those that are left open.
    fn values(choice: &Choice) -> Vec<(&str, &Value)> {
        choice.settings.iter().map(|(name, value)| (&**name, value)).collect()
    }

    #[test]
    fn settling_fills_in_defaults_in_the_order_of_the_entry() {
        let settled = Choice::new("full").with("flag", true).with("rate", 0.5).settled(&FULL).unwrap();
        let open = Value::Open { earliest: Constant::Whole(1), newest: Constant::Whole(2) };
        let expected = [
            ("rate", &Value::Number(0.5)),
            ("count", &Value::Whole(3)),
            ("flag", &Value::Switch(true)),
            ("pair", &Value::Numbers(vec![0.9, 0.999])),
            ("sizes", &Value::Wholes(vec![3, 4])),
            ("how", &Value::Word("slow".into())),
            ("version", &open),
        ];
        assert_eq!(values(&settled), expected);
        assert_eq!(settled.clone().settled(&FULL), Ok(settled), "settling again changes nothing");
    }

    #[test]
    fn invalid_choices_are_refused_with_the_reason() {
        let check = |choice: Choice, expected: &str| assert_eq!(choice.settled(&FULL).unwrap_err().to_string(), expected);
        check(Choice::new("full"), "`full` needs `rate`");
        check(full().with("cuont", 4), "`full` has no `cuont`");
        check(full().with("count", 0), "`count` of `full` can't be 0");
        check(full().with("count", 11), "`count` of `full` can't be 11");
        check(full().with("count", 2.5), "`count` of `full` can't be 2.5");
        check(full().with("count", -1.0), "`count` of `full` can't be -1.0");
        check(full().with("count", true), "`count` of `full` can't be true");
        check(Choice::new("full").with("rate", 0.0), "`rate` of `full` can't be 0.0");
        check(Choice::new("full").with("rate", 0), "`rate` of `full` can't be 0");
        check(Choice::new("full").with("rate", f64::INFINITY), "`rate` of `full` can't be null");
        check(full().with("flag", 1), "`flag` of `full` can't be 1");
        check(full().with("pair", [0.5]), "`pair` of `full` can't be [0.5]");
        check(full().with("pair", [0.5, 1.0]), "`pair` of `full` can't be [0.5,1.0]");
        check(full().with("sizes", [0_u32; 0]), "`sizes` of `full` can't be []");
        check(full().with("sizes", [1, 2, 3, 4]), "`sizes` of `full` can't be [1,2,3,4]");
        check(full().with("sizes", [1, 10]), "`sizes` of `full` can't be [1,10]");
        check(full().with("sizes", [1.0, 0.5]), "`sizes` of `full` can't be [1.0,0.5]");
        check(full().with("sizes", 3), "`sizes` of `full` can't be 3");
        check(full().with("how", "quick"), "`how` of `full` can't be \"quick\"");
        check(full().with("how", true), "`how` of `full` can't be true");
        check(full().with("version", 3), "`version` of `full` can't be 3");
        check(full().with("count", Choice::new("plain")), "`count` of `full` can't be {\"type\":\"plain\"}");
    }

    #[test]
    fn integers_and_floats_are_interchangeable() {
        let settled =
            Choice::new("full").with("rate", 2).with("count", 4.0).with("version", 1.0).with("sizes", [5.0]).settled(&FULL).unwrap();
        assert_eq!(settled.get("sizes"), Some(&Value::Wholes(vec![5])));
        assert_eq!(full().with("pair", [0, 0]).settled(&FULL).unwrap().get("pair"), Some(&Value::Numbers(vec![0.0, 0.0])));
        assert_eq!(settled.get("rate"), Some(&Value::Number(2.0)));
        assert_eq!(settled.get("count"), Some(&Value::Whole(4)));
        assert_eq!(settled.get("version"), Some(&Value::Whole(1)));
    }

    #[test]
    fn changed_defaults_stay_open_until_the_origin_of_the_file_is_known() {
        let open = full().settled(&FULL).unwrap();
        assert!(open.is_open());
        for (closed, version) in [(open.clone().with_earliest_defaults(), 1), (open.clone().with_newest_defaults(), 2)] {
            assert!(!closed.is_open());
            assert_eq!(closed.get("version"), Some(&Value::Whole(version)));
            // What is closed doesn't change any more, and is the same as what is given.
            assert_eq!((closed.clone().with_newest_defaults(), closed.clone().with_earliest_defaults()), (closed.clone(), closed.clone()));
            assert_eq!(full().with("version", version).settled(&FULL), Ok(closed));
        }
        // It isn't written, and a file without it, or with `null`, leaves it open.
        let written =
            json!({ "type": "full", "rate": 0.5, "count": 3, "flag": false, "pair": [0.9, 0.999], "sizes": [3, 4], "how": "slow" });
        assert_eq!(serde_json::to_value(&open).unwrap(), written);
        assert_eq!(read(written).settled(&FULL).as_ref(), Ok(&open));
        assert_eq!(read(json!({ "type": "full", "rate": 0.5, "version": null })).settled(&FULL).as_ref(), Ok(&open));
        assert!(open.settings().all(|(name, _)| name != "version"));
    }

    #[test]
    fn nested_choices_are_settled() {
        let outer = |inner: Choice| Choice::new("outer").with("inner", inner).settled(&OUTER);
        let settled = outer(Choice::law("full").with("rate", 1)).unwrap();
        let Some(Value::Choice(inner)) = settled.get("inner") else { panic!("{settled:?}") };
        assert_eq!(**inner, Choice::law("full").with("rate", 1).settled(&FULL).unwrap());
        assert_eq!(INNER.of(&settled), **inner);
        let check = |inner: Choice, expected: &str| assert_eq!(outer(inner).unwrap_err().to_string(), expected);
        check(Choice::law("plein"), "there is no `plein`");
        check(Choice::law("plain").with("rate", 1), "`plain` has no `rate`");
        check(Choice::law("full"), "`full` needs `rate`");
        // The key that names the entry is the parameter's.
        check(Choice::new("plain"), "`inner` of `outer` can't be {\"type\":\"plain\"}");
        assert_eq!(Choice::new("outer").settled(&OUTER).unwrap_err().to_string(), "`outer` needs `inner`");
    }

    #[test]
    fn changed_defaults_stay_open_in_nested_choices() {
        let open = Choice::new("outer").with("inner", Choice::law("full").with("rate", 1)).settled(&OUTER).unwrap();
        assert!(open.is_open());
        let version = |choice: Choice| VERSION.of(&INNER.of(&choice));
        assert_eq!((version(open.clone().with_earliest_defaults()), version(open.with_newest_defaults())), (1, 2));
    }

    #[test]
    fn choices_are_written_with_the_name_first_and_read_back() {
        let inner = Choice::law("full").with("rate", 0.25).with("version", 2);
        let settled = Choice::new("outer").with("inner", inner).with("count", 7).settled(&OUTER).unwrap();
        let text = serde_json::to_string(&settled).unwrap();
        assert_eq!(
            text,
            r#"{"type":"outer","count":7,"inner":{"law":"full","rate":0.25,"count":3,"flag":false,"pair":[0.9,0.999],"sizes":[3,4],"how":"slow","version":2}}"#
        );
        assert_eq!(serde_json::from_str::<Choice>(&text).unwrap(), settled);
        // The name may be anywhere in a block.
        assert_eq!(read(json!({ "rate": 0.5, "type": "full" })), full());
        assert!(serde_json::from_value::<Choice>(json!({ "rate": 0.5 })).unwrap_err().to_string().contains("`type`"));
        // A parameter may be called as the key of another choice.
        let expected = Choice::new("x").with("law", 3);
        assert_eq!((read(json!({ "type": "x", "law": 3 })), read(json!({ "law": 3, "type": "x" }))), (expected.clone(), expected));
    }

    #[test]
    fn values_are_parsed_by_their_type() {
        let choice =
            read(json!({ "type": "x", "a": 3, "b": 0.5, "c": true, "d": [1, 2.5], "e": { "law": "y" }, "f": -1, "g": 1e10, "h": [1, 2] }));
        let expected = [
            ("a", &Value::Whole(3)),
            ("b", &Value::Number(0.5)),
            ("c", &Value::Switch(true)),
            ("d", &Value::Numbers(vec![1.0, 2.5])),
            ("e", &Value::from(Choice::law("y"))),
            ("f", &Value::Number(-1.0)),
            ("g", &Value::Number(1e10)),
            ("h", &Value::Wholes(vec![1, 2])),
        ];
        assert_eq!(values(&choice), expected);
        // Beyond the range of a whole number.
        assert_eq!(read(json!({ "type": "x", "a": 4_294_967_296_u64 })).get("a"), Some(&Value::Number(4_294_967_296.0)));
        assert_eq!(read(json!({ "type": "x", "a": "text" })).get("a"), Some(&Value::Word("text".into())));
        assert!(serde_json::from_value::<Choice>(json!({ "type": "x", "a": ["text"] })).is_err());
    }

    #[test]
    fn lists_of_whole_numbers_are_read_back_and_must_be_given_where_they_are_required() {
        let settled = |lengths: serde_json::Value| read(json!({ "type": "listed", "file": "a.json", "lengths": lengths })).settled(&LISTED);
        for lengths in [json!([1]), json!([9, 1, 3])] {
            let choice = settled(lengths.clone()).unwrap();
            assert_eq!(json!(LENGTHS.of(&choice)), lengths);
            assert_eq!(serde_json::to_value(&choice).unwrap(), json!({ "type": "listed", "lengths": lengths, "file": "a.json" }));
            assert_eq!(choice.clone().settled(&LISTED), Ok(choice));
        }
        for wrong in [json!([]), json!([0]), json!([10]), json!([1.5]), json!([1, -1]), json!([1, 1, 1, 1]), json!(1)] {
            assert!(settled(wrong.clone()).unwrap_err().to_string().starts_with("`lengths` of `listed` can't be "), "{wrong}");
        }
        assert!(serde_json::from_value::<Choice>(json!({ "type": "listed", "lengths": [[1]] })).is_err());
        let missing = Choice::new("listed").with("file", "a").settled(&LISTED).unwrap_err();
        assert!(missing.to_string().contains("`lengths`"), "{missing}");
    }

    #[test]
    fn choices_without_values_are_written_as_a_bare_name() {
        assert!(Choice::new("full").is_bare() && !full().is_bare());
        assert!(Choice::new("plain").settled(&PLAIN).unwrap().is_bare());
        assert_eq!(serde_json::to_value(Choice::new("plain")).unwrap(), json!({ "type": "plain" }));
        // A value that is given again replaces the first, at its place.
        let again = full().with("count", 1).with("rate", 2.0);
        assert_eq!(values(&again), [("rate", &Value::Number(2.0)), ("count", &Value::Whole(1))]);
        assert_eq!(again.named("other").name(), "other");
    }
}
