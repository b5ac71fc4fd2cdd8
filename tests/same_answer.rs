//! The proof that the index changes nothing: over random packs and random requests, the engine's answer equals, bit for
//! bit, what a naive evaluator says that reads like the design.
//!
//! `RUBOR_PACKS` sets how many packs are tried (400 requests each) and `RUBOR_SEED` where the seeds begin.

#![allow(clippy::disallowed_methods, reason = "a test reads its settings from the environment")]

mod naive;

use naive::flags::{Evaluation, Group, State, deciding, evaluate};
use naive::pack::{Ask, Pack};
use naive::questions::questions;
use naive::random::{Random, pack, request};
use naive::scores::Tally;
use rubor::engine::answer::{Answer, Counting, NoticeKind, Outcome, RedFlagState, UrgencyReasonKind, UrgencyStatus};
use rubor::engine::source::SourceFile;
use rubor::engine::urgency::Urgency;
use rubor::engine::{self, AnswerOptions, CompiledPack, Findings, explain};
use std::fmt::Write as _;

const REQUESTS: usize = 400;
/// Questions take the naive evaluator a hundred times as long as the rest, so only some requests ask for them.
const QUESTIONS_IN: usize = 20;
/// Packs that found mistakes which those that are always tried do not: a rule too large for a table that is contradicted.
const FOUND_MISTAKES: [u64; 1] = [5966];

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn the_index_says_what_the_design_says() {
    let first = setting("RUBOR_SEED", 1);
    let (packs, workers) = (setting("RUBOR_PACKS", 256), 2);
    let seen: Vec<[usize; WORDS.len()]> = std::thread::scope(|scope| {
        let seeds = || (first..first + packs).chain(FOUND_MISTAKES);
        let work = |worker| move || seeds().skip(worker).step_by(workers).map(try_pack).collect::<Vec<_>>();
        let running: Vec<_> = (0..workers).map(|worker| scope.spawn(work(worker))).collect();
        running.into_iter().flat_map(|worker| worker.join().expect("a worker found no difference")).collect()
    });
    // A proof over packs in which nothing happens would prove nothing.
    for (i, word) in WORDS.into_iter().enumerate() {
        let answers: usize = seen.iter().map(|seen| seen[i]).sum();
        println!("`{}` in {answers} answers", word.trim());
        assert!(answers * 100 > seen.len(), "`{word}` was in {answers} answers of {}", seen.len() * REQUESTS);
    }
    assert!(setting("RUBOR_PACKS", 0) > 0 || seen.len() * REQUESTS >= 100_000, "only {} packs were tried", seen.len());
}

/// What must be among the answers.
const WORDS: [&str; 12] = [
    " counted ",
    " already ",
    " replaced ",
    " contradicted ",
    " undecided ",
    " Fired ",
    " Precaution ",
    " Open ",
    "\nboth ",
    "\nask ",
    "stop true",
    "group new",
];

/// Compares many requests on one random pack; returns how many answers held each of the words.
fn try_pack(seed: u64) -> [usize; WORDS.len()] {
    let mut random = Random(seed);
    let pack = pack(&mut random);
    let file = SourceFile { path: "pack.yaml".to_owned(), text: pack.yaml() };
    let compiled = engine::compile_pack(&[file]).unwrap_or_else(|found| {
        let found: Vec<_> = found.iter().map(|problem| (&problem.place, &problem.message)).collect();
        panic!("pack {seed} does not compile: {found:?}\n{}", pack.yaml())
    });
    // One evaluation is used for all requests of a pack, as a server would, so that leftovers would show.
    let mut evaluation = engine::Evaluation::default();
    let mut seen = [0; WORDS.len()];
    for i in 0..REQUESTS {
        let told = try_request(&mut random, (seed, &pack), &compiled, &mut evaluation, i % QUESTIONS_IN == 0);
        for (seen, word) in seen.iter_mut().zip(WORDS) {
            *seen += usize::from(told.contains(word));
        }
    }
    seen
}

