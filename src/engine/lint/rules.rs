//! Rules and red flags that cannot do what they are written for.
//!
//! Owns what can never be true or never be decided, what says the same twice or the opposite, and families of one.

use super::super::check::Checked;
use super::super::check::evidence::{CheckedCondition, CheckedEvidence};
use super::super::check::expr::Expr;
use super::super::check::vocabulary::CheckedTell;
use super::super::diagnostic::{Code, Diagnostic};
use super::super::doc::EvidenceDoc;
use super::super::parse::tree::At;
use super::super::plan::{Plan, Test};
use super::super::vocabulary::FindingIndex;
use super::super::weight::Weight;
use super::logic::{Logic, findings_of};
use std::collections::{BTreeMap, BTreeSet};

/// All of them.
pub fn check(checked: &Checked<'_>, plan: &Plan, found: &mut Vec<Diagnostic>) {
    let logic = Logic::new(checked);
    constants(checked, &logic, found);
    undecidable(checked, found);
    checked.conditions.iter().for_each(|condition| pairs(condition, found));
    parts_that_count(checked, plan, &logic, found);
    lone_families(checked, found);
}

/// Expressions that are the same for every patient.
fn constants(checked: &Checked<'_>, logic: &Logic<'_>, found: &mut Vec<Diagnostic>) {
    for (_, at, expr) in &checked.definitions {
        constant(logic, expr, at.key("when"), found);
    }
    for (item, tell) in checked.doc.derived.iter().zip(&checked.tells[checked.relations..]) {
        // `{ finding: weeks_of_pregnancy, at_least: 1 }` is true of every number there can be: it asks whether one was told.
        let before = found.len();
        constant(logic, &tell.when, checked.doc.at(item).key("when"), found);
        let mut number = 0;
        found.retain(|warning| {
            number += 1;
            number <= before || warning.code != Code::AlwaysTrue
        });
    }
    let mut seen = BTreeSet::new();
    for rule in checked.conditions.iter().flat_map(|condition| &condition.evidence) {
        // A set is included by several conditions, and its rules are told once.
        if seen.insert(std::ptr::from_ref(rule.doc)) {
            constant(logic, &rule.when, rule.at.key("when"), found);
        }
    }
    for flag in &checked.red_flags {
        let given_at = flag.at.key(if flag.given_may_be_unknown { "given_or_unknown" } else { "given" });
        let parts = [
            (flag.given.as_ref(), given_at),
            (Some(&flag.sign), flag.at.key("sign")),
            (flag.unless.as_ref(), flag.at.key("unless")),
        ];
        let before = found.len();
        for (expr, at) in parts {
            if let Some(expr) = expr {
                constant(logic, expr, at, found);
            }
        }
        let Some(given) = flag.given.as_ref().filter(|_| found.len() == before) else { continue };
        let both = Expr::All(vec![given.clone(), flag.sign.clone()]);
        if logic.possible(&both, true) == Some(false)
            && [given, &flag.sign].into_iter().all(|expr| logic.possible(expr, true) == Some(true))
        {
            let message = format!("the red flag `{}` can never fire: its sign excludes what it is given", flag.doc.id);
            found.push(
                Diagnostic::warning(Code::NeverTrue, Some(flag.at.key("sign").place()), message)
                    .help("correct one of the two, so that a patient can have both")
                    .related(Some(given_at.place()), "what it is given"),
            );
        }
    }
}

fn constant(logic: &Logic<'_>, expr: &Expr, at: At<'_>, found: &mut Vec<Diagnostic>) {
    // A definition is told where it stands, and not wherever it is used.
    if matches!(expr, Expr::Named(..)) {
        return;
    }
    let Some(value) = logic.constant(expr) else {
        inside(expr, at).into_iter().for_each(|(item, at)| constant(logic, item, at, found));
        return;
    };
    let Some((at, value)) = culprit(logic, expr, at, value) else { return };
    let (code, message, help) = if value {
        (Code::AlwaysTrue, "this is always true", "it says nothing about the patient: correct it, or leave it out")
    } else {
        let help = "no patient has all of this: look for limits that exclude each other, or for a finding that must \
                    be there and not there";
        (Code::NeverTrue, "this can never be true", help)
    };
    found.push(Diagnostic::warning(code, Some(at.place()), message).help(help));
}

