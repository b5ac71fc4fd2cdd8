//! Worked cases, figures and the impact of a change, as protobuf.
//!
//! Owns the projection, field by field, and the choice of cases by a filter. How a case went is `engine::case`'s, what is
//! counted is `accuracy`'s and `figures`', which answers move and how dangerous that is `impact`'s.

use super::convert::{rule_set, urgency};
use super::proto;
use super::report::place;
use super::status::Problem;
use crate::accuracy::{self, Accuracy, Wrong};
use crate::engine::answer::{Answer, Outcome, RedFlagState};
use crate::engine::case::{self, Case, CaseResult, Failure, UNDETERMINED};
use crate::engine::plan::Plan;
use crate::engine::submission::Violation;
use crate::figures::{self, Figures};
use crate::impact::moves::{self, Danger, Move, Seen, Unreadable};
use crate::store::LoadedPack;

/// Runs the cases of a pack whose ids hold `filter`, as long as somebody waits for it.
///
/// # Errors
/// A filter that fits no case, or nobody who waits.
pub(super) fn run(
    pack: &LoadedPack,
    filter: &str,
    is_wanted: impl Fn() -> bool,
) -> Result<proto::RunCasesResponse, Problem> {
    let chosen: Vec<&Case> = pack.cases.iter().filter(|case| case.id.contains(filter)).collect();
    if chosen.is_empty() && !filter.is_empty() {
        let reason = "fits no case of this pack; write a part of an id, or leave it out to run them all";
        return Err(Problem::Invalid(vec![Violation { field: "filter".into(), reason: reason.into() }]));
    }
    let (cases, figures) = results(pack, &chosen, is_wanted)?;
    let failed = count(cases.iter().filter(|case| !case.holds).count());
    Ok(proto::RunCasesResponse { rule_set: Some(rule_set(pack)), cases, failed, figures: Some(figures) })
}

/// What cases get on the rules of a pack, one by one and counted.
///
/// # Errors
/// Nobody waits for it any more.
pub(super) fn results(
    pack: &LoadedPack,
    cases: &[&Case],
    is_wanted: impl Fn() -> bool,
) -> Result<(Vec<proto::CaseResult>, proto::Figures), Problem> {
    let mut results = Vec::with_capacity(cases.len());
    for &case in cases {
        if !is_wanted() {
            return Err(Problem::TooLate);
        }
        results.push((case, case::run(&pack.plan, case)));
    }
    let told = results.iter().map(|(case, result)| self::result(pack, case, result)).collect();
    Ok((told, figures(&pack.plan, &results)))
}

fn result(pack: &LoadedPack, case: &Case, result: &CaseResult) -> proto::CaseResult {
    let mut written = place(&case.place);
    written.file = crate::store::read::join(&pack.folder, &written.file);
    proto::CaseResult {
        id: case.id.clone(),
        title: case.title.clone(),
        place: Some(written),
        holds: result.failures.is_empty(),
        failures: result
            .failures
            .iter()
            .map(|Failure { key, text }| proto::CaseFailure { key: (*key).to_owned(), message: text.clone() })
            .collect(),
        answer: Some(answer(&result.answer)),
        article_rows: case.article_rows.clone(),
    }
}

fn answer(answer: &Answer) -> proto::CaseAnswer {
    let first_places = answer.groups.iter().map(|group| proto::FirstPlace {
        group: group.group.clone(),
        condition: if group.outcome == Outcome::Insufficient { UNDETERMINED.into() } else { group.first_place.clone() },
    });
    let fired = answer.red_flags.iter().filter(|flag| flag.state == RedFlagState::Fired);
    let mut fired_red_flags: Vec<String> = fired.map(|flag| flag.id.clone()).collect();
    // One flag may fire in several groups.
    fired_red_flags.sort();
    fired_red_flags.dedup();
    proto::CaseAnswer {
        urgency: urgency(answer.urgency),
        urgency_reason: answer.urgency_reasons.first().map(|reason| reason.text.clone()).unwrap_or_default(),
        first_places: first_places.collect(),
        fired_red_flags,
    }
}

/// What the cases show, set by set, and what they touch.
fn figures(plan: &Plan, results: &[(&Case, CaseResult)]) -> proto::Figures {
    let answers = || results.iter().map(|(case, result)| (*case, &result.answer));
    let sets = accuracy::SETS.into_iter().map(|(name, is_in)| {
        accuracy_figures(name, accuracy::measure(plan, answers().filter(|(case, _)| is_in(case))))
    });
    let Figures { rows, silent_red_flags, silent_rules } = figures::count(plan, answers());
    proto::Figures {
        sets: sets.collect(),
        coverage: Some(proto::CoverageFigures {
            red_flag_count: count(plan.red_flags.len()),
            silent_red_flags,
            rule_count: count(plan.rules.len()),
            silent_rule_count: count(silent_rules),
        }),
        article_rows: rows.into_iter().map(|(row, cases)| proto::ArticleRow { row, cases }).collect(),
    }
}

