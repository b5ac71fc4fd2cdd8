//! Settings from a file, below those from flags and the environment.
//!
//! Owns the file's form: one YAML mapping from the long names of flags to their values. What a value may be is told by
//! the flag itself, so that file, environment and command line cannot differ.

#![allow(clippy::disallowed_methods, reason = "settings are a file")]

use std::collections::BTreeMap;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _};
use saphyr_parser::{Event, Marker, Parser};

use super::Alone;
use crate::engine::suggest;

/// More than any such file needs.
const MAX_BYTES: u64 = 1024 * 1024;
/// What only flags and the environment can say.
const NOT_IN_A_FILE: [&str; 3] = ["config", "print-config", "help"];

/// The settings of a file: the id of each flag, and its value as a command line would give it.
pub type Settings = BTreeMap<String, String>;

/// Reads a file of settings.
///
/// # Errors
/// Everything that is wrong with it, each with line and column.
pub fn read(path: &Path) -> Result<Settings, String> {
    let shown = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|error| format!("--config: `{shown}` cannot be read: {error}"))?.len();
    if size > MAX_BYTES {
        return Err(format!("--config: `{shown}` is over {MAX_BYTES} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("--config: `{shown}` cannot be read: {error}"))?;
    parse(&text).map_err(|faults| {
        let told: Vec<String> =
            faults.into_iter().map(|Fault { line, column, what }| format!("{shown}:{line}:{column}: {what}")).collect();
        told.join("\n")
    })
}

/// The command `serve`, where settings of a file stand for the defaults.
#[must_use]
pub fn under(command: Command, settings: &Settings) -> Command {
    settings.iter().fold(command, |command, (id, value)| {
        command.mut_subcommand("serve", |serve| serve.mut_arg(id, |arg| arg.default_value(value.clone())))
    })
}

/// The settings as they hold, as a file of settings, each with where it comes from.
#[must_use]
pub fn shown(serve: &ArgMatches, settings: &Settings) -> String {
    let mut text = String::new();
    for arg in Alone::command().get_arguments() {
        let (id, Some(name)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        if NOT_IN_A_FILE.contains(&name) {
            continue;
        }
        let from = match serve.value_source(id) {
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            _ if settings.contains_key(id) => "file",
            _ => "default",
        };
        let values: Vec<String> =
            serve.get_raw(id).into_iter().flatten().map(|value| quoted(&value.to_string_lossy())).collect();
        text.push_str(&match (values.as_slice(), is_list(arg)) {
            ([], _) => format!("# {name}: not set\n"),
            (values, true) => format!("{name}: [{}]  # {from}\n", values.join(", ")),
            ([value, ..], false) => format!("{name}: {value}  # {from}\n"),
        });
    }
    text
}

fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte))
        && !value.starts_with('-');
    if is_plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}

#[derive(Debug)]
struct Fault {
    line: usize,
    column: usize,
    what: String,
}

fn fault(at: Marker, what: impl Into<String>) -> Fault {
    Fault { line: at.line(), column: at.col() + 1, what: what.into() }
}

struct Written {
    key: String,
    key_at: Marker,
    values: Vec<String>,
    value_at: Marker,
    is_list: bool,
}

fn parse(text: &str) -> Result<Settings, Vec<Fault>> {
    let written = mapping(text).map_err(|fault| vec![fault])?;
    let command = Alone::command();
    let (mut settings, mut faults) = (Settings::new(), Vec::new());
    for entry in &written {
        match setting(&command, entry) {
            Ok((id, _)) if settings.contains_key(&id) => {
                faults.push(fault(entry.key_at, format!("`{}` is here before; remove one of them", entry.key)));
            }
            Ok((id, value)) => {
                settings.insert(id, value);
            }
            Err(found) => faults.push(found),
        }
    }
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

fn setting(command: &Command, entry: &Written) -> Result<(String, String), Fault> {
    let known = || {
        let names = command.get_arguments().filter_map(Arg::get_long);
        names.filter(|name| !NOT_IN_A_FILE.contains(name))
    };
    let arg = command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(&entry.key) && !NOT_IN_A_FILE.contains(&entry.key.as_str()));
    let Some(arg) = arg else {
        let near = suggest::did_you_mean(&entry.key, known()).unwrap_or_else(|| "see `rubor serve --help`".to_owned());
        return Err(fault(entry.key_at, format!("unknown setting `{}`; {near}", entry.key)));
    };
    if entry.is_list && !is_list(arg) {
        return Err(fault(entry.value_at, format!("`{}` takes one value", entry.key)));
    }
    let value = entry.values.join(",");
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
    if is_flag && !["true", "false"].contains(&value.as_str()) {
        return Err(fault(entry.value_at, format!("`{}` is true or false", entry.key)));
    }
    if !is_flag {
        // The flag itself says what is wrong.
        let alone = command.clone().try_get_matches_from([format!("--{}={value}", entry.key)]);
        alone.map_err(|error| fault(entry.value_at, reason(&error)))?;
    }
    Ok((arg.get_id().to_string(), value))
}

