//! Protobuf requests to what the engine reads, and its answers to protobuf.
//!
//! Every message is taken apart and put together field by field, without `..`, so that a new field does not compile
//! until somebody has decided what becomes of it. Owns no meaning: values are passed on as they are, and the only
//! things refused here are those that the engine's types cannot express.

use super::proto;
use super::proto::observation::Value;
use crate::engine::AnswerOptions;
use crate::engine::answer;
use crate::engine::plan::Header;
use crate::engine::submission;
use crate::engine::submission::Violation;
use crate::engine::urgency::Urgency;
use crate::store::LoadedPack;

/// A request in the engine's words.
#[derive(Debug)]
pub struct Converted {
    /// What was told.
    pub submission: submission::Submission,
    /// How much to answer.
    pub options: AnswerOptions,
    /// What could not be expressed. The rest of the submission can still be checked, so that all problems are told.
    pub violations: Vec<Violation>,
}

/// Converts a request. Its `request_id`, `pack` and `expected_digest` are the shell's.
#[must_use]
pub fn request(request: proto::EvaluateRequest) -> Converted {
    let proto::EvaluateRequest {
        request_id: _,
        pack: _,
        expected_digest,
        patient,
        observations,
        none_of_these,
        options,
        reporter,
    } = request;
    let mut violations = Vec::new();
    let submission = submission::Submission {
        patient: patient.map(|told| self::patient(told, &mut violations)).unwrap_or_default(),
        observations: observations.into_iter().map(observation).collect(),
        none_of_these: none_of_these.into_iter().map(box_declared_absent).collect(),
        reporter: self::reporter(reporter, &mut violations),
        pinned: !expected_digest.is_empty(),
    };
    Converted { submission, options: options.map(answer_options).unwrap_or_default(), violations }
}

fn patient(patient: proto::Patient, violations: &mut Vec<Violation>) -> submission::Patient {
    let proto::Patient { age_years, age_months, age_days, sex } = patient;
    let ages = [
        age_years.map(submission::Age::Years),
        age_months.map(submission::Age::Months),
        age_days.map(submission::Age::Days),
    ];
    let mut given = ages.into_iter().flatten();
    let age = given.next();
    if given.next().is_some() {
        violations.push(violation("patient", "several ages; give only one of age_years, age_months and age_days"));
    }
    let sex = match proto::Sex::try_from(sex) {
        Ok(proto::Sex::Unspecified) => None,
        Ok(proto::Sex::Female) => Some(submission::Sex::Female),
        Ok(proto::Sex::Male) => Some(submission::Sex::Male),
        Ok(proto::Sex::Other) => Some(submission::Sex::Other),
        Err(_) => {
            violations.push(violation(
                "patient.sex",
                "no such value; use SEX_FEMALE, SEX_MALE or SEX_OTHER, or leave it out",
            ));
            None
        }
    };
    submission::Patient { age, sex }
}

fn reporter(reporter: i32, violations: &mut Vec<Violation>) -> Option<submission::Reporter> {
    match proto::Reporter::try_from(reporter) {
        Ok(proto::Reporter::Unspecified) => None,
        Ok(proto::Reporter::Patient) => Some(submission::Reporter::Patient),
        Ok(proto::Reporter::Caregiver) => Some(submission::Reporter::Caregiver),
        Ok(proto::Reporter::Clinician) => Some(submission::Reporter::Clinician),
        Err(_) => {
            let reason =
                "no such value; use REPORTER_PATIENT, REPORTER_CAREGIVER or REPORTER_CLINICIAN, or leave it out";
            violations.push(violation("reporter", reason));
            None
        }
    }
}

fn observation(observation: proto::Observation) -> submission::Observation {
    let proto::Observation { finding, value, group } = observation;
    let value = value.map(|value| match value {
        Value::Present(present) => submission::Value::Present(present),
        Value::Quantity(proto::Quantity { value, unit }) => submission::Value::Quantity { value, unit },
        Value::Selection(proto::Selection { options, complete }) => submission::Value::Selection { options, complete },
        Value::NotKnown(not_known) => submission::Value::NotKnown(not_known),
    });
    submission::Observation { finding, value, group }
}

fn box_declared_absent(item: proto::NoneOfThese) -> submission::NoneOfThese {
    let proto::NoneOfThese { name, fingerprint, group } = item;
    submission::NoneOfThese { name, fingerprint, group }
}

fn answer_options(options: proto::EvaluateOptions) -> AnswerOptions {
    let proto::EvaluateOptions { max_differentials, max_questions, omit_rationale, omit_questions } = options;
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    AnswerOptions {
        max_differentials: count(max_differentials),
        max_questions: count(max_questions),
        omit_rationale,
        omit_questions,
    }
}

fn violation(field: &str, reason: &str) -> Violation {
    Violation { field: field.into(), reason: reason.into() }
}

