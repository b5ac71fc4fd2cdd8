//! The laws of the layout, read off the source: who may import whom, and what the core must not know.

#![allow(clippy::disallowed_methods, reason = "a test reads files")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path).expect("a source folder").map(|entry| entry.expect("an entry").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), std::fs::read_to_string(&path).expect("a source file")));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no source under {}", folder.display());
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Names that appear as paths (`name::`) in code, comments left out.
fn paths(text: &str) -> BTreeSet<String> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    words.filter_map(|word| word.split_once("::")).map(|(first, _)| first.to_owned()).collect()
}

#[test]
fn the_core_knows_no_outside_world() {
    let forbidden = [
        "tokio",
        "tonic",
        "prost",
        "tracing",
        "axum",
        "notify",
        "arc_swap",
        "prometheus_client",
        "clap",
        "uuid",
        "serde_json",
    ];
    let std_forbidden = [
        "std::fs",
        "std::net",
        "std::time",
        "std::thread",
        "std::process",
        "std::env",
        "std::io",
        "println!",
        "eprintln!",
        "HashMap",
        "HashSet",
    ];
    for (path, text) in sources(&root().join("engine")) {
        let used = paths(&text);
        for name in forbidden {
            assert!(
                !used.contains(name),
                "{} uses {name}; the core has no I/O, clock, tasks, protobuf or log",
                path.display()
            );
        }
        for name in std_forbidden {
            assert!(!text.contains(name), "{} names {name}; the core has no I/O and no random order", path.display());
        }
        for name in [
            "crate::store",
            "crate::grpc",
            "crate::server",
            "crate::cli",
            "crate::render",
            "crate::observe",
            "crate::config",
        ] {
            assert!(!text.contains(name), "{} reaches out to {name}; arrows point into the core only", path.display());
        }
    }
}

#[test]
fn only_parse_knows_yaml() {
    for (path, text) in sources(&root().join("engine")) {
        let is_parse = path.ends_with("parse.rs") || path.parent().is_some_and(|parent| parent.ends_with("parse"));
        if !is_parse {
            let used = paths(&text);
            assert!(!used.contains("serde_yaml") && !used.contains("saphyr_parser"), "{} reads YAML", path.display());
        }
    }
}

#[test]
fn arrows_inside_the_core_run_one_way() {
    // Each row: a module, and what it must not import because it comes later in the pipeline.
    let later: [(&str, &[&str]); 9] = [
        ("truth.rs", &["plan", "evaluate", "explain", "check", "compile"]),
        ("vocabulary.rs", &["plan", "evaluate", "explain", "check", "compile"]),
        ("parse.rs", &["check", "compile", "plan", "evaluate", "explain"]),
        ("doc.rs", &["check", "compile", "plan", "evaluate", "explain"]),
        ("plan.rs", &["check", "compile", "evaluate", "explain", "finding", "parse"]),
        ("compile.rs", &["evaluate", "explain", "finding", "parse"]),
        ("finding.rs", &["check", "compile", "evaluate", "explain", "parse"]),
        ("evaluate.rs", &["check", "compile", "explain", "parse", "question"]),
        ("question.rs", &["check", "compile", "explain", "parse"]),
    ];
    for (file, forbidden) in later {
        let text = std::fs::read_to_string(root().join("engine").join(file)).expect("a module of the core");
        for name in forbidden {
            assert!(
                !text.contains(&format!("super::{name}::")) && !text.contains(&format!("super::{name};")),
                "{file} imports {name}"
            );
        }
    }
}

#[test]
fn the_edge_holds_no_clinical_logic() {
    for (path, text) in sources(&root().join("grpc")) {
        for name in ["engine::evaluate", "engine::weight", "engine::truth", "Truth::", "Weight::", "Urgency::ALL"] {
            assert!(!text.contains(name), "{} uses {name}: the edge converts and decides nothing", path.display());
        }
    }
}

#[test]
fn load_is_the_only_door() {
    // A snapshot is built in one function of `store`, and nobody else calls the compiler of packs to serve it.
    for (path, text) in sources(&root()) {
        let in_store = path.ends_with("store/mod.rs");
        let builds = text.contains("Snapshot {") && !text.contains("struct Snapshot {");
        assert!(!builds || in_store, "{} builds a Snapshot", path.display());
    }
}

#[test]
fn every_module_says_what_it_owns() {
    for (path, text) in sources(&root()) {
        assert!(text.starts_with("//!"), "{} does not open with what it owns", path.display());
    }
}
