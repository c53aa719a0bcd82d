//! Tensors in files: nested lists of numbers, by name, in the file's order. Whether they fit a model is decided elsewhere.

use std::fmt;

use fltk_core::model_state::TensorRole;
use serde::{
    Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
    ser::SerializeSeq as _,
};

/// The limit on a tensor's dimensions: a convolution has four or five.
const DIMENSIONS_MAX: usize = 8;

/// The largest whole number that every reader of JSON keeps exactly.
pub const WHOLE_MAX: u64 = 1 << 53;

/// The precision of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32, of parameters and buffers. Numbers beyond its range are infinite.
    Single,
    /// f64, of the state on the server.
    Double,
    /// Whole numbers, of counters.
    Whole,
}

/// The numbers of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// f32.
    Single(Vec<f32>),
    /// f64.
    Double(Vec<f64>),
    /// Whole numbers.
    Whole(Vec<i64>),
}

impl Numbers {
    /// Returns the numbers if they are f32.
    pub fn single(self) -> Option<Vec<f32>> {
        if let Self::Single(numbers) = self { Some(numbers) } else { None }
    }

    /// Returns the numbers if they are f64.
    pub fn double(self) -> Option<Vec<f64>> {
        if let Self::Double(numbers) = self { Some(numbers) } else { None }
    }
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The sizes of its dimensions; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub numbers: Numbers,
    /// The first number that isn't finite in this precision, as it is written.
    pub not_finite: Option<f64>,
}

/// Tensors by name, in the file's order. Each name is there once.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensors(pub Vec<(String, Tensor)>);

/// A number that isn't finite as an element of a tensor, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct NotFinite {
    /// The tensor.
    pub tensor: String,
    /// The number as it is written.
    written: f64,
}

impl NotFinite {
    /// Returns the first one among `tensors`.
    pub fn first(tensors: &Tensors) -> Option<Self> {
        tensors.0.iter().find_map(|(name, tensor)| Some(Self { tensor: name.clone(), written: tensor.not_finite? }))
    }
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.written.is_finite() {
            write!(f, "{:e}, which is beyond the range of f32", self.written)
        } else {
            write!(f, "{}, which isn't finite", self.written)
        }
    }
}

/// Returns the role of a tensor according to its name.
pub fn role(name: &str) -> TensorRole {
    match name.rsplit('.').next() {
        Some("running_mean" | "running_var") => TensorRole::Buffer,
        Some("num_batches_tracked") => TensorRole::Counter,
        _ => TensorRole::Parameter,
    }
}

/// Returns the precision of a model's tensor.
pub fn precision_in_model(name: &str) -> Precision {
    if role(name) == TensorRole::Counter { Precision::Whole } else { Precision::Single }
}

/// Reads [`Tensors`], given the precision of each by its name.
pub struct ReadTensors(pub fn(&str) -> Precision);

impl<'de> DeserializeSeed<'de> for ReadTensors {
    type Value = Tensors;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tensors, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReadTensors {
    type Value = Tensors;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name, such as {\"x\": [1, 2]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
        let mut names = std::collections::BTreeSet::new();
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("this tensor is there twice"));
            }
            let tensor = map.next_value_seed(ReadTensor((self.0)(&name)))?;
            tensors.push((name, tensor));
        }
        Ok(Tensors(tensors))
    }
}

/// Reads a tensor.
struct ReadTensor(Precision);

impl<'de> DeserializeSeed<'de> for ReadTensor {
    type Value = Tensor;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tensor, D::Error> {
        let numbers = match self.0 {
            Precision::Single => Numbers::Single(Vec::new()),
            Precision::Double => Numbers::Double(Vec::new()),
            Precision::Whole => Numbers::Whole(Vec::new()),
        };
        let mut part = Part { numbers, sizes: Vec::new(), num_dimensions: None, not_finite: None };
        Nested { part: &mut part, depth: 0 }.deserialize(deserializer)?;
        Ok(Tensor { shape: part.sizes.into_iter().flatten().collect(), numbers: part.numbers, not_finite: part.not_finite })
    }
}

/// A tensor of which a part is read.
struct Part {
    numbers: Numbers,
    /// The length of the lists at each depth, as far as one has ended.
    sizes: Vec<Option<usize>>,
    /// The depth of numbers, as soon as there is one.
    num_dimensions: Option<usize>,
    /// The first number that isn't finite in this precision, as it is written.
    not_finite: Option<f64>,
}

/// Reads what is at `depth` into a part of a tensor: a number, or a list.
struct Nested<'a> {
    part: &'a mut Part,
    depth: usize,
}