fn accuracy_figures(set: &str, measured: Accuracy) -> proto::AccuracyFigures {
    let (over_below_emergency, below_emergency) = measured.over_below_emergency();
    let benign = measured.benign();
    let triage = measured.levels().map(|(expected, advised, over, under)| proto::TriageRow {
        expected: urgency(expected),
        advised: advised.into_iter().map(count).collect(),
        over: count(over),
        under: count(under),
    });
    let triage = triage.collect();
    let Accuracy {
        cases,
        answered,
        m1,
        m3,
        m5,
        m1_answered,
        m3_answered,
        triaged,
        triage_exact,
        safe_strict,
        safe_loose,
        confusion: _,
        over: _,
        under: _,
        dangerous,
        hazardous,
        alarmed,
        flags_expected,
        flags_fired,
        wrong,
        reliability,
    } = measured;
    let Wrong { not_first, not_in_three, over, under, hazardous: hazardous_cases } = wrong;
    proto::AccuracyFigures {
        set: set.to_owned(),
        cases: count(cases),
        answered: count(answered),
        m1: count(m1),
        m3: count(m3),
        m5: count(m5),
        m1_answered: count(m1_answered),
        m3_answered: count(m3_answered),
        triaged: count(triaged),
        triage_exact: count(triage_exact),
        safe_strict: count(safe_strict),
        safe_loose: count(safe_loose),
        triage,
        over_below_emergency: count(over_below_emergency),
        below_emergency: count(below_emergency),
        dangerous: count(dangerous),
        hazardous: count(hazardous),
        hazardous_upper_bound: accuracy::upper_bound(hazardous, dangerous),
        benign: count(benign),
        alarmed: count(alarmed),
        red_flags_expected: count(flags_expected),
        red_flags_fired: count(flags_fired),
        reliability: bins(&reliability),
        wrong: Some(proto::WrongCases { not_first, not_in_three, over, under, hazardous: hazardous_cases }),
    }
}

fn bins(reliability: &[(usize, f64, usize)]) -> Vec<proto::ReliabilityBin> {
    let edge = |at: usize| f64::from(count(at)) / f64::from(count(reliability.len()));
    let bin = |(at, &(cases, shares, right)): (usize, &(usize, f64, usize))| proto::ReliabilityBin {
        from: edge(at),
        to: edge(at + 1),
        cases: count(cases),
        mean_share: if cases == 0 { 0.0 } else { shares / f64::from(count(cases)) },
        right: count(right),
    };
    reliability.iter().enumerate().map(bin).collect()
}

/// What becomes of the cases of both packs when `proposed` takes the place of `served`.
pub(super) fn impact(served: &LoadedPack, proposed: &LoadedPack) -> proto::Impact {
    let told = moves::of_both(&served.cases, &proposed.cases);
    // Which rule moves a case is told from the files, which the served pack has left behind.
    let (moved, unreadable) = moves::moves(&served.plan, &proposed.plan, &told, &[]);
    proto::Impact {
        compared_with: Some(rule_set(served)),
        case_count: count(told.len()),
        changes: moved.into_iter().map(change).collect(),
        unreadable: unreadable.into_iter().map(self::unreadable).collect(),
    }
}

fn change(moved: Move) -> proto::CaseChange {
    let red_flags_lost = moved.flags_lost().into_iter().map(str::to_owned).collect();
    let red_flags_gained = moved.flags_gained().into_iter().map(str::to_owned).collect();
    let Move { case, title, from, danger, old, new, through: _ } = moved;
    let danger = match danger {
        Danger::LessUrgent => proto::Danger::LessUrgent,
        Danger::FlagLost => proto::Danger::RedFlagLost,
        Danger::FirstPlace => proto::Danger::FirstPlace,
        Danger::FlagGained => proto::Danger::RedFlagGained,
        Danger::MoreUrgent => proto::Danger::MoreUrgent,
    };
    proto::CaseChange {
        case_id: case,
        title,
        danger: danger.into(),
        before: Some(seen(old)),
        after: Some(seen(new)),
        red_flags_lost,
        red_flags_gained,
        told: from.to_owned(),
    }
}

fn seen(seen: Seen) -> proto::CaseAnswer {
    let Seen { urgency: level, reason, first_places, fired } = seen;
    let first_places = first_places.into_iter().map(|(group, condition)| proto::FirstPlace { group, condition });
    proto::CaseAnswer {
        urgency: urgency(level),
        urgency_reason: reason,
        first_places: first_places.collect(),
        fired_red_flags: fired,
    }
}

fn unreadable(unreadable: Unreadable) -> proto::UnreadableCase {
    let Unreadable { case, side, reason } = unreadable;
    let side = if side == "old" { proto::RulesSide::Served } else { proto::RulesSide::Proposed };
    proto::UnreadableCase { case_id: case, side: side.into(), reason }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{answer, result};
    use crate::engine::case::{self, Failure};
    use crate::store::{self, RuleSource};

    #[test]
    fn a_case_that_does_not_hold_says_so() {
        let snapshot = store::load(&RuleSource::Embedded).unwrap_or_else(|_| panic!("the rules inside are good"));
        let pack = snapshot.packs.values().next().expect("a pack");
        let case = &pack.cases[0];
        let mut ran = case::run(&pack.plan, case);
        assert!(result(pack, case, &ran).holds);
        ran.failures.push(Failure { key: "urgency", text: "it is not".to_owned() });
        let told = result(pack, case, &ran);
        assert!(!told.holds);
        assert_eq!((told.failures[0].key.as_str(), told.failures[0].message.as_str()), ("urgency", "it is not"));
        assert_eq!(told.answer, Some(answer(&ran.answer)));
        assert!(told.place.is_some_and(|place| place.file.starts_with("red-spots/cases/")));
    }
}
