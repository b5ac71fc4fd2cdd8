//! Puts the rule packs under `rules/` into the binary, for a binary that is started without a rules folder.
//!
//! Owns the list of files only; it reads no rule. It takes the same files as the loader does on disk: `*.yaml` and
//! `*.yml`, no name that begins with a dot. Used by `build.rs`: `#[path = "build/embed.rs"] mod embed;`.

#![allow(clippy::disallowed_methods, reason = "the build reads the rules that it puts into the binary")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Writes `OUT_DIR/embedded_rules.rs`: `static FILES: &[(&str, &str)]`, path relative to `rules/` and text, sorted.
pub fn write_embedded_rules() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let root = manifest.join("rules");
    // The list holds whole paths, so a checkout that moved, or shares its target folder, needs it anew.
    println!("cargo:rerun-if-env-changed=CARGO_MANIFEST_DIR");
    // Cargo looks at everything below a directory that is named here.
    println!("cargo:rerun-if-changed=rules");
    println!("cargo:rerun-if-changed=build/embed.rs");

    let mut files = Vec::new();
    if root.is_dir() {
        collect(&root, "", &mut files)?;
    }
    files.sort();
    let mut code = String::from("static FILES: &[(&str, &str)] = &[\n");
    for (name, path) in &files {
        let _ = writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string());
    }
    code.push_str("];\n");
    fs::write(out.join("embedded_rules.rs"), code)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        let relative = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if path.is_dir() {
            collect(&path, &relative, files)?;
        } else if is_rule_file(&name) {
            files.push((relative, path));
        }
    }
    Ok(())
}

fn is_rule_file(name: &str) -> bool {
    Path::new(name)
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| extension.eq_ignore_ascii_case("yaml") || extension.eq_ignore_ascii_case("yml"))
}
