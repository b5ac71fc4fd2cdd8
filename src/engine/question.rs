//! What to ask next, and when to stop.
//!
//! Owns the order of questions: the screen first, then what decides open red flags, then what an answer would decide.
//! Every supposed answer goes through the same functions as a real one, and is taken back. The words are `explain`'s.

mod bounds;
mod suppose;
mod waiting;

use super::evaluate::flag::{FlagState, is_askable};
use super::evaluate::{Evaluation, GroupEvaluation};
use super::finding::{Findings, GroupFindings};
use super::plan::program::to_u32;
use super::plan::{Ask, Plan};
use super::truth::Truth;
use super::urgency::Urgency;
use super::vocabulary::{FindingIndex, Kind};
use bounds::Promise;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use suppose::{Supposing, Worth};

/// What a question must promise of which no answer raises the urgency or brings up a red flag above it: an expected drop
/// in the entropy of the shares, in nats.
const LEAST_GAIN: f64 = 0.02;

/// Why something is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// Every patient is asked this.
    Screen,
    /// Observations contradict each other as if there were two kinds of spots.
    TwoKinds,
    /// Old spots were told of, and new ones may be beside them.
    OldSpots,
    /// It would decide this red flag.
    RedFlag(usize),
    /// It could change the urgency or the first place.
    Ranking,
}

/// One thing to ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The finding or box.
    pub ask: Ask,
    /// The group of spots; `None` for the person.
    pub group: Option<usize>,
    /// Why.
    pub why: Why,
}

/// The questions, most useful first, and whether to stop. Those beyond `most` may be missing: they are not looked for.
#[must_use]
pub fn next_questions(plan: &Plan, findings: &Findings, evaluation: &Evaluation, most: usize) -> (Vec<Asked>, bool) {
    let emergency = Some(Urgency::Emergency);
    if evaluation.groups().iter().any(|group| group.fired_floor(plan) == emergency) {
        return (Vec::new(), true);
    }
    let most = most.max(1);
    let mut asking = Asking { plan, findings, evaluation, most, asked: Vec::new(), seen: BTreeSet::new() };
    asking.screen();
    asking.two_kinds();
    if !asking.is_full() {
        asking.red_flags();
    }
    if !asking.is_full() {
        asking.ranking();
    }
    let stop = asking.asked.is_empty();
    (asking.asked, stop)
}

struct Asking<'a> {
    plan: &'a Plan,
    findings: &'a Findings,
    evaluation: &'a Evaluation,
    /// How many questions are wanted.
    most: usize,
    asked: Vec<Asked>,
    seen: BTreeSet<(Ask, Option<usize>)>,
}

