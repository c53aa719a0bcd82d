//! Records that are elsewhere: on a server, or on a persistent volume claim of a cluster.

#[cfg(feature = "cluster")]
mod claim;
pub mod interrupt;

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::Context as _;
use fltk_web::{Environment, Token, client::Client};

use crate::{
    cli::ThroughArgs,
    exit::{Exit, OrExit as _, failure},
    stop,
};

/// The maximum size of a token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 8192;
/// The environment variable with the token itself.
const TOKEN_VARIABLE: &str = "FLTK_TOKEN";

/// Calls `work` with a client for the source that `from` names. `work` must return soon after the flag that it receives is raised.
///
/// # Errors
/// If the source can't be reached, or `work` fails.
pub fn through<T>(
    from: &str,
    args: &ThroughArgs,
    work: impl FnOnce(&Arc<Client>, &Arc<AtomicBool>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    #[cfg(feature = "cluster")]
    if let Some(claim) = from.strip_prefix("pvc/") {
        return claim::through(claim, args, work);
    }
    let client = Client::new(from, token(args.token_file.as_deref())?, Environment::Applies)?;
    work(&Arc::new(client), &stop::on_signal()?)
}

/// Returns the token that our own server requires, as [`token`] does; but an environment variable that is set and empty is an error, since it would
/// leave the server open.
///
/// # Errors
/// If the variable is set and empty, and as for [`token`].
pub fn token_to_ask_for(path: Option<&Path>) -> anyhow::Result<Option<Token>> {
    if path.is_none() && std::env::var_os(TOKEN_VARIABLE).is_some_and(|text| text.is_empty()) {
        let problem =
            format!("the variable {TOKEN_VARIABLE} is set but empty\nhint: unset it for access without a token, or set it to a token");
        return Err(failure(Exit::General, problem));
    }
    token(path)
}

/// Returns the token in the file at `path`, or in the environment.
///
/// # Errors
/// If the file can't be read, or the text isn't a token.
pub fn token(path: Option<&Path>) -> anyhow::Result<Option<Token>> {
    let Some(path) = path else {
        let Some(text) = std::env::var_os(TOKEN_VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
        return Token::parse(text.to_str().unwrap_or_default()).map(Some).context(format!("in the variable {TOKEN_VARIABLE}"));
    };
    let read = || -> anyhow::Result<Token> {
        let mut text = String::new();
        File::open(path)?.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
        Ok(Token::parse(&text)?)
    };
    read().with_context(|| format!("can't read a token from `{}`", path.display())).or_exit(Exit::General).map(Some)
}
