//! A compiled pack as protobuf: everything a form, a code mapping or a reviewer needs.
//!
//! Owns the projection only. It reads what the plan says of itself and derives nothing.

use super::convert::{advice, citation, rule_set, urgency};
use super::proto;
use crate::engine::plan::{Ask, AskedOf, Condition, Finding, Kind, OptionDef, Plan, QuestionBox, RedFlag, Rule};
use crate::store::LoadedPack;

/// A pack in a list.
#[must_use]
pub fn summary(pack: &LoadedPack) -> proto::PackSummary {
    let plan = &pack.plan;
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    proto::PackSummary {
        rule_set: Some(rule_set(pack)),
        title: plan.header.title.clone(),
        summary: plan.header.summary.clone(),
        language: plan.header.language.clone(),
        finding_count: count(plan.findings().len()),
        condition_count: count(plan.conditions.len()),
        rule_count: count(plan.rules.len()),
        red_flag_count: count(plan.red_flags.len()),
        case_count: count(pack.cases.len()),
    }
}

/// The whole pack.
#[must_use]
pub fn whole(pack: &LoadedPack) -> proto::Pack {
    let plan = &pack.plan;
    proto::Pack {
        rule_set: Some(rule_set(pack)),
        title: plan.header.title.clone(),
        summary: plan.header.summary.clone(),
        language: plan.header.language.clone(),
        findings: plan.findings().iter().map(finding).collect(),
        boxes: plan.boxes.iter().map(|item| question_box(plan, item)).collect(),
        conditions: plan.conditions.iter().map(|item| condition(plan, item)).collect(),
        red_flags: plan.red_flags.iter().map(|item| red_flag(plan, item)).collect(),
        rules: plan.rules.iter().map(|item| rule(plan, item)).collect(),
        sources: plan.sources.iter().cloned().map(citation).collect(),
        screen: plan.screen.iter().map(|&ask| ask_id(plan, ask)).collect(),
    }
}

fn ask_id(plan: &Plan, ask: Ask) -> String {
    match ask {
        Ask::Box(place) => plan.boxes[place].id.clone(),
        Ask::Finding(place) => plan.vocabulary.get(place).id.clone(),
    }
}

fn citations(plan: &Plan, places: &[usize]) -> Vec<proto::Citation> {
    plan.citations(places).into_iter().map(citation).collect()
}

fn finding(finding: &Finding) -> proto::FindingDefinition {
    let Finding { id, name, about_person, kind, ask, help, asked_of, family, synonyms, codings } = finding;
    let (unit, range) = match kind {
        Kind::Number { unit, low, high } => (unit.clone(), Some(proto::Range { low: *low, high: *high })),
        Kind::YesNo | Kind::Choice { .. } | Kind::MultipleChoice { .. } => (String::new(), None),
    };
    let options = kind
        .options()
        .iter()
        .map(|OptionDef { id, name }| proto::QuestionOption { id: id.clone(), name: name.clone() })
        .collect();
    let kind = match kind {
        Kind::YesNo => proto::FindingKind::YesNo,
        Kind::Number { .. } => proto::FindingKind::Number,
        Kind::Choice { .. } => proto::FindingKind::Choice,
        Kind::MultipleChoice { .. } => proto::FindingKind::MultipleChoice,
    };
    let asked_of = match asked_of {
        AskedOf::Patient => proto::AskedOf::Patient,
        AskedOf::Clinician => proto::AskedOf::Clinician,
        AskedOf::Laboratory => proto::AskedOf::Laboratory,
    };
    let about = if *about_person { proto::FindingSubject::Person } else { proto::FindingSubject::Spots };
    proto::FindingDefinition {
        id: id.clone(),
        name: name.clone(),
        question: ask.clone(),
        help: help.clone(),
        kind: kind.into(),
        options,
        unit,
        range,
        asked_of: asked_of.into(),
        about: about.into(),
        codings: codings.clone(),
        synonyms: synonyms.clone(),
        family: family.clone(),
    }
}

fn question_box(plan: &Plan, item: &QuestionBox) -> proto::BoxDefinition {
    let QuestionBox { id, ask, help, pick_one, findings, fingerprint } = item;
    proto::BoxDefinition {
        id: id.clone(),
        question: ask.clone(),
        pick_one: *pick_one,
        findings: plan.ids(findings),
        fingerprint: fingerprint.clone(),
        help: help.clone(),
    }
}

fn condition(plan: &Plan, condition: &Condition) -> proto::ConditionDefinition {
    let Condition {
        id,
        name,
        summary,
        urgency: mildest,
        part_of,
        codings,
        next_steps,
        care,
        watch_for,
        prior,
        prior_words,
        prior_rule: _,
        prior_because: _,
        prior_sources,
        rules: _,
        families: _,
    } = condition;
    proto::ConditionDefinition {
        condition: Some(proto::Condition {
            id: id.clone(),
            name: name.clone(),
            codings: codings.clone(),
            summary: summary.clone(),
            part_of: part_of.map(|place| plan.conditions[place].id.clone()).unwrap_or_default(),
        }),
        urgency: urgency(*mildest),
        prior_decibans: prior.decibans(),
        next_steps: next_steps.iter().cloned().map(advice).collect(),
        care: care.iter().cloned().map(advice).collect(),
        watch_for: watch_for.clone(),
        prior_words: prior_words.clone(),
        prior_sources: citations(plan, prior_sources),
    }
}

fn rule(plan: &Plan, rule: &Rule) -> proto::RuleDefinition {
    proto::RuleDefinition {
        id: rule.id.clone(),
        condition: plan.conditions[rule.condition].id.clone(),
        when: rule.when_text.clone(),
        because: rule.because.clone(),
        weight_if_true_decibans: rule.weight_if_true.decibans(),
        weight_if_false_decibans: rule.weight_if_false.decibans(),
        family: rule.family_name.clone(),
        grade: rule.grade.to_owned(),
        sources: citations(plan, &rule.sources),
        findings: plan.ids(&rule.findings),
        joint: rule.is_joint(),
    }
}

fn red_flag(plan: &Plan, flag: &RedFlag) -> proto::RedFlagDefinition {
    proto::RedFlagDefinition {
        id: flag.id.clone(),
        name: flag.name.clone(),
        floor: urgency(flag.floor),
        while_unknown: flag.while_unknown.map_or(proto::Urgency::Unspecified.into(), urgency),
        because: flag.because.clone(),
        action: flag.action.clone(),
        given: flag.given_text.clone(),
        sign: flag.sign_text.clone(),
        unless: flag.unless_text.clone(),
        sources: citations(plan, &flag.sources),
    }
}