impl Asking<'_> {
    fn askable(&self, group: usize, finding: FindingIndex) -> bool {
        let (told, facts) = (&self.findings.groups[group], &self.evaluation.groups()[group].facts);
        is_askable(self.plan, told, facts, finding, self.findings.reporter)
    }

    fn is_full(&self) -> bool {
        self.asked.len() >= self.most
    }

    /// Adds a question once; questions about the person are asked once for all groups.
    fn push(&mut self, ask: Ask, group: usize, why: Why) {
        let about_person = match ask {
            Ask::Finding(finding) => self.plan.index.about_person[finding.0],
            Ask::Box(place) => {
                self.plan.boxes[place].findings.iter().all(|&finding| self.plan.index.about_person[finding.0])
            }
        };
        let group = (!about_person).then_some(group);
        if self.seen.insert((ask, group)) {
            self.asked.push(Asked { ask, group, why });
        }
    }

    fn screen(&mut self) {
        for &ask in &self.plan.screen {
            for group in 0..self.evaluation.groups().len() {
                let pending = match ask {
                    Ask::Finding(finding) => self.askable(group, finding),
                    Ask::Box(place) => self.box_is_pending(group, place),
                };
                if pending {
                    self.push(ask, group, Why::Screen);
                }
            }
        }
    }

    /// A box is pending while a member can be asked; one that takes a single pick is done with the first pick.
    fn box_is_pending(&self, group: usize, place: usize) -> bool {
        let item = &self.plan.boxes[place];
        let picked = item.pick_one && item.findings.iter().any(|&finding| self.truth(group, finding).t());
        !picked && item.findings.iter().any(|&finding| self.askable(group, finding))
    }

    fn truth(&self, group: usize, finding: FindingIndex) -> Truth {
        self.evaluation.groups()[group].facts.finding(self.plan, finding)
    }

    fn two_kinds(&mut self) {
        let Some(finding) = self.plan.ask_when_contradicted else { return };
        for (group, told) in self.findings.groups.iter().enumerate() {
            let definition = |&finding: &FindingIndex| self.plan.vocabulary.get(finding);
            let about_spots = told.contradicted.iter().any(|finding| !definition(finding).about_person)
                || told.told.iter().any(|finding| {
                    !definition(finding).about_person
                        && definition(finding).kind == Kind::YesNo
                        && self.truth(group, *finding) == Truth::BOTH
                });
            let contradicted = about_spots && told.name.is_empty();
            let are_old = || {
                let old = self.plan.ask_when_told.iter().any(|&old| self.truth(group, old).t());
                old && self.findings.groups.len() == 1
            };
            if (contradicted || are_old()) && self.askable(group, finding) {
                let before = self.asked.len();
                let why = if contradicted { Why::TwoKinds } else { Why::OldSpots };
                self.push(Ask::Finding(finding), group, why);
                // It comes right after the most urgent of the screen, since it sorts all other answers.
                if self.asked.len() > before {
                    self.asked[before.min(1)..].rotate_right(1);
                }
            }
        }
    }

    fn red_flags(&mut self) {
        let mut open: Vec<(Reverse<Urgency>, u32, usize, &[FindingIndex])> = Vec::new();
        for (group, state) in self.evaluation.groups().iter().enumerate() {
            let flags = state.flags.iter().filter(|f| matches!(f.state, FlagState::Open | FlagState::Precaution));
            open.extend(flags.map(|flagged| {
                let floor = self.plan.index.alarms[flagged.flag as usize].floor;
                (Reverse(floor), flagged.flag, group, state.deciding(flagged))
            }));
        }
        open.sort_unstable();
        let mut wanted: Vec<(usize, FindingIndex, usize)> = Vec::with_capacity(128);
        let words = self.plan.findings().len() / 64 + 1;
        let mut all = vec![0_u64; words * self.evaluation.groups().len()];
        let bit = |group: usize, finding: FindingIndex| (group * words + finding.0 / 64, 1 << (finding.0 % 64));
        for &(_, flag, group, deciding) in &open {
            for &finding in deciding.iter().filter(|&&finding| self.askable(group, finding)) {
                let (word, bit) = bit(group, finding);
                all[word] |= bit;
                wanted.push((group, finding, flag as usize));
            }
        }
        for &(group, finding, flag) in &wanted {
            if self.is_full() {
                return;
            }
            let is_wanted = |other| {
                let (word, bit) = bit(group, other);
                all[word] & bit != 0
            };
            let ask = self.by_box(finding, &is_wanted);
            self.push(ask, group, Why::RedFlag(flag));
        }
    }

    /// The box that asks for a finding together with others that are wanted too, else the finding's own question.
    fn by_box(&self, finding: FindingIndex, wanted: &dyn Fn(FindingIndex) -> bool) -> Ask {
        let several = |place: usize| {
            let members = self.plan.boxes[place].findings.iter();
            members.filter(|&&other| wanted(other)).take(2).count() == 2
        };
        let mut boxes = self.plan.index.boxes_of.of(to_u32(finding.0)).iter().map(|&place| place as usize);
        boxes.find(|&place| several(place)).map_or(Ask::Finding(finding), Ask::Box)
    }

    /// Everything else of which a single answer can change the urgency or the first place: what may turn out dangerous, then
    /// by the expected drop in the entropy of the shares. What promises too little for its trouble is left out.
    fn ranking(&mut self) {
        let mut order: Vec<(Reverse<Option<Urgency>>, f64, Ask, usize)> = Vec::new();
        for group in 0..self.evaluation.groups().len() {
            let worths = self.worths(group);
            let is_worth = |finding| worths.binary_search_by_key(&finding, |&(known, _)| known).is_ok();
            let mut by_ask: Vec<(Ask, Worth)> =
                worths.iter().map(|&(finding, worth)| (self.by_box(finding, &is_worth), worth)).collect();
            by_ask.sort_by_key(|(ask, _)| *ask);
            for same in by_ask.chunk_by(|a, b| a.0 == b.0) {
                let gain = same.iter().fold(0.0, |sum, (_, worth)| sum + worth.gain);
                let rise = same.iter().fold(0.0, |sum, (_, worth)| sum + worth.rise);
                if gain >= LEAST_GAIN || rise > 0.0 {
                    let danger = same.iter().filter_map(|(_, worth)| worth.danger).max();
                    order.push((Reverse(danger), gain, same[0].0, group));
                }
            }
        }
        order.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)).then(a.3.cmp(&b.3)));
        for (_, _, ask, group) in order {
            self.push(ask, group, Why::Ranking);
        }
    }

    /// The findings of which an answer could change the urgency or the first place, ascending, each with what it is worth;
    /// those may be missing that come after as many as are wanted.
    fn worths(&self, group: usize) -> Vec<(FindingIndex, Worth)> {
        let mut supposing = Supposing::new(self.plan, self.evaluation, group);
        let candidates = supposing.bounds.candidates().into_iter().filter(|&finding| self.askable(group, finding));
        let promise = |finding| supposing.bounds.promise(finding).map(|promise| (promise, finding));
        let promising: Vec<Promising> = candidates.filter_map(promise).collect();
        let is_alone = |finding: FindingIndex| self.plan.index.boxes_of.of(to_u32(finding.0)).is_empty();
        let (mut alone, in_boxes): (Vec<_>, Vec<_>) =
            promising.into_iter().partition(|(_, finding)| is_alone(*finding));
        alone.sort_by(|(a, x), (b, y)| order((a.danger, a.gain), (b.danger, b.gain)).then(x.cmp(y)));
        let mut worths = Vec::new();
        let mut best = Best { most: self.most, found: Vec::new() };
        for (promise, finding) in alone {
            if best.is_beyond((promise.danger, promise.gain)) {
                break;
            }
            if !promise.may_rise && promise.gain < LEAST_GAIN {
                continue;
            }
            let Some(worth) = supposing.worth(finding) else { continue };
            worths.push((finding, worth));
            let group = (!self.plan.index.about_person[finding.0]).then_some(group);
            let is_asked = self.seen.contains(&(Ask::Finding(finding), group));
            if !is_asked && (worth.gain >= LEAST_GAIN || worth.rise > 0.0) {
                best.see(worth);
            }
        }
        // What a box promises is what its findings do together, so all of them are looked at or none.
        for together in self.together(in_boxes) {
            let gain = together.iter().fold(0.0, |sum, (promise, _)| sum + promise.gain.max(0.0));
            let danger = together.iter().filter_map(|(promise, _)| promise.danger).max();
            let may_rise = together.iter().any(|(promise, _)| promise.may_rise);
            if (may_rise || gain >= LEAST_GAIN) && !best.is_beyond((danger, gain)) {
                let findings = together.into_iter().map(|(_, finding)| finding);
                worths.extend(findings.filter_map(|finding| supposing.worth(finding).map(|worth| (finding, worth))));
            }
        }
        worths.sort_unstable_by_key(|(finding, _)| *finding);
        worths
    }

    /// Findings that are in boxes, those side by side whose boxes share one of them.
    fn together(&self, findings: Vec<Promising>) -> Vec<Vec<Promising>> {
        let boxes_of = |finding: FindingIndex| self.plan.index.boxes_of.of(to_u32(finding.0)).iter();
        let mut lists: Vec<(BTreeSet<u32>, Vec<Promising>)> = Vec::new();
        for (promise, finding) in findings {
            let mut boxes: BTreeSet<u32> = boxes_of(finding).copied().collect();
            let mut list = vec![(promise, finding)];
            for (others, findings) in
                lists.extract_if(.., |(others, _)| !others.is_disjoint(&boxes)).collect::<Vec<_>>()
            {
                boxes.extend(others);
                list.extend(findings);
            }
            lists.push((boxes, list));
        }
        lists.into_iter().map(|(_, list)| list).collect()
    }
}