fn is_list(arg: &Arg) -> bool {
    arg.get_value_delimiter().is_some()
}

/// The first line of what clap says.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

/// A mapping from names to values or lists of values.
fn mapping(text: &str) -> Result<Vec<Written>, Fault> {
    const FORM: &str = "write one setting a line, as `name: value`";
    let mut entries: Vec<Written> = Vec::new();
    let (mut depth, mut key): (usize, Option<(String, Marker)>) = (0, None);
    let mut list: Option<(Marker, Vec<String>)> = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| fault(*error.marker(), error.info().to_owned()))?;
        let at = span.start;
        match event {
            Event::MappingStart(..) if depth == 0 => depth = 1,
            Event::MappingEnd if depth == 1 && key.is_none() => depth = 2,
            Event::SequenceStart(..) if key.is_some() && list.is_none() => list = Some((at, Vec::new())),
            Event::SequenceEnd => {
                if let (Some((key, key_at)), Some((value_at, values))) = (key.take(), list.take()) {
                    entries.push(Written { key, key_at, values, value_at, is_list: true });
                }
            }
            Event::Scalar(value, ..) if depth == 1 => match (&mut list, key.take()) {
                (Some((_, values)), before) => {
                    values.push(value.into_owned());
                    key = before;
                }
                (None, None) => key = Some((value.into_owned(), at)),
                (None, Some((key, key_at))) => {
                    let values = vec![value.into_owned()];
                    entries.push(Written { key, key_at, values, value_at: at, is_list: false });
                }
            },
            // A file of comments alone.
            Event::Scalar(value, ..) if depth == 0 && (value.is_empty() || &*value == "~") => depth = 2,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) if depth == 0 => {}
            _ => return Err(fault(at, FORM)),
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn faults(text: &str) -> Vec<String> {
        let faults = parse(text).expect_err("refused");
        faults.into_iter().map(|fault| format!("{}:{}: {}", fault.line, fault.column, fault.what)).collect()
    }

    #[test]
    fn settings_are_named_like_flags() {
        let settings = parse(
            "# a file\nlisten: 127.0.0.1:7000\ncors-origin: [https://a.example, 'https://b.example']\n\nno-reflection: true\n",
        );
        let settings = settings.expect("good");
        let pairs: Vec<_> = settings.iter().map(|(id, value)| (id.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("cors_origin", "https://a.example,https://b.example"),
                ("listen", "127.0.0.1:7000"),
                ("no_reflection", "true"),
            ]
        );
        assert!(parse("").expect("nothing").is_empty() && parse("# nothing\n").expect("nothing").is_empty());
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        assert_eq!(faults("listen: a:1\n\nlistne: b\n"), ["3:1: unknown setting `listne`; did you mean `listen`?"]);
        assert_eq!(faults("no-reflection: maybe"), ["1:16: `no-reflection` is true or false"]);
        assert_eq!(faults("listen: a\nlisten: b"), ["2:1: `listen` is here before; remove one of them"]);
        assert_eq!(faults("listen: [a, b]"), ["1:9: `listen` takes one value"]);
        let two = faults("drain-pause: soon\nmax-in-flight: 0\n");
        assert!(two.len() == 2 && two[0].starts_with("1:14: ") && two[1].starts_with("2:16: "), "{two:?}");
        for wrong in [
            "- listen",
            "listen",
            "listen: {a: b}",
            "a: [[b]]",
            "config: other.yaml",
            "listen: [a",
            "{",
            "a: 1\n---\nb: 2",
        ] {
            assert!(!faults(wrong).is_empty(), "{wrong}");
        }
    }
}