fn try_request(
    random: &mut Random,
    (seed, pack): (u64, &Pack),
    compiled: &CompiledPack,
    evaluation: &mut engine::Evaluation,
    with_questions: bool,
) -> String {
    let (statements, by_clinician, submission) = request(random, pack);
    let options = AnswerOptions {
        max_differentials: usize::MAX,
        max_questions: usize::MAX,
        omit_questions: !with_questions,
        ..AnswerOptions::default()
    };
    let findings = Findings::read(&compiled.plan, &submission).expect("random requests are valid");
    evaluation.run(&compiled.plan, &findings);
    let answer = explain(&compiled.plan, &findings, evaluation, &options);
    if with_questions {
        // Who wants a few questions gets the first of those, and nobody looked for the rest.
        for max_questions in 1..=3 {
            let few = AnswerOptions { max_questions, ..options.clone() };
            let few = explain(&compiled.plan, &findings, evaluation, &few);
            let asked = &answer.next_questions[..max_questions.min(answer.next_questions.len())];
            assert_eq!((few.next_questions.as_slice(), few.should_stop), (asked, answer.should_stop));
        }
    }
    let told = tell_answer(&answer, with_questions);
    let naive = tell_naive(pack, &evaluate(pack, &statements, by_clinician), with_questions);
    if told != naive {
        let lines = told.lines().zip(naive.lines()).filter(|(a, b)| a != b);
        let differences: Vec<String> = lines.map(|(a, b)| format!("engine {a}\nnaive  {b}")).collect();
        panic!("pack {seed}: {}\n{statements:?}\n{told}\n--\n{naive}\n{}", differences.join("\n"), pack.yaml());
    }
    told
}