impl Nested<'_> {
    fn add<E: Error>(self, number: Number) -> Result<(), E> {
        let is_beside_list = self.part.sizes.get(self.depth).is_some_and(Option::is_some);
        if is_beside_list || self.part.num_dimensions.is_some_and(|depth| depth != self.depth) {
            return Err(E::custom("a number beside lists: a tensor's lists have the same length at each depth"));
        }
        self.part.num_dimensions = Some(self.depth);
        let is_finite = match &mut self.part.numbers {
            Numbers::Single(numbers) => {
                numbers.push(number.to_f32());
                number.to_f32().is_finite()
            }
            Numbers::Double(numbers) => {
                numbers.push(number.to_f64());
                number.to_f64().is_finite()
            }
            Numbers::Whole(numbers) => {
                numbers.push(number.to_whole().ok_or_else(|| E::custom("a counter is a whole number below 2^53"))?);
                true
            }
        };
        if !is_finite {
            self.part.not_finite.get_or_insert(number.to_f64());
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a list of numbers or of such lists")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.add(Number::Float(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.add(Number::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.add(Number::Integer(value.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.add(Number::Float(not_finite(text)?))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { part, depth } = self;
        if depth >= DIMENSIONS_MAX {
            return Err(A::Error::custom(format!("a tensor has at most {DIMENSIONS_MAX} dimensions")));
        }
        if part.num_dimensions.is_some_and(|num| depth >= num) {
            return Err(A::Error::custom("a list beside numbers: a tensor's lists have the same length at each depth"));
        }
        let mut len = 0;
        while list.next_element_seed(Nested { part, depth: depth + 1 })?.is_some() {
            len += 1;
        }
        if part.sizes.len() <= depth {
            part.sizes.resize(depth + 1, None);
        }
        match part.sizes[depth] {
            Some(size) if size != len => {
                Err(A::Error::custom(format!("a list of {len} beside one of {size}: a tensor's lists have the same length at each depth")))
            }
            _ => {
                part.sizes[depth] = Some(len);
                Ok(())
            }
        }
    }
}

/// A number as it is written.
#[derive(Clone, Copy, Debug)]
enum Number {
    Float(f64),
    Integer(i128),
}

impl Number {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "rounding is what this is for")]
    fn to_f32(self) -> f32 {
        match self {
            Self::Float(value) => value as f32,
            Self::Integer(value) => value as f32,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "rounding is what this is for")]
    fn to_f64(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Integer(value) => value as f64,
        }
    }

    /// Returns the number if it is whole and every reader of JSON keeps it.
    fn to_whole(self) -> Option<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "the result is compared")]
        let whole = match self {
            Self::Float(value) if value.fract() == 0.0 => value as i128,
            Self::Float(_) => return None,
            Self::Integer(value) => value,
        };
        (whole.unsigned_abs() <= WHOLE_MAX.into()).then(|| i64::try_from(whole).ok()).flatten()
    }
}

/// Returns the number that JSON has no literal for.
pub fn not_finite<E: Error>(text: &str) -> Result<f64, E> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => Err(E::custom("a text can be \"NaN\", \"Infinity\" or \"-Infinity\" where a number is expected")),
    }
}

/// Elements of a tensor, to be written.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// f32.
    Single(&'a [f32]),
    /// f64.
    Double(&'a [f64]),
    /// Whole numbers.
    Whole(&'a [i64]),
}

impl<'a> Elements<'a> {
    fn len(self) -> usize {
        match self {
            Self::Single(numbers) => numbers.len(),
            Self::Double(numbers) => numbers.len(),
            Self::Whole(numbers) => numbers.len(),
        }
    }

    fn part(self, start: usize, len: usize) -> Self {
        let range = start..start + len;
        match self {
            Self::Single(numbers) => Self::Single(&numbers[range]),
            Self::Double(numbers) => Self::Double(&numbers[range]),
            Self::Whole(numbers) => Self::Whole(&numbers[range]),
        }
    }

    /// Returns the first elements in words, at most `num_max`.
    pub fn first(self, num_max: usize) -> String {
        let shown: Vec<String> = match self {
            Self::Single(numbers) => numbers.iter().take(num_max).map(f32::to_string).collect(),
            Self::Double(numbers) => numbers.iter().take(num_max).map(f64::to_string).collect(),
            Self::Whole(numbers) => numbers.iter().take(num_max).map(i64::to_string).collect(),
        };
        let more = if self.len() > num_max { ", ..." } else { "" };
        format!("{}{more}", shown.join(", "))
    }
}

/// A tensor to be written, as nested lists.
pub struct Written<'a> {
    /// The sizes of its dimensions.
    pub shape: &'a [usize],
    /// The elements, as many as the shape says.
    pub elements: Elements<'a>,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((&num, shape)) = self.shape.split_first() else {
            return match self.elements {
                Elements::Single(numbers) => single(numbers.first().copied().unwrap_or_default(), serializer),
                Elements::Double(numbers) => serializer.serialize_f64(numbers.first().copied().unwrap_or_default()),
                Elements::Whole(numbers) => serializer.serialize_i64(numbers.first().copied().unwrap_or_default()),
            };
        };
        let len = self.elements.len().checked_div(num).unwrap_or(0);
        let mut list = serializer.serialize_seq(Some(num))?;
        for place in 0..num {
            list.serialize_element(&Written { shape, elements: self.elements.part(place * len, len) })?;
        }
        list.end()
    }
}

