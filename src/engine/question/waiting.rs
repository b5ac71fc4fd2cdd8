//! The rules that an answer to a finding could make speak, gathered once for all answers to it.
//!
//! Owns the short way from an answer to where a condition would stand: what a rule reads besides the finding stays the same
//! whatever the answer, and what counts for a condition so far is known family by family. Where that is not enough it says
//! so, and the answer is supposed in full (`suppose`).

use super::super::evaluate::reading::Facts;
use super::super::evaluate::score::{Counted, Families, Heard, Standing};
use super::super::plan::Plan;
use super::super::plan::program::to_u32;
use super::super::truth::Truth;
use super::super::vocabulary::FindingIndex;
use super::super::weight::Weight;
use super::suppose::answers::Answers;

/// A rule that could come to say something else than it does.
#[derive(Debug, Clone, Copy)]
pub struct WaitingRule {
    pub rule: u32,
    pub condition: u32,
    /// Of the literals of its table those that are evidence so far, and those whose opposites are.
    shown: u8,
    denied: u8,
    /// Of its literals those of the finding.
    own: u8,
    /// Its place among those too large for a table; what they are evidence of is read off the facts.
    by_facts: Option<u32>,
}

/// What a rule would be evidence of.
#[derive(Debug, Clone, Copy)]
pub struct Says {
    pub rule: u32,
    pub condition: u32,
    pub evidence: Truth,
}

/// Where a condition stands, if a rule of it was heard, and what was heard.
#[derive(Clone, Copy)]
pub struct SoFar<'a> {
    pub standing: Option<&'a Standing>,
    pub heard: &'a [Heard],
}

/// Where a condition would stand after an answer.
pub enum After {
    /// Where it stands.
    Same,
    /// There.
    Moved(Standing),
    /// It takes more to say.
    Involved,
}

/// What counts for a condition while nothing is supposed.
#[derive(Debug, Clone, Copy)]
enum Base {
    NotSeen,
    /// A joint rule speaks, which stands for others.
    Joint,
    /// A stretch of what counts, and from how many families positive evidence comes beyond age and sex.
    Counts {
        start: u32,
        end: u32,
        families: u32,
    },
}

/// The rules that wait for one finding, and what counts so far for their conditions.
pub struct Waiting {
    /// Ascending, so that those of one condition stand together.
    pub rules: Vec<WaitingRule>,
    /// How many of them must be read off the facts.
    by_facts: u32,
    /// What those would be evidence of, answer by answer.
    noted: Vec<Truth>,
    bases: Vec<Base>,
    counted: Vec<Counted>,
    /// Families of one condition that an answer changes: as they would be, and as they are.
    changed: Vec<(Counted, Counted)>,
    /// The rules of one condition that an answer makes speak, each with its weight and whether it is true.
    said: Vec<(u32, Weight, bool)>,
}

