//! Mistakes that authors make, put into the shipped pack one at a time: each must be found exactly where it is.
//!
//! `«` and `»` mark the mistake in what is written; the diagnostic must begin at its first character.

use std::sync::LazyLock;

use rubor::engine::diagnostic::{Diagnostic, Severity};
use rubor::engine::source::SourceFile;
use rubor::engine::{ReadFile, compile_read};
use rubor::store::{self, RuleSource};

/// What an author did, in which file, what stood there (its first appearance), what was written, and the code it gets.
struct Mistake(&'static str, &'static str, &'static str, &'static str, &'static str);

const GENERAL: &str = "findings/general.yaml";
const DOME: &str = "conditions/cherry_angioma.yaml";
const FLAGS: &str = "red_flags/infection.yaml";

#[rustfmt::skip]
const MISTAKES: [Mistake; 30] = [
    Mistake("a finding is misspelt", DOME, "when: bright_dome", "when: «bright_doem»", "R101"),
    Mistake("a finding deep inside is misspelt", FLAGS, "{ not: weals }", "{ not: «weels» }", "R101"),
    Mistake("a line is indented with a tab", GENERAL, "    about: person", "«\t»about: person", "R010"),
    Mistake("a quote is not closed", GENERAL, "ask: \"Do you have a fever, or have you had one with these spots?\"", "ask: «\"»Do you have a fever?", "R010"),
    Mistake("a colon stands in an unquoted text", GENERAL, "name: body temperature", "name: body temperature«:» the highest", "R010"),
    Mistake("a key is there twice", GENERAL, "    kind: yes_no\n", "    kind: yes_no\n    «kind»: yes_no\n", "R011"),
    Mistake("a key is misspelt", DOME, "supports: strong", "«suports»: strong", "R015"),
    Mistake("a word is not one of those known", DOME, "urgency: self_care", "urgency: «selfcare»", "R014"),
    Mistake("a text reads as a number", "pack.yaml", "version: \"0.1.0\"", "version: «0.10»", "R014"),
    Mistake("a key has no value", FLAGS, "given: { any: [fever, spots_stay] }", "«given»:", "R014"),
    Mistake("a list is written as one value", FLAGS, "sources: [NHS-M]", "sources: «NHS-M»", "R014"),
    Mistake("a reason is missing", DOME, "- id: dome\n        when: bright_dome\n        supports: strong\n        because:", "- «id»: dome\n        when: bright_dome\n        supports: strong\n        #", "R014"),
    Mistake("a rule is weighed twice", DOME, "- id: dome", "- «id»: dome\n        likelihood_ratio: 3", "R016"),
    Mistake("an id has a capital", DOME, "- id: cherry_angioma\n", "- id: «Cherry_angioma»\n", "R017"),
    Mistake("a finding is declared twice", GENERAL, "- id: temperature", "- id: «fever»\n    name: a second fever\n    about: person\n    kind: yes_no\n    ask: \"Do you?\"\n  - id: temperature", "R100"),
    Mistake("a source is misspelt", FLAGS, "sources: [NHS-M]", "sources: [«NHS-N»]", "R103"),
    Mistake("an option does not exist", "definitions.yaml", "finding: count, is_one_of: [", "finding: count, is_one_of: [«a_lot», ", "R104"),
    Mistake("a unit is spelt out", GENERAL, "unit: \"Cel\"", "unit: «\"Celsius\"»", "R105"),
    Mistake("a screen question does not exist", "pack.yaml", "screen: [age, danger_signs", "screen: [age, «danger_sings»", "R106"),
    Mistake("a limit is outside the range", "derived.yaml", "finding: temperature, at_least: 38", "finding: temperature, at_least: «380»", "R201"),
    Mistake("a range is turned round", GENERAL, "range: [25, 45]", "range: «[»45, 25]", "R201"),
    Mistake("a definition leads back to itself", "definitions.yaml", "definitions:\n", "definitions:\n  - id: one\n    name: one\n    when: two\n  - id: two\n    name: two\n    when: «one»\n", "R202"),
    Mistake("a precaution is above its floor", FLAGS, "floor: emergency\n    while_unknown: emergency", "floor: urgent\n    while_unknown: «emergency»", "R206"),
    Mistake("a published number has no source", DOME, "sources: [seed, MLP]\n        grade: judgement", "grade: «published»", "R209"),
    Mistake("a joint rule names a rule that is not there", DOME, "stands_for: [", "stands_for: [«stayz», ", "R108"),
    Mistake("a case expects an unknown condition", "cases/a01_cherry_angioma.yaml", "top: cherry_angioma", "top: «cherry_angoma»", "R102"),
    Mistake("a case tells an impossible age", "cases/a01_cherry_angioma.yaml", "patient: { age_years: ", "patient: { age_years: «9»9", "R301"),
    Mistake("two limits exclude each other", "definitions.yaml", "when: { finding: age, below: 16 }", "when: «{» finding: age, below: 16, above: 18 }", "R410"),
    Mistake("a sentence has no period", DOME, "is what a cherry angioma looks like.", "is what a cherry angioma looks lik«e»", "R432"),
    Mistake("a text has a space too many", DOME, "Cherry angiomas come slowly", "Cherry«  »angiomas come slowly", "R430"),
];

static SHIPPED: LazyLock<Vec<(SourceFile, ReadFile)>> = LazyLock::new(|| {
    let content = store::read(&RuleSource::Embedded);
    let pack = content.packs.into_iter().find(|pack| pack.folder == "red-spots").expect("the shipped pack");
    pack.files.into_iter().map(|file| (file.clone(), ReadFile::read(&file))).collect()
});

/// The diagnostics of the shipped pack with one file changed.
fn diagnose(path: &str, text: &str) -> Vec<Diagnostic> {
    let changed = ReadFile::read(&SourceFile { path: path.to_owned(), text: text.to_owned() });
    let others = SHIPPED.iter().filter(|(file, _)| file.path != path).map(|(_, read)| read.clone());
    match compile_read(others.chain([changed])) {
        Ok(pack) => pack.warnings,
        Err(found) => found,
    }
}

/// The text without the marks, and line and column of the first.
fn unmark(text: &str) -> (String, u32, u32) {
    let (before, rest) = text.split_once('«').expect("a mark");
    let (inside, after) = rest.split_once('»').expect("an end of the mark");
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let number = |count: usize| u32::try_from(count).expect("a small number");
    (format!("{before}{inside}{after}"), number(line), number(column))
}

#[test]
fn every_mistake_is_found_where_it_is() {
    let mut wrong = Vec::new();
    for Mistake(what, path, find, write, code) in MISTAKES {
        let (file, _) = SHIPPED.iter().find(|(file, _)| file.path == path).unwrap_or_else(|| panic!("no file {path}"));
        let start = file.text.find(find).unwrap_or_else(|| panic!("{what}: {path} no longer holds `{find}`"));
        let (head, tail) = (&file.text[..start], &file.text[start + find.len()..]);
        let (written, line, column) = unmark(write);
        let lines = u32::try_from(head.matches('\n').count()).expect("a small number");
        let before = u32::try_from(head.rsplit('\n').next().unwrap_or_default().chars().count()).expect("small");
        let (line, column) = (line + lines, if line == 1 { column + before } else { column });
        let found = diagnose(path, &format!("{head}{written}{tail}"));
        let here = |problem: &Diagnostic| {
            problem.code.as_str() == code
                && problem.place.as_ref().is_some_and(|at| at.file == path && (at.line, at.column) == (line, column))
        };
        let errors: Vec<String> = found
            .iter()
            .filter(|problem| problem.severity == Severity::Error || problem.code.as_str() == code)
            .map(|problem| problem.to_string().lines().next().unwrap_or_default().to_owned())
            .collect();
        if !found.iter().any(here) {
            wrong.push(format!("{what}: expected {code} at {path}:{line}:{column}, found\n  {}", errors.join("\n  ")));
        } else if errors.len() > 3 {
            wrong.push(format!("{what}: one mistake, {} diagnostics\n  {}", errors.len(), errors[..4].join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_shipped_pack_has_none_of_them() {
    let found = compile_read(SHIPPED.iter().map(|(_, read)| read.clone()))
        .map(|pack| pack.warnings)
        .unwrap_or_else(|found| found);
    let errors: Vec<&Diagnostic> = found.iter().filter(|problem| problem.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
}
