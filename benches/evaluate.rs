//! Evaluation on synthetic packs of 10 to 100,000 rules beside a naive evaluator, and what loading them costs.
//!
//! `cargo bench --no-default-features --bench evaluate`, and after it a number of rules to try that size alone, or `plots`
//! to draw the figures into `docs/plots` as well. Every request's outcome is compared with the naive evaluator's before anything is timed.

#![allow(clippy::disallowed_methods, clippy::cast_precision_loss, clippy::cast_possible_truncation)]
#![allow(clippy::cast_sign_loss, reason = "a bench reads the clock and the disk, and divides counts")]

mod naive;
mod plot;
mod synthetic;

use naive::Naive;
use plot::Plot;
use rubor::engine::plan::Plan;
use rubor::engine::source::SourceFile;
use rubor::engine::submission::{Observation, Submission, Value};
use rubor::engine::{self, AnswerOptions, Evaluation, Findings, explain};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use synthetic::{Kind, Synthetic, Told};

/// Counts allocations, so that "none" is a measurement.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
const RUNS: usize = 31;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [load, folder] = arguments.as_slice()
        && load == "load"
    {
        return load_only(Path::new(folder));
    }
    if let [name, size] = arguments.as_slice()
        && name == "write"
    {
        let size = size.parse().expect("a number");
        return println!("{}", write(&Synthetic::new(size, 0.8, 0), size).display());
    }
    if let [name, size, exponent] = arguments.as_slice()
        && name == "spin"
    {
        return spin(size.parse().expect("a number"), exponent.parse().expect("a number"));
    }
    if let [name, folder] = arguments.as_slice()
        && name == "parts"
    {
        return parts(folder);
    }
    let sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    println!("medians of {RUNS} alternating runs, one thread; a request tells 15 findings\n");
    let mut times = Vec::new();
    for (title, exponent) in [("popular findings (Zipf 0.8)", 0.8), ("the same touched rules at every size", 0.0)] {
        println!("## {title}\n");
        println!(
            "| rules | index | naive | ratio | naive a rule | touched | read | heard | a touched rule | allocations | with reading the request |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|");
        times.push(sizes.iter().map(|&size| measure(size, exponent)).collect::<Vec<_>>());
        println!();
    }
    println!("## Loading\n\n| rules | files | text | time | peak memory | plan kept |\n|---|---|---|---|---|---|");
    let mut loading: Vec<Vec<f64>> = Vec::new();
    for &size in &sizes {
        let folder = write(&Synthetic::new(size, 0.8, 0), size);
        let me = std::env::current_exe().expect("a running program has a path");
        let child = std::process::Command::new(me).arg("load").arg(&folder).output().expect("a child");
        let row = String::from_utf8_lossy(&child.stdout).into_owned();
        let (row, figures) = row.split_once('\n').expect("a row and its figures");
        println!("| {size} {row}");
        loading.push(figures.trim().split(' ').map(|figure| figure.parse().expect("a figure")).collect());
    }
    if arguments.iter().any(|argument| argument == "plots") {
        draw(&sizes, &times, &loading);
    }
}

fn draw(sizes: &[usize], times: &[Vec<(f64, f64)>], loading: &[Vec<f64>]) {
    let by_size = |figures: Vec<f64>| sizes.iter().map(|&size| size as f64).zip(figures).collect::<Vec<(f64, f64)>>();
    let micros =
        |times: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| by_size(times.iter().map(|time| of(time) * 1e6).collect());
    let folder = Path::new("docs/plots");
    std::fs::create_dir_all(folder).expect("a folder for the plots");
    let evaluation = Plot {
        title: "One evaluation of 15 findings",
        x: "rules in the pack",
        y: "microseconds",
        lines: vec![
            ("naive", micros(&times[0], |time| time.1)),
            ("popular findings", micros(&times[0], |time| time.0)),
            ("findings drawn evenly", micros(&times[1], |time| time.0)),
        ],
    };
    evaluation.write(&folder.join("evaluation.svg"));
    let loading = Plot {
        title: "Loading a pack",
        x: "rules in the pack",
        y: "milliseconds, megabytes",
        lines: vec![
            ("milliseconds", by_size(loading.iter().map(|figures| figures[0] * 1e3).collect())),
            ("peak memory, MB", by_size(loading.iter().map(|figures| figures[1]).collect())),
        ],
    };
    loading.write(&folder.join("loading.svg"));
}

fn write(pack: &Synthetic, size: usize) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rubor-bench-{}-{size}", std::process::id()));
    for (path, text) in pack.files() {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the pack");
        std::fs::write(path, text).expect("a file of the pack");
    }
    folder
}

fn read_folder(folder: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.strip_prefix(folder).expect("inside").to_string_lossy().into_owned();
            files.push(SourceFile { path: name, text: std::fs::read_to_string(&path).expect("a file") });
        }
    }
    files
}

fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// Loads a pack in a process of its own, so that the peak is its own.
fn load_only(folder: &Path) {
    let start = Instant::now();
    let files = read_folder(folder);
    let (count, bytes) = (files.len(), files.iter().map(|file| file.text.len()).sum::<usize>());
    let pack = compile(&files);
    let took = start.elapsed();
    drop(files);
    let (peak, kept) = (status("VmHWM"), status("VmRSS"));
    black_box(&pack);
    println!("| {count} | {:.1} MB | {took:.2?} | {peak:.0} MB | {kept:.0} MB |", bytes as f64 / 1e6);
    println!("{} {peak}", took.as_secs_f64());
    std::fs::remove_dir_all(folder).expect("the pack goes again");
}

fn compile(files: &[SourceFile]) -> Plan {
    match engine::compile_pack(files) {
        Ok(pack) => pack.plan,
        Err(found) => panic!("{:?}", found.iter().take(3).map(|problem| &problem.message).collect::<Vec<_>>()),
    }
}

fn submission(pack: &Synthetic, request: &[Told]) -> Submission {
    let observation = |told: &Told| {
        let value = match pack.kinds[told.finding] {
            Kind::Age => Value::Quantity { value: told.value as f64, unit: String::new() },
            Kind::Temperature => Value::Quantity { value: told.value as f64 / 10.0, unit: String::new() },
            Kind::Coded => Value::Selection { options: vec![format!("o{}", told.value)], complete: false },
            Kind::YesNo => Value::Present(told.value == 1),
        };
        Observation { finding: pack.id(told.finding), value: Some(value), group: String::new() }
    };
    Submission { observations: request.iter().map(observation).collect(), ..Submission::default() }
}

/// Full scores and fired rules of one request, taken out of an evaluation.
fn outcome(evaluation: &Evaluation) -> (usize, f64) {
    (evaluation.rules_heard(0).sum(), evaluation.scores(0).map(|(_, score)| score).sum())
}

