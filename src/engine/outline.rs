//! What a pack declares: ids and names, section by section, for editors and lists.
//!
//! Owns the look at a pack that may not be finished. It needs no pack without mistakes: what can be read is in it, and
//! of an item that cannot be read its id.

use super::doc::{EvidenceDoc, FindingDoc, KindDoc};
use super::parse::{self, Doc};
use super::source::SourceFile;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a pack declares by id. All lists are sorted by id, each id once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// The pack's own id; empty while there is none.
    pub pack: String,
    /// Literature.
    pub sources: Vec<Named>,
    /// Findings.
    pub findings: Vec<FindingOutline>,
    /// Questions about several findings.
    pub boxes: Vec<Named>,
    /// Named pieces of conditions on findings.
    pub definitions: Vec<Named>,
    /// Evidence for several conditions.
    pub evidence_sets: Vec<Named>,
    /// Conditions.
    pub conditions: Vec<Named>,
    /// Red flags.
    pub red_flags: Vec<Named>,
    /// Rules by their full ids, those of included sets too; named by their reasons.
    pub rules: Vec<Named>,
    /// Families that findings or rules name.
    pub families: Vec<String>,
}

/// An id with a name in words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// Id.
    pub id: String,
    /// In words; empty where it could not be read.
    pub name: String,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingOutline {
    /// Id.
    pub id: String,
    /// In words.
    pub name: String,
    /// `yes_no`, `number`, `choice` or `multiple_choice`; empty where it could not be read.
    pub kind: &'static str,
    /// UCUM unit of a number; empty for others.
    pub unit: String,
    /// Options of a choice, in the author's order.
    pub options: Vec<Named>,
}

/// Looks at the files of one pack, however unfinished they are.
#[must_use]
pub fn outline(files: &[SourceFile]) -> Outline {
    let (doc, _) = parse::join(files.iter().map(parse::parse));
    let mut outline = Outline {
        pack: doc.packs.first().map(|item| item.doc.id.clone()).unwrap_or_default(),
        sources: doc.sources.iter().map(|item| named(&item.doc.id, &item.doc.title)).collect(),
        findings: doc.findings.iter().map(|item| finding(&item.doc)).collect(),
        boxes: doc.boxes.iter().map(|item| named(&item.doc.id, &item.doc.ask)).collect(),
        definitions: doc.definitions.iter().map(|item| named(&item.doc.id, &item.doc.name)).collect(),
        evidence_sets: doc.evidence_sets.iter().map(|item| named(&item.doc.id, "")).collect(),
        conditions: doc.conditions.iter().map(|item| named(&item.doc.id, &item.doc.name)).collect(),
        red_flags: doc.red_flags.iter().map(|item| named(&item.doc.id, &item.doc.name)).collect(),
        rules: rules(&doc),
        families: families(&doc),
    };
    outline.broken(&doc);
    outline.settle();
    outline
}

impl Outline {
    /// Items that cannot be read are declared all the same.
    fn broken(&mut self, doc: &Doc) {
        for broken in &doc.broken {
            let list = match broken.section {
                "sources" => &mut self.sources,
                "boxes" => &mut self.boxes,
                "definitions" => &mut self.definitions,
                "evidence_sets" => &mut self.evidence_sets,
                "conditions" => &mut self.conditions,
                "red_flags" => &mut self.red_flags,
                "findings" => {
                    let (id, name) = (broken.id.clone(), String::new());
                    self.findings.push(FindingOutline { id, name, kind: "", unit: String::new(), options: Vec::new() });
                    continue;
                }
                _ => continue,
            };
            list.push(named(&broken.id, ""));
        }
    }

    fn settle(&mut self) {
        let lists = [
            &mut self.sources,
            &mut self.boxes,
            &mut self.definitions,
            &mut self.evidence_sets,
            &mut self.conditions,
            &mut self.red_flags,
            &mut self.rules,
        ];
        for list in lists {
            list.sort();
            list.dedup_by(|a, b| a.id == b.id);
        }
        self.findings.sort();
        self.findings.dedup_by(|a, b| a.id == b.id);
    }
}

fn named(id: &str, name: &str) -> Named {
    Named { id: id.to_owned(), name: name.to_owned() }
}

fn finding(doc: &FindingDoc) -> FindingOutline {
    FindingOutline {
        id: doc.id.clone(),
        name: doc.name.clone(),
        kind: match doc.kind {
            KindDoc::YesNo => "yes_no",
            KindDoc::Number => "number",
            KindDoc::Choice => "choice",
            KindDoc::MultipleChoice => "multiple_choice",
        },
        unit: doc.unit.clone().unwrap_or_default(),
        options: doc.options.iter().map(|option| named(&option.id, &option.name)).collect(),
    }
}

fn rules(doc: &Doc) -> Vec<Named> {
    let sets: BTreeMap<&str, &[EvidenceDoc]> =
        doc.evidence_sets.iter().map(|item| (item.doc.id.as_str(), item.doc.evidence.as_slice())).collect();
    let mut rules = Vec::new();
    for item in &doc.conditions {
        let included = item.doc.include.iter().filter_map(|id| sets.get(id.as_str()).copied()).flatten();
        for rule in item.doc.evidence.iter().chain(included) {
            rules.push(named(&format!("{}.{}", item.doc.id, rule.id), &rule.because));
        }
    }
    rules
}

fn families(doc: &Doc) -> Vec<String> {
    let of_findings = doc.findings.iter().filter_map(|item| item.doc.family.clone());
    let evidence = doc.conditions.iter().flat_map(|item| &item.doc.evidence);
    let of_sets = doc.evidence_sets.iter().flat_map(|item| &item.doc.evidence);
    let of_rules = evidence.chain(of_sets).filter_map(|rule| rule.family.clone());
    of_findings.chain(of_rules).collect::<BTreeSet<String>>().into_iter().collect()
}
