//! Rule files that nobody means well with, or that something broke: a diagnostic in bounded time and memory, never a panic
//! or a hang, and the last good rules serve on.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "tests change the rules that are served")]

#[path = "common/pack.rs"]
mod pack;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rubor::engine::source::SourceFile;
use rubor::engine::submission::{Observation, Submission, Value};
use rubor::engine::{self, AnswerOptions};
use rubor::store::keeper::{Keeper, ReloadOutcome};
use rubor::store::{RuleSource, read};
use tempfile::TempDir;

/// The longest that any of these may take, on a slow and busy machine without optimization. Most take milliseconds.
const IN_TIME: Duration = Duration::from_secs(60);
/// Address space of a command that reads hostile rules, in KiB.
const MEMORY: u64 = 1_000_000;

/// A small pack that is served, and a file beside its own.
struct Served {
    dir: TempDir,
    keeper: Keeper,
}

impl Served {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        pack::write_pack(&dir.path().join("spots"));
        let keeper = Keeper::open(RuleSource::Folder(dir.path().to_owned())).unwrap_or_else(|_| panic!("refused"));
        Self { dir, keeper }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("spots").join(name)
    }

    /// What a reload says, and that it says it in time while the old rules go on answering.
    fn reload(&self, what: &str) -> ReloadOutcome {
        let before = self.keeper.current().digest.clone();
        let start = Instant::now();
        let outcome = self.keeper.try_reload(true);
        assert!(start.elapsed() < IN_TIME, "{what} took {:?}", start.elapsed());
        if !matches!(outcome, ReloadOutcome::Published { .. }) {
            assert_eq!(self.keeper.current().digest, before, "{what}: the last good rules go on");
        }
        self.answers();
        outcome
    }

    fn answers(&self) {
        let snapshot = self.keeper.current();
        let dome =
            Observation { finding: "bright_dome".into(), value: Some(Value::Present(true)), group: String::new() };
        let submission = Submission { observations: vec![dome], ..Submission::default() };
        let answer = engine::answer(&snapshot.packs["spots"].plan, &submission, &AnswerOptions::default());
        assert_eq!(answer.expect("a valid submission").differentials.len(), 1);
    }

    /// Writes a file, and expects a refusal with this code whose first place is in this line.
    fn refuses(&self, what: &str, name: &str, bytes: &[u8], code: &str, line: Option<u32>) {
        fs::write(self.path(name), bytes).unwrap();
        match self.reload(what) {
            ReloadOutcome::Refused { diagnostics, .. } => {
                let found = diagnostics.iter().find(|problem| problem.code.as_str() == code);
                let problem = found.unwrap_or_else(|| panic!("{what}: no {code} in {:?}", diagnostics.first()));
                if let Some(line) = line {
                    assert_eq!(problem.place.as_ref().map(|place| place.line), Some(line), "{what}: {problem}");
                }
                assert!(diagnostics.len() < 2_000, "{what}: {} diagnostics", diagnostics.len());
                assert!(problem.message.len() < 500, "{what}: the message is {} bytes long", problem.message.len());
            }
            other => panic!("{what}: {other:?}"),
        }
        fs::remove_file(self.path(name)).unwrap();
    }
}

/// Each of nine names stands for nine of the one before.
fn bomb() -> String {
    let mut text = String::from("findings:\n  - &a0 { id: a }\n");
    for level in 1..=9 {
        let inside = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("  - &a{level} [{inside}]\n"));
    }
    text
}

/// As many repetitions as fit into one rule file.
fn full(one: impl Fn(usize) -> String) -> String {
    let most = usize::try_from(read::MAX_FILE_BYTES).unwrap() - 64;
    let mut text = String::with_capacity(most);
    for i in 0.. {
        let next = one(i);
        if text.len() + next.len() > most {
            break;
        }
        text.push_str(&next);
    }
    text
}

#[test]
fn bombs_and_abysses() {
    let served = Served::new();
    served.refuses("a YAML bomb", "x.yaml", bomb().as_bytes(), "R012", Some(2));
    let deep = |open: &str, close: &str| {
        format!("definitions:\n  - when: {}fever{}\n", open.repeat(10_000), close.repeat(10_000))
    };
    served.refuses("lists in lists", "x.yaml", deep("[", "]").as_bytes(), "R013", Some(2));
    served.refuses("mappings in mappings", "x.yaml", deep("{ not: ", " }").as_bytes(), "R013", Some(2));
    served.refuses("nothing but openings", "x.yaml", "[".repeat(1_000_000).as_bytes(), "R013", Some(1));
    let dashes = format!("findings:\n  {}\n", "- ".repeat(10_000));
    served.refuses("dashes", "x.yaml", dashes.as_bytes(), "R013", Some(2));
    let stairs: String = (0..1_200).map(|i| format!("{}all:\n", " ".repeat(i))).collect();
    served.refuses("stairs", "x.yaml", stairs.as_bytes(), "R013", None);
}