/// Converts an answer that was given on `pack`.
#[must_use]
pub fn response(
    answer: answer::Answer,
    pack: &LoadedPack,
    evaluation_id: String,
    request_id: String,
) -> proto::EvaluateResponse {
    let answer::Answer {
        urgency,
        urgency_status,
        could_rise_to,
        urgency_text,
        urgency_reasons,
        red_flags,
        outcome,
        undetermined_share,
        groups,
        differentials,
        next_questions,
        should_stop,
        notices,
        safety_net,
        disclaimer,
    } = answer;
    proto::EvaluateResponse {
        evaluation_id,
        request_id,
        rule_set: Some(rule_set(pack)),
        urgency: self::urgency(urgency),
        urgency_status: self::urgency_status(urgency_status),
        could_rise_to: self::urgency(could_rise_to),
        urgency_text,
        urgency_reasons: urgency_reasons.into_iter().map(urgency_reason).collect(),
        red_flags: red_flags.into_iter().map(red_flag).collect(),
        outcome: self::outcome(outcome),
        undetermined_share,
        groups: groups.into_iter().map(group).collect(),
        differentials: differentials.into_iter().map(differential).collect(),
        next_questions: next_questions.into_iter().map(question).collect(),
        should_stop: Some(should_stop),
        notices: notices.into_iter().map(notice).collect(),
        safety_net: safety_net.map(self::safety_net),
        disclaimer,
    }
}

/// Which rules a pack is.
#[must_use]
pub fn rule_set(pack: &LoadedPack) -> proto::RuleSet {
    let Header { id, version, review_status, reviewed_by, reviewed_on, jurisdiction, .. } = &pack.plan.header;
    // Anything but the one word that says so is a draft.
    let review_status = match *review_status {
        "signed_off" => proto::ReviewStatus::SignedOff,
        _ => proto::ReviewStatus::Draft,
    };
    proto::RuleSet {
        pack: id.clone(),
        version: version.clone(),
        digest: pack.digest.clone(),
        review_status: review_status.into(),
        reviewed_by: reviewed_by.clone(),
        reviewed_on: reviewed_on.clone(),
        jurisdiction: jurisdiction.clone(),
    }
}

/// The protobuf number of an urgency.
#[must_use]
pub fn urgency(urgency: Urgency) -> i32 {
    match urgency {
        Urgency::SelfCare => proto::Urgency::SelfCare,
        Urgency::Routine => proto::Urgency::Routine,
        Urgency::Prompt => proto::Urgency::Prompt,
        Urgency::Urgent => proto::Urgency::Urgent,
        Urgency::Emergency => proto::Urgency::Emergency,
    }
    .into()
}

/// The protobuf number of a red flag's state.
#[must_use]
pub fn red_flag_state(state: answer::RedFlagState) -> i32 {
    match state {
        answer::RedFlagState::Fired => proto::RedFlagState::Fired,
        answer::RedFlagState::Precaution => proto::RedFlagState::Precaution,
        answer::RedFlagState::Open => proto::RedFlagState::Open,
    }
    .into()
}

/// The protobuf number of a direction.
#[must_use]
pub fn direction(direction: answer::Direction) -> i32 {
    match direction {
        answer::Direction::Supports => proto::Direction::Supports,
        answer::Direction::ArguesAgainst => proto::Direction::ArguesAgainst,
    }
    .into()
}

/// The protobuf number of how a reason counts.
#[must_use]
pub fn counting(counting: answer::Counting) -> i32 {
    match counting {
        answer::Counting::Counted => proto::Counting::Counted,
        answer::Counting::AlreadyCounted => proto::Counting::AlreadyCounted,
        answer::Counting::Replaced => proto::Counting::Replaced,
        answer::Counting::Contradicted => proto::Counting::Contradicted,
    }
    .into()
}

/// Converts a citation.
#[must_use]
pub fn citation(citation: answer::Citation) -> proto::Citation {
    let answer::Citation { id, title, url } = citation;
    proto::Citation { id, title, url }
}

/// Converts advice.
#[must_use]
pub fn advice(advice: answer::Advice) -> proto::Advice {
    let answer::Advice { text, sources } = advice;
    proto::Advice { text, sources: citations(sources) }
}

fn citations(sources: Vec<answer::Citation>) -> Vec<proto::Citation> {
    sources.into_iter().map(citation).collect()
}

fn urgency_status(status: answer::UrgencyStatus) -> i32 {
    match status {
        answer::UrgencyStatus::Final => proto::UrgencyStatus::Final,
        answer::UrgencyStatus::Provisional => proto::UrgencyStatus::Provisional,
    }
    .into()
}

fn outcome(outcome: answer::Outcome) -> i32 {
    match outcome {
        answer::Outcome::Determined => proto::Outcome::Determined,
        answer::Outcome::Insufficient => proto::Outcome::Insufficient,
    }
    .into()
}