/// Seconds of an evaluation and of a naive one.
fn measure(size: usize, exponent: f64) -> (f64, f64) {
    let requests = if size >= 100_000 { 64 } else { 256 };
    let pack = Synthetic::new(size, exponent, requests);
    let files: Vec<SourceFile> = pack.files().into_iter().map(|(path, text)| SourceFile { path, text }).collect();
    let plan = compile(&files);
    let mut naive = Naive::new(&pack);
    let submissions: Vec<Submission> = pack.requests.iter().map(|request| submission(&pack, request)).collect();
    let findings: Vec<Findings> =
        submissions.iter().map(|submission| Findings::read(&plan, submission).expect("valid")).collect();
    let mut evaluation = Evaluation::default();
    let (mut touched, mut read, mut heard) = (0, 0, 0);
    for (request, findings) in pack.requests.iter().zip(&findings) {
        evaluation.run(&plan, findings);
        naive.run(request);
        compare(&plan, &evaluation, &naive);
        touched += naive.touched(request);
        read += evaluation.rules_read();
        heard += naive.fired.len();
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    findings.iter().for_each(|findings| evaluation.run(&plan, findings));
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let mut times: [Vec<f64>; 4] = Default::default();
    for run in 0..RUNS {
        let index = time(requests, run, |i| {
            evaluation.run(&plan, &findings[i]);
            black_box(outcome(&evaluation));
        });
        let slow = time(requests, run, |i| {
            naive.run(&pack.requests[i]);
            black_box((naive.scores.iter().sum::<i32>(), naive.fired.iter().sum::<u32>(), naive.odds));
        });
        let from_strings = time(requests, run, |i| {
            let findings = Findings::read(&plan, &submissions[i]).expect("valid");
            evaluation.run(&plan, &findings);
            black_box(outcome(&evaluation));
        });
        for (list, value) in times.iter_mut().zip([index, slow, slow / index, from_strings]) {
            list.push(value);
        }
    }
    let [index, slow, ratio, from_strings] = times.map(median);
    let mean = |count: usize| count as f64 / requests as f64;
    println!(
        "| {size} | {} | {} | {ratio:.0}x | {:.1} ns | {:.0} | {:.0} | {:.0} | {:.1} ns | {allocations} | {} |",
        short(index),
        short(slow),
        slow * 1e9 / size as f64,
        mean(touched),
        mean(read),
        mean(heard),
        index * 1e9 / mean(touched).max(1.0),
        short(from_strings),
    );
    let explained =
        explain(&plan, &findings[0], &evaluation, &AnswerOptions { omit_questions: true, ..AnswerOptions::default() });
    black_box(explained);
    (index, slow)
}

fn compare(plan: &Plan, evaluation: &Evaluation, naive: &Naive) {
    let heard: Vec<u32> = evaluation.rules_heard(0).map(|rule| rule as u32).collect();
    assert_eq!(heard, naive.fired, "the same rules fire");
    let mut scores: Vec<f64> = plan.conditions.iter().map(|condition| condition.prior.decibans()).collect();
    for (condition, score) in evaluation.scores(0) {
        scores[condition] = score;
    }
    let naive: Vec<f64> = naive.scores.iter().map(|&score| f64::from(score) / 1000.0).collect();
    assert_eq!(scores, naive, "the same scores");
}

/// Seconds for one request. Windows are short, so that on a shared machine most of them pass undisturbed; a few requests
/// before each bring back what the other evaluator has pushed out of the caches.
fn time(requests: usize, run: usize, mut one: impl FnMut(usize)) -> f64 {
    let mut next = run * 7;
    let mut step = |count: usize| {
        (0..count).for_each(|_| {
            one(next % requests);
            next += 1;
        });
    };
    step(4);
    // Whole rounds, so that every window holds the same requests.
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_millis(1) || done == 0 {
        step(requests);
        done += requests;
    }
    start.elapsed().as_secs_f64() / done as f64
}

/// Evaluates and nothing else, for a profiler: `spin RULES EXPONENT`. `write RULES` and `load FOLDER` do the same for
/// loading.
fn spin(size: usize, exponent: f64) {
    let pack = Synthetic::new(size, exponent, 64);
    let files: Vec<SourceFile> = pack.files().into_iter().map(|(path, text)| SourceFile { path, text }).collect();
    let plan = compile(&files);
    let read = |request: &Vec<Told>| Findings::read(&plan, &submission(&pack, request)).expect("valid");
    let findings: Vec<Findings> = pack.requests.iter().map(read).collect();
    let mut evaluation = Evaluation::default();
    for _ in 0..3_000 {
        for findings in &findings {
            evaluation.run(&plan, findings);
            black_box(outcome(&evaluation));
        }
    }
}

/// What the parts of one answer cost, for the worked cases of a pack that tell fifteen things or more, or for a synthetic
/// pack: `parts FOLDER`, `parts RULES`.
fn parts(pack: &str) {
    if let Ok(size) = pack.parse() {
        let pack = Synthetic::new(size, 0.8, 32);
        let files: Vec<SourceFile> = pack.files().into_iter().map(|(path, text)| SourceFile { path, text }).collect();
        return parts_of(&compile(&files), pack.requests.iter().map(|told| submission(&pack, told)).collect());
    }
    let pack = match engine::compile_pack(&read_folder(Path::new(pack))) {
        Ok(pack) => pack,
        Err(found) => panic!("{} mistakes", found.len()),
    };
    let mut submissions: Vec<Submission> = pack.cases.into_iter().map(|case| case.submission).collect();
    submissions.iter_mut().for_each(|submission| submission.observations.truncate(15));
    parts_of(&pack.plan, submissions);
}

fn parts_of(plan: &Plan, mut submissions: Vec<Submission>) {
    let quiet = AnswerOptions { omit_questions: true, ..AnswerOptions::default() };
    submissions.retain(|submission| {
        submission.observations.len() == 15
            && submission.none_of_these.is_empty()
            && engine::answer(plan, submission, &AnswerOptions::default())
                .is_ok_and(|answer| !answer.next_questions.is_empty())
    });
    let findings: Vec<Findings> =
        submissions.iter().map(|submission| Findings::read(plan, submission).expect("valid")).collect();
    let evaluations: Vec<Evaluation> = findings.iter().map(|findings| engine::evaluate(plan, findings)).collect();
    let mut evaluation = Evaluation::default();
    println!("{} requests; microseconds and allocations each", submissions.len());
    let part = |name: &str, one: &mut dyn FnMut(usize)| {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..submissions.len()).for_each(&mut *one);
        let allocations = (ALLOCATIONS.load(Ordering::Relaxed) - before) / submissions.len();
        let best = (0..RUNS).map(|run| time(submissions.len(), run, &mut *one)).fold(f64::INFINITY, f64::min);
        println!("{name:<40} {:>8.2} {allocations:>6}", best * 1e6);
    };
    part("reading the request", &mut |i| drop(black_box(Findings::read(plan, &submissions[i]))));
    part("evaluating", &mut |i| evaluation.run(plan, &findings[i]));
    part("listing, without words", &mut |i| {
        drop(black_box(engine::listing::Listing::of(plan, &evaluations[i], &AnswerOptions::default())));
    });
    part("the rest of the words, without questions", &mut |i| {
        let none = AnswerOptions { max_differentials: 1, omit_rationale: true, ..quiet.clone() };
        drop(black_box(engine::explain_listing(plan, &findings[i], &evaluations[i], &none)));
    });
    part("the same with questions", &mut |i| {
        let none = AnswerOptions { max_differentials: 1, omit_rationale: true, ..AnswerOptions::default() };
        drop(black_box(engine::explain_listing(plan, &findings[i], &evaluations[i], &none)));
    });
    part("all words, with questions", &mut |i| {
        drop(black_box(explain(plan, &findings[i], &evaluations[i], &AnswerOptions::default())));
    });
}

fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list[list.len() / 2]
}

fn short(seconds: f64) -> String {
    if seconds < 1e-4 { format!("{:.2} us", seconds * 1e6) } else { format!("{:.0} us", seconds * 1e6) }
}
