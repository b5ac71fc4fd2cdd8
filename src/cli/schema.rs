//! `rubor schema`: JSON Schemas for editors.
//!
//! Owns where they are printed or written. What is in them is `schema`'s; the vocabulary is read from a pack that may be
//! unfinished, because that is when completion is wanted.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::fail;
use crate::engine::outline::{Outline, outline};
use crate::render::print;
use crate::schema;
use crate::store::{self, RuleSource};

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which schema to print.
    #[arg(value_name = "WHICH", env = "RUBOR_SCHEMA", value_enum, default_value_t = Which::Rules)]
    which: Which,
    /// Let names complete out of this pack, and refuse others.
    #[arg(long, value_name = "DIR", env = "RUBOR_VOCABULARY")]
    vocabulary: Option<PathBuf>,
    /// Write both schemas instead: into the pack's `.schema` folder, or without a pack into `schema`.
    #[arg(long, env = "RUBOR_WRITE")]
    write: bool,
}

/// Which schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// Of rule files.
    Rules,
    /// Of worked cases.
    Case,
}

/// Prints or writes; 0, or 1 when the pack cannot be read or nothing can be written.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(message) => {
            fail(&message);
            ExitCode::FAILURE
        }
    }
}

fn answer(args: &Args) -> Result<String, String> {
    let outline = args.vocabulary.as_deref().map(of_pack).transpose()?;
    if args.write {
        let folder = args.vocabulary.as_deref().map_or_else(|| "schema".into(), |pack| pack.join(schema::FOLDER));
        return write(&folder, outline.as_ref());
    }
    Ok(schema::text(&match args.which {
        Which::Rules => schema::rules(outline.as_ref()),
        Which::Case => schema::case(outline.as_ref()),
    }))
}

/// The names of the one pack in a folder.
fn of_pack(folder: &Path) -> Result<Outline, String> {
    let content = store::read(&RuleSource::Folder(folder.to_owned()));
    match content.packs.as_slice() {
        [pack] if pack.readable => Ok(outline(&pack.files)),
        [] | [_] => Err(content
            .problems
            .first()
            .map_or_else(|| format!("`{}` holds no pack", folder.display()), ToString::to_string)),
        _ => Err(format!("`{}` holds several packs: name the folder of one", folder.display())),
    }
}

/// Writes both schemas into a folder; says what was written.
pub fn write(folder: &Path, outline: Option<&Outline>) -> Result<String, String> {
    let failed = |path: &Path, error: &std::io::Error| format!("`{}` cannot be written: {error}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let mut said = String::new();
    for (name, schema) in [(schema::RULES_FILE, schema::rules(outline)), (schema::CASE_FILE, schema::case(outline))] {
        let path = folder.join(name);
        std::fs::write(&path, schema::text(&schema)).map_err(|error| failed(&path, &error))?;
        said.push_str(&format!("{}\n", path.display()));
    }
    Ok(said)
}
