//! The keys that tests press, as the protocol names them.

/// A key of a keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Tab,
    Enter,
    /// A key with a letter or a sign.
    Letter(char),
}

/// The fields of an event of the keyboard.
pub struct Fields {
    /// The name of the key.
    pub key: String,
    /// The place of the key.
    pub code: String,
    /// The number that Windows gives the key.
    pub number: u32,
    /// The text that it writes, if any.
    pub text: Option<String>,
    /// True if the shift key is down.
    pub shift: bool,
}

impl Key {
    /// Returns the fields of the key's events.
    pub fn fields(self) -> Fields {
        let named = |key: &str, number: u32| Fields { key: key.to_owned(), code: key.to_owned(), number, text: None, shift: false };
        match self {
            Self::Tab => named("Tab", 9),
            Self::Enter => Fields { text: Some("\r".to_owned()), ..named("Enter", 13) },
            Self::Letter(letter) => {
                let code = if letter.is_ascii_alphabetic() { format!("Key{}", letter.to_ascii_uppercase()) } else { String::new() };
                let number = u32::from(letter.to_ascii_uppercase());
                Fields { text: Some(letter.to_string()), ..Fields { key: letter.to_string(), code, number, text: None, shift: false } }
            }
        }
    }
}
