//! Conditions, their evidence and red flags.
//!
//! Owns the checks of weights, joint rules, parents and red flags.

use super::super::diagnostic::{Code, Diagnostic};
use super::super::doc::{ConditionDoc, EvidenceDoc, FrequencyWord, Grade, PackDoc, PriorDoc, RedFlagDoc};
use super::super::parse::tree::At;
use super::super::parse::{Doc, Item};
use super::super::suggest;
use super::super::vocabulary::FindingIndex;
use super::super::weight::Weight;
use super::expr::{Expr, Resolver};
use super::names::{Names, check_id};
use super::vocabulary::check_coding;
use std::collections::{BTreeMap, BTreeSet};

/// The range to which probabilities are held, so that no single answer excludes a condition.
const PROBABILITY: std::ops::RangeInclusive<f64> = 0.01..=0.99;

/// A condition with everything in it resolved, but for sources, which stay ids.
#[derive(Debug)]
pub struct CheckedCondition<'a> {
    pub doc: &'a ConditionDoc,
    pub at: At<'a>,
    pub prior: Weight,
    pub prior_words: String,
    pub evidence: Vec<CheckedEvidence<'a>>,
}

/// One piece of evidence.
#[derive(Debug, Clone)]
pub struct CheckedEvidence<'a> {
    pub doc: &'a EvidenceDoc,
    /// Where it is written, which may be in an evidence set.
    pub at: At<'a>,
    pub when: Expr,
    pub if_true: Weight,
    pub if_false: Weight,
    /// P(finding | something else), where given.
    pub without: Option<f64>,
}

/// A red flag.
#[derive(Debug)]
pub struct CheckedRedFlag<'a> {
    pub doc: &'a RedFlagDoc,
    pub at: At<'a>,
    pub given: Option<Expr>,
    pub given_may_be_unknown: bool,
    pub sign: Expr,
    pub unless: Option<Expr>,
}

/// Reports sources that are not declared.
pub fn check_sources(ids: &[String], at: At<'_>, names: &Names, found: &mut Vec<Diagnostic>) {
    for (i, id) in ids.iter().enumerate() {
        if !names.has("sources", id) {
            found.push(
                names.unknown(Code::UnknownSource, "source", id, &["sources"], at.index(i).place()).maybe_help(None),
            );
        }
    }
}

/// Resolves all evidence sets, each once.
pub fn evidence_sets<'a>(
    doc: &'a Doc,
    names: &Names,
    resolver: &mut Resolver<'a, '_>,
) -> BTreeMap<&'a str, Vec<CheckedEvidence<'a>>> {
    doc.evidence_sets
        .iter()
        .map(|item| {
            let at = doc.at(item).key("evidence");
            let list = item
                .doc
                .evidence
                .iter()
                .enumerate()
                .filter_map(|(i, rule)| evidence(rule, at.index(i), names, resolver))
                .collect();
            (item.doc.id.as_str(), list)
        })
        .collect()
}

fn evidence<'a>(
    rule: &'a EvidenceDoc,
    at: At<'a>,
    names: &Names,
    resolver: &mut Resolver<'a, '_>,
) -> Option<CheckedEvidence<'a>> {
    check_id(&rule.id, &at.key("id").place(), &mut resolver.found);
    check_sources(&rule.sources, at.key("sources"), names, &mut resolver.found);
    graded(rule, at, &mut resolver.found);
    let weights = weights(rule, at, &mut resolver.found);
    let when = resolver.expr(&rule.when, at.key("when"));
    let (if_true, if_false, without) = weights?;
    Some(CheckedEvidence { doc: rule, at, when: when?, if_true, if_false, without })
}

/// A number that somebody published, or counted, stands somewhere.
fn graded(rule: &EvidenceDoc, at: At<'_>, found: &mut Vec<Diagnostic>) {
    let word = match rule.grade {
        Grade::Published => "published",
        Grade::Calculated => "calculated",
        Grade::Judgement => return,
    };
    if rule.sources.is_empty() {
        let message = format!("a weight that is `{word}` needs its source");
        found.push(
            Diagnostic::error(Code::GradeWithoutSource, Some(at.key("grade").place()), message)
                .help("name it under `sources`, or write `grade: judgement`"),
        );
    }
}

