//! `rubor serve`: settings together, then the server.
//!
//! Owns the order in which flags, environment and file are heard.

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use super::Cli;
use crate::config::{ServeArgs, file};
use crate::render::print;
use crate::server;

/// Serves with the settings of flags, environment and file; or shows them.
///
/// # Errors
/// Settings that are wrong, or what kept the server from starting.
pub fn run(serve: &ArgMatches) -> Result<(), String> {
    let args = ServeArgs::from_arg_matches(serve).map_err(|error| error.to_string())?;
    let settings = args.config.as_deref().map(file::read).transpose()?.unwrap_or_default();
    let matches = file::under(Cli::command(), &settings).get_matches();
    let serve = matches.subcommand_matches("serve").unwrap_or(serve);
    let args = ServeArgs::from_arg_matches(serve).map_err(|error| error.to_string())?;
    args.check()?;
    if args.print_config {
        print(&file::shown(serve, &settings));
        return Ok(());
    }
    server::serve(&args)
}
