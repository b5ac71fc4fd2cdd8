//! What leads where: postings, summed priors, and everything else that lets an evaluation leave out what nothing touched.
//!
//! Owns the construction of [`Index`], and in it the choice of the literals under which a rule is posted.

use super::super::odds::{Sum, odds as odds_of, weighted, weighted_odds};
use super::super::plan::program::{Literal, Postings, Program, Step, Words, to_u32};
use super::super::plan::{Alarm, Ask, Atom, Condition, Index, Prior, QuestionBox, RedFlag, Rule, Speaker, Tell};
use super::super::urgency::Urgency;
use super::super::vocabulary::{FindingIndex, Vocabulary};
use super::super::weight::Weight;
use super::reach;

/// The parts of a plan that the index is built from.
pub struct Parts<'a> {
    pub words: Words,
    pub speakers: Vec<Speaker>,
    pub programs: Vec<Program>,
    pub tells: Vec<Tell>,
    pub atoms: &'a [Atom],
    pub vocabulary: &'a Vocabulary,
    pub conditions: &'a [Condition],
    pub rules: &'a [Rule],
    pub red_flags: &'a [RedFlag],
    /// Whether the screen asks about them is still to be found out.
    pub alarms: Vec<Alarm>,
    pub boxes: &'a [QuestionBox],
    pub screen: &'a [Ask],
}

/// Builds the index.
pub fn index(parts: Parts<'_>) -> Index {
    let Parts { words, speakers, programs, tells, atoms, mut alarms, .. } = parts;
    let findings = parts.vocabulary.findings();
    let rules_of = rules_of(&words, &programs, atoms.len());
    let tells_of = by_atom(&words, atoms.len(), tells.iter().map(|tell| vec![tell.when]));
    let flag_programs =
        |flag: &Alarm| flag.given.into_iter().chain([flag.sign]).chain(flag.unless).collect::<Vec<Program>>();
    let flags_of = by_atom(&words, atoms.len(), alarms.iter().map(flag_programs));
    let mut on_screen = vec![false; findings.len()];
    for ask in parts.screen {
        match ask {
            Ask::Finding(finding) => on_screen[finding.0] = true,
            Ask::Box(place) => parts.boxes[*place].findings.iter().for_each(|finding| on_screen[finding.0] = true),
        }
    }
    for (alarm, flag) in alarms.iter_mut().zip(parts.red_flags) {
        alarm.on_screen = flag.findings.iter().any(|finding| on_screen[finding.0]);
    }
    let early_flags = (0..).zip(&alarms).filter(|(_, alarm)| alarm.given_may_be_unknown || alarm.on_screen);
    let early_flags = early_flags.map(|(place, _)| place).collect();
    let boxes_of = parts
        .boxes
        .iter()
        .zip(0..)
        .flat_map(|(item, place)| item.findings.iter().map(move |finding| (to_u32(finding.0), place)));
    let (odds, weighted) = prior_sums(parts.conditions);
    let finding_of: Vec<u32> = atoms.iter().map(|atom| to_u32(atom.finding.0)).collect();
    let atom_starts = (0..=to_u32(findings.len())).map(|i| to_u32(finding_of.partition_point(|&of| of < i)));
    let atom_starts: Vec<u32> = atom_starts.collect();
    let looks_at = |lists: &mut dyn Iterator<Item = &Vec<FindingIndex>>, count: usize| {
        let pairs = lists.zip(0..).flat_map(|(list, of)| list.iter().map(move |finding| (of, to_u32(finding.0))));
        Postings::new(count, pairs.collect())
    };
    let reach = reach::reach(&reach::Known {
        atom_starts: &atom_starts,
        finding_of: &finding_of,
        conditions: parts.conditions,
        rules: parts.rules,
        speakers: &speakers,
        tells: &tells,
        tells_of: &tells_of,
        rules_of: &rules_of,
        flags_of: &flags_of,
        red_flags: parts.red_flags,
    });
    Index {
        speakers_of: speakers_of((&words, &programs), &speakers, &rules_of, atoms),
        boxes_of: Postings::new(findings.len(), boxes_of.collect()),
        without: without(parts.rules, findings.len()),
        rules_by_finding: rules_by_finding(parts.rules, findings.len()),
        findings_of: looks_at(&mut parts.rules.iter().map(|rule| &rule.findings), parts.rules.len()),
        flag_findings_of: looks_at(&mut parts.red_flags.iter().map(|flag| &flag.findings), parts.red_flags.len()),
        asked_of: findings.iter().map(|finding| (!finding.ask.is_empty()).then_some(finding.asked_of)).collect(),
        about_person: findings.iter().map(|finding| finding.about_person).collect(),
        atom_starts,
        alarms,
        standings: parts.conditions.iter().map(prior).collect(),
        prior_odds: parts.conditions.iter().map(|c| (odds_of(c.prior), weighted_odds(c.prior))).collect(),
        by_prior: by_prior(parts.conditions),
        parts_of: parts_of(parts.conditions),
        most_families: parts.conditions.iter().map(|condition| condition.families).max().unwrap_or(0),
        condition_of: speakers.iter().map(|speaker| speaker.condition).collect(),
        words,
        speakers,
        programs,
        tells,
        finding_of,
        tells_of,
        rules_of,
        flags_of,
        early_flags,
        on_screen,
        odds,
        weighted,
        reach,
    }
}