/// A finding, and what asking for it promises.
type Promising = (Promise, FindingIndex);

/// What a question is ranked by: the danger that an answer could bring to light, then the gain.
type Standing = (Option<Urgency>, f64);

/// The better question is less.
fn order(a: Standing, b: Standing) -> Ordering {
    b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
}

/// As many of the best questions as are wanted.
struct Best {
    most: usize,
    /// The best first.
    found: Vec<Standing>,
}

impl Best {
    fn see(&mut self, worth: Worth) {
        let one = (worth.danger, worth.gain);
        self.found.insert(self.found.partition_point(|other| order(*other, one).is_le()), one);
        self.found.truncate(self.most);
    }

    /// Whether a question that is no better than this cannot be among them.
    fn is_beyond(&self, one: Standing) -> bool {
        self.found.get(self.most - 1).is_some_and(|least| order(*least, one).is_lt())
    }
}

/// Which findings of a group were told both ways.
#[must_use]
pub(super) fn contradicted(plan: &Plan, told: &GroupFindings, group: &GroupEvaluation) -> Vec<FindingIndex> {
    let both = |finding: &FindingIndex| {
        told.contradicted.contains(finding)
            || plan.atoms_of(*finding).any(|atom| group.facts.atom(atom).truth() == Truth::BOTH)
    };
    told.told.iter().copied().filter(both).collect()
}