#[test]
fn bytes_that_are_no_rules() {
    let served = Served::new();
    let fifty = vec![b' '; 50 * 1024 * 1024];
    served.refuses("50 MB", "x.yaml", &fifty, "R001", None);
    served.refuses("no UTF-8", "x.yaml", b"findings:\n  - { id: \xff\xfe }\n", "R001", Some(2));
    served.refuses("UTF-16", "x.yaml", b"\xff\xfef\0i\0n\0d\0i\0n\0g\0s\0:\0", "R001", Some(1));
    served.refuses("a byte order mark", "x.yaml", b"\xef\xbb\xbffindings: []\n", "R001", Some(1));
    served.refuses("tabs", "x.yaml", b"findings:\n\t- { id: x }\n", "R010", Some(2));
    served.refuses("a zero byte", "x.yaml", b"findings:\n  - { id: \"a\0b\" }\n", "R010", None);
    served.refuses(
        "an explicit key",
        "x.yaml",
        b"definitions:\n  - { id: x, name: x, when: {?all: [fever]} }\n",
        "R012",
        Some(2),
    );
    served.refuses("an explicit key in a block", "x.yaml", b"? findings\n: []\n", "R012", Some(1));
    served.refuses("line ends of long ago", "x.yaml", b"findings: []\rsources: []\r", "R010", Some(1));
    served.refuses(
        "a line end that only some know",
        "x.yaml",
        "sources:\n  - { id: BOOK, title: \"a\u{2028}b\" }\n".as_bytes(),
        "R010",
        Some(2),
    );
    served.refuses("a text with a question mark", "x.yaml", b"definitions: [?a]\n", "R012", Some(1));
    served.refuses("a list", "x.yaml", b"- a\n- b\n", "R014", Some(1));
    served.refuses("a number", "x.yaml", b"42\n", "R014", Some(1));
    served.refuses("odd keys", "x.yaml", b"1: 2\n~: 3\n[a]: 4\n", "R012", None);
    served.refuses("an end in the middle", "x.yaml", b"findings:\n  - { id: x, name: \"", "R010", None);
}

#[test]
fn files_that_are_full_of_one_thing() {
    let served = Served::new();
    let wide = |head: &str, one: &dyn Fn(usize) -> String, tail: &str| format!("{head}{}{tail}", full(one));
    let cases: [(&str, String, &str); 11] = [
        ("a list on one line", wide("findings: [", &|_| "a,".into(), "a]"), "R013"),
        ("a mapping on one line", wide("findings: {", &|i| format!("k{i}: 1, "), "k: 1}"), "R014"),
        ("a key again and again", wide("", &|_| "a: 1\n".into(), ""), "R011"),
        ("unknown sections", wide("", &|i| format!("s{i}: 1\n"), ""), "R015"),
        ("broken items", wide("findings:\n", &|i| format!("  - {{ id: f{i} }}\n"), ""), "R014"),
        (
            "unknown names",
            wide("definitions:\n", &|i| format!("  - {{ id: d{i}, name: d, when: nothing_{i} }}\n"), ""),
            "R101",
        ),
        (
            "a long chain",
            wide(
                "definitions:\n  - { id: d0, name: d, when: nothing }\n",
                &|i| format!("  - {{ id: d{}, name: d, when: d{i} }}\n", i + 1),
                "",
            ),
            "R101",
        ),
        ("empty documents", wide("a: 1\n", &|_| "---\n".into(), "b: 1\n"), "R015"),
        ("one long word", wide("a", &|_| "a".into(), ": 1\n"), "R010"),
        ("spaces", wide("a:", &|_| " ".into(), "1\n"), "R015"),
        ("open quotes", wide("a: ", &|_| "\"\n".into(), ""), "R010"),
    ];
    for (what, text, code) in cases {
        served.refuses(what, "x.yaml", text.as_bytes(), code, None);
    }
}

#[test]
fn rules_that_are_too_many_of_one_kind_are_no_hang() {
    let served = Served::new();
    let rule =
        |i: usize, more: &str| format!("      - {{ id: r{i}, when: fever, supports: weak, because: So., {more} }}\n");
    let head = "conditions:\n  - id: crowd\n    name: crowd\n    summary: A crowd.\n    urgency: self_care\n    prior: rare\n    evidence:\n";
    let crowd: String = (0..4_000).map(|i| rule(i, "grade: judgement")).collect();
    fs::write(served.path("crowd.yaml"), format!("{head}{crowd}")).unwrap();
    assert!(matches!(served.reload("a crowd of rules"), ReloadOutcome::Published { .. }));
    let joints: String = (0..2_000).map(|i| rule(i + 2_000, "stands_for: [r0]")).collect();
    let singles: String = (0..2_000).map(|i| rule(i, "family: own")).collect();
    fs::write(served.path("crowd.yaml"), format!("{head}{singles}{joints}")).unwrap();
    assert!(matches!(served.reload("a crowd of joint rules"), ReloadOutcome::Published { .. }));
}