/// What an answer says, in lines that the naive evaluator can be asked for too.
fn tell_answer(answer: &Answer, with_questions: bool) -> String {
    let mut text = String::new();
    let is_final = answer.urgency_status == UrgencyStatus::Final;
    writeln!(text, "{} could be {} final {is_final}", answer.urgency, answer.could_rise_to).expect("text");
    for group in &answer.groups {
        let determined = group.outcome == Outcome::Determined;
        let (undetermined, unlisted) = (group.undetermined_share.to_bits(), group.unlisted_share.to_bits());
        writeln!(text, "group {} {} {determined} first {}", group.group, group.urgency, group.first_place)
            .expect("text");
        writeln!(text, " undetermined {undetermined:x} unlisted {unlisted:x}").expect("text");
        let conditions = answer
            .urgency_reasons
            .iter()
            .find(|reason| reason.kind == UrgencyReasonKind::Conditions && reason.group == group.group);
        writeln!(text, " by conditions {:?}", conditions.map(|reason| (reason.urgency, reason.id.as_str())))
            .expect("text");
        for d in answer.differentials.iter().filter(|d| d.group == group.group) {
            let (share, own) = (d.share.to_bits(), d.own_share.to_bits());
            writeln!(text, " {} {} {share:x} {own:x}", d.condition.id, d.score_decibans).expect("text");
            let mut tallies: Vec<String> = d.contributions[1..]
                .iter()
                .map(|c| {
                    let counting = match c.counting {
                        Counting::Counted => "counted",
                        Counting::AlreadyCounted => "already",
                        Counting::Replaced => "replaced",
                        Counting::Contradicted => "contradicted",
                    };
                    format!("  {} {counting} {} {}", c.rule_id, c.weight_decibans, c.counted_by)
                })
                .collect();
            tallies.extend(d.undecided.iter().map(|u| format!("  {} undecided {:?}", u.rule_id, u.findings)));
            tallies.sort();
            text.extend(tallies.into_iter().map(|tally| tally + "\n"));
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for flag in &answer.red_flags {
        let state = match flag.state {
            RedFlagState::Fired => State::Fired,
            RedFlagState::Precaution => State::Precaution,
            RedFlagState::Open => State::Open,
        };
        let (both, deciding) = (flag.contradicted, &flag.deciding_findings);
        lines.push(format!(
            "{} {} {state:?} {} {both} {:?} {deciding:?}",
            flag.id, flag.group, flag.floor, flag.findings
        ));
    }
    let contradictions = answer.notices.iter().filter(|notice| notice.kind == NoticeKind::Contradiction);
    lines.extend(contradictions.map(|notice| format!("both {} {:?}", notice.group, notice.findings)));
    finish(&mut text, lines);
    if with_questions {
        for question in &answer.next_questions {
            writeln!(text, "ask {} {}", question.id, question.group).expect("text");
        }
        writeln!(text, "stop {}", answer.should_stop).expect("text");
    }
    text
}

fn finish(text: &mut String, mut lines: Vec<String>) {
    lines.sort();
    lines.dedup();
    text.extend(lines.into_iter().map(|line| line + "\n"));
}

/// The same lines from the naive evaluation.
fn tell_naive(pack: &Pack, evaluation: &Evaluation, with_questions: bool) -> String {
    let mut text = String::new();
    let is_open = |state: &State| matches!(state, State::Open | State::Precaution);
    let is_final = !evaluation.groups.iter().flat_map(|group| &group.flags).any(is_open);
    writeln!(text, "{} could be {} final {is_final}", evaluation.urgency, evaluation.could_rise_to).expect("text");
    let mut lines: Vec<String> = Vec::new();
    for group in &evaluation.groups {
        tell_group(pack, group, &mut text);
        lines.extend(tell_flags(pack, group));
        lines.extend(group.facts.contradictions(pack).into_iter().map(|finding| {
            let group = if pack.findings[finding].about_person { "" } else { &group.name };
            format!("both {group} {:?}", ids(pack, [finding]))
        }));
    }
    finish(&mut text, lines);
    if with_questions {
        let asked = questions(pack, evaluation);
        for (ask, group) in &asked {
            let id = match ask {
                Ask::Box(place) => &pack.boxes[*place].id,
                Ask::Finding(finding) => &pack.findings[*finding].id,
            };
            let group = group.map_or("", |group| &evaluation.groups[group].name);
            writeln!(text, "ask {id} {group}").expect("text");
        }
        writeln!(text, "stop {}", asked.is_empty()).expect("text");
    }
    text
}

fn ids(pack: &Pack, findings: impl IntoIterator<Item = usize>) -> Vec<&str> {
    findings.into_iter().map(|finding| pack.findings[finding].id.as_str()).collect()
}

fn tell_group(pack: &Pack, group: &Group, text: &mut String) {
    let scores = &group.scores;
    let first = scores.first_place().map_or("", |first| &pack.conditions[first].id);
    let urgency = group.urgency(pack);
    writeln!(text, "group {} {urgency} {} first {first}", group.name, scores.determined).expect("text");
    let undetermined = (1.0 / scores.total.value()).to_bits();
    writeln!(text, " undetermined {undetermined:x} unlisted {:x}", scores.unlisted_share().to_bits()).expect("text");
    let level = scores.urgency(pack);
    let weightiest = scores.ranking.iter().find(|&&condition| pack.conditions[condition].urgency >= level);
    let conditions = weightiest.filter(|_| level > Urgency::SelfCare).map(|&c| (level, pack.conditions[c].id.as_str()));
    writeln!(text, " by conditions {conditions:?}").expect("text");
    for condition in scores.listed() {
        let definition = &pack.conditions[condition];
        let (share, own) = (scores.share(pack, condition).to_bits(), scores.own_share(condition).to_bits());
        let score = scores.scores[condition].decibans();
        writeln!(text, " {} {score} {share:x} {own:x}", definition.id).expect("text");
        let mut tallies: Vec<String> = Vec::new();
        for (rule, tally) in definition.rules.iter().zip(&scores.tallies[condition]) {
            let (counting, weight, by) = match *tally {
                Tally::Silent => continue,
                Tally::Counted(weight) => ("counted", weight, None),
                Tally::AlreadyCounted(weight, by) => ("already", weight, Some(by)),
                Tally::Replaced(weight, by) => ("replaced", weight, Some(by)),
                Tally::Contradicted(weight) => ("contradicted", weight, None),
            };
            let by = by.map_or(String::new(), |by| format!("{}.{}", definition.id, definition.rules[by].id));
            tallies.push(format!("  {}.{} {counting} {} {by}", definition.id, rule.id, weight.decibans()));
        }
        for rule in &definition.rules {
            if group.facts.truth(&rule.when) == rubor::engine::truth::Truth::UNKNOWN {
                let mut findings = std::collections::BTreeSet::new();
                group.facts.undecided(&rule.when, true, &mut findings);
                tallies.push(format!("  {}.{} undecided {:?}", definition.id, rule.id, ids(pack, findings)));
            }
        }
        tallies.sort();
        text.extend(tallies.into_iter().map(|tally| tally + "\n"));
    }
}

fn tell_flags(pack: &Pack, group: &Group) -> Vec<String> {
    let listed = pack.flags.iter().zip(&group.flags).filter(|(_, state)| **state != State::Dormant);
    listed
        .filter(|(_, state)| **state != State::Excluded)
        .map(|(flag, state)| {
            let exprs = flag.given.iter().chain([&flag.sign]).chain(&flag.unless);
            let all: std::collections::BTreeSet<usize> = exprs.flat_map(|expr| expr.findings()).collect();
            let known: Vec<usize> = all.iter().copied().filter(|&finding| group.facts.is_known(finding)).collect();
            let both = known.iter().any(|&finding| group.facts.is_both(pack, finding));
            let about_person = all.iter().all(|&finding| pack.findings[finding].about_person);
            let name = if about_person { "" } else { &group.name };
            let deciding = if *state == State::Fired { Vec::new() } else { ids(pack, deciding(flag, &group.facts)) };
            let floor = if *state == State::Precaution { flag.while_unknown.unwrap_or(flag.floor) } else { flag.floor };
            format!("{} {name} {state:?} {floor} {both} {:?} {deciding:?}", flag.id, ids(pack, known))
        })
        .collect()
}
