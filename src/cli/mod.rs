//! The commands: arguments in, exit code out.
//!
//! Owns what a person or a script types and what is printed back. It decides nothing about rules or patients: `store`
//! loads, `engine` answers, `render` lays out, `server` serves. Every flag has an environment variable `RUBOR_...`.

#![allow(clippy::disallowed_methods, reason = "commands read the files they are given")]

mod batch;
mod check;
mod coverage_report;
mod detail_report;
mod diff;
mod evaluate;
mod failure;
mod junit;
mod mutate_report;
mod new;
mod replay;
mod revision;
mod schema;
mod serve;
mod sources;
mod test;
mod test_report;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::config::ServeArgs;
use crate::render::complain;
use crate::server;

/// The address that `healthcheck` asks where nothing else is said.
const DEFAULT_ADDRESS: &str = "127.0.0.1:50051";

/// A triage rules engine over gRPC: readable YAML rules in, scored differentials with reasons and red flags out.
///
/// It supports a decision and makes none.
#[derive(Debug, Parser)]
#[command(name = "rubor", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the rules over gRPC, and reload them when they change.
    Serve(Box<ServeArgs>),
    /// Read, check and compile rules, run their worked cases, and show everything that is wrong.
    Check(check::Args),
    /// Run the worked cases and report what holds, what they cover and how often the rules are right.
    Test(test::Args),
    /// Answer one request (protobuf JSON, or the same in YAML), as the service would.
    Evaluate(evaluate::Args),
    /// Answer a file of requests, one a line, on all cores, in order.
    Batch(batch::Args),
    /// Say what a change of rules does: the rules in words, and the worked cases whose answers move.
    Diff(diff::Args),
    /// Write a small pack to begin with.
    New(new::Args),
    /// Print the JSON Schema of rule files or of worked cases, for editors.
    Schema(schema::Args),
    /// Answer kept requests again: on the rules of their digest, or on others.
    Replay(replay::Args),
    /// Make a token for a caller of a server that runs with `--tokens`.
    Token(token::Args),
    /// Ask a running server for its health; for containers.
    Healthcheck {
        /// HOST:PORT of gRPC without TLS, or http://HOST:PORT of the admin port.
        #[arg(value_name = "ADDR", env = "RUBOR_LISTEN", default_value = DEFAULT_ADDRESS)]
        address: String,
    },
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    if let Some(serve) = matches.subcommand_matches("serve") {
        return match serve::run(serve) {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                fail(&message);
                ExitCode::FAILURE
            }
        };
    }
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        // Served above, with its file of settings.
        Command::Serve(_) => ExitCode::FAILURE,
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Batch(args) => batch::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::New(args) => new::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Healthcheck { address } if server::healthcheck(&address) => ExitCode::SUCCESS,
        Command::Healthcheck { address } => {
            fail(&format!("no healthy server at {address}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints why a command could not do what it was asked.
fn fail(message: &str) {
    complain(&format!("error: {message}\n"));
}
