//! The laws that hold for any rules at all, whoever is told of. Used by tests and by fuzz targets.

#![allow(dead_code, reason = "each user uses a part")]

use std::collections::BTreeSet;

use rubor::engine::answer::{Answer, Counting, RedFlagState};
use rubor::engine::plan::Plan;
use rubor::engine::submission::{Observation, Submission};

/// Every condition, with no questions, which are most of the work.
pub fn everything() -> rubor::engine::AnswerOptions {
    rubor::engine::AnswerOptions { max_differentials: usize::MAX, omit_questions: true, ..Default::default() }
}

/// Holds the answer for `submission` against the laws, and against those for the same observations in another order and
/// for `more` of them.
pub fn hold(plan: &Plan, submission: &Submission, more: &[Observation], answer: impl Fn(&Plan, &Submission) -> Answer) {
    let one = answer(plan, submission);
    of_one(&one);
    let mut turned = submission.clone();
    turned.observations.reverse();
    assert_eq!(format!("{one:?}"), format!("{:?}", answer(plan, &turned)), "the order of observations matters");
    let mut longer = submission.clone();
    longer.observations.extend_from_slice(more);
    let after = answer(plan, &longer);
    of_one(&after);
    // A first ungrouped observation about spots may open a group of its own; those that were there stay.
    let stays = |group: &str| after.groups.iter().any(|other| other.group == group);
    let fired_after = fired(&after);
    for (id, group) in fired(&one) {
        assert!(fired_after.contains(&(id, group)) || !stays(group), "red flag {id} un-fired");
    }
}

fn fired(answer: &Answer) -> BTreeSet<(&str, &str)> {
    let fired = answer.red_flags.iter().filter(|flag| flag.state == RedFlagState::Fired);
    fired.map(|flag| (flag.id.as_str(), flag.group.as_str())).collect()
}

/// What holds of every answer that lists every condition.
pub fn of_one(answer: &Answer) {
    for differential in &answer.differentials {
        let counted = differential.contributions.iter().filter(|c| c.counting == Counting::Counted);
        let sum: f64 = counted.map(|c| c.weight_decibans).sum();
        assert!((sum - differential.score_decibans).abs() < 0.0005, "{sum} is not {}", differential.score_decibans);
        is_share("share", differential.share);
        is_share("own share", differential.own_share);
    }
    for group in &answer.groups {
        is_share("undetermined share", group.undetermined_share);
        is_share("unlisted share", group.unlisted_share);
        let listed = answer.differentials.iter().filter(|d| d.group == group.group).map(|d| d.own_share);
        let sum = listed.sum::<f64>() + group.unlisted_share + group.undetermined_share;
        assert!((sum - 1.0).abs() < 1e-9, "the shares sum to {sum}");
    }
    for flag in answer.red_flags.iter().filter(|flag| flag.state != RedFlagState::Open) {
        assert!(answer.urgency >= flag.floor, "the urgency is below the floor of {}", flag.id);
    }
    assert_eq!(answer.safety_net.is_some(), answer.urgency.index() < 3, "the safety net");
    assert!(answer.could_rise_to >= answer.urgency, "it could rise to less");
    assert!(answer.urgency_reasons.iter().all(|reason| reason.urgency <= answer.urgency), "a reason for more");
}

fn is_share(what: &str, share: f64) {
    // A sum of shares may be off by the rounding of its parts.
    assert!((0.0..=1.0 + 1e-9).contains(&share), "{what}: {share}");
}