/// The innermost part that makes the whole what it is, and its value; `None` when that is a definition.
fn culprit<'a>(logic: &Logic<'_>, expr: &Expr, at: At<'a>, value: bool) -> Option<(At<'a>, bool)> {
    let decides = match expr {
        Expr::Named(..) => return None,
        Expr::All(_) if !value => Some(false),
        Expr::Any(_) if value => Some(true),
        Expr::Not(_) => Some(!value),
        _ => None,
    };
    if let Some(decides) = decides {
        let guilty = inside(expr, at).into_iter().find(|(item, _)| logic.constant(item) == Some(decides));
        if let Some((item, at)) = guilty {
            return culprit(logic, item, at, decides);
        }
    }
    Some((at, value))
}

/// The parts of an expression, each with its place.
fn inside<'e, 'a>(expr: &'e Expr, at: At<'a>) -> Vec<(&'e Expr, At<'a>)> {
    let (items, list) = match expr {
        Expr::Test(..) | Expr::Named(..) => return Vec::new(),
        Expr::Not(inner) => return vec![(&**inner, at.key("not"))],
        Expr::All(items) => (items, "all"),
        Expr::Any(items) => (items, "any"),
        Expr::AtLeast(_, items) => (items, "of"),
    };
    let place = |(i, item): (usize, &'e Expr)| {
        let own = match item {
            Expr::Test(_, Test::Below(_)) => "below",
            Expr::Test(_, Test::AtMost(_)) => "at_most",
            Expr::Test(_, Test::AtLeast(_)) => "at_least",
            Expr::Test(_, Test::Above(_)) => "above",
            _ => "is_one_of",
        };
        // Several comparisons of one finding are written in one mapping, with a key for each.
        (item, if at.has("finding") { at.key(own).index(i) } else { at.key(list).index(i) })
    };
    items.iter().enumerate().map(place).collect()
}

/// Rules and red flags that look at nothing anybody is asked.
fn undecidable(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    let known = tellable(checked);
    let mut seen = BTreeSet::new();
    for rule in checked.conditions.iter().flat_map(|condition| &condition.evidence) {
        let speaks = |weight: Weight, value| weight != Weight::ZERO && can_become(&rule.when, value, &known);
        if speaks(rule.if_true, true) || speaks(rule.if_false, false) || !seen.insert(std::ptr::from_ref(rule.doc)) {
            continue;
        }
        let message = format!("the rule `{}` can never count: nobody is asked for what it looks at", rule.doc.id);
        found.push(
            Diagnostic::warning(Code::NeverDecides, Some(rule.at.key("when").place()), message)
                .help("give its findings an `ask`, put them into a box, or derive them"),
        );
    }
    for flag in &checked.red_flags {
        let parts = [flag.given.as_ref(), Some(&flag.sign)];
        if parts.into_iter().flatten().all(|expr| can_become(expr, true, &known)) {
            continue;
        }
        let message = format!("the red flag `{}` can never fire: nobody is asked for its signs", flag.doc.id);
        found.push(
            Diagnostic::warning(Code::NeverDecides, Some(flag.at.key("sign").place()), message)
                .help("give its findings an `ask`, put them into a box, or derive them"),
        );
    }
}

/// The findings that an interview can come to know.
fn tellable(checked: &Checked<'_>) -> BTreeSet<FindingIndex> {
    let mut known: BTreeSet<FindingIndex> = checked.boxes.iter().flat_map(|(_, members)| members).copied().collect();
    for (i, finding) in checked.vocabulary.findings().iter().enumerate() {
        if !finding.ask.is_empty() || matches!(finding.id.as_str(), "age" | "sex") {
            known.insert(FindingIndex(i));
        }
    }
    loop {
        let before = known.len();
        let fires = |tell: &&CheckedTell| can_become(&tell.when, true, &known);
        let told: Vec<FindingIndex> = checked
            .tells
            .iter()
            .filter(fires)
            .flat_map(|tell| tell.present.iter().chain(&tell.absent))
            .copied()
            .collect();
        known.extend(told);
        if known.len() == before {
            return known;
        }
    }
}

/// Whether an expression can come to have a value when only some findings can be told.
fn can_become(expr: &Expr, value: bool, known: &BTreeSet<FindingIndex>) -> bool {
    let count = |items: &[Expr]| items.iter().filter(|item| can_become(item, value, known)).count();
    match expr {
        Expr::Test(finding, _) => known.contains(finding),
        Expr::Not(inner) => can_become(inner, !value, known),
        Expr::Named(_, inner) => can_become(inner, value, known),
        Expr::All(items) => count(items) >= if value { items.len() } else { 1 },
        Expr::Any(items) => count(items) >= if value { 1 } else { items.len() },
        Expr::AtLeast(k, items) => count(items) >= if value { *k } else { items.len() + 1 - k },
    }
}

