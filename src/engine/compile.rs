//! Lowering: a checked pack to a plan of dense ids, shared atoms and nodes.
//!
//! Owns the construction of [`Plan`], and cannot fail. Everything is sorted by id, so that the order of files and
//! items leaves no trace. Nothing here costs more than the size of the pack times a logarithm.

mod family;
mod index;
mod reach;

use super::answer::{Advice, Citation, SafetyNet};
use super::check::Checked;
use super::check::evidence::{CheckedCondition, CheckedEvidence};
use super::check::expr::Expr;
use super::doc::{AdviceDoc, Grade, Pick, ReviewStatus};
use super::plan::program::{Literal, Program, Step, Table, Words, to_u32};
use super::plan::{
    Alarm, Ask, Atom, Condition, Header, Headline, Plan, QuestionBox, RedFlag, Rule, Speaker, Tell, Test,
};
use super::vocabulary::{FindingIndex, Kind, Vocabulary};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// Builds the plan of a checked pack.
#[must_use]
pub fn compile(checked: &Checked<'_>) -> Plan {
    let mut sources: Vec<Citation> = checked
        .doc
        .sources
        .iter()
        .map(|item| Citation { id: item.doc.id.clone(), title: item.doc.title.clone(), url: item.doc.url.clone() })
        .collect();
    sources.sort_by(|a, b| a.id.cmp(&b.id));
    let mut boxes: Vec<QuestionBox> =
        checked.boxes.iter().map(|(doc, findings)| question_box(doc, findings, &checked.vocabulary)).collect();
    boxes.sort_by(|a, b| a.id.cmp(&b.id));
    let mut lowering = Lowering::new(checked, &sources);
    let tells = lowering.tells(checked);
    let conditions = lowering.conditions(checked);
    let (red_flags, alarms): (Vec<RedFlag>, Vec<Alarm>) = lowering.red_flags(checked).into_iter().unzip();
    let Lowering { used, atoms, words, rules, speakers, programs, .. } = lowering;
    let screen: Vec<Ask> = checked.pack.screen.iter().filter_map(|id| ask(id, &boxes, &checked.vocabulary)).collect();
    let index = index::index(index::Parts {
        words,
        speakers,
        programs,
        tells,
        atoms: &atoms,
        vocabulary: &checked.vocabulary,
        conditions: &conditions,
        rules: &rules,
        red_flags: &red_flags,
        alarms,
        boxes: &boxes,
        screen: &screen,
    });
    Plan {
        header: header(checked),
        screen,
        ask_when_contradicted: checked
            .pack
            .ask_when_contradicted
            .as_deref()
            .and_then(|id| checked.vocabulary.by_id(id)),
        ask_when_told: checked.pack.ask_when_told.iter().filter_map(|id| checked.vocabulary.by_id(id)).collect(),
        vocabulary: checked.vocabulary.clone(),
        sources,
        boxes,
        conditions,
        rules,
        red_flags,
        atoms,
        used,
        index,
    }
}

fn ask(id: &str, boxes: &[QuestionBox], vocabulary: &Vocabulary) -> Option<Ask> {
    let of_box = boxes.iter().position(|item| item.id == id).map(Ask::Box);
    of_box.or_else(|| vocabulary.by_id(id).map(Ask::Finding))
}

fn question_box(doc: &super::doc::BoxDoc, findings: &[FindingIndex], vocabulary: &Vocabulary) -> QuestionBox {
    let mut ids: Vec<&str> = findings.iter().map(|&finding| vocabulary.get(finding).id.as_str()).collect();
    ids.sort_unstable();
    let digest = Sha256::digest(format!("{}\n{}", doc.id, ids.join("\n")));
    let fingerprint = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    QuestionBox {
        id: doc.id.clone(),
        ask: doc.ask.clone(),
        help: doc.help.clone(),
        pick_one: doc.pick == Pick::One,
        findings: findings.to_vec(),
        fingerprint,
    }
}

