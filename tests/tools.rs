//! The tools of a rule author, as they are run: `new`, `schema`, `test --filter/--coverage/--mutate` and `diff`.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "tests write the rules that they check")]

#[path = "common/pack.rs"]
mod pack;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pack::{CASE, CASES, RULES, WEAK, write_pack};
use rubor::engine;
use rubor::engine::case::Case;
use rubor::engine::mutate::{self, Gist};
use rubor::engine::plan::Plan;
use rubor::mutation;
use rubor::store::{self, RuleSource};
use serde_json::Value;

fn command(program: &str, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUBOR_") || name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    let output = command.env_remove("COLUMNS").output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn rubor(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    command(env!("CARGO_BIN_EXE_rubor"), folder, arguments)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A folder with the small pack under `old` and again under `new`.
fn twice() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_pack(&dir.path().join("old"));
    write_pack(&dir.path().join("new"));
    // A case that fires the red flag, so that there is something to lose.
    let feverish = "id: hot\ntitle: A dome and a fever\npresent: [bright_dome, gradual, fever]\nexpect: { red_flags: [fever_with_spots] }\n";
    for side in ["old", "new"] {
        fs::write(dir.path().join(side).join("cases/two.yaml"), feverish).unwrap();
    }
    dir
}

fn edit(dir: &Path, name: &str, from: &str, to: &str) {
    let path = dir.join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "`{from}` is not in {name}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

// --- new ------------------------------------------------------------------------------------------------------------

#[test]
fn a_new_pack_is_good_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = rubor(dir.path(), &["new", "packs/Sore Throat"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("`sore-throat`"), "{out}");
    let (code, out, err) = rubor(dir.path(), &["check", "packs/Sore Throat"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("accepted: sore-throat") && out.contains("2 worked cases hold, 0 warnings"), "{out}");
    // Everything in it is exercised by its cases, and every red flag is missed when it is gone.
    let (code, out, err) = rubor(dir.path(), &["test", "packs/Sore Throat", "--min-coverage", "100"]);
    assert_eq!(code, 0, "{out}{err}");
    let (_, out, _) = rubor(dir.path(), &["test", "packs/Sore Throat", "--mutate", "--format", "json"]);
    assert_eq!(json(&out)["packs"][0]["dropped_red_flags"]["percent_noticed"], 100.0);
    // The schemas that its files name are there.
    let folder = dir.path().join("packs/Sore Throat");
    for file in ["pack.yaml", "findings.yaml", "conditions.yaml", "red_flags.yaml", "cases/first.yaml"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let schema = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=").unwrap().to_owned();
        let path = folder.join(file).parent().unwrap().join(schema);
        assert!(fs::read_to_string(&path).unwrap().contains("sore-throat"), "{}", path.display());
    }
}

#[test]
fn a_new_pack_takes_no_folder_that_is_used() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("empty")).unwrap();
    assert_eq!(rubor(dir.path(), &["new", "empty", "--id", "one"]).0, 0);
    let before = fs::read_to_string(dir.path().join("empty/pack.yaml")).unwrap();
    assert!(before.contains("id: one\n"));
    let (code, _, err) = rubor(dir.path(), &["new", "empty", "--id", "two"]);
    assert_eq!(code, 1);
    assert!(err.contains("is not empty"), "{err}");
    assert_eq!(fs::read_to_string(dir.path().join("empty/pack.yaml")).unwrap(), before);
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::write(dir.path().join("other/notes.txt"), "mine").unwrap();
    assert_eq!(rubor(dir.path(), &["new", "other"]).0, 1);
    assert_eq!(fs::read_dir(dir.path().join("other")).unwrap().count(), 1, "nothing was written");
    let (code, _, err) = rubor(dir.path(), &["new", "third", "--id", "Not Good"]);
    assert!(code == 1 && err.contains("`Not Good`") && !dir.path().join("third").exists(), "{err}");
    assert_eq!(rubor(dir.path(), &["new", "other/notes.txt"]).0, 1);
}