/// The pull of a rule when its expression is true and when it is false: -1, 0 or 1.
type Pull = [i32; 2];

/// Rules of one condition that look at the same thing.
fn pairs(condition: &CheckedCondition<'_>, found: &mut Vec<Diagnostic>) {
    let mut known: BTreeMap<Expr, Vec<(&CheckedEvidence<'_>, Pull)>> = BTreeMap::new();
    for rule in &condition.evidence {
        let (expr, turned) = normal(&rule.when);
        let mut pull = [rule.if_true.0.signum(), rule.if_false.0.signum()];
        if turned {
            pull.reverse();
        }
        let like = known.entry(expr).or_default();
        // The first that it clashes with is enough.
        let clash = like.iter().find_map(|(other, other_pull)| pair(rule, pull, other, *other_pull));
        found.extend(clash);
        like.push((rule, pull));
    }
}

fn pair(rule: &CheckedEvidence<'_>, pull: Pull, other: &CheckedEvidence<'_>, other_pull: Pull) -> Option<Diagnostic> {
    let (own, first) = (&rule.doc.id, &other.doc.id);
    let same = (0..2).any(|side| pull[side] * other_pull[side] > 0);
    let against = (0..2).any(|side| pull[side] * other_pull[side] < 0);
    let both_ways = pull[0] * other_pull[1] > 0 || pull[1] * other_pull[0] > 0;
    let (code, message, help) = if against {
        let message = format!("`{own}` and `{first}` let the same evidence pull both ways");
        (Code::ContradictoryRules, message, "keep the one that is meant")
    } else if same {
        let message = format!("`{own}` says the same as `{first}`");
        (Code::DuplicateRule, message, "keep the better reason; only one of the two would count")
    } else if both_ways {
        let message = format!("`{own}` and `{first}` pull the same way, one when it is so and one when it is not");
        (Code::ContradictoryRules, message, "evidence that supports when present argues against when absent")
    } else {
        return None;
    };
    let problem = Diagnostic::warning(code, Some(rule.at.key("when").place()), message).help(help);
    Some(problem.related(Some(other.at.key("when").place()), format!("`{first}` looks at it here")))
}

/// The same expression without names, with items in one order; true when it is the opposite of the given one.
fn normal(expr: &Expr) -> (Expr, bool) {
    let list = |items: &[Expr]| {
        let mut items: Vec<Expr> = items.iter().map(whole).collect();
        items.sort();
        items
    };
    match expr {
        Expr::Named(_, inner) => normal(inner),
        Expr::Not(inner) => {
            let (inner, turned) = normal(inner);
            (inner, !turned)
        }
        Expr::Test(..) => (expr.clone(), false),
        Expr::All(items) => (Expr::All(list(items)), false),
        Expr::Any(items) => (Expr::Any(list(items)), false),
        Expr::AtLeast(count, items) => (Expr::AtLeast(*count, list(items)), false),
    }
}

fn whole(expr: &Expr) -> Expr {
    let (expr, turned) = normal(expr);
    if turned { Expr::Not(Box::new(expr)) } else { expr }
}

/// Joint rules, by where they are written, with the parts that count beside them in any condition.
type Joints<'c, 'a> =
    BTreeMap<*const EvidenceDoc, (&'c CheckedEvidence<'a>, BTreeMap<&'c str, &'c CheckedEvidence<'a>>)>;

/// Rules that look at nothing but the findings of a joint rule, and pull the same way beside it.
fn parts<'c, 'a>(condition: &'c CheckedCondition<'a>, plan: &Plan, logic: &Logic<'_>, joints: &mut Joints<'c, 'a>) {
    let Some(place) = plan.condition(&condition.doc.id) else { return };
    let rules = &plan.rules[plan.conditions[place].rules.clone()];
    let written = |id: &str| {
        let own = id.split_once('.').map_or(id, |(_, own)| own);
        condition.evidence.iter().find(|rule| rule.doc.id == own)
    };
    for joint in rules.iter().filter(|rule| rule.is_joint()) {
        let Some(joint_rule) = written(&joint.id) else { continue };
        let replaced = |family: &str| {
            let named = |own: &str| joint_rule.doc.stands_for.iter().any(|part| part == own);
            rules
                .iter()
                .any(|rule| rule.family_name == family && rule.id.split_once('.').is_some_and(|(_, own)| named(own)))
        };
        let counting = rules
            .iter()
            .filter(|rule| !rule.is_joint() && !replaced(&rule.family_name))
            .filter(|rule| rule.findings.iter().all(|finding| joint.findings.contains(finding)))
            .filter_map(|rule| written(&rule.id))
            .filter(|part| counts_beside(joint_rule, part, logic))
            .map(|part| (part.doc.id.as_str(), part));
        let known = joints.entry(std::ptr::from_ref(joint_rule.doc)).or_insert_with(|| (joint_rule, BTreeMap::new()));
        known.1.extend(counting);
    }
}

fn parts_that_count(checked: &Checked<'_>, plan: &Plan, logic: &Logic<'_>, found: &mut Vec<Diagnostic>) {
    let mut joints = Joints::new();
    checked.conditions.iter().for_each(|condition| parts(condition, plan, logic, &mut joints));
    for (joint, parts) in joints.values() {
        let Some(first) = parts.values().next() else { continue };
        let ids: Vec<String> = parts.keys().map(|id| format!("`{id}`")).collect();
        let help =
            format!("add {} to `stands_for`, unless they say something that the joint rule does not", ids.join(", "));
        let message = format!("parts of the joint rule `{}` still count", joint.doc.id);
        found.push(
            Diagnostic::warning(Code::PartStillCounts, Some(joint.at.key("stands_for").place()), message)
                .help(help)
                .related(Some(first.at.key("id").place()), "this looks only at findings of the joint rule"),
        );
    }
}

/// Whether a part can be heard together with its joint rule, in the same direction.
fn counts_beside(joint: &CheckedEvidence<'_>, part: &CheckedEvidence<'_>, logic: &Logic<'_>) -> bool {
    let together = |weight: Weight, expr: Expr| {
        weight.0.signum() * joint.if_true.0.signum() > 0
            && logic.possible(&Expr::All(vec![joint.when.clone(), expr]), true) == Some(true)
    };
    together(part.if_true, part.when.clone()) || together(part.if_false, Expr::Not(Box::new(part.when.clone())))
}

/// Families that one rule names for itself alone, wherever it is included, and that keep it apart from no other rule.
fn lone_families(checked: &Checked<'_>, found: &mut Vec<Diagnostic>) {
    let mut lone: BTreeMap<*const EvidenceDoc, (&CheckedEvidence<'_>, bool)> = BTreeMap::new();
    for condition in &checked.conditions {
        let single: Vec<&CheckedEvidence<'_>> =
            condition.evidence.iter().filter(|rule| rule.doc.stands_for.is_empty()).collect();
        let mut members: BTreeMap<&str, usize> = BTreeMap::new();
        for family in single.iter().flat_map(|rule| families(checked, rule)) {
            *members.entry(family).or_default() += 1;
        }
        for &rule in &single {
            let Some(family) = rule.doc.family.as_deref() else { continue };
            // Naming the family that the findings have anyway changes nothing and joins nobody.
            let own = families_of_findings(checked, rule);
            if own.iter().any(|&of_a_finding| of_a_finding != family) {
                let kept_apart = |other: &&CheckedEvidence<'_>| !families(checked, other).is_disjoint(&own);
                let mut others = single.iter().filter(|other| !std::ptr::eq(**other, rule));
                let alone = members.get(family) == Some(&1) && !others.any(kept_apart);
                lone.entry(std::ptr::from_ref(rule.doc)).or_insert((rule, true)).1 &= alone;
            }
        }
    }
    for (rule, _) in lone.values().filter(|(_, alone)| *alone) {
        let family = rule.doc.family.as_deref().unwrap_or_default();
        let message = format!("`{}` is the only rule of its family `{family}`", rule.doc.id);
        found.push(
            Diagnostic::warning(Code::LoneFamily, Some(rule.at.key("family").place()), message)
                .help("leave `family` out, or name the same family in the rules that say the same thing"),
        );
    }
}

/// The families that a rule belongs to: the one it names, else those of its findings.
fn families<'c>(checked: &'c Checked<'_>, rule: &'c CheckedEvidence<'_>) -> BTreeSet<&'c str> {
    match &rule.doc.family {
        Some(family) => BTreeSet::from([family.as_str()]),
        None => families_of_findings(checked, rule),
    }
}

fn families_of_findings<'c>(checked: &'c Checked<'_>, rule: &CheckedEvidence<'_>) -> BTreeSet<&'c str> {
    findings_of(&rule.when).into_iter().map(|finding| checked.vocabulary.get(finding).family.as_str()).collect()
}
