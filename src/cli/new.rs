//! `rubor new`: a small pack to begin with.
//!
//! Owns the files that are written. A test loads them, so they pass `check` and `test` as they are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{fail, schema};
use crate::engine::outline::outline;
use crate::engine::source::SourceFile;
use crate::render::print;
use crate::schema::FOLDER;

/// The files, with the id that stands for the pack's own.
const FILES: [(&str, &str); 5] = [
    ("pack.yaml", include_str!("new/pack.yaml")),
    ("findings.yaml", include_str!("new/findings.yaml")),
    ("conditions.yaml", include_str!("new/conditions.yaml")),
    ("red_flags.yaml", include_str!("new/red_flags.yaml")),
    ("cases/first.yaml", include_str!("new/first.yaml")),
];
const PLACEHOLDER: &str = "my-pack";

/// Arguments of `new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write into: a new one, or an empty one.
    #[arg(value_name = "DIR", env = "RUBOR_NEW_DIR")]
    dir: PathBuf,
    /// The pack's id [default: the folder's name]
    #[arg(long, value_name = "ID", env = "RUBOR_NEW_ID")]
    id: Option<String>,
}

/// Writes; 0, or 1 when the folder is not empty, the id is no good or nothing can be written.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    match write(args) {
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

fn write(args: &Args) -> Result<String, String> {
    let dir = &args.dir;
    let id = match &args.id {
        Some(id) if is_good(id) => id.clone(),
        Some(id) => {
            return Err(format!("`{id}` is no good id: use lower-case words joined by `-`, at most 64 characters"));
        }
        None => id_of(dir),
    };
    let failed = |path: &Path, error: &std::io::Error| format!("`{}` cannot be written: {error}", path.display());
    is_free(dir)?;
    std::fs::create_dir_all(dir.join("cases")).map_err(|error| failed(dir, &error))?;
    let files: Vec<SourceFile> = FILES
        .iter()
        .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: text.replace(PLACEHOLDER, &id) })
        .collect();
    for file in &files {
        let path = dir.join(&file.path);
        std::fs::write(&path, &file.text).map_err(|error| failed(&path, &error))?;
    }
    schema::write(&dir.join(FOLDER), Some(&outline(&files)))?;
    let shown = dir.display();
    Ok(format!(
        "the pack `{id}` is in {shown}\n  \
         rubor check {shown}     after each change\n  \
         rubor test {shown}      its two cases, and what they cover\n  \
         rubor schema --vocabulary {shown} --write     when ids are new, so that they complete\n  \
         rubor serve --rules {shown}\n"
    ))
}

/// Fails where the folder is there and has anything in it.
fn is_free(dir: &Path) -> Result<(), String> {
    let shown = dir.display();
    match std::fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("`{shown}` is not empty; name a new folder")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("`{shown}` cannot be used: {error}")),
    }
}

fn is_good(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && id.len() <= 64
}

/// The folder's name as an id, where it can be made one.
fn id_of(dir: &Path) -> String {
    let name = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let id = words.join("-");
    if is_good(&id) { id } else { PLACEHOLDER.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::id_of;
    use std::path::Path;

    #[test]
    fn the_folder_names_the_pack() {
        assert_eq!(id_of(Path::new("packs/Sore Throat_2")), "sore-throat-2");
        assert_eq!(id_of(Path::new("/")), "my-pack");
        assert_eq!(id_of(Path::new("2024")), "my-pack");
    }
}