// --- schema ---------------------------------------------------------------------------------------------------------

#[test]
fn schemas_are_printed_and_written() {
    let dir = twice();
    let (code, out, _) = rubor(dir.path(), &["schema"]);
    assert_eq!(code, 0);
    assert_eq!(json(&out)["title"], "rubor rule file");
    assert_eq!(json(&rubor(dir.path(), &["schema", "case"]).1)["title"], "rubor worked case");
    let (code, out, _) = rubor(dir.path(), &["schema", "case", "--vocabulary", "old"]);
    assert_eq!(code, 0);
    let flags = &json(&out)["definitions"]["red_flag"];
    assert_eq!(
        (&flags["enum"][0], &flags["enumDescriptions"][0]),
        (&"fever_with_spots".into(), &"fever with spots".into())
    );
    // A pack with a mistake in it still gives its names: that is when they are needed.
    edit(dir.path(), "old/rules.yaml", "when: gradual", "when: gradul");
    assert_eq!(rubor(dir.path(), &["schema", "--vocabulary", "old"]).0, 0);
    let (code, out, _) = rubor(dir.path(), &["schema", "--vocabulary", "old", "--write"]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    assert!(dir.path().join("old/.schema/case.schema.json").is_file());
    for wrong in ["gone", "."] {
        let (code, _, err) = rubor(dir.path(), &["schema", "--vocabulary", wrong]);
        assert_eq!(code, 1, "{wrong}");
        assert!(err.starts_with("error: "), "{err}");
    }
}

// --- test -----------------------------------------------------------------------------------------------------------

#[test]
fn cases_are_chosen_by_id_row_or_condition() {
    let dir = twice();
    let ids = |filter: &str| -> Vec<String> {
        let (_, out, _) = rubor(dir.path(), &["test", "old", "--filter", filter, "--format", "json"]);
        let value = json(&out);
        let cases = value["packs"][0]["cases"].as_array().unwrap().clone();
        cases.into_iter().map(|case| case["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("for_y"), [CASE]);
    assert_eq!(ids("a1"), [CASE]);
    assert_eq!(ids("angioma"), [CASE]);
    assert_eq!(ids("hot"), ["hot"]);
    let (code, _, err) = rubor(dir.path(), &["test", "old", "--filter", "A12"]);
    assert!(code == 1 && err.contains("no case fits `A12`"), "{err}");
}

#[test]
fn a_broken_case_shows_the_difference_that_mattered() {
    let dir = twice();
    let other = "  - id: mole\n    name: mole\n    summary: \"A mole.\"\n    urgency: routine\n    prior: very_common\n    evidence:\n      - { id: dome, when: bright_dome, supports: weak, because: \"A mole may be a dome.\" }\n      - { id: hot, when: fever, supports: weak, because: \"Never so.\" }\nred_flags:\n";
    edit(dir.path(), "old/rules.yaml", "red_flags:\n", other);
    let wrong =
        CASES.replace("top: cherry_angioma", "top: mole").replace("status: final", "red_flags: [fever_with_spots]");
    fs::write(dir.path().join("old/cases/one.yaml"), wrong).unwrap();
    let (code, out, _) = rubor(dir.path(), &["test", "old"]);
    assert_eq!(code, 1);
    let heading = out.find("The difference that mattered: expected | got").unwrap_or_else(|| panic!("{out}"));
    let columns: Vec<(&str, &str)> = out[heading..].lines().filter_map(|line| line.split_once(" | ")).skip(1).collect();
    assert!(columns[0].0.contains("2 mole:") && columns[0].1.contains("1 cherry_angioma:"), "{out}");
    assert!(
        columns.iter().any(|(left, right)| left.contains("+3.0 dB dome") && right.contains("+11.8 dB dome")),
        "{out}"
    );
    assert!(out.contains("must fire; sign (fever): told false"), "{out}");
    assert!(out.contains("The whole answer") && out.contains("What it may be"), "{out}");
    // The same in the other formats.
    let value = json(&rubor(dir.path(), &["test", "old", "--format", "json"]).1);
    let explanation = value["packs"][0]["cases"][0]["explanation"].as_str().unwrap().to_owned();
    assert!(explanation.contains("expected | got"), "{explanation}");
    assert!(explanation.lines().all(|line| line.chars().count() <= 80), "{explanation}");
    assert!(rubor(dir.path(), &["test", "old", "--format", "junit"]).1.contains("expected | got"));
    // A condition that nothing supports shows what is true of its rules.
    let wrong = fs::read_to_string(dir.path().join("old/cases/one.yaml")).unwrap().replace("bright_dome, ", "");
    fs::write(dir.path().join("old/cases/one.yaml"), wrong).unwrap();
    let out = rubor(dir.path(), &["test", "old"]).1;
    assert!(out.contains("mole: not listed") && out.contains("dome (smooth bright-red dome): not"), "{out}");
}

#[test]
fn coverage_counts_how_each_rule_and_flag_stood() {
    let dir = twice();
    let (code, out, _) = rubor(dir.path(), &["test", "old", "--coverage"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("both together") && out.contains("3 of 3"), "{out}");
    let value = json(&rubor(dir.path(), &["test", "old", "--coverage", "--format", "json"]).1);
    let coverage = &value["packs"][0]["coverage"];
    assert_eq!(coverage["percent"], 100.0);
    assert_eq!(coverage["by_red_flag"][0]["fired"], 1);
    assert_eq!(coverage["by_red_flag"][0]["excluded"], 1);
    assert_eq!(coverage["by_rule"][0]["true"], 2);
    fs::remove_file(dir.path().join("old/cases/two.yaml")).unwrap();
    assert_eq!(rubor(dir.path(), &["test", "old", "--min-coverage", "66"]).0, 0);
    let (code, out, err) = rubor(dir.path(), &["test", "old", "--min-coverage", "67"]);
    assert_eq!(code, 1);
    assert!(out.contains("all expectations hold") && err.contains("cover 66.7 %, and 67 % are asked for"), "{err}");
    assert_eq!(rubor(dir.path(), &["test", "old", "--min-coverage", "101"]).0, 2);
}

#[test]
fn mutation_lists_what_no_case_would_miss() {
    let dir = twice();
    let (code, out, _) = rubor(dir.path(), &["test", "old", "--mutate"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("Each red flag dropped\n  noticed                                1 of 1    100 %"), "{out}");
    let value = json(&rubor(dir.path(), &["test", "old", "--mutate", "--format", "json"]).1);
    let pack = &value["packs"][0];
    assert_eq!(pack["dropped_red_flags"]["each"][0]["refused_by"], "hot");
    assert_eq!(pack["flipped_weights"]["tried"], 2);
    assert_eq!(rubor(dir.path(), &["test", "old", "--mutate", "--min-noticed", "100"]).0, 0);
    // Without the case that fires it, nobody misses the red flag.
    fs::remove_file(dir.path().join("old/cases/two.yaml")).unwrap();
    let value = json(&rubor(dir.path(), &["test", "old", "--mutate", "--format", "json"]).1);
    assert_eq!(value["packs"][0]["dropped_red_flags"]["survivors"][0], "fever_with_spots");
    let (code, _, err) = rubor(dir.path(), &["test", "old", "--mutate", "--min-noticed", "0"]);
    assert!(code == 1 && err.contains("miss 1 dropped red flags"), "{err}");
    assert_eq!(rubor(dir.path(), &["test", "old", "--min-noticed", "0"]).0, 2);
    assert_eq!(rubor(dir.path(), &["test", "old", "--mutate", "--format", "junit"]).0, 1);
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Leaving out what a change cannot touch must not leave out anything that it does touch.
#[test]
fn mutation_finds_what_trying_everything_finds() {
    for folder in ["examples/sore-throat", "rules/red-spots"] {
        let content = store::read(&RuleSource::Folder(root().join(folder)));
        let pack = engine::compile_pack(&content.packs[0].files).expect("a good pack");
        // A tenth of the changes and some of the cases are enough for the large pack.
        let (step, most) = if folder.starts_with("rules") { (17, 25) } else { (1, 25) };
        let cases: Vec<&Case> = pack.cases.iter().take(most).collect();
        let report = mutation::run(&pack.plan, &cases);
        let trials = [&report.dropped_flags, &report.flipped_weights, &report.dropped_rules];
        let mut mutant = pack.plan.clone();
        let gist = |plan: &Plan, case: &Case| Gist::of(plan, &mutate::evaluate_case(plan, case));
        let unchanged: Vec<Gist> = cases.iter().map(|case| gist(&pack.plan, case)).collect();
        for trial in trials.into_iter().flat_map(|trials| &trials.0).step_by(step) {
            mutate::apply(&mut mutant, &trial.mutation);
            let changed: Vec<Gist> = cases.iter().map(|case| gist(&mutant, case)).collect();
            let noticed = changed.iter().zip(&unchanged).filter(|(is, was)| !was.differs(is).is_empty()).count();
            assert_eq!(noticed, trial.cases, "{folder}: {trial:?}");
            mutate::undo(&mut mutant, &pack.plan, &trial.mutation);
        }
    }
}

// --- diff -----------------------------------------------------------------------------------------------------------

#[test]
fn the_same_rules_are_the_same() {
    let dir = twice();
    fs::write(dir.path().join("new/empty.yaml"), "# Nothing but words.\n").unwrap();
    let (code, out, err) = rubor(dir.path(), &["diff", "old", "new"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(out, "spots: the same, over 2 cases\n");
    assert_eq!(json(&rubor(dir.path(), &["diff", "old", "new", "--format", "json"]).1)["packs"][0]["result"], "same");
}

#[test]
fn a_lower_floor_is_printed_first() {
    let dir = twice();
    edit(dir.path(), "new/rules.yaml", "floor: urgent", "floor: prompt");
    edit(dir.path(), "new/rules.yaml", WEAK.0, "urgency: prompt # of the dome");
    let (code, out, err) = rubor(dir.path(), &["diff", "old", "new"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let first = out.lines().skip_while(|line| !line.starts_with("Cases, most")).nth(1).unwrap();
    assert_eq!(first, "  ! hot", "{out}");
    for words in [
        "urgency urgent -> prompt",
        "through red flag fever_with_spots changed: floor: urgent -> prompt",
        "changed  red flag fever_with_spots: floor: urgent -> prompt",
        "changed  condition cherry_angioma: urgency: self_care -> prompt",
    ] {
        assert!(out.contains(words), "`{words}` is not in:\n{out}");
    }
    let value = json(&rubor(dir.path(), &["diff", "old", "new", "--format", "json"]).1);
    let moves = value["packs"][0]["moves"].as_array().unwrap();
    assert_eq!((&moves[0]["case"], &moves[0]["danger"]), (&"hot".into(), &"less_urgent".into()));
    assert_eq!((&moves[1]["case"], &moves[1]["danger"]), (&CASE.into(), &"more_urgent".into()));
    // By other cases, only those count.
    fs::write(dir.path().join("one.yaml"), CASES).unwrap();
    let (code, out, _) = rubor(dir.path(), &["diff", "old", "new", "--cases", "one.yaml"]);
    assert!(code == 1 && out.contains("1 answer moves of 1 case") && !out.contains("! hot"), "{out}");
}

#[test]
fn rules_that_are_new_gone_or_changed_are_named() {
    let dir = twice();
    edit(dir.path(), "new/rules.yaml", "supports: strong", "supports: weak");
    edit(
        dir.path(),
        "new/rules.yaml",
        "      - id: slow\n        when: gradual\n        supports: moderate\n        because: \"It comes slowly.\"\n",
        "",
    );
    edit(dir.path(), "new/rules.yaml", "fever_with_spots", "spots_and_fever");
    edit(dir.path(), "new/cases/two.yaml", "fever_with_spots", "spots_and_fever");
    edit(dir.path(), "new/cases/one.yaml", "  top: cherry_angioma\n", "");
    let (code, out, _) = rubor(dir.path(), &["diff", "old", "new"]);
    assert_eq!(code, 1);
    for words in [
        "changed  rule cherry_angioma.dome: strong -> weak",
        "removed  rule cherry_angioma.slow: It comes slowly.",
        "removed  red flag fever_with_spots: fever with spots",
        "added    red flag spots_and_fever: fever with spots",
        "no longer fires: fever_with_spots; now fires: spots_and_fever",
        "first place cherry_angioma -> undetermined",
    ] {
        assert!(out.contains(words), "`{words}` is not in:\n{out}");
    }
}

#[test]
fn a_case_that_only_one_side_can_read_is_said() {
    let dir = twice();
    let finding = "findings:\n  - { id: itch, name: itching, about: spots, kind: yes_no, ask: \"Does it itch?\" }\n";
    fs::write(dir.path().join("new/more.yaml"), finding).unwrap();
    let itchy = CASES.replace(CASE, "itchy").replace("gradual]", "gradual, itch]");
    fs::write(dir.path().join("new/cases/three.yaml"), itchy).unwrap();
    let (code, out, _) = rubor(dir.path(), &["diff", "old", "new"]);
    assert_eq!(code, 1);
    assert!(out.contains("? itchy: the old rules cannot read it: observations[2].finding"), "{out}");
    assert!(out.contains("added    finding itch: itching") && out.contains("added    case itchy"), "{out}");
}

#[test]
fn revisions_of_git_are_compared_too() {
    let dir = twice();
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
        let (code, _, err) = command("git", dir.path(), &[&who, arguments].concat());
        assert_eq!(code, 0, "git {arguments:?}: {err}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    edit(dir.path(), "old/rules.yaml", "floor: urgent", "floor: emergency");
    git(&["commit", "-qam", "two"]);
    let (code, out, err) = rubor(dir.path(), &["diff", "HEAD:old", "old"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (code, out, err) = rubor(dir.path(), &["diff", "HEAD:old", "HEAD~1:old"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("  ! hot\n      urgency emergency -> urgent"), "{out}");
    for wrong in ["HEAD:gone", "nonsense:old", "gone", ":old", "--x:old", "HEAD:old/rules.yaml"] {
        let (code, _, err) = rubor(dir.path(), &["diff", "--", wrong, "old"]);
        assert!(code == 2 && err.contains(wrong), "{wrong}: {err}");
    }
}

#[test]
fn sides_that_cannot_be_read_are_refused_with_every_diagnostic() {
    let dir = twice();
    edit(dir.path(), "new/rules.yaml", "when: gradual", "when: gradul");
    let (code, out, err) = rubor(dir.path(), &["diff", "old", "new"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("new/rules.yaml:") && err.contains("gradul") && err.contains("nothing was compared"), "{err}");
    // A pack that is there on one side only is said, and is a change.
    let dir = tempfile::tempdir().unwrap();
    write_pack(&dir.path().join("old/spots"));
    write_pack(&dir.path().join("new/spots"));
    write_pack(&dir.path().join("new/dots"));
    edit(dir.path(), "new/dots/pack.yaml", "id: spots", "id: dots");
    let (code, out, _) = rubor(dir.path(), &["diff", "old", "new"]);
    assert_eq!((code, out.as_str()), (1, "dots: added\nspots: the same, over 1 case\n"));
    assert!(!RULES.is_empty());
}