fn header(checked: &Checked<'_>) -> Header {
    let pack = checked.pack;
    let mut headlines: [Headline; 5] = Default::default();
    for line in &pack.advice {
        let provisional = line.provisional.clone().unwrap_or_else(|| line.text.clone());
        headlines[line.urgency.index()] = Headline { text: line.text.clone(), provisional };
    }
    let mut safety_nets: [Option<SafetyNet>; 5] = Default::default();
    for net in &pack.safety_net {
        let (watch_for, act_within, reassess_after) =
            (net.watch_for.clone(), net.act_within.clone(), net.reassess_after.clone());
        safety_nets[net.urgency.index()] = Some(SafetyNet { watch_for, act_within, reassess_after });
    }
    let act_at = &pack.act_at;
    Header {
        id: pack.id.clone(),
        title: pack.title.clone(),
        version: pack.version.clone(),
        language: pack.language.clone(),
        jurisdiction: pack.jurisdiction.clone(),
        summary: pack.summary.clone(),
        review_status: match pack.review.status {
            ReviewStatus::Draft => "draft",
            ReviewStatus::SignedOff => "signed_off",
        },
        reviewed_by: pack.review.by.clone(),
        reviewed_on: pack.review.on.clone(),
        insufficient_urgency: pack.insufficient_urgency,
        act_at: [None, act_at.routine, Some(act_at.prompt), Some(act_at.urgent), Some(act_at.emergency)],
        headlines,
        safety_nets,
    }
}

struct Lowering<'a> {
    vocabulary: &'a Vocabulary,
    citations: &'a [Citation],
    sources: BTreeMap<&'a str, usize>,
    atoms: Vec<Atom>,
    atom_of: BTreeMap<Atom, usize>,
    words: Words,
    rules: Vec<Rule>,
    speakers: Vec<Speaker>,
    programs: Vec<Program>,
    used: Vec<bool>,
    patient: Vec<FindingIndex>,
}

impl<'a> Lowering<'a> {
    fn new(checked: &'a Checked<'_>, sources: &'a [Citation]) -> Self {
        let vocabulary = &checked.vocabulary;
        let mut atoms = BTreeSet::new();
        for (i, finding) in vocabulary.findings().iter().enumerate() {
            match &finding.kind {
                Kind::YesNo => drop(atoms.insert(Atom { finding: FindingIndex(i), test: Test::Present })),
                Kind::Number { .. } => {}
                kind => atoms.extend(
                    (0..kind.options().len())
                        .map(|option| Atom { finding: FindingIndex(i), test: Test::Option(option) }),
                ),
            }
        }
        for_each_expr(checked, |expr| collect_atoms(expr, &mut atoms));
        let atoms: Vec<Atom> = atoms.into_iter().collect();
        Self {
            vocabulary,
            citations: sources,
            sources: sources.iter().enumerate().map(|(i, source)| (source.id.as_str(), i)).collect(),
            atom_of: atoms.iter().enumerate().map(|(i, atom)| (*atom, i)).collect(),
            atoms,
            words: Words::default(),
            rules: Vec::new(),
            speakers: Vec::new(),
            programs: Vec::new(),
            used: vec![false; vocabulary.findings().len()],
            patient: ["age", "sex"].into_iter().filter_map(|id| vocabulary.by_id(id)).collect(),
        }
    }

    fn program(&mut self, expr: &Expr) -> Program {
        let start = self.words.end();
        self.lower(expr, true);
        start
    }

    /// Writes the steps of an expression, or of its opposite.
    fn lower(&mut self, expr: &Expr, as_is: bool) {
        let (items, wanted) = match expr {
            Expr::Named(_, inner) => return self.lower(inner, as_is),
            Expr::Not(inner) => return self.lower(inner, !as_is),
            Expr::Test(finding, test) => {
                self.used[finding.0] = true;
                let literal = self.literal(*finding, *test) + u32::from(!as_is);
                return self.words.push(Step::Literal(literal));
            }
            Expr::All(items) => (items, items.len()),
            Expr::Any(items) => (items, 1),
            Expr::AtLeast(wanted, items) => (items, *wanted),
        };
        let wanted = if as_is { wanted } else { items.len() - wanted + 1 };
        let of = to_u32(items.len());
        match wanted {
            _ if items.len() == 1 => {}
            1 => self.words.push(Step::Any(of)),
            _ if wanted == items.len() => self.words.push(Step::All(of)),
            _ => self.words.push(Step::AtLeast { wanted: to_u32(wanted), of }),
        }
        items.iter().for_each(|item| self.lower(item, as_is));
    }

    fn literal(&self, finding: FindingIndex, test: Test) -> Literal {
        to_u32(self.atom_of[&Atom { finding, test }] * 2)
    }