fn urgency_reason(reason: answer::UrgencyReason) -> proto::UrgencyReason {
    let answer::UrgencyReason { kind, id, group, urgency, text } = reason;
    let kind = match kind {
        answer::UrgencyReasonKind::RedFlag => proto::UrgencyReasonKind::RedFlag,
        answer::UrgencyReasonKind::Precaution => proto::UrgencyReasonKind::Precaution,
        answer::UrgencyReasonKind::Conditions => proto::UrgencyReasonKind::Conditions,
        answer::UrgencyReasonKind::Insufficient => proto::UrgencyReasonKind::Insufficient,
    };
    proto::UrgencyReason { kind: kind.into(), id, group, urgency: self::urgency(urgency), text }
}

fn red_flag(flag: answer::RedFlag) -> proto::RedFlag {
    let answer::RedFlag {
        id,
        name,
        state,
        floor,
        text,
        action,
        findings,
        deciding_findings,
        sources,
        contradicted,
        group,
    } = flag;
    proto::RedFlag {
        id,
        name,
        state: red_flag_state(state),
        floor: urgency(floor),
        text,
        action,
        findings,
        deciding_findings,
        sources: citations(sources),
        contradicted,
        group,
    }
}

fn group(group: answer::Group) -> proto::GroupSummary {
    let answer::Group { group, urgency, outcome, undetermined_share, unlisted_share, first_place } = group;
    proto::GroupSummary {
        group,
        urgency: self::urgency(urgency),
        outcome: self::outcome(outcome),
        undetermined_share,
        unlisted_share,
        first_place,
    }
}

fn differential(differential: answer::Differential) -> proto::Differential {
    let answer::Differential {
        rank,
        group,
        condition,
        score_decibans,
        share,
        own_share,
        urgency,
        contributions,
        undecided,
        next_steps,
        care,
    } = differential;
    let answer::ConditionInfo { id, name, codings, summary, part_of } = condition;
    proto::Differential {
        rank: i32::try_from(rank).unwrap_or(i32::MAX),
        group,
        condition: Some(proto::Condition { id, name, codings, summary, part_of }),
        score_decibans,
        share,
        own_share,
        // No outcome data exist that shares could have been calibrated against.
        calibrated: Some(false),
        urgency: self::urgency(urgency),
        contributions: contributions.into_iter().map(contribution).collect(),
        undecided: undecided
            .into_iter()
            .map(|answer::Undecided { rule_id, findings }| proto::Undecided { rule_id, findings })
            .collect(),
        next_steps: next_steps.into_iter().map(advice).collect(),
        care: care.into_iter().map(advice).collect(),
    }
}

fn contribution(contribution: answer::Contribution) -> proto::Contribution {
    let answer::Contribution {
        rule_id,
        direction,
        weight_decibans,
        likelihood_ratio,
        because,
        when,
        findings,
        family,
        counting,
        counted_by,
        sources,
        grade,
    } = contribution;
    proto::Contribution {
        rule_id,
        direction: self::direction(direction),
        weight_decibans,
        likelihood_ratio,
        because,
        when,
        findings,
        family,
        counting: self::counting(counting),
        counted_by,
        sources: citations(sources),
        grade,
    }
}

/// Converts a question.
pub(super) fn question(question: answer::Question) -> proto::Question {
    let answer::Question { id, text, help, kind, findings, box_id, fingerprint, options, unit, range, group, why } =
        question;
    let kind = match kind {
        answer::QuestionKind::YesNo => proto::QuestionKind::YesNo,
        answer::QuestionKind::Number => proto::QuestionKind::Number,
        answer::QuestionKind::Choice => proto::QuestionKind::Choice,
        answer::QuestionKind::MultipleChoice => proto::QuestionKind::MultipleChoice,
        answer::QuestionKind::AnyOf => proto::QuestionKind::AnyOf,
        answer::QuestionKind::OneOf => proto::QuestionKind::OneOf,
    };
    proto::Question {
        id,
        text,
        help,
        kind: kind.into(),
        findings,
        box_id,
        fingerprint,
        options: options
            .into_iter()
            .map(|answer::QuestionOption { id, name }| proto::QuestionOption { id, name })
            .collect(),
        unit,
        range: range.map(|(low, high)| proto::Range { low, high }),
        group,
        why,
    }
}

fn notice(notice: answer::Notice) -> proto::Notice {
    let answer::Notice { kind, text, findings, group } = notice;
    let kind = match kind {
        answer::NoticeKind::Contradiction => proto::NoticeKind::Contradiction,
        answer::NoticeKind::Conversion => proto::NoticeKind::Conversion,
        answer::NoticeKind::BoxAbsent => proto::NoticeKind::BoxAbsent,
        answer::NoticeKind::Unused => proto::NoticeKind::Unused,
        answer::NoticeKind::GroupIgnored => proto::NoticeKind::GroupIgnored,
    };
    proto::Notice { kind: kind.into(), text, findings, group }
}

fn safety_net(net: answer::SafetyNet) -> proto::SafetyNet {
    let answer::SafetyNet { watch_for, act_within, reassess_after } = net;
    proto::SafetyNet { watch_for, act_within, reassess_after }
}
