//! The commands as a person or a script runs them: the real binary, its output and its exit codes.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "tests write the rules that they check")]

#[path = "common/pack.rs"]
mod pack;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pack::{CASE, CASES, RULES, WEAK, header, write_pack};
use serde_json::Value;

fn rubor(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rubor"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUBOR_") {
            command.env_remove(name);
        }
    }
    command.env_remove("COLUMNS");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    finished(rubor(folder, arguments).output().unwrap())
}

fn piped(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = rubor(folder, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    finished(child.wait_with_output().unwrap())
}

fn finished(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A folder with the small pack under `rules/spots`.
fn small() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_pack(&dir.path().join("rules/spots"));
    dir
}

/// Six mistakes in four files, and where each of them is.
fn six_mistakes() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    file("pack.yaml", &header("spots", "1"));
    let rules = RULES
        .replace("when: gradual", "when: gradul")
        .replace("unit: Cel", "unit: Celsius")
        .replace("about: person\n    kind: yes_no", "about: person\n    kind: [yes_no]");
    file("rules.yaml", &rules);
    file(
        "second.yaml",
        r#"definitions:
  - id: one
    name: one
    when: { any: [two, bright_dome] }
  - id: two
    name: two
    when: one
findings:
  - id: gradual
    name: slow again
    about: spots
    kind: yes_no
    ask: "Slow?"
"#,
    );
    file("twice.yaml", "sources:\n  - id: BOOK\n    title: \"A book\"\n    title: \"Another\"\n");
    dir
}

#[test]
fn six_mistakes_are_six_diagnostics_in_one_run_each_at_its_place() {
    let dir = six_mistakes();
    let (code, text, _) = run(dir.path(), &["check", "."]);
    assert_eq!(code, 1, "{text}");
    let (code, out, _) = run(dir.path(), &["check", ".", "--format", "json"]);
    assert_eq!(code, 1);
    let value = json(&out);
    assert_eq!(value["result"], "refused");
    let found: Vec<String> = value["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{}:{}:{} {}",
                file_name(&one["place"]["file"]),
                one["place"]["line"],
                one["place"]["column"],
                word(&one["code"])
            )
        })
        .collect();
    let at = |name: &str, line: &str, within: &str| place(&dir.path().join(name), line, within);
    let mut expected = [
        format!("{} R202", at("second.yaml", "when: one", "one")),
        format!("{} R100", at("second.yaml", "- id: gradual", "gradual")),
        format!("{} R014", at("rules.yaml", "kind: [yes_no]", "[")),
        format!("{} R105", at("rules.yaml", "unit: Celsius", "Celsius")),
        format!("{} R101", at("rules.yaml", "when: gradul", "gradul")),
        format!("{} R011", at("twice.yaml", "title: \"Another\"", "title")),
    ];
    let mut sorted = found.clone();
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected, "{text}");
    // The same places in the text for people, each with the line underlined, and suggestions where there are any.
    for place in &found {
        let place = place.split(' ').next().unwrap();
        assert!(text.contains(&format!("{place}\n")), "{place} is not in:\n{text}");
    }
    assert_eq!(text.matches("error[R").count(), 6, "{text}");
    assert!(text.contains("        when: gradul\n") && text.contains("^^^^^^\n"), "{text}");
    assert!(text.contains("help: did you mean `gradual`?"), "{text}");
    assert!(text.contains("`Cel`"), "{text}");
    assert!(text.ends_with("refused: 6 errors in .\n"), "{text}");
}

/// `file:line:column` of a word in the first line that holds a text.
fn place(file: &Path, line: &str, within: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let (number, found) = text.lines().enumerate().find(|(_, found)| found.contains(line)).unwrap();
    let start = found.find(line).unwrap();
    let column = start + found[start..].find(within).unwrap() + 1;
    format!("{}:{}:{column}", file.file_name().unwrap().to_string_lossy(), number + 1)
}

fn file_name(path: &Value) -> String {
    Path::new(&word(path)).file_name().unwrap().to_string_lossy().into_owned()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a word: {value}")).to_owned()
}

