//! `rubor token`: a new token for a caller, and the line that lets its bearer in.
//!
//! Owns where the two go: the token to standard output, once and nowhere else; the line to the file, or to standard
//! error.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::fail;
use crate::access::scope::Scopes;
use crate::access::token;
use crate::render::{complain, print};

/// Arguments of `token`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Who gets it, as logs name the caller.
    #[arg(long, value_name = "NAME", env = "RUBOR_TOKEN_NAME")]
    name: String,
    /// What its bearer may do: evaluate, read, administer.
    #[arg(long, value_name = "SCOPE,SCOPE", env = "RUBOR_TOKEN_SCOPES", default_value = "evaluate,read", value_parser = token::read_scopes)]
    scopes: Scopes,
    /// Adds the line to this file of tokens; without it the line is shown.
    #[arg(long, value_name = "FILE", env = "RUBOR_TOKENS")]
    tokens: Option<PathBuf>,
}

/// Prints a new token; 0, or 1 when its line could not be kept.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    match make(args) {
        Ok(token) => {
            print(&format!("{token}\n"));
            ExitCode::SUCCESS
        }
        Err(message) => {
            fail(&message);
            ExitCode::FAILURE
        }
    }
}

fn make(args: &Args) -> Result<String, String> {
    let (token, line) = token::make(&args.name, args.scopes)?;
    match &args.tokens {
        None => complain(&format!("add this line to the file of `--tokens`:\n{line}\n")),
        Some(path) => {
            let add = |path: &PathBuf| {
                OpenOptions::new().append(true).create(true).open(path)?.write_all(format!("{line}\n").as_bytes())
            };
            add(path).map_err(|error| format!("`{}` cannot be written: {error}", path.display()))?;
        }
    }
    Ok(token)
}