/// The weights when True and when False, from whichever of the four ways the author chose.
fn weights(rule: &EvidenceDoc, at: At<'_>, found: &mut Vec<Diagnostic>) -> Option<(Weight, Weight, Option<f64>)> {
    let ways = [
        rule.supports.is_some(),
        rule.argues_against.is_some(),
        rule.likelihood_ratio.is_some() || rule.likelihood_ratio_if_absent.is_some(),
        rule.probability.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() != 1 {
        let message = "evidence needs exactly one of `supports`, `argues_against`, `likelihood_ratio` or `probability`";
        let help = "`supports: strong`, `moderate` or `weak` where no number is published";
        found.push(Diagnostic::error(Code::OneOf, Some(at.place()), message).help(help));
        return None;
    }
    if let Some(strength) = rule.supports {
        return Some((strength.weight(), Weight::ZERO, None));
    }
    if let Some(strength) = rule.argues_against {
        return Some((strength.weight().negate(), Weight::ZERO, None));
    }
    if let Some(probability) = rule.probability {
        let (with, without) = (probability.with, probability.without);
        for (key, value) in [("with", with), ("without", without)] {
            if !PROBABILITY.contains(&value) {
                let message = format!("`{key}` must lie between 0.01 and 0.99");
                let help = "no single answer may exclude a condition: use 0.01 for never and 0.99 for always";
                found.push(
                    Diagnostic::error(Code::Weight, Some(at.key("probability").key(key).place()), message).help(help),
                );
                return None;
            }
        }
        return Some((
            Weight::from_ratio(with / without),
            Weight::from_ratio((1.0 - with) / (1.0 - without)),
            Some(without),
        ));
    }
    let mut ratios = [Weight::ZERO; 2];
    for (slot, key, value) in [
        (0, "likelihood_ratio", rule.likelihood_ratio),
        (1, "likelihood_ratio_if_absent", rule.likelihood_ratio_if_absent),
    ] {
        let Some(value) = value else { continue };
        if !(0.001..=1000.0).contains(&value) {
            let message = format!("`{key}` must lie between 0.001 and 1000");
            found.push(
                Diagnostic::error(Code::Weight, Some(at.key(key).place()), message)
                    .help("above 1 it supports, below 1 it argues against"),
            );
            return None;
        }
        ratios[slot] = Weight::from_ratio(value);
    }
    if let (Some(present), Some(absent)) = (rule.likelihood_ratio, rule.likelihood_ratio_if_absent)
        && (present - 1.0) * (absent - 1.0) > 0.0
    {
        let message = "the two likelihood ratios cannot both hold";
        let help = "when presence supports a condition, absence must argue against it: one above 1, the other below";
        found.push(
            Diagnostic::error(Code::Weight, Some(at.key("likelihood_ratio_if_absent").place()), message).help(help),
        );
        return None;
    }
    Some((ratios[0], ratios[1], None))
}

/// Checks one condition.
pub fn condition<'a>(
    doc: &'a Doc,
    item: &'a Item<ConditionDoc>,
    pack: Option<&PackDoc>,
    sets: &BTreeMap<&'a str, Vec<CheckedEvidence<'a>>>,
    names: &Names,
    resolver: &mut Resolver<'a, '_>,
) -> CheckedCondition<'a> {
    let at = doc.at(item);
    let mut list = Vec::new();
    for (i, id) in item.doc.include.iter().enumerate() {
        match sets.get(id.as_str()) {
            Some(set) => list.extend(set.iter().cloned()),
            None if names.has("evidence_sets", id) => {}
            None => resolver.found.push(names.unknown(
                Code::UnknownSet,
                "evidence set",
                id,
                &["evidence_sets"],
                at.key("include").index(i).place(),
            )),
        }
    }
    for (i, rule) in item.doc.evidence.iter().enumerate() {
        list.extend(evidence(rule, at.key("evidence").index(i), names, resolver));
    }
    let found = &mut resolver.found;
    unique_rules(&item.doc, at, &list, found);
    joint_rules(&item.doc, at, &list, found);
    if let Some(parent) = &item.doc.part_of
        && !names.has("conditions", parent)
    {
        found.push(names.unknown(
            Code::UnknownCondition,
            "condition",
            parent,
            &["conditions"],
            at.key("part_of").place(),
        ));
    }
    for (i, coding) in item.doc.codings.iter().enumerate() {
        check_coding(coding, at.key("codings").index(i), found);
    }
    check_sources(&item.doc.prior_sources, at.key("prior_sources"), names, found);
    for (key, list) in [("next_steps", &item.doc.next_steps), ("care", &item.doc.care)] {
        for (i, advice) in list.iter().enumerate() {
            check_sources(&advice.sources, at.key(key).index(i).key("sources"), names, found);
        }
    }
    let (prior, prior_words) = prior(item.doc.prior, pack, at, found);
    CheckedCondition { doc: &item.doc, at, prior, prior_words, evidence: list }
}

