//! The secret that a client must present, as a bearer token (RFC 6750).

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The shortest token: shorter ones can be guessed.
const CHARS_MIN: usize = 16;
/// The longest token: longer ones don't fit into a header that every proxy accepts.
const CHARS_MAX: usize = 4096;

/// A secret shared by client and server.
#[derive(Clone)]
pub struct Token(String);

/// A text can't be a token.
#[derive(Debug, thiserror::Error)]
#[error("a token has {CHARS_MIN} to {CHARS_MAX} letters, digits and `-._~+/=`, on one line\nhint: `openssl rand -hex 32` makes one")]
pub struct TokenError;

impl Token {
    /// Parses the token in `text`, such as a file's content: white space around it is ignored.
    ///
    /// # Errors
    /// If it's too short to be a secret, or can't be used in a header.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let token = text.trim();
        let fits = |c: u8| c.is_ascii_alphanumeric() || b"-._~+/=".contains(&c);
        if (CHARS_MIN..=CHARS_MAX).contains(&token.len()) && token.bytes().all(fits) { Ok(Self(token.to_owned())) } else { Err(TokenError) }
    }

    /// Returns the value of the header `Authorization`.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Returns true if `header`, the value of `Authorization`, presents this token. The time that this takes doesn't reveal where they
    /// differ.
    pub(crate) fn is_shown(&self, header: &[u8]) -> bool {
        let Some((scheme, shown)) = header.split_at_checked("Bearer ".len()) else { return false };
        // Digests have the same length, whatever is presented.
        let digest = |text: &[u8]| -> [u8; 32] { Sha256::digest(text).into() };
        let is_equal = bool::from(digest(shown.trim_ascii()).ct_eq(&digest(self.0.as_bytes())));
        scheme.eq_ignore_ascii_case(b"Bearer ") && is_equal
    }
}

/// The output doesn't reveal the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_complete_token_is_accepted() {
        let token = Token::parse("  0123456789abcdef\n").unwrap();
        for shown in ["Bearer 0123456789abcdef", "bearer 0123456789abcdef", "Bearer  0123456789abcdef "] {
            assert!(token.is_shown(shown.as_bytes()), "{shown}");
        }
        for wrong in
            ["", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Basic 0123456789abcdef", "0123456789abcdef"]
        {
            assert!(!token.is_shown(wrong.as_bytes()), "{wrong}");
        }
        assert!(!token.is_shown(b"Bearer \xff\xfe"));
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn weak_and_unsendable_tokens_are_refused() {
        for wrong in ["", "short", "0123456789 abcdef", "0123456789abcdef\nmore", "0123456789abcdefé", &"x".repeat(4097)] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
    }
}