fn by_atom(words: &Words, atoms: usize, programs: impl Iterator<Item = Vec<Program>>) -> Postings {
    let pairs = programs.zip(0..).flat_map(|(programs, item)| {
        let literals = programs.into_iter().flat_map(|program| words.literals(program));
        literals.map(move |literal| (literal / 2, item)).collect::<Vec<_>>()
    });
    Postings::new(atoms, pairs.collect())
}

fn rules_of(words: &Words, programs: &[Program], atoms: usize) -> Postings {
    let pairs = programs
        .iter()
        .zip(0..)
        .flat_map(|(program, rule)| words.literals(*program).map(move |literal| (literal / 2, rule)));
    Postings::new(atoms, pairs.collect())
}

fn rules_by_finding(rules: &[Rule], findings: usize) -> Postings {
    let pairs = (0..).zip(rules).flat_map(|(place, rule)| rule.findings.iter().map(move |of| (to_u32(of.0), place)));
    Postings::new(findings, pairs.collect())
}

/// Posts every rule under the cheapest literals of which one must be told before it can speak, in each of the directions
/// that have a weight. A rule without any weight is still listed when it is contradicted.
fn speakers_of(
    (words, programs): (&Words, &[Program]),
    speakers: &[Speaker],
    rules_of: &Postings,
    atoms: &[Atom],
) -> Postings {
    let guards = Guards { words, costs: costs(rules_of, atoms) };
    let mut pairs = Vec::with_capacity(speakers.len() * 2);
    for (speaker, rule) in speakers.iter().zip(0_u32..) {
        for (holds, weight) in [(true, speaker.if_true), (false, speaker.if_false)] {
            if weight != Weight::ZERO || (holds && speaker.if_false == Weight::ZERO) {
                let guard = guards.of(programs[rule as usize], holds);
                pairs.extend(guard.into_iter().map(|literal| (literal, rule)));
            }
        }
    }
    Postings::new(atoms.len() * 2, pairs)
}

/// For each atom how many rules look at its finding: what authors write about most is also what is told most often.
fn costs(rules_of: &Postings, atoms: &[Atom]) -> Vec<u64> {
    let mut costs = Vec::with_capacity(atoms.len());
    for stretch in atoms.chunk_by(|a, b| a.finding == b.finding) {
        let range = costs.len()..costs.len() + stretch.len();
        let cost = rules_of.of_all(range).len() as u64 + 1;
        costs.resize(costs.len() + stretch.len(), cost);
    }
    costs
}

struct Guards<'a> {
    words: &'a Words,
    costs: Vec<u64>,
}

impl Guards<'_> {
    /// Literals of which one must be told true before the program can be told `holds`.
    fn of(&self, program: Program, holds: bool) -> Vec<Literal> {
        let mut at = program.0 as usize;
        self.cheapest(&mut at, holds).1
    }

    fn cheapest(&self, at: &mut usize, holds: bool) -> (u64, Vec<Literal>) {
        let (wanted, of) = match self.words.step(at) {
            Step::Literal(literal) => {
                let literal = if holds { literal } else { literal ^ 1 };
                return (self.costs[literal as usize / 2], vec![literal]);
            }
            Step::All(of) => (of, of),
            Step::Any(of) => (1, of),
            Step::AtLeast { wanted, of } => (wanted, of),
        };
        let mut items: Vec<(u64, Vec<Literal>)> = (0..of).map(|_| self.cheapest(at, holds)).collect();
        items.sort();
        // To be told true it needs `wanted` of its items, so whichever `of - wanted + 1` are watched, one is among them;
        // to be told false it needs `of - wanted + 1` of them false.
        let watched = if holds { of - wanted + 1 } else { wanted };
        items.truncate(watched as usize);
        let cost = items.iter().map(|(cost, _)| cost).sum();
        (cost, items.into_iter().flat_map(|(_, literals)| literals).collect())
    }
}

fn prior(condition: &Condition) -> Prior {
    let (prior, urgency) = (condition.prior, condition.urgency);
    Prior { odds: Sum::of(odds_of(prior)), weighted: weighted(prior), prior, urgency }
}

fn parts_of(conditions: &[Condition]) -> Postings {
    let pairs = conditions.iter().enumerate().flat_map(|(place, condition)| {
        let ancestors = std::iter::successors(condition.part_of, |&parent| conditions[parent].part_of);
        ancestors.map(move |ancestor| (to_u32(ancestor), to_u32(place)))
    });
    Postings::new(conditions.len(), pairs.collect())
}

fn prior_sums(conditions: &[Condition]) -> ([Sum; 5], Sum) {
    let mut sums = [Sum::ZERO; 5];
    for condition in conditions {
        sums[condition.urgency.index()] += Sum::of(odds_of(condition.prior));
    }
    (sums, conditions.iter().map(|condition| weighted(condition.prior)).sum())
}

fn by_prior(conditions: &[Condition]) -> [Vec<u32>; 5] {
    let mut order: Vec<u32> = (0..).zip(conditions).map(|(place, _)| place).collect();
    let key = |place: &u32| {
        let condition = &conditions[*place as usize];
        std::cmp::Reverse((condition.prior, condition.urgency))
    };
    order.sort_by_key(key);
    Urgency::ALL
        .map(|level| order.iter().copied().filter(|&place| conditions[place as usize].urgency >= level).collect())
}

fn without(rules: &[Rule], findings: usize) -> Vec<Option<f64>> {
    let mut list = vec![None; findings];
    for rule in rules {
        if let ([finding], Some(without)) = (rule.findings.as_slice(), rule.without) {
            list[finding.0].get_or_insert(without);
        }
    }
    list
}