#[test]
fn check_accepts_and_says_what_it_found() {
    let dir = small();
    let (code, out, err) = run(dir.path(), &["check"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    // No case of the small pack has a fever, which is a remark and no mistake.
    assert!(out.starts_with("warning[R420]: no worked case makes the red flag `fever_with_spots` fire"), "{out}");
    let accepted =
        "\naccepted: spots 1 (draft): 1 condition, 2 rules, 1 red flag, 4 findings, 1 worked case holds, 1 warning\n";
    assert!(out.contains(accepted), "{out}");
    let (code, out, _) = run(dir.path(), &["check", "rules/spots", "--format", "github"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("::warning file=rules/spots/rules.yaml,line="), "{out}");
    assert!(out.contains(",title=R420::no worked case") && out.ends_with("\naccepted: rules/spots\n"), "{out}");
    let (_, out, _) = run(dir.path(), &["check", "rules/spots", "--format", "json"]);
    let value = json(&out);
    assert_eq!(value["result"], "accepted");
    assert_eq!(value["digest"], value["packs"][0]["digest"]);
    let by_variable =
        rubor(dir.path(), &["check"]).env("RUBOR_RULES", "rules/spots").env("RUBOR_FORMAT", "json").output().unwrap();
    assert_eq!(json(&finished(by_variable).1)["digest"], value["digest"]);
}

#[test]
fn a_missing_or_empty_folder_is_a_message_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rules")).unwrap();
    for command in [&["check", "gone"][..], &["check"], &["test", "gone"], &["serve", "--rules", "gone"], &["serve"]] {
        let (code, out, err) = run(dir.path(), command);
        assert_eq!(code, 1, "{command:?}");
        let both = out + &err;
        assert!(both.contains("does not exist") || both.contains("holds no rules"), "{command:?}: {both}");
        assert!(both.contains("help: ") && !both.contains("panicked"), "{command:?}: {both}");
    }
}

#[test]
fn a_broken_case_is_refused_by_check_and_explained_by_test() {
    let dir = small();
    fs::write(dir.path().join("rules/spots/rules.yaml"), RULES.replace(WEAK.0, WEAK.1)).unwrap();
    let (code, out, _) = run(dir.path(), &["check"]);
    assert_eq!(code, 1);
    assert!(out.contains("error[R300]") && out.contains(CASE) && out.contains("spots/cases/one.yaml:1:"), "{out}");
    let (code, out, _) = run(dir.path(), &["test"]);
    assert_eq!(code, 1);
    assert!(
        out.contains(&format!("broken: {CASE}")) && out.contains("urgency: ") && out.contains("1 cherry_angioma"),
        "{out}"
    );
    assert!(out.contains("1 of 1 case broken"), "{out}");
    let (code, out, _) = run(dir.path(), &["test", "--format", "junit"]);
    assert_eq!(code, 1);
    assert!(out.contains("failures=\"1\"") && out.contains("<failure message=\""), "{out}");
}

#[test]
fn test_reports_rows_and_figures() {
    let dir = small();
    let (code, out, err) = run(dir.path(), &["test"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("A1    1  dome_for_years"), "{out}");
    assert!(out.contains("  all                  1 100.0 % 100.0 %") && !out.contains("  held out"), "{out}");
    assert!(out.contains("red flags that fire in no case:\n    fever_with_spots"), "{out}");
    assert!(out.ends_with("all expectations hold: 1 case\n"), "{out}");
    let value = json(&run(dir.path(), &["test", "--format", "json"]).1);
    assert_eq!(value["holds"], true);
    assert_eq!(value["packs"][0]["article_rows"]["A1"][0], CASE);
    assert_eq!(value["packs"][0]["accuracy"]["m1"], 1);
    assert_eq!(
        (&value["packs"][0]["sets"][0]["set"], &value["packs"][0]["sets"][2]["cases"]),
        (&"all".into(), &0.into())
    );
}

#[test]
fn interviews_of_all_cases_are_a_table() {
    let dir = small();
    let (code, out, err) = run(dir.path(), &["test", "--interviews"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("questions asked: median 1, 90th percentile 1"), "{out}");
    assert!(out.contains("ended final") && out.contains("1 of 1"), "{out}");
    // A danger that no question finds is a failure: here the only sign is in no question and no box.
    let hidden = "findings:\n  - { id: hidden, name: a hidden sign, about: person, kind: yes_no }\nred_flags:\n  - { id: hidden_danger, name: a hidden danger, sign: hidden, floor: emergency, because: It is. }\n";
    fs::write(dir.path().join("rules/spots/hidden.yaml"), hidden).unwrap();
    let case = CASES
        .replace(CASE, "hidden_case")
        .replace("present: [bright_dome, gradual]", "present: [bright_dome, gradual, hidden]");
    let case =
        case.split("expect:").next().unwrap().to_owned() + "truth: { condition: cherry_angioma, urgency: emergency }\n";
    fs::write(dir.path().join("rules/spots/cases/hidden.yaml"), case).unwrap();
    let (code, out, _) = run(dir.path(), &["test", "--interviews"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("though urgent or an emergency:\n    hidden_case"), "{out}");
}

#[test]
fn test_takes_cases_from_elsewhere() {
    let dir = small();
    fs::create_dir(dir.path().join("others")).unwrap();
    let other = CASES.replace(CASE, "another").replace("urgency: self_care\n  status", "urgency: urgent\n  status");
    fs::write(dir.path().join("others/other.yaml"), &other).unwrap();
    for path in ["others", "others/other.yaml"] {
        let (code, out, err) = run(dir.path(), &["test", "--cases", path]);
        assert_eq!(code, 1, "{out}{err}");
        assert!(out.contains("broken: another (others/other.yaml:1:"), "{out}");
        assert!(!out.contains(CASE), "{out}");
    }
    fs::write(dir.path().join("others/other.yaml"), other.replace("bright_dome", "bright_doom")).unwrap();
    let (code, _, err) = run(dir.path(), &["test", "--cases", "others"]);
    assert_eq!(code, 1);
    assert!(err.contains("others/other.yaml:4:11") && err.contains("bright_dome"), "{err}");
    assert_eq!(run(dir.path(), &["test", "--cases", "nowhere.yaml"]).0, 1);
}

#[test]
fn an_interview_is_printed_question_by_question() {
    let dir = small();
    let (code, out, err) = run(dir.path(), &["test", "--interview", CASE]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("told first: bright_dome; gradual"), "{out}");
    assert!(out.contains(" 1. Do you have a fever?") && out.contains("    -> no\n"), "{out}");
    assert!(out.contains("SELF_CARE  final"), "{out}");
    let (code, _, err) = run(dir.path(), &["test", "--interview", "none_such"]);
    assert_eq!(code, 1);
    assert!(err.contains("none_such"), "{err}");
}

#[test]
fn evaluate_answers_json_and_yaml_alike() {
    let dir = small();
    let yaml = "patient: { age_years: 52, sex: female }\nobservations:\n  - { finding: bright_dome, present: true }\n  - { finding: fever, present: true }\n";
    let request = r#"{"patient":{"ageYears":52,"sex":"SEX_FEMALE"},"observations":[{"finding":"bright_dome","present":true},{"finding":"fever","present":true}]}"#;
    fs::write(dir.path().join("request.yaml"), yaml).unwrap();
    let (code, out, err) = run(dir.path(), &["evaluate", "request.yaml", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let mut one = json(&out);
    assert_eq!(one["urgency"], "URGENCY_URGENT");
    assert_eq!(one["redFlags"][0]["id"], "fever_with_spots");
    assert_eq!(one["ruleSet"]["pack"], "spots");
    let (code, out, _) = piped(dir.path(), &["evaluate", "-", "--format", "json"], request);
    assert_eq!(code, 0);
    let mut two = json(&out);
    for answer in [&mut one, &mut two] {
        assert!(answer.as_object_mut().unwrap().remove("evaluationId").is_some());
    }
    assert_eq!(one, two);
}

#[test]
fn evaluate_is_readable_in_a_terminal() {
    let dir = small();
    let request = "observations:\n  - { finding: bright_dome, present: true }\n  - { finding: fever, present: true }\n";
    let (code, out, _) = piped(dir.path(), &["evaluate", "-"], request);
    assert_eq!(code, 0);
    assert!(out.starts_with("URGENT  "), "{out}");
    let order =
        ["fever with spots", "What it may be", "cherry angioma", "+11.8 dB", "not for clinical use", "rules: spots 1"];
    let mut rest = out.as_str();
    for words in order {
        let at = rest.find(words).unwrap_or_else(|| panic!("`{words}` is missing, or too early:\n{out}"));
        rest = &rest[at..];
    }
    assert!(!out.contains('\x1b'), "no colour in a pipe");
    fs::write(dir.path().join("request.yaml"), request).unwrap();
    let (_, out, _) = finished(rubor(dir.path(), &["evaluate", "request.yaml"]).env("COLUMNS", "60").output().unwrap());
    assert!(out.lines().all(|line| line.chars().count() <= 60), "{out}");
}

#[test]
fn a_bad_request_is_exit_code_two_with_every_violation() {
    let dir = small();
    let request = "observations:\n  - { finding: fevr, present: true }\n  - { finding: temperature, quantity: { value: 98.6, unit: Cel } }\n  - { finding: bright_dome }\n";
    let (code, out, err) = piped(dir.path(), &["evaluate", "-"], request);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("observations[0].finding: ") && err.contains("`fever`"), "{err}");
    assert!(err.contains("observations[1].quantity.value: ") && err.contains("25") && err.contains("45"), "{err}");
    assert!(err.contains("observations[2]: "), "{err}");
    let (code, out, _) = piped(dir.path(), &["evaluate", "-", "--format", "json"], request);
    assert_eq!(code, 2);
    let value = json(&out);
    assert_eq!(value["code"], "INVALID_ARGUMENT");
    assert_eq!(value["fieldViolations"].as_array().unwrap().len(), 3);

    for text in
        ["observations: 3", "{\"patient\": {\"ageYear\": 3}}", "a: [", "pack: none-such", "expected_digest: \"0\""]
    {
        let (code, _, err) = piped(dir.path(), &["evaluate", "-"], text);
        assert_eq!(code, 2, "{text}: {err}");
        assert!(err.starts_with("error: "), "{text}: {err}");
    }
    assert_eq!(run(dir.path(), &["evaluate", "nowhere.json"]).0, 2);
    assert_eq!(
        run(dir.path(), &["evaluate", "-", "--rules", "gone"]).0,
        1,
        "the rules are refused, the request is fine"
    );
}

#[test]
fn nobody_serving_is_not_healthy() {
    let dir = tempfile::tempdir().unwrap();
    // Port 9 (discard) of the own machine serves nothing.
    let (code, _, err) = run(dir.path(), &["healthcheck", "127.0.0.1:9"]);
    assert_eq!(code, 1);
    assert!(err.contains("127.0.0.1:9"), "{err}");
    assert_eq!(run(dir.path(), &["no-such-command"]).0, 2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = small();
    let mut child = rubor(dir.path(), &["test"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
