//! Lowering: a checked pack to a plan of dense ids, shared atoms and nodes.
//!
//! Owns the construction of [`Plan`], and cannot fail. Everything is sorted by id, so that the order of files and
//! items leaves no trace.

use super::answer::{Advice, Citation, SafetyNet};
use super::check::Checked;
use super::check::evidence::{CheckedCondition, CheckedEvidence};
use super::check::expr::Expr;
use super::doc::{AdviceDoc, EvidenceSetDoc, Grade, Pick, ReviewStatus};
use super::plan::{Ask, Atom, Condition, Header, Headline, Node, Plan, QuestionBox, RedFlag, Rule, Tell, Test};
use super::vocabulary::{FindingIndex, Kind, Vocabulary};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

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
    let (conditions, rules) = lowering.conditions(checked);
    let red_flags = lowering.red_flags(checked);
    let used = lowering.used;
    let (atoms, finding_atoms, nodes) = (lowering.atoms, lowering.finding_atoms, lowering.nodes);
    let screen = checked.pack.screen.iter().filter_map(|id| ask(id, &boxes, &checked.vocabulary)).collect();
    Plan {
        header: header(checked),
        screen,
        ask_when_contradicted: checked
            .pack
            .ask_when_contradicted
            .as_deref()
            .and_then(|id| checked.vocabulary.by_id(id)),
        vocabulary: checked.vocabulary.clone(),
        sources,
        boxes,
        conditions,
        rules,
        red_flags,
        atoms,
        finding_atoms,
        nodes,
        tells,
        used,
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
    finding_atoms: Vec<Range<usize>>,
    nodes: Vec<Node>,
    node_of: BTreeMap<Node, usize>,
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
        let finding_atoms = (0..vocabulary.findings().len())
            .map(|i| {
                let start = atoms.partition_point(|atom| atom.finding.0 < i);
                start..atoms.partition_point(|atom| atom.finding.0 <= i)
            })
            .collect();
        Self {
            vocabulary,
            citations: sources,
            sources: sources.iter().enumerate().map(|(i, source)| (source.id.as_str(), i)).collect(),
            atom_of: atoms.iter().enumerate().map(|(i, atom)| (*atom, i)).collect(),
            atoms,
            finding_atoms,
            nodes: Vec::new(),
            node_of: BTreeMap::new(),
            used: vec![false; vocabulary.findings().len()],
            patient: ["age", "sex"].into_iter().filter_map(|id| vocabulary.by_id(id)).collect(),
        }
    }

    fn node(&mut self, expr: &Expr) -> usize {
        let node = match expr {
            Expr::Named(_, inner) => return self.node(inner),
            Expr::Test(finding, test) => {
                self.used[finding.0] = true;
                Node::Atom(self.atom_of[&Atom { finding: *finding, test: *test }])
            }
            Expr::Not(inner) => Node::Not(self.node(inner)),
            Expr::All(items) => Node::All(self.list(items)),
            Expr::Any(items) => Node::Any(self.list(items)),
            Expr::AtLeast(count, items) => {
                // A repeated item counts each time, so nothing is merged here.
                Node::AtLeast(*count, items.iter().map(|item| self.node(item)).collect())
            }
        };
        if let Some(&known) = self.node_of.get(&node) {
            return known;
        }
        self.nodes.push(node.clone());
        self.node_of.insert(node, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn list(&mut self, items: &[Expr]) -> Vec<usize> {
        let mut list: Vec<usize> = Vec::new();
        for item in items {
            let node = self.node(item);
            if !list.contains(&node) {
                list.push(node);
            }
        }
        list
    }

    fn tells(&mut self, checked: &Checked<'_>) -> Vec<Tell> {
        let depth = strata(&checked.tells, self.vocabulary.findings().len());
        let mut tells: Vec<(usize, Expr, Vec<usize>, Vec<usize>)> = checked
            .tells
            .iter()
            .map(|tell| {
                let atoms = |findings: &[FindingIndex]| -> Vec<usize> {
                    let mut atoms: Vec<usize> =
                        findings.iter().map(|&finding| self.atom_of[&Atom { finding, test: Test::Present }]).collect();
                    atoms.sort_unstable();
                    atoms
                };
                let (present, absent) = (atoms(&tell.present), atoms(&tell.absent));
                (depth.get(&tell_key(tell)).copied().unwrap_or(0), tell.when.clone(), present, absent)
            })
            .collect();
        tells.sort();
        tells.dedup();
        tells.into_iter().map(|(_, when, present, absent)| Tell { node: self.node(&when), present, absent }).collect()
    }

    fn conditions(&mut self, checked: &Checked<'_>) -> (Vec<Condition>, Vec<Rule>) {
        let mut order: Vec<&CheckedCondition<'_>> = checked.conditions.iter().collect();
        order.sort_by(|a, b| a.doc.id.cmp(&b.doc.id));
        let places: BTreeMap<&str, usize> =
            order.iter().enumerate().map(|(i, condition)| (condition.doc.id.as_str(), i)).collect();
        let sets: Vec<&EvidenceSetDoc> = checked.doc.evidence_sets.iter().map(|item| &item.doc).collect();
        let mut rules = Vec::new();
        let conditions = order
            .iter()
            .enumerate()
            .map(|(place, condition)| {
                let start = rules.len();
                let families = self.rules(place, condition, &sets, &mut rules);
                let doc = condition.doc;
                Condition {
                    id: doc.id.clone(),
                    name: doc.name.clone(),
                    summary: doc.summary.clone(),
                    urgency: doc.urgency,
                    part_of: doc.part_of.as_deref().and_then(|parent| places.get(parent).copied()),
                    codings: doc.codings.clone(),
                    next_steps: self.advice(&doc.next_steps),
                    care: self.advice(&doc.care),
                    watch_for: doc.watch_for.clone(),
                    prior: condition.prior,
                    prior_words: condition.prior_words.clone(),
                    prior_sources: self.cited(&doc.prior_sources),
                    rules: start..rules.len(),
                    families,
                }
            })
            .collect();
        (conditions, rules)
    }

    /// Appends the rules of one condition and returns how many families they form.
    fn rules(
        &mut self,
        place: usize,
        condition: &CheckedCondition<'_>,
        sets: &[&EvidenceSetDoc],
        rules: &mut Vec<Rule>,
    ) -> usize {
        let mut list: Vec<&CheckedEvidence<'_>> = condition.evidence.iter().collect();
        list.sort_by(|a, b| a.doc.id.cmp(&b.doc.id));
        let findings: Vec<Vec<FindingIndex>> = list.iter().map(|rule| findings_of(&rule.when)).collect();
        let (family_of, names) = families(&list, &findings, self.vocabulary);
        for (i, rule) in list.iter().enumerate() {
            let mut stands_for: Vec<usize> = rule
                .doc
                .stands_for
                .iter()
                .filter_map(|part| list.iter().position(|other| other.doc.id == *part))
                .map(|part| family_of[part])
                .collect();
            stands_for.sort_unstable();
            stands_for.dedup();
            let choice = match rule.when.bare() {
                Expr::Test(finding, Test::Option(_)) => Some(*finding),
                _ => None,
            };
            rules.push(Rule {
                id: format!("{}.{}", condition.doc.id, rule.doc.id),
                written: written(condition, rule, sets),
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
                node: self.node(&rule.when),
                family: family_of[i],
                stands_for,
                demographic: findings[i].iter().all(|finding| self.patient.contains(finding)),
                choice,
                findings: findings[i].clone(),
            });
        }
        names.len()
    }

    fn red_flags(&mut self, checked: &Checked<'_>) -> Vec<RedFlag> {
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
                RedFlag {
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
                    about_person: findings.iter().all(|&finding| self.vocabulary.get(finding).about_person),
                    given: flag.given.as_ref().map(|expr| self.node(expr)),
                    given_may_be_unknown: flag.given_may_be_unknown,
                    sign: self.node(&flag.sign),
                    unless: flag.unless.as_ref().map(|expr| self.node(expr)),
                    findings,
                }
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
fn written(condition: &CheckedCondition<'_>, rule: &CheckedEvidence<'_>, sets: &[&EvidenceSetDoc]) -> String {
    let own = condition.doc.evidence.iter().any(|own| std::ptr::eq(own, rule.doc));
    let mut included = sets.iter().filter(|set| !own && condition.doc.include.contains(&set.id));
    let owner = included.find(|set| set.evidence.iter().any(|one| std::ptr::eq(one, rule.doc)));
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

/// Rules that look at the same finding, or at findings of one family, are one family; a family that the author names
/// joins all that bear the name. Joint rules form families among themselves, by the parts they share.
fn families(
    list: &[&CheckedEvidence<'_>],
    findings: &[Vec<FindingIndex>],
    vocabulary: &Vocabulary,
) -> (Vec<usize>, Vec<String>) {
    let mut keys: Vec<BTreeSet<String>> = Vec::new();
    for (rule, findings) in list.iter().zip(findings) {
        let own: BTreeSet<String> = if !rule.doc.stands_for.is_empty() {
            rule.doc.stands_for.iter().map(|part| format!("joint {part}")).collect()
        } else if let Some(family) = &rule.doc.family {
            BTreeSet::from([family.clone()])
        } else {
            findings.iter().map(|&finding| vocabulary.get(finding).family.clone()).collect()
        };
        keys.push(own);
    }
    let mut group: Vec<usize> = (0..list.len()).collect();
    loop {
        let mut changed = false;
        for i in 0..list.len() {
            for j in 0..i {
                if group[i] != group[j] && !keys[i].is_disjoint(&keys[j]) {
                    let (low, high) = (group[i].min(group[j]), group[i].max(group[j]));
                    group.iter_mut().filter(|g| **g == high).for_each(|g| *g = low);
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut roots: Vec<usize> = group.clone();
    roots.sort_unstable();
    roots.dedup();
    let names = roots
        .iter()
        .map(|root| {
            let all: BTreeSet<&str> = (0..list.len())
                .filter(|&i| group[i] == *root)
                .flat_map(|i| keys[i].iter().map(String::as_str))
                .collect();
            all.into_iter().collect::<Vec<_>>().join(" + ")
        })
        .collect();
    (group.iter().map(|g| roots.partition_point(|root| root < g)).collect(), names)
}

type TellKey = (Expr, Vec<FindingIndex>, Vec<FindingIndex>);

fn tell_key(tell: &super::check::vocabulary::CheckedTell) -> TellKey {
    (tell.when.clone(), tell.present.clone(), tell.absent.clone())
}

/// The longest way to each tell, so that one pass in this order mostly settles everything.
fn strata(tells: &[super::check::vocabulary::CheckedTell], findings: usize) -> BTreeMap<TellKey, usize> {
    let mut depth = vec![0_usize; findings];
    for _ in 0..8 {
        for tell in tells {
            let from = findings_of(&tell.when).iter().map(|finding| depth[finding.0]).max().unwrap_or(0);
            for target in tell.present.iter().chain(&tell.absent) {
                depth[target.0] = depth[target.0].max((from + 1).min(8));
            }
        }
    }
    tells
        .iter()
        .map(|tell| (tell_key(tell), findings_of(&tell.when).iter().map(|finding| depth[finding.0]).max().unwrap_or(0)))
        .collect()
}