/// Writes the shortest digits that are read as this number, also by a reader that rounds to f64 first: 7.038531e-26 would be read as its
/// neighbor.
#[expect(clippy::cast_possible_truncation, reason = "that is what a reader does")]
fn single<S: Serializer>(value: f32, serializer: S) -> Result<S::Ok, S::Error> {
    let is_kept = value.to_string().parse::<f64>().is_ok_and(|read| (read as f32).to_bits() == value.to_bits());
    if is_kept { serializer.serialize_f32(value) } else { serializer.serialize_f64(value.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, precision: fn(&str) -> Precision) -> Result<Tensors, String> {
        let mut json = serde_json::Deserializer::from_str(text);
        ReadTensors(precision).deserialize(&mut json).map_err(|error| error.to_string())
    }

    fn one(text: &str) -> Result<Tensor, String> {
        read(&format!("{{\"x\":{text}}}"), precision_in_model).map(|tensors| tensors.0[0].1.clone())
    }

    #[test]
    fn nested_lists_have_a_shape() {
        let check = |text: &str, shape: &[usize], numbers: &[f32]| {
            let not_finite = text.starts_with("[1e39").then_some(1e39);
            let expected = Tensor { shape: shape.to_vec(), numbers: Numbers::Single(numbers.to_vec()), not_finite };
            assert_eq!(one(text), Ok(expected), "{text}");
        };
        check("1.5", &[], &[1.5]);
        check("[]", &[0], &[]);
        check("[[], []]", &[2, 0], &[]);
        check("[[1, 2, 3], [4, 5, -0.0]]", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, -0.0]);
        check("[[[1]], [[2]]]", &[2, 1, 1], &[1.0, 2.0]);
        check("[1e39, \"-Infinity\"]", &[2], &[f32::INFINITY, f32::NEG_INFINITY]);
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        let check = |text: &str, expected: &str| {
            let found = one(text).unwrap_err();
            assert!(found.contains(expected) && found.contains(" at line 1 column "), "{text}: {found}");
        };
        check("[[1], [2, 3]]", "a list of 2 beside one of 1");
        check("[[], [1]]", "a list of 1 beside one of 0");
        check("[1, [2]]", "a list beside numbers");
        check("[[], 1]", "a number beside lists");
        check("[[2], 1]", "a number beside lists");
        check("[[[1]], [2]]", "a number beside lists");
        check("[[[[[[[[[1]]]]]]]]]", "at most 8 dimensions");
        check("[null]", "invalid type: null");
        check("[true]", "invalid type: boolean");
        check("[\"nan\"]", "a text can be");
        check("{}", "invalid type: map");
        check("[1e999]", "number out of range");
        assert!(one(&"[".repeat(100_000)).is_err());
        assert!(read("{\"x\": 1, \"x\": 2}", precision_in_model).unwrap_err().contains("there twice"));
    }

    #[test]
    fn roles_follow_from_names_and_counters_are_whole() {
        let counters = read("{\"bn.num_batches_tracked\": 3.0, \"bn.running_mean\": [0.5]}", precision_in_model).unwrap();
        assert_eq!(counters.0[0].1, Tensor { shape: Vec::new(), numbers: Numbers::Whole(vec![3]), not_finite: None });
        let roles = ["running_mean", "a.b.running_var", "num_batches_tracked", "running_mean.weight", ""].map(role);
        let (parameter, buffer, counter) = (TensorRole::Parameter, TensorRole::Buffer, TensorRole::Counter);
        assert_eq!(roles, [buffer, buffer, counter, parameter, parameter]);
        for wrong in ["0.5", "\"NaN\"", "9007199254740993", "1e300"] {
            let text = format!("{{\"num_batches_tracked\": {wrong}}}");
            assert!(read(&text, precision_in_model).unwrap_err().contains("a counter is a whole number"), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_with_the_same_bits() {
        let check = |value: f32, text: &str| {
            let written = serde_json::to_string(&Written { shape: &[1, 1], elements: Elements::Single(&[value]) }).unwrap();
            assert_eq!(written, text);
            let Numbers::Single(read) = one(&written).unwrap().numbers else { panic!("{written}") };
            assert_eq!(read[0].to_bits(), value.to_bits(), "{written}");
        };
        check(0.1, "[[0.1]]");
        check(-0.0, "[[-0.0]]");
        check(f32::MAX, "[[3.4028235e+38]]");
        check(1e-45, "[[1e-45]]");
        // The f64 nearest to 7.038531e-26 lies in the middle between this f32 and its neighbor.
        check(f32::from_bits(0x15ae_43fd), "[[7.038530691851209e-26]]");
        let mut bits = 1_u32;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            if value.is_finite() {
                let written = serde_json::to_string(&Written { shape: &[], elements: Elements::Single(&[value]) }).unwrap();
                let Numbers::Single(read) = one(&written).unwrap().numbers else { panic!("{written}") };
                assert_eq!(read[0].to_bits(), bits, "{written}");
            }
        }
    }
}
