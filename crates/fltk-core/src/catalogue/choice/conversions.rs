//! Values from the types of Rust.

use super::{Choice, Constant, Value};

impl From<&Constant> for Value {
    fn from(constant: &Constant) -> Self {
        match *constant {
            Constant::Number(value) => Self::Number(value),
            Constant::Whole(value) => Self::Whole(value),
            Constant::Switch(value) => Self::Switch(value),
            Constant::Word(value) => Self::Word(value.into()),
            Constant::Numbers(values) => Self::Numbers(values.to_vec()),
            Constant::Wholes(values) => Self::Wholes(values.to_vec()),
        }
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Switch(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Word(value.into())
    }
}

impl<const N: usize> From<[f64; N]> for Value {
    fn from(values: [f64; N]) -> Self {
        Self::Numbers(values.to_vec())
    }
}

impl<const N: usize> From<[u32; N]> for Value {
    fn from(values: [u32; N]) -> Self {
        Self::Wholes(values.to_vec())
    }
}

impl From<Vec<f64>> for Value {
    fn from(values: Vec<f64>) -> Self {
        Self::Numbers(values)
    }
}

impl From<Vec<u32>> for Value {
    fn from(values: Vec<u32>) -> Self {
        Self::Wholes(values)
    }
}

impl From<Choice> for Value {
    fn from(choice: Choice) -> Self {
        Self::Choice(Box::new(choice))
    }
}