    fn tells(&mut self, checked: &Checked<'_>) -> Vec<Tell> {
        let mut tells: Vec<_> = checked.tells.iter().map(|tell| (&tell.when, &tell.present, &tell.absent)).collect();
        tells.sort();
        tells.dedup();
        tells
            .into_iter()
            .map(|(when, present, absent)| {
                let atoms = |findings: &[FindingIndex]| {
                    findings.iter().map(|&finding| self.literal(finding, Test::Present) / 2).collect()
                };
                let (present, absent) = (atoms(present), atoms(absent));
                Tell { when: self.program(when), present, absent }
            })
            .collect()
    }

    fn conditions(&mut self, checked: &Checked<'_>) -> Vec<Condition> {
        let mut order: Vec<&CheckedCondition<'_>> = checked.conditions.iter().collect();
        order.sort_by(|a, b| a.doc.id.cmp(&b.doc.id));
        let place_of = |id: &str| order.binary_search_by(|condition| condition.doc.id.as_str().cmp(id)).ok();
        let parents: Vec<Option<usize>> =
            order.iter().map(|condition| condition.doc.part_of.as_deref().and_then(place_of)).collect();
        order
            .iter()
            .enumerate()
            .map(|(place, condition)| {
                let start = self.rules.len();
                let families = self.rules(place, condition, checked);
                let doc = condition.doc;
                Condition {
                    id: doc.id.clone(),
                    name: doc.name.clone(),
                    summary: doc.summary.clone(),
                    urgency: doc.urgency,
                    part_of: parents[place],
                    codings: doc.codings.clone(),
                    next_steps: self.advice(&doc.next_steps),
                    care: self.advice(&doc.care),
                    watch_for: doc.watch_for.clone(),
                    prior: condition.prior,
                    prior_words: condition.prior_words.clone(),
                    prior_rule: format!("{}.prior", condition.doc.id),
                    prior_because: format!(
                        "Among people who ask about this complaint it is {}.",
                        condition.prior_words
                    ),
                    prior_sources: self.cited(&doc.prior_sources),
                    rules: start..self.rules.len(),
                    families,
                }
            })
            .collect()
    }

    /// Appends the rules of one condition and returns how many families they form.
    fn rules(&mut self, place: usize, condition: &CheckedCondition<'_>, checked: &Checked<'_>) -> usize {
        let mut list: Vec<&CheckedEvidence<'_>> = condition.evidence.iter().collect();
        list.sort_by(|a, b| a.doc.id.cmp(&b.doc.id));
        let findings: Vec<Vec<FindingIndex>> = list.iter().map(|rule| findings_of(&rule.when)).collect();
        let (family_of, names) = family::families(&list, &findings, self.vocabulary);
        for (i, (rule, findings)) in list.iter().zip(findings).enumerate() {
            let place_of = |part: &String| list.binary_search_by(|other| other.doc.id.cmp(part)).ok();
            let mut stands_for: Vec<u32> =
                rule.doc.stands_for.iter().filter_map(place_of).map(|part| to_u32(family_of[part])).collect();
            stands_for.sort_unstable();
            stands_for.dedup();
            let speaker = self.speaker(place, rule, &findings, family_of[i]);
            self.speakers.push(speaker);
            self.rules.push(Rule {
                id: format!("{}.{}", condition.doc.id, rule.doc.id),
                written: written(condition, rule, checked),
                condition: place,
                because: rule.doc.because.clone(),
                when_text: rule.when.words(self.vocabulary),
                sources: self.cited(&rule.doc.sources),
                grade: match rule.doc.grade {
                    Grade::Judgement => "judgement",
                    Grade::Published => "published",
                    Grade::Calculated => "calculated",
                },
                weight_if_true: rule.if_true,
                weight_if_false: rule.if_false,
                family_name: names[family_of[i]].clone(),
                without: rule.without,
                stands_for,
                findings,
            });
        }
        names.len()
    }

    fn speaker(
        &mut self,
        condition: usize,
        rule: &CheckedEvidence<'_>,
        findings: &[FindingIndex],
        family: usize,
    ) -> Speaker {
        let choice = match rule.when.bare() {
            Expr::Test(finding, Test::Option(_)) => NonZeroU32::new(to_u32(finding.0 + 1)),
            _ => None,
        };
        let program = self.program(&rule.when);
        let table = Table::new(&self.words, program);
        self.programs.push(program);
        Speaker {
            table: table.unwrap_or_default(),
            has_table: table.is_some(),
            is_bare: table.is_some_and(|table| table.literals.iter().all(|literal| *literal == table.literals[0])),
            condition: to_u32(condition),
            if_true: rule.if_true,
            if_false: rule.if_false,
            family: to_u32(family),
            choice,
            is_joint: !rule.doc.stands_for.is_empty(),
            demographic: findings.iter().all(|finding| self.patient.contains(finding)),
        }
    }

