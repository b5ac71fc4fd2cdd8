//! The laws, as properties over the shipped pack: what must hold for whatever anybody may tell.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rubor::engine::answer::{Answer, Counting, Outcome, RedFlagState};
use rubor::engine::case::Case;
use rubor::engine::plan::{Kind, Plan};
use rubor::engine::submission::{Age, Observation, Patient, Reporter, Sex, Submission, Value};
use rubor::engine::{self, AnswerOptions, CompiledPack};
use rubor::store::{self, RuleSource};
use std::collections::BTreeSet;
use std::sync::LazyLock;

static PACK: LazyLock<CompiledPack> = LazyLock::new(|| {
    let content = store::read(&RuleSource::Embedded);
    let pack = content
        .packs
        .iter()
        .find(|pack| pack.files.iter().any(|file| file.path == "pack.yaml"))
        .expect("a pack inside");
    engine::compile_pack(&pack.files).expect("the shipped pack compiles")
});

fn plan() -> &'static Plan {
    &PACK.plan
}

/// Everything, with the questions left out: they are most of the work, and have a property of their own.
fn everything() -> AnswerOptions {
    AnswerOptions { max_differentials: usize::MAX, omit_questions: true, ..AnswerOptions::default() }
}

fn answer(submission: &Submission) -> Answer {
    engine::answer(plan(), submission, &everything()).expect("generated submissions are valid")
}

/// One valid observation, from numbers that proptest shrinks well.
fn observation(which: Index, value: Index, group: u8) -> Observation {
    let findings = plan().findings();
    let finding = &findings[which.index(findings.len())];
    let value = match &finding.kind {
        Kind::YesNo => match value.index(8) {
            0 => Value::NotKnown(true),
            1..=4 => Value::Present(true),
            _ => Value::Present(false),
        },
        Kind::Number { unit, low, high } => {
            let part = f64::from(u16::try_from(value.index(1000)).expect("below 1000")) / 999.0;
            Value::Quantity { value: low + (high - low) * part, unit: unit.clone() }
        }
        Kind::Choice { options } => {
            Value::Selection { options: vec![options[value.index(options.len())].id.clone()], complete: false }
        }
        Kind::MultipleChoice { options } => Value::Selection {
            options: vec![options[value.index(options.len())].id.clone()],
            complete: value.index(3) == 0,
        },
    };
    let group = ["", "old", "new"][usize::from(group % 3)].to_owned();
    Observation {
        finding: finding.id.clone(),
        value: Some(value),
        group: if finding.about_person { String::new() } else { group },
    }
}

fn observations(groups: bool, most: usize) -> impl Strategy<Value = Vec<Observation>> {
    let group = if groups { 0_u8..3 } else { 0_u8..1 };
    vec(
        (any::<Index>(), any::<Index>(), group).prop_map(|(which, value, group)| observation(which, value, group)),
        0..most,
    )
}

fn submission(groups: bool) -> impl Strategy<Value = Submission> {
    let age = prop_oneof![Just(None), (0.0..110.0_f64).prop_map(|years| Some(Age::Years(years)))];
    let sex = prop_oneof![Just(None), Just(Some(Sex::Female)), Just(Some(Sex::Male)), Just(Some(Sex::Other))];
    (age, sex, observations(groups, 24)).prop_map(|(age, sex, observations)| Submission {
        patient: Patient { age, sex },
        observations,
        reporter: Some(Reporter::Patient),
        ..Submission::default()
    })
}

/// Submissions around worked cases, which come closer to red flags than chance does.
fn near_a_case() -> impl Strategy<Value = Submission> {
    let cases: &[Case] = &PACK.cases;
    (any::<Index>(), observations(false, 3)).prop_map(|(which, more)| {
        let mut submission = cases[which.index(cases.len())].submission.clone();
        submission.observations.extend(more);
        submission
    })
}

