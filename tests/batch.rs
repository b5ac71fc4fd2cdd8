//! `rubor batch` as a script runs it: the real binary over real files, whatever the number of threads, cut off and gone on.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "tests write the files that they hand over")]

#[path = "common/pack.rs"]
mod pack;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use pack::write_pack;
use serde_json::Value;

fn batch(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rubor"));
    command.current_dir(folder).arg("batch").args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RUBOR_") {
            command.env_remove(name);
        }
    }
    command.output().expect("the binary runs")
}

fn words(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A folder with the small pack, and a file of requests: every seventh is bad, and one line is empty.
fn folder(lines: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    write_pack(&dir.path().join("rules/spots"));
    let mut text = String::new();
    for line in 0..lines {
        let fever = format!("\"observations\":[{{\"finding\":\"fever\",\"present\":{}}}]", line % 2 == 0);
        text.push_str(&match line % 7 {
            3 => "{\"observations\":[{\"finding\":\"no_such_thing\",\"present\":true}]}\n".to_owned(),
            _ if line == 5 => "\n".to_owned(),
            5 => "{ this is no JSON }\n".to_owned(),
            _ => format!("{{\"requestId\":\"r{line}\",{fever}}}\n"),
        });
    }
    fs::write(dir.path().join("in.ndjson"), text).expect("written");
    dir
}

fn answers(folder: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(name)).expect("an output");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn every_line_is_answered_in_its_place() {
    let dir = folder(200);
    let done = batch(dir.path(), &["--in", "in.ndjson", "--out", "out.ndjson"]);
    let said = words(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{said}");
    let answers = answers(dir.path(), "out.ndjson");
    assert_eq!(answers.len(), 199, "one line is empty");
    let expected = (0..200_u64).filter(|line| *line != 5);
    for (line, answer) in expected.zip(&answers) {
        assert_eq!(answer["index"], line);
        if matches!(line % 7, 3 | 5) {
            assert_eq!(answer["error"]["code"], 3, "{answer}");
        } else {
            assert_eq!(answer["response"]["requestId"], format!("r{line}"));
            assert!(answer["response"].get("evaluationId").is_none(), "nothing depends on the clock");
        }
    }
    let aside = fs::read_to_string(dir.path().join("out.ndjson.rejected")).expect("bad lines");
    let first: Value = serde_json::from_str(aside.lines().next().expect("a bad line")).expect("JSON");
    assert_eq!(first["line"], 4);
    assert!(first["input"].as_str().expect("the line").contains("no_such_thing"));
    assert!(said.contains("line 4: ") && said.contains("requests answered") && said.contains("bad lines"), "{said}");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let dir = folder(500);
    let mut outputs = Vec::new();
    for threads in ["1", "2", "7"] {
        let name = format!("out{threads}.ndjson");
        let done = batch(dir.path(), &["--in", "in.ndjson", "--out", &name, "--threads", threads]);
        assert_eq!(done.status.code(), Some(0), "{}", words(&done.stderr));
        let read = |name: String| fs::read(dir.path().join(name)).expect("an output");
        outputs.push((read(name.clone()), read(format!("{name}.rejected"))));
    }
    assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2]);
    let piped = batch(dir.path(), &["--in", "in.ndjson", "--out", "-"]);
    assert_eq!(piped.stdout, outputs[0].0);
}

#[test]
fn a_run_that_was_cut_off_goes_on() {
    let dir = folder(300);
    let whole = batch(dir.path(), &["--in", "in.ndjson", "--out", "whole.ndjson"]);
    assert_eq!(whole.status.code(), Some(0));
    let read = |name: &str| fs::read(dir.path().join(name)).expect("an output");
    let (all, aside) = (read("whole.ndjson"), read("whole.ndjson.rejected"));
    for kept in [0, 10, all.len() / 3, all.len() / 2, all.len() - 1, all.len()] {
        fs::write(dir.path().join("part.ndjson"), &all[..kept]).expect("written");
        fs::write(dir.path().join("part.ndjson.rejected"), &aside[..aside.len() * kept / all.len()]).expect("written");
        // Bad lines are written before the answers that follow them.
        let lines = all[..kept].iter().filter(|byte| **byte == b'\n').count();
        let bad = words(&all[..kept]).matches("\"error\":").count();
        let until: usize = aside.split_inclusive(|byte| *byte == b'\n').take(bad).map(<[u8]>::len).sum();
        fs::write(dir.path().join("part.ndjson.rejected"), &aside[..until]).expect("written");
        let done = batch(dir.path(), &["--in", "in.ndjson", "--out", "part.ndjson", "--resume"]);
        let said = words(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{said}");
        assert!(read("part.ndjson") == all, "after {lines} lines");
        assert!(read("part.ndjson.rejected") == aside, "after {lines} lines");
    }
}

#[test]
fn what_cannot_go_well_is_refused_first() {
    let dir = folder(3);
    let refused = |arguments: &[&str], expected: &str| {
        let done = batch(dir.path(), arguments);
        let said = words(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    refused(&["--in", "none.ndjson", "--out", "out.ndjson", "--overwrite"], "none.ndjson");
    assert_eq!(batch(dir.path(), &["--in", "in.ndjson", "--out", "out.ndjson", "--overwrite"]).status.code(), Some(0));
    refused(&["--in", "in.ndjson", "--out", "out.ndjson"], "--resume");
    refused(&["--in", "in.ndjson", "--out", "-", "--resume"], "an output that is a file");
    fs::write(dir.path().join("in.ndjson"), "{}\n").expect("written");
    refused(&["--in", "in.ndjson", "--out", "out.ndjson", "--resume"], "another input");
    fs::write(dir.path().join("out.ndjson"), "something else\n").expect("written");
    refused(&["--in", "in.ndjson", "--out", "out.ndjson", "--resume"], "no answer of a batch");
    let other = "{\"index\":0,\"response\":{\"ruleSet\":{\"digest\":\"abc\"}}}\n";
    fs::write(dir.path().join("out.ndjson"), other).expect("written");
    refused(&["--in", "in.ndjson", "--out", "out.ndjson", "--resume"], "other rules");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_input() {
    let dir = folder(0);
    let peak = |lines: usize| {
        let text: String = (0..lines)
            .map(|line| format!("{{\"requestId\":\"r{line}\",\"options\":{{\"omitQuestions\":true}}}}\n"))
            .collect();
        fs::write(dir.path().join("in.ndjson"), text).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_rubor"))
            .current_dir(dir.path())
            .args(["batch", "--in", "in.ndjson", "--out", "/dev/null", "--rejected", "aside", "--threads", "2"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut highest = 0;
        while child.try_wait().expect("a child").is_none() {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
            let kilobytes = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0);
            highest = highest.max(kilobytes);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        highest
    };
    let (few, many): (u64, u64) = (peak(2_000), peak(30_000));
    assert!(many < few + 16 * 1024, "{few} KB for 2,000 lines, {many} KB for 30,000");
}