impl Waiting {
    pub fn new(plan: &Plan) -> Self {
        Self {
            rules: Vec::new(),
            by_facts: 0,
            noted: Vec::new(),
            bases: vec![Base::NotSeen; plan.conditions.len()],
            counted: Vec::new(),
            changed: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Gathers the rules that an answer to a finding which tells no other could change.
    pub fn gather(&mut self, plan: &Plan, facts: &Facts, finding: FindingIndex) {
        let atoms = plan.atoms_of(finding);
        self.rules.clear();
        self.noted.clear();
        self.by_facts = 0;
        let rules = plan.index.rules_by_finding.of(to_u32(finding.0));
        for &rule in rules {
            let speaker = &plan.index.speakers[rule as usize];
            let condition = speaker.condition;
            if !speaker.has_table {
                let by_facts = Some(self.by_facts);
                self.rules.push(WaitingRule { rule, condition, shown: 0, denied: 0, own: 0, by_facts });
                self.by_facts += 1;
                continue;
            }
            let (shown, denied) = facts.sides(speaker);
            let is_own = |literal: u32| atoms.contains(&(literal as usize / 2));
            let own = (0..).zip(&speaker.table.literals).filter(|(_, literal)| is_own(**literal));
            let own = own.fold(0, |own, (i, _)| own | 1_u32 << i);
            let is = speaker.table.truth(shown, denied);
            let most = speaker.table.truth(shown | own, denied | own);
            let says = (most.t() && speaker.if_true != Weight::ZERO) || (most.f() && speaker.if_false != Weight::ZERO);
            if most != is && (says || most == Truth::BOTH) {
                let [shown, denied, own] = [shown, denied, own].map(|bits| bits.to_le_bytes()[0]);
                self.rules.push(WaitingRule { rule, condition, shown, denied, own, by_facts: None });
            }
        }
    }

    /// Whether any rule must be read off the facts.
    pub fn reads_facts(&self) -> bool {
        self.by_facts > 0
    }

    /// Notes what the rules too large for a table are evidence of after the next answer, which was heard.
    pub fn note(&mut self, plan: &Plan, facts: &Facts) {
        let rules = self.rules.iter().filter(|waiting| waiting.by_facts.is_some()).map(|waiting| waiting.rule);
        self.noted.extend(rules.map(|rule| facts.evidence(plan, rule, &plan.index.speakers[rule as usize])));
    }

    /// Adds the answers from which on a rule may be evidence of something else than before them.
    pub fn cut(&self, plan: &Plan, waiting: &WaitingRule, answers: &Answers, cuts: &mut Vec<u32>) {
        if waiting.by_facts.is_some() {
            return cuts.extend(1..answers.len());
        }
        let literals = &plan.index.speakers[waiting.rule as usize].table.literals;
        for i in bits(waiting.own) {
            let stretch = answers.stretch(literals[i] / 2);
            cuts.extend([stretch.start, stretch.end].into_iter().filter(|&cut| 0 < cut && cut < answers.len()));
        }
    }

    /// What a rule would be evidence of after an answer.
    pub fn evidence(&self, plan: &Plan, waiting: &WaitingRule, answers: &Answers, answer: u32) -> Truth {
        if let Some(place) = waiting.by_facts {
            return self.noted[(answer * self.by_facts + place) as usize];
        }
        let table = &plan.index.speakers[waiting.rule as usize].table;
        let (mut shown, mut denied) = (u32::from(waiting.shown), u32::from(waiting.denied));
        for i in bits(waiting.own) {
            let literal = table.literals[i];
            let told = answers.truth(literal / 2, answer);
            let told = if literal.is_multiple_of(2) { told } else { told.negate() };
            shown |= u32::from(told.t()) << i;
            denied |= u32::from(told.f()) << i;
        }
        table.truth(shown, denied)
    }

    /// Where a condition would stand after an answer, by what its rules would say that the answer could change.
    pub fn after(&mut self, plan: &Plan, so_far: SoFar<'_>, now: &[Says], families: &mut Families) -> After {
        let SoFar { standing: before, heard } = so_far;
        let condition = now[0].condition;
        self.said.clear();
        let mut is_chosen = false;
        for &Says { rule, evidence, .. } in now {
            let speaker = &plan.index.speakers[rule as usize];
            let was = heard.iter().find(|heard| heard.rule == rule).map(|heard| heard.evidence);
            let (weight, is_true) = match evidence {
                _ if was == Some(evidence) => continue,
                _ if was.is_some() => return After::Involved,
                Truth::TRUE => (speaker.if_true, true),
                Truth::FALSE => (speaker.if_false, false),
                // Contradicted evidence of which nothing was heard before is none.
                _ => continue,
            };
            if weight != Weight::ZERO {
                if speaker.is_joint {
                    return After::Involved;
                }
                is_chosen |= is_true && speaker.choice.is_some();
                self.said.push((rule, weight, is_true));
            }
        }
        if self.said.is_empty() {
            return After::Same;
        }
        let Base::Counts { start, end, mut families } = self.base(plan, heard, condition, families) else {
            return After::Involved;
        };
        self.changed.clear();
        for &(rule, weight, is_true) in &self.said {
            let speaker = &plan.index.speakers[rule as usize];
            // A chosen option silences those that were not.
            if is_chosen && !is_true && speaker.choice.is_some() {
                continue;
            }
            let family = speaker.family;
            let known = self.changed.iter().position(|(now, _)| now.family == family).unwrap_or_else(|| {
                let counted = self.counted[start as usize..end as usize].iter().find(|other| other.family == family);
                let counted = counted.copied().unwrap_or(Counted::nothing(family));
                self.changed.push((counted, counted));
                self.changed.len() - 1
            });
            self.changed[known].0.see(rule, weight, speaker.demographic);
        }
        let mut score = before.map_or(plan.index.standings[condition as usize].prior, |before| before.score);
        for (now, was) in &self.changed {
            score = score + now.sum() + was.sum().negate();
            families = families + u32::from(now.supports()) - u32::from(was.supports());
        }
        let families = u8::try_from(families.min(2)).unwrap_or(2);
        After::Moved(Standing { condition, score, families, heard: 0 })
    }

    /// What counts for a condition so far, worked out when it is first wanted.
    fn base(&mut self, plan: &Plan, heard: &[Heard], condition: u32, families: &mut Families) -> Base {
        let base = self.bases[condition as usize];
        if !matches!(base, Base::NotSeen) {
            return base;
        }
        let start = self.counted.len();
        let base = if families.counted(plan, heard, &mut self.counted) {
            let families = self.counted[start..].iter().filter(|counted| counted.supports()).count();
            Base::Counts { start: to_u32(start), end: to_u32(self.counted.len()), families: to_u32(families) }
        } else {
            Base::Joint
        };
        self.bases[condition as usize] = base;
        base
    }
}

/// The places of the bits that are set, ascending.
fn bits(mut bits: u8) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (place < 8).then_some(place)
    })
}