fn fired(answer: &Answer) -> BTreeSet<(String, String)> {
    answer
        .red_flags
        .iter()
        .filter(|flag| flag.state == RedFlagState::Fired)
        .map(|flag| (flag.id.clone(), flag.group.clone()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fired_red_flag_never_unfires(base in near_a_case(), more in observations(false, 6)) {
        let before = answer(&base);
        let mut longer = base;
        longer.observations.extend(more);
        let after = answer(&longer);
        // A first ungrouped observation about spots may open a group of its own; those that were there stay.
        let lost: Vec<_> = fired(&before).difference(&fired(&after)).filter(|(_, group)| after.groups.iter().any(|g| g.group == *group)).cloned().collect();
        prop_assert!(lost.is_empty(), "no longer fired: {lost:?}");
        let floor = before.red_flags.iter().filter(|flag| flag.state == RedFlagState::Fired).map(|flag| flag.floor).max();
        prop_assert!(floor.is_none_or(|floor| after.urgency >= floor));
    }

    #[test]
    fn no_finding_outvotes_a_red_flag(more in observations(false, 40)) {
        let mut submission = Submission::default();
        for finding in ["fever", "petechiae"] {
            submission.observations.push(Observation { finding: finding.into(), value: Some(Value::Present(true)), group: String::new() });
        }
        submission.observations.extend(more);
        let answer = answer(&submission);
        prop_assert_eq!(answer.urgency.as_str(), "emergency");
        let named = answer.red_flags.iter().any(|flag| flag.id == "fever_with_non_blanching_spots" && flag.state == RedFlagState::Fired);
        prop_assert!(named);
    }

    #[test]
    fn counted_contributions_sum_to_the_score(submission in submission(true)) {
        for differential in answer(&submission).differentials {
            let counted = differential.contributions.iter().filter(|c| c.counting == Counting::Counted);
            let sum: f64 = counted.map(|c| c.weight_decibans).sum();
            prop_assert!((sum - differential.score_decibans).abs() < 0.0005, "{}: {sum} is not {}", differential.condition.id, differential.score_decibans);
        }
    }

    #[test]
    fn at_most_one_weight_counts_each_way_in_a_family(submission in near_a_case()) {
        for differential in answer(&submission).differentials {
            let mut seen = BTreeSet::new();
            for c in differential.contributions.iter().filter(|c| c.counting == Counting::Counted) {
                prop_assert!(seen.insert((c.family.clone(), c.weight_decibans > 0.0)), "{} counts twice in {}", c.rule_id, c.family);
            }
        }
    }

    #[test]
    fn own_shares_and_the_undetermined_sum_to_one(submission in submission(true)) {
        let answer = answer(&submission);
        for group in &answer.groups {
            let listed: f64 = answer.differentials.iter().filter(|d| d.group == group.group).map(|d| d.own_share).sum();
            let sum = listed + group.unlisted_share + group.undetermined_share;
            prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }
    }

    #[test]
    fn the_order_of_observations_changes_nothing(submission in submission(true).prop_flat_map(|s| {
        let observations = Just(s.observations.clone()).prop_shuffle();
        (Just(s), observations)
    })) {
        let (submission, shuffled) = submission;
        let other = Submission { observations: shuffled, ..submission.clone() };
        prop_assert_eq!(format!("{:?}", answer(&submission)), format!("{:?}", answer(&other)));
    }

    #[test]
    fn a_finding_told_twice_changes_nothing(submission in submission(true), again in any::<Index>()) {
        prop_assume!(!submission.observations.is_empty());
        let mut twice = submission.clone();
        twice.observations.push(submission.observations[again.index(submission.observations.len())].clone());
        prop_assert_eq!(format!("{:?}", answer(&submission)), format!("{:?}", answer(&twice)));
    }

    #[test]
    fn not_known_moves_no_score_and_no_fired_flag(base in near_a_case(), which in any::<Index>()) {
        let findings = plan().findings();
        let finding = &findings[which.index(findings.len())];
        let mut asked = base.clone();
        asked.observations.push(Observation { finding: finding.id.clone(), value: Some(Value::NotKnown(true)), group: String::new() });
        let (before, after) = (answer(&base), answer(&asked));
        prop_assume!(before.groups.len() == after.groups.len());
        let scores = |answer: &Answer| answer.differentials.iter().map(|d| (d.condition.id.clone(), d.score_decibans.to_bits())).collect::<Vec<_>>();
        prop_assert_eq!(scores(&before), scores(&after));
        prop_assert_eq!(fired(&before), fired(&after));
        prop_assert_eq!(before.urgency, after.urgency);
    }

    #[test]
    fn a_low_urgency_always_carries_a_safety_net(submission in near_a_case()) {
        let answer = answer(&submission);
        prop_assert_eq!(answer.safety_net.is_some(), answer.urgency.index() < 3);
    }

    #[test]
    fn no_answer_repeats_what_cannot_be(submission in submission(true)) {
        let answer = answer(&submission);
        prop_assert!(answer.could_rise_to >= answer.urgency);
        prop_assert!(answer.urgency_reasons.iter().all(|reason| reason.urgency <= answer.urgency));
        let explained = answer.urgency.index() == 0 || answer.urgency_reasons.iter().any(|reason| reason.urgency == answer.urgency);
        prop_assert!(explained, "nothing explains the urgency");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn questions_are_never_asked_twice_and_stop_means_stop(submission in near_a_case()) {
        let answer = engine::answer(plan(), &submission, &AnswerOptions { max_questions: 50, ..AnswerOptions::default() }).expect("valid");
        prop_assert_eq!(answer.should_stop, answer.next_questions.is_empty());
        let told: BTreeSet<&str> = submission.observations.iter().filter(|o| o.group.is_empty()).map(|o| o.finding.as_str()).collect();
        for question in answer.next_questions.iter().filter(|q| q.box_id.is_empty() && q.group.is_empty()) {
            prop_assert!(!told.contains(question.id.as_str()), "{} was answered already", question.id);
        }
    }
}

#[test]
fn an_empty_request_is_insufficient_and_asks() {
    let answer = engine::answer(plan(), &Submission::default(), &AnswerOptions::default()).expect("valid");
    assert_eq!(answer.outcome, Outcome::Insufficient);
    assert!(answer.differentials.is_empty());
    assert!(!answer.next_questions.is_empty() && !answer.should_stop);
    assert!(answer.urgency >= plan().header.insufficient_urgency);
}

/// What is asked after these findings were told present.
fn asked_after(present: &[&str]) -> BTreeSet<String> {
    let told = |finding: &&str| Observation {
        finding: (*finding).into(),
        value: Some(Value::Present(true)),
        group: String::new(),
    };
    let submission = Submission { observations: present.iter().map(told).collect(), ..Submission::default() };
    let options = AnswerOptions { max_questions: 50, ..AnswerOptions::default() };
    let answer = engine::answer(plan(), &submission, &options).expect("valid");
    answer.next_questions.into_iter().flat_map(|question| question.findings.into_iter().chain([question.id])).collect()
}

#[test]
fn old_spots_hide_no_new_ones() {
    let kinds = "two_kinds_of_spots";
    assert!(asked_after(&["bright_dome", "long_standing"]).contains(kinds));
    assert!(!asked_after(&["bright_dome", "sudden"]).contains(kinds));
}

#[test]
fn a_sign_that_was_told_asks_for_what_makes_it_a_danger() {
    // Weals are a sign of the red flag for a swollen face, and nothing told makes that flag live.
    assert!(asked_after(&["weals", "weals_fade_within_a_day", "sudden"]).contains("swollen_lips"));
}

#[test]
fn silence_is_never_absence() {
    // Telling a finding absent and not telling it at all must differ wherever a rule looks at its absence.
    let told = |present: Option<bool>| {
        let mut submission = Submission::default();
        let fever = present.map(|present| Observation {
            finding: "fever".into(),
            value: Some(Value::Present(present)),
            group: String::new(),
        });
        submission.observations.extend(fever);
        submission.observations.push(Observation {
            finding: "non_blanching".into(),
            value: Some(Value::Present(true)),
            group: String::new(),
        });
        answer(&submission)
    };
    let (silent, absent) = (told(None), told(Some(false)));
    let flag = |answer: &Answer| {
        answer.red_flags.iter().find(|flag| flag.id == "fever_with_non_blanching_spots").map(|flag| flag.state)
    };
    assert_eq!(flag(&silent), Some(RedFlagState::Precaution));
    assert_eq!(flag(&absent), None);
}

#[test]
fn the_order_of_files_and_items_changes_no_byte() {
    let content = store::read(&RuleSource::Embedded);
    let files = &content.packs[0].files;
    let turned: Vec<_> = files
        .iter()
        .rev()
        .map(|file| {
            let mut file = file.clone();
            if !file.path.starts_with("cases/") {
                file.text = turn_items(&file.text);
            }
            file
        })
        .collect();
    let turned = engine::compile_pack(&turned).expect("the same rules in another order compile");
    assert_eq!(turned.cases.len(), PACK.cases.len());
    for case in &PACK.cases {
        let one = engine::answer(plan(), &case.submission, &everything()).expect("valid");
        let other = engine::answer(&turned.plan, &case.submission, &everything()).expect("valid");
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "case {}", case.id);
    }
}

/// The same file with the items of every section in reverse order.
fn turn_items(text: &str) -> String {
    let mut value: serde_yaml::Value = serde_yaml::from_str(text).expect("a rule file");
    if let Some(sections) = value.as_mapping_mut() {
        for (name, items) in sections.iter_mut() {
            if let (Some(items), true) = (items.as_sequence_mut(), name.as_str() != Some("pack")) {
                items.reverse();
                for item in items {
                    if let Some(evidence) = item.get_mut("evidence").and_then(|evidence| evidence.as_sequence_mut()) {
                        evidence.reverse();
                    }
                }
            }
        }
    }
    serde_yaml::to_string(&value).expect("YAML")
}
