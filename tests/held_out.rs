//! The cases kept aside are what they were: drawn by a rule, and never edited since.

#![allow(clippy::disallowed_methods, reason = "a test reads files")]

use rubor::engine::case::CaseKind;
use rubor::store::{self, RuleSource};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// SHA-256 over name, length and bytes of all files of the folder, in the order of their names.
const DIGEST: &str = "c3e20ae120c68e4b529fa3403fe071d2a032b05645d15d4c24191cbc3dbe5906";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn nobody_edited_the_cases_kept_aside() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules/red-spots/cases/held_out");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    let mut digest = Sha256::new();
    for name in names {
        let text = std::fs::read(folder.join(&name)).expect("a file");
        // The first line may point an editor to the schema; it is no part of a case.
        let text = String::from_utf8(text).expect("UTF-8");
        let text = text
            .strip_prefix("# yaml-language-server")
            .and_then(|rest| rest.split_once('\n'))
            .map_or(text.as_str(), |(_, rest)| rest);
        digest.update(format!("{name}\n{}\n{text}", text.len()));
    }
    assert_eq!(
        hex(&digest.finalize()),
        DIGEST,
        "cases kept aside must never be edited: correct the rules, or say in their README what is wrong with the case"
    );
}

#[test]
fn the_draw_followed_the_rule() {
    let snapshot = store::load(&RuleSource::Embedded).unwrap_or_else(|refusal| panic!("{:?}", refusal.diagnostics));
    let cases = &snapshot.packs["red-spots"].cases;
    let drawn = |id: &str| Sha256::digest(id)[0] < 115;
    for case in cases.iter().filter(|case| case.held_out) {
        assert!(drawn(&case.id), "{} does not belong to the cases kept aside", case.id);
    }
    for case in cases.iter().filter(|case| case.kind != CaseKind::Other && case.place.file.contains("by_condition/")) {
        assert!(!drawn(&case.id), "{} belongs to the cases kept aside", case.id);
    }
    let held_out = cases.iter().filter(|case| case.held_out).count();
    let measured = cases.iter().filter(|case| case.truth.is_some()).count();
    assert!(held_out * 3 >= measured - 30, "{held_out} of {measured} is not about a third");
}
