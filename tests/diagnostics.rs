//! Every diagnostic code, as an author meets it: one malformed file and beside it exactly what is said about it.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --test diagnostics` writes the expectations anew; read them before you commit them.

#![allow(clippy::disallowed_methods, reason = "a test reads files")]

#[path = "common/parts.rs"]
mod parts;

use parts::files;
use rubor::engine::diagnostic::{Code, Diagnostic, Severity};
use rubor::engine::source::SourceFile;
use rubor::engine::{case, compile_pack};
use rubor::render::Style;
use rubor::render::diagnostic::{Files, text};
use rubor::store::{self, RuleSource};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Wide enough for almost every line of the malformed files.
const WIDE: Style = Style { colour: false, width: 120 };

struct InMemory(Vec<SourceFile>);

impl Files for InMemory {
    fn shown(&self, file: &str) -> String {
        file.to_owned()
    }

    fn line(&self, file: &str, line: u32) -> Option<String> {
        let file = self.0.iter().find(|known| known.path == file)?;
        file.text.lines().nth(line as usize - 1).map(str::to_owned)
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}

fn diagnose(files: &[SourceFile]) -> Vec<Diagnostic> {
    match compile_pack(files) {
        Err(found) => found,
        Ok(pack) => {
            let (mut found, shown) = case::check_all(&pack.plan, &pack.cases);
            found.extend(pack.unshown(&shown));
            found.extend(pack.warnings);
            found.sort();
            found
        }
    }
}

fn rendered(found: &[Diagnostic], files: Vec<SourceFile>) -> String {
    let files = InMemory(files);
    found.iter().map(|diagnostic| text(diagnostic, &files, WIDE)).collect()
}

fn compare(name: &str, got: &str, wrong: &mut Vec<String>) {
    let path = folder().join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, got).expect("a snapshot is written");
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    if wanted != got {
        wrong.push(format!("=== {name}\n--- expected\n{wanted}\n--- got\n{got}"));
    }
}

fn malformed() -> Vec<(String, String)> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name.ends_with(".yaml") && !name.starts_with("base"))
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| (name.clone(), std::fs::read_to_string(folder().join(&name)).expect("a file")))
        .collect()
}

#[test]
fn the_base_pack_is_clean() {
    let found = diagnose(&files("base", "# file: base.yaml\n"));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_malformed_file_says_what_is_expected() {
    let mut wrong = Vec::new();
    for (name, text) in malformed() {
        let files = files(&name, &text);
        let found = diagnose(&files);
        let code = name.split('_').next().unwrap_or_default();
        if code.starts_with('R') {
            assert!(
                found.iter().any(|problem| problem.code.as_str() == code),
                "{name} does not show {code}: {found:?}"
            );
        }
        assert!(
            found.iter().all(|problem| problem.place.is_some() || problem.code == Code::Header),
            "{name}: no place"
        );
        assert!(found.is_sorted(), "{name}: not sorted");
        compare(&name.replace(".yaml", ".txt"), &rendered(&found, files), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_file() {
    let shown: BTreeSet<String> =
        malformed().iter().map(|(name, _)| name.split('_').next().unwrap_or_default().to_owned()).collect();
    // The codes of the folder itself need a folder, and are shown below.
    let of_folders = ["R001", "R002", "R003"];
    let missing: Vec<&str> = Code::ALL
        .iter()
        .map(|code| code.as_str())
        .filter(|code| !shown.contains(*code) && !of_folders.contains(code))
        .collect();
    assert!(missing.is_empty(), "no malformed file for {missing:?}");
}

#[test]
fn every_file_and_every_paragraph_is_about_a_code_that_exists() {
    let known: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for (name, _) in malformed() {
        let code = name.split('_').next().unwrap_or_default();
        assert!(known.contains(&code) || !code.starts_with('R'), "{name} shows a code that does not exist");
        let beside = folder().join(name.replace(".yaml", ".txt"));
        assert!(beside.exists(), "nothing says what is expected of {name}");
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/diagnostics.md");
    let text = std::fs::read_to_string(path).expect("docs/diagnostics.md");
    let sections: Vec<(&str, &str)> =
        text.split("\n### ").skip(1).map(|part| part.split_once('\n').unwrap_or((part, ""))).collect();
    let documented: Vec<&str> = sections.iter().map(|(code, _)| *code).collect();
    assert_eq!(documented, known, "docs/diagnostics.md has one paragraph a code, in the order of the codes");
    for (code, rest) in sections {
        let own = rest.split("\n## ").next().unwrap_or_default().trim();
        assert!(own.len() > 60 && own.ends_with('.') && !own.contains("\n\n"), "{code} needs one whole paragraph");
    }
}

#[test]
fn warnings_have_codes_from_four_hundred_and_errors_have_the_others() {
    for (name, text) in malformed() {
        for problem in diagnose(&files(&name, &text)) {
            let warning = problem.severity == Severity::Warning;
            assert_eq!(warning, problem.code.as_str() >= "R400", "{name}: {problem}");
        }
    }
}

#[test]
fn codes_are_unique() {
    let numbers: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(numbers.len(), Code::ALL.len());
}

#[test]
fn folders_that_cannot_be_read_have_codes_too() {
    let codes = |source: &RuleSource| -> Vec<&'static str> {
        store::load(source)
            .err()
            .map(|refusal| {
                let errors = refusal.diagnostics.iter().filter(|problem| problem.severity == Severity::Error);
                errors.map(|problem| problem.code.as_str()).collect()
            })
            .unwrap_or_default()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_path_buf();
    assert_eq!(codes(&RuleSource::Folder(path.join("missing"))), ["R002"]);
    assert_eq!(codes(&RuleSource::Folder(path.clone())), ["R002"]);
    let base = std::fs::read(self::folder().join("base.yaml")).expect("the base pack");
    for name in ["one", "two"] {
        std::fs::create_dir(path.join(name)).expect("a folder");
        std::fs::write(path.join(name).join("pack.yaml"), &base).expect("a file");
    }
    assert_eq!(codes(&RuleSource::Folder(path.clone())), ["R003"]);
    std::fs::remove_dir_all(path.join("two")).expect("removed");
    assert!(codes(&RuleSource::Folder(path.clone())).is_empty());
    std::fs::write(path.join("one").join("more.yaml"), [0xff, 0xfe, 0x00]).expect("a file");
    assert_eq!(codes(&RuleSource::Folder(path)), ["R001"]);
}