#[cfg(unix)]
#[test]
fn folders_that_lead_nowhere() {
    use std::os::unix::fs::symlink;
    let served = Served::new();
    let refused = |what: &str, words: &str| match served.reload(what) {
        ReloadOutcome::Refused { diagnostics, .. } => {
            let all: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            assert!(all.iter().any(|line| line.contains(words)), "{what}: {all:?}");
        }
        other => panic!("{what}: {other:?}"),
    };
    symlink("..", served.path("up")).unwrap();
    refused("a link to its own folder", "leads back");
    fs::remove_file(served.path("up")).unwrap();
    symlink("a.yaml", served.path("b.yaml")).unwrap();
    symlink("b.yaml", served.path("a.yaml")).unwrap();
    refused("two links that lead to each other", "cannot be read");
    fs::remove_file(served.path("a.yaml")).unwrap();
    fs::remove_file(served.path("b.yaml")).unwrap();
    let many = served.path("many");
    fs::create_dir(&many).unwrap();
    for i in 0..read::MAX_FILES {
        fs::write(many.join(format!("{i}.yaml")), "sources: []\n").unwrap();
    }
    refused("thousands of files", "more than 4096 rule files");
    fs::remove_dir_all(&many).unwrap();
    assert_eq!(served.reload("everything is well again"), ReloadOutcome::Unchanged);
}

#[test]
fn files_that_come_and_go_while_they_are_read() {
    let served = Served::new();
    let (extra, stop) = (served.path("extra.yaml"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                fs::write(&extra, "sources:\n  - { id: BOOK, title: A book }\n").unwrap();
                std::thread::sleep(Duration::from_micros(300));
                fs::remove_file(&extra).unwrap();
            }
        });
        for _ in 0..20 {
            if let ReloadOutcome::Refused { diagnostics, .. } = served.reload("a file that comes and goes") {
                assert!(!diagnostics.is_empty());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let last = served.reload("the file is gone");
    assert!(matches!(last, ReloadOutcome::Unchanged | ReloadOutcome::Published { .. }), "{last:?}");
}

#[test]
fn line_ends_of_another_system_change_nothing_but_the_digest() {
    let dir = tempfile::tempdir().unwrap();
    pack::write_pack(dir.path());
    for name in ["pack.yaml", "rules.yaml", "cases/one.yaml"] {
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name), text.replace('\n', "\r\n")).unwrap();
    }
    let content = read::folder(dir.path());
    let compiled = engine::compile_pack(&content.packs[0].files).expect("CRLF is accepted");
    assert!(compiled.plan.conditions.iter().all(|condition| !condition.summary.contains('\r')));
    // A mistake keeps its line and column, and so does a remark on a text over several lines.
    let text = |ends: &str| {
        let text = "red_flags:\n  - id: hot\n    name: hot\n    sign: fevr\n    floor: urgent\n    because: \"One\n      two  three\"\n";
        SourceFile { path: "x.yaml".into(), text: text.replace('\n', ends) }
    };
    let places = |file: SourceFile| -> Vec<String> {
        let files: Vec<SourceFile> = content.packs[0].files.iter().cloned().chain([file]).collect();
        let found = engine::compile_pack(&files).expect_err("a mistake");
        found
            .iter()
            .filter(|p| p.place.as_ref().is_some_and(|at| at.file == "x.yaml"))
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(places(text("\r\n")), places(text("\n")));
    assert!(places(text("\r\n"))[0].starts_with("x.yaml:4:11: error[R101]"), "{:?}", places(text("\r\n")));
}

/// `rubor check` with a limit on its memory; its exit code.
#[cfg(unix)]
fn check_within_limits(folder: &Path) -> Option<i32> {
    let limit = format!("ulimit -v {MEMORY}; exec \"$0\" check \"$1\" --format json >/dev/null");
    let start = Instant::now();
    let status = Command::new("sh").args(["-c", &limit, env!("CARGO_BIN_EXE_rubor")]).arg(folder).status().unwrap();
    assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
    status.code()
}

#[cfg(unix)]
#[test]
fn memory_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    pack::write_pack(dir.path());
    assert_eq!(check_within_limits(dir.path()), Some(0));
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("bomb.yaml", &bomb());
    assert_eq!(check_within_limits(dir.path()), Some(1), "a bomb");
    write("bomb.yaml", &format!("findings: [{}]", full(|_| "a,".into())));
    assert_eq!(check_within_limits(dir.path()), Some(1), "half a million values");
    for i in 0..8 {
        write(&format!("many{i}.yaml"), &format!("sources:\n{}", full(|j| format!("- {{id: S{i}_{j}, title: t}}\n"))));
    }
    assert_eq!(check_within_limits(dir.path()), Some(1), "8 MiB of sources beside it");
}