fn prior(prior: PriorDoc, pack: Option<&PackDoc>, at: At<'_>, found: &mut Vec<Diagnostic>) -> (Weight, String) {
    let (odds, words) = match prior {
        PriorDoc::Odds(odds) => (odds, "odds given by the pack".to_owned()),
        PriorDoc::Word(word) => {
            let Some(frequencies) = pack.map(|pack| &pack.frequencies) else { return (Weight::ZERO, String::new()) };
            match word {
                FrequencyWord::VeryCommon => (frequencies.very_common, "very common".to_owned()),
                FrequencyWord::Common => (frequencies.common, "common".to_owned()),
                FrequencyWord::Uncommon => (frequencies.uncommon, "uncommon".to_owned()),
                FrequencyWord::Rare => (frequencies.rare, "rare".to_owned()),
                FrequencyWord::VeryRare => (frequencies.very_rare, "very rare".to_owned()),
            }
        }
    };
    if !(1e-6..=1e3).contains(&odds) {
        let message = "a prior is odds against something else, between 0.000001 and 1000";
        found.push(
            Diagnostic::error(Code::Weight, Some(at.key("prior").place()), message)
                .help("or write `very_common`, `common`, `uncommon`, `rare` or `very_rare`"),
        );
        return (Weight::ZERO, words);
    }
    (Weight::from_ratio(odds), words)
}

fn unique_rules(condition: &ConditionDoc, at: At<'_>, list: &[CheckedEvidence<'_>], found: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    for rule in list {
        if !seen.insert(&rule.doc.id) {
            let place = condition.evidence.iter().rposition(|own| own.id == rule.doc.id);
            let place = place.map_or(at.key("include"), |i| at.key("evidence").index(i).key("id"));
            let message = format!("the rule `{}` is in `{}` twice", rule.doc.id, condition.id);
            found.push(
                Diagnostic::error(Code::DuplicateId, Some(place.place()), message)
                    .help("give one of the two another id, evidence sets included"),
            );
        }
    }
    if seen.contains(&"prior".to_owned()) {
        let message = "a rule cannot be called `prior`: that is the id of the prior itself";
        found
            .push(Diagnostic::error(Code::BadId, Some(at.key("evidence").place()), message).help("give it another id"));
    }
}

fn joint_rules(condition: &ConditionDoc, at: At<'_>, list: &[CheckedEvidence<'_>], found: &mut Vec<Diagnostic>) {
    for joint in list.iter().filter(|rule| !rule.doc.stands_for.is_empty()) {
        let own = condition.evidence.iter().position(|rule| rule.id == joint.doc.id);
        let at = own.map_or(at.key("include"), |i| at.key("evidence").index(i).key("stands_for"));
        let mut looks_at = Vec::new();
        joint.when.findings(&mut looks_at);
        for (i, part_id) in joint.doc.stands_for.iter().enumerate() {
            let place = at.index(i).place();
            let Some(part) = list.iter().find(|rule| rule.doc.id == *part_id) else {
                let ids: Vec<&str> = list.iter().map(|rule| rule.doc.id.as_str()).collect();
                let message = format!("`{}` has no rule `{part_id}`", condition.id);
                found.push(
                    Diagnostic::error(Code::UnknownRule, Some(place), message)
                        .maybe_help(suggest::did_you_mean(part_id, ids)),
                );
                continue;
            };
            let mut part_looks_at: Vec<FindingIndex> = Vec::new();
            part.when.findings(&mut part_looks_at);
            let shared = part_looks_at.iter().any(|finding| looks_at.contains(finding));
            if part.doc.id == joint.doc.id || !part.doc.stands_for.is_empty() || !shared {
                let message = format!("`{}` cannot stand for `{part_id}`", joint.doc.id);
                let help = "a joint rule stands for single rules that look at one of its own findings";
                found.push(Diagnostic::error(Code::Joint, Some(place), message).help(help));
            }
        }
        if joint.if_false != Weight::ZERO {
            let message = "a joint rule speaks only when it is true";
            found.push(
                Diagnostic::error(Code::Joint, Some(at.place()), message)
                    .help("give it `supports`, `argues_against` or `likelihood_ratio` alone"),
            );
        }
    }
}

