//! The shipped pack with one thing broken in one file, ten thousand times: never a panic, and whatever is accepted keeps
//! the laws that hold for any rules at all.
//!
//! The random numbers are our own and begin with a fixed seed, so that a failure can be repeated: it names its mutant.

#[path = "common/anything.rs"]
mod anything;
#[path = "common/mutate.rs"]
mod mutate;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use mutate::{Chance, mutate};
use rubor::engine::answer::Answer;
use rubor::engine::plan::Plan;
use rubor::engine::source::SourceFile;
use rubor::engine::submission::{Age, Observation, Patient, Reporter, Submission, Value};
use rubor::engine::{self, ReadFile, case, compile_read};
use rubor::store::{self, RuleSource};

/// How many mutants.
const MUTANTS: u64 = 10_000;
/// Files without which hardly anything compiles; conditions and cases join them one file at a time.
const CONDITIONS: &str = "conditions/";
const CASES: &str = "cases/";

/// A file of the shipped pack, as text and as read.
struct Shipped {
    file: SourceFile,
    read: ReadFile,
}

static SHIPPED: LazyLock<Vec<Shipped>> = LazyLock::new(|| {
    let content = store::read(&RuleSource::Embedded);
    let pack = content.packs.into_iter().find(|pack| pack.folder == "red-spots").expect("the shipped pack");
    pack.files.into_iter().map(|file| Shipped { read: ReadFile::read(&file), file }).collect()
});

/// The pack with one file in another version: all but conditions and cases, and of these only what the file needs.
fn with(changed: &Shipped, read: ReadFile) -> Vec<ReadFile> {
    let whole = changed.file.path.starts_with(CASES);
    let mut wanted: Vec<&Shipped> = SHIPPED
        .iter()
        .filter(|other| !other.file.path.starts_with(CASES))
        .filter(|other| whole || !other.file.path.starts_with(CONDITIONS) || other.file.path.contains("_sets"))
        .collect();
    if !whole {
        let mut open = vec![changed];
        while let Some(file) = open.pop() {
            for parent in file.file.text.lines().filter_map(|line| line.trim().strip_prefix("part_of: ")) {
                let declared = format!("- id: {parent}\n");
                let home = SHIPPED.iter().find(|other| other.file.text.contains(&declared)).expect("a declared parent");
                if !wanted.iter().any(|known| known.file.path == home.file.path) {
                    wanted.push(home);
                    open.push(home);
                }
            }
        }
    }
    let others = wanted.iter().filter(|other| other.file.path != changed.file.path);
    others.map(|other| other.read.clone()).chain([read]).collect()
}

fn present(finding: &str, present: bool) -> Observation {
    Observation { finding: finding.into(), value: Some(Value::Present(present)), group: String::new() }
}

/// Patients who are told about in many ways; a mutant may not know a finding, and is then asked about the others.
fn patients() -> Vec<Submission> {
    let told = |age: f64, findings: &[(&str, bool)]| Submission {
        patient: Patient { age: Some(Age::Years(age)), sex: None },
        observations: findings.iter().map(|(id, value)| present(id, *value)).collect(),
        reporter: Some(Reporter::Clinician),
        ..Submission::default()
    };
    vec![
        told(24.0, &[("fever", true), ("petechiae", true), ("headache", true), ("bright_dome", true), ("itch", false)]),
        told(50.0, &[("bright_dome", true), ("gradual", true), ("non_blanching", false), ("fever", false)]),
        told(4.0, &[("strain_cough", true), ("face_site", true), ("sudden", true), ("gradual", true), ("pus", true)]),
    ]
}

fn answer(plan: &Plan, submission: &Submission) -> Answer {
    let mut submission = submission.clone();
    submission.observations.retain(|one| {
        plan.vocabulary
            .by_id(&one.finding)
            .is_some_and(|index| plan.vocabulary.get(index).kind.words() == "present or absent")
    });
    let options = anything::everything();
    match engine::answer(plan, &submission, &options) {
        Ok(answer) => answer,
        // An `age` whose unit or range was changed refuses this patient's age.
        Err(_) => engine::answer(plan, &Submission { patient: Patient::default(), ..submission }, &options)
            .expect("a submission without an age is valid"),
    }
}

/// The laws that hold for any rules at all.
fn laws(plan: &Plan) {
    let more = [present("long_standing", true), present("weals", true), present("fever", false)];
    for submission in patients() {
        anything::hold(plan, &submission, &more, answer);
    }
}

/// Conditions, sources, boxes and cases cannot talk down a red flag, however they are broken.
fn no_condition_outvotes_a_red_flag(plan: &Plan, path: &str) {
    if path.starts_with(CONDITIONS) || ["sources.yaml", "boxes.yaml"].contains(&path) {
        let answer = answer(plan, &patients()[0]);
        assert_eq!(answer.urgency.as_str(), "emergency", "fever with petechiae");
    }
}

/// One mutant; whether it was accepted.
fn one(seed: u64) -> bool {
    let mut chance = Chance(seed);
    // A mutant of a case needs the whole pack, and can break less.
    let cases = chance.below(25) == 0;
    let files: Vec<&Shipped> = SHIPPED.iter().filter(|shipped| shipped.file.path.starts_with(CASES) == cases).collect();
    let shipped = files[chance.below(files.len())];
    let path = &shipped.file.path;
    let text = mutate(&shipped.file.text, &mut chance);
    match compile_read(with(shipped, ReadFile::read(&SourceFile { path: path.clone(), text }))) {
        Ok(pack) if cases => case::check_all(&pack.plan, &pack.cases).1.cases > 0,
        Ok(pack) => {
            laws(&pack.plan);
            no_condition_outvotes_a_red_flag(&pack.plan, path);
            true
        }
        Err(found) => {
            assert!(!found.is_empty() && found.is_sorted(), "a refusal says why, in order");
            false
        }
    }
}

#[test]
fn a_broken_pack_is_refused_or_keeps_the_laws() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let accepted = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let accepted = &accepted;
            scope.spawn(move || {
                for seed in (thread..MUTANTS).step_by(usize::try_from(threads).expect("few threads")) {
                    match catch_unwind(AssertUnwindSafe(|| one(seed))) {
                        Ok(right) => drop(accepted.fetch_add(usize::from(right), Ordering::Relaxed)),
                        Err(panic) => {
                            eprintln!("mutant {seed}");
                            std::panic::resume_unwind(panic);
                        }
                    }
                }
            });
        }
    });
    let accepted = accepted.into_inner();
    println!("{accepted} of {MUTANTS} mutants were accepted");
    // Most of the text of a pack is prose, and a changed word in prose is no mistake that a checker can see.
    assert!(accepted > 1_000, "only {accepted} were accepted: the laws were hardly tried");
}

#[test]
fn the_pack_that_mutants_are_made_from_is_accepted() {
    for shipped in SHIPPED.iter().filter(|shipped| !shipped.file.path.starts_with(CASES)) {
        if let Err(found) = compile_read(with(shipped, shipped.read.clone())) {
            panic!("{}: {:?}", shipped.file.path, found.first());
        }
    }
}