    fn red_flags(&mut self, checked: &Checked<'_>) -> Vec<(RedFlag, Alarm)> {
        let mut order: Vec<_> = checked.red_flags.iter().collect();
        order.sort_by(|a, b| a.doc.id.cmp(&b.doc.id));
        order
            .into_iter()
            .map(|flag| {
                let exprs = [flag.given.as_ref(), Some(&flag.sign), flag.unless.as_ref()];
                let mut findings: Vec<FindingIndex> = exprs.into_iter().flatten().flat_map(findings_of).collect();
                findings.sort_unstable();
                findings.dedup();
                let words = |expr: Option<&Expr>| expr.map_or(String::new(), |expr| expr.words(self.vocabulary));
                let (given_text, sign_text, unless_text) =
                    (words(flag.given.as_ref()), words(Some(&flag.sign)), words(flag.unless.as_ref()));
                let about_person = findings.iter().all(|&finding| self.vocabulary.get(finding).about_person);
                let alarm = Alarm {
                    given: flag.given.as_ref().map(|expr| self.program(expr)),
                    sign: self.program(&flag.sign),
                    unless: flag.unless.as_ref().map(|expr| self.program(expr)),
                    floor: flag.doc.floor,
                    while_unknown: flag.doc.while_unknown,
                    given_may_be_unknown: flag.given_may_be_unknown,
                    silent: false,
                    on_screen: false,
                    about_person,
                };
                let red_flag = RedFlag {
                    id: flag.doc.id.clone(),
                    name: flag.doc.name.clone(),
                    floor: flag.doc.floor,
                    while_unknown: flag.doc.while_unknown,
                    because: flag.doc.because.clone(),
                    action: flag.doc.action.clone(),
                    sources: self.cited(&flag.doc.sources),
                    given_text,
                    sign_text,
                    unless_text,
                    about_person,
                    findings,
                };
                (red_flag, alarm)
            })
            .collect()
    }

    fn cited(&self, ids: &[String]) -> Vec<usize> {
        ids.iter().filter_map(|id| self.sources.get(id.as_str()).copied()).collect()
    }

    fn advice(&self, docs: &[AdviceDoc]) -> Vec<Advice> {
        docs.iter()
            .map(|doc| Advice {
                text: doc.text.clone(),
                sources: self.cited(&doc.sources).into_iter().map(|place| self.citations[place].clone()).collect(),
            })
            .collect()
    }
}

/// The id by which a rule is written: of its condition, or of the evidence set that the condition includes.
fn written(condition: &CheckedCondition<'_>, rule: &CheckedEvidence<'_>, checked: &Checked<'_>) -> String {
    let own = condition.doc.evidence.iter().any(|own| std::ptr::eq(own, rule.doc));
    let included = checked.doc.evidence_sets.iter().filter(|set| !own && condition.doc.include.contains(&set.doc.id));
    let owner = included.map(|set| &set.doc).find(|set| set.evidence.iter().any(|one| std::ptr::eq(one, rule.doc)));
    format!("{}.{}", owner.map_or(&condition.doc.id, |set| &set.id), rule.doc.id)
}

fn findings_of(expr: &Expr) -> Vec<FindingIndex> {
    let mut findings = Vec::new();
    expr.findings(&mut findings);
    findings.sort_unstable();
    findings.dedup();
    findings
}

fn for_each_expr(checked: &Checked<'_>, mut see: impl FnMut(&Expr)) {
    checked.tells.iter().for_each(|tell| see(&tell.when));
    checked.conditions.iter().flat_map(|condition| &condition.evidence).for_each(|rule| see(&rule.when));
    for flag in &checked.red_flags {
        [flag.given.as_ref(), Some(&flag.sign), flag.unless.as_ref()].into_iter().flatten().for_each(&mut see);
    }
}

fn collect_atoms(expr: &Expr, into: &mut BTreeSet<Atom>) {
    match expr {
        Expr::Test(finding, test) => drop(into.insert(Atom { finding: *finding, test: *test })),
        Expr::Not(inner) | Expr::Named(_, inner) => collect_atoms(inner, into),
        Expr::All(items) | Expr::Any(items) | Expr::AtLeast(_, items) => {
            items.iter().for_each(|item| collect_atoms(item, into))
        }
    }
}
