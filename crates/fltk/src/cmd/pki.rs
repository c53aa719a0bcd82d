//! `fltk pki`: certificates of federators and nodes by hand.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use fltk_network::pki::{Folder, Role};
use serde::Serialize;

use crate::{
    cli::{Cli, Output, PkiCommand},
    output,
};

/// Runs one of the commands.
///
/// # Errors
/// If the folder has no authority, a name is taken or unknown, or a file can't be written.
pub fn run(cli: &Cli, command: &PkiCommand) -> anyhow::Result<()> {
    match command {
        PkiCommand::Init { folder } => {
            Folder::create(folder)?;
            tracing::info!("a new authority is in `{}`: keep its folder to yourself", folder.display());
            Ok(())
        }
        PkiCommand::Issue { folder, name, federator, out } => {
            let role = if *federator { Role::Federator } else { Role::Node };
            let text = Folder::open(folder)?.issue(role, name)?;
            let path = out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.pem")));
            write_secret(&path, &text).with_context(|| format!("can't write `{}`", path.display()))?;
            tracing::info!("`{}` has the certificate and the key of `{name}`: bring it there by a safe way", path.display());
            Ok(())
        }
        PkiCommand::Invite { folder, client } => output::text(&format!("{}\n", Folder::open(folder)?.invite(client.as_deref())?)),
        PkiCommand::Show { folder } => show(cli, &Folder::open(folder)?),
        PkiCommand::Revoke { folder, name } => {
            Folder::open(folder)?.revoke(name)?;
            tracing::info!("`{name}` is revoked");
            Ok(())
        }
    }
}

fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The certificates of an authority, as JSON.
#[derive(Serialize)]
struct Shown {
    certificates: Vec<ShownCertificate>,
    open_invitations: usize,
}

#[derive(Serialize)]
struct ShownCertificate {
    name: String,
    revoked: bool,
}

fn show(cli: &Cli, folder: &Folder) -> anyhow::Result<()> {
    let certificates =
        folder.issued()?.into_iter().map(|issued| ShownCertificate { name: issued.name, revoked: issued.is_revoked }).collect();
    let shown = Shown { certificates, open_invitations: folder.num_invitations() };
    if cli.output == Output::Json {
        return output::json(&shown);
    }
    let lines = shown.certificates.iter().map(|of| format!("{}{}\n", of.name, if of.revoked { "  revoked" } else { "" }));
    let num = shown.open_invitations;
    output::text(&format!("{}{num} open invitation{}\n", lines.collect::<String>(), if num == 1 { "" } else { "s" }))
}