/// Parents that lead back to themselves.
pub fn parent_cycles(doc: &Doc, found: &mut Vec<Diagnostic>) {
    let parents: BTreeMap<&str, &str> =
        doc.conditions.iter().filter_map(|item| Some((item.doc.id.as_str(), item.doc.part_of.as_deref()?))).collect();
    for item in &doc.conditions {
        let mut here = item.doc.id.as_str();
        for _ in 0..=parents.len() {
            match parents.get(here) {
                None => break,
                Some(parent) if *parent == item.doc.id => {
                    let message = format!("`{}` is part of itself", item.doc.id);
                    found.push(
                        Diagnostic::error(Code::Cycle, Some(doc.at(item).key("part_of").place()), message)
                            .help("leave `part_of` out of one of the circle"),
                    );
                    break;
                }
                Some(parent) => here = parent,
            }
        }
    }
}

/// Checks one red flag.
pub fn red_flag<'a>(
    doc: &'a Doc,
    item: &'a Item<RedFlagDoc>,
    names: &Names,
    resolver: &mut Resolver<'a, '_>,
) -> Option<CheckedRedFlag<'a>> {
    let (flag, at) = (&item.doc, doc.at(item));
    check_sources(&flag.sources, at.key("sources"), names, &mut resolver.found);
    if flag.given.is_some() && flag.given_or_unknown.is_some() {
        let message = "a red flag has `given` or `given_or_unknown`, not both";
        resolver.found.push(
            Diagnostic::error(Code::OneOf, Some(at.key_itself("given_or_unknown").place()), message)
                .help("keep the one that is meant"),
        );
    }
    let mut problem = |key: &str, message: &str, help: &str| {
        resolver.found.push(Diagnostic::error(Code::RedFlag, Some(at.key(key).place()), message).help(help));
    };
    if let Some(precaution) = flag.while_unknown {
        if precaution > flag.floor {
            problem(
                "while_unknown",
                "the precaution is above the red flag's own floor",
                "an answer must not lower the urgency by firing the flag: raise `floor`, or lower `while_unknown`",
            );
        }
        if flag.given.is_none() && flag.given_or_unknown.is_none() {
            problem(
                "while_unknown",
                "a precaution needs `given`, which says when it is live",
                "without it the precaution would hold for everybody",
            );
        }
    }
    if flag.floor == super::super::urgency::Urgency::SelfCare {
        problem("floor", "a floor of self-care raises nothing", "write `routine` or more");
    }
    let given_doc = flag
        .given
        .as_ref()
        .map(|given| (given, "given"))
        .or(flag.given_or_unknown.as_ref().map(|given| (given, "given_or_unknown")));
    let given = given_doc.map(|(given, key)| resolver.expr(given, at.key(key)));
    let sign = resolver.expr(&flag.sign, at.key("sign"));
    let unless = flag.unless.as_ref().map(|unless| resolver.expr(unless, at.key("unless")));
    Some(CheckedRedFlag {
        doc: flag,
        at,
        given: match given {
            None => None,
            Some(given) => Some(given?),
        },
        given_may_be_unknown: flag.given_or_unknown.is_some(),
        sign: sign?,
        unless: match unless {
            None => None,
            Some(unless) => Some(unless?),
        },
    })
}
