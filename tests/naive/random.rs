//! Random packs and random requests, from a seed.

use super::Told;
use super::flags::Statement;
use super::pack::{Ask, Comparison, Condition, Expr, Finding, Flag, Kind, Pack, QuestionBox, Rule, Says, Tell};
use rubor::engine::submission::{Observation, Reporter, Submission, Value};
use rubor::engine::urgency::Urgency;
use rubor::engine::weight::Strength;

/// A small generator of numbers (splitmix64); the same seed gives the same packs everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let high = u128::from(z ^ (z >> 31)) * (bound as u128);
        usize::try_from(high >> 64).expect("below the bound")
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    fn some(&mut self, from: &[usize], most: usize) -> Vec<usize> {
        let mut some: Vec<usize> = (0..=self.below(most)).map(|_| self.pick(from)).collect();
        some.sort_unstable();
        some.dedup();
        some
    }
}

const URGENCIES: [Urgency; 5] = Urgency::ALL;

/// Findings come in three tiers, and derived ones tell from tier to tier, so that they never run in a circle.
pub fn pack(random: &mut Random) -> Pack {
    let findings = findings(random);
    let mut make = Make { random, findings, tiers: [Vec::new(), Vec::new(), Vec::new()] };
    for (i, finding) in make.findings.iter().enumerate() {
        if matches!(finding.kind, Kind::YesNo) {
            make.tiers[i % 3].push(i);
        }
    }
    make.relations();
    let tells = (0..make.random.below(5)).filter_map(|_| make.tell()).collect();
    let conditions: Vec<Condition> = (0..2 + make.random.below(7)).map(|place| make.condition(place)).collect();
    let flags: Vec<Flag> = (0..make.random.below(8)).map(|place| make.flag(place)).collect();
    let yes_no: Vec<usize> = make.tiers.concat();
    let boxes: Vec<QuestionBox> = (0..make.random.below(4))
        .map(|place| {
            let mut findings = make.random.some(&yes_no, 4);
            if findings.len() < 2 {
                findings = vec![yes_no[0], yes_no[1]];
            }
            QuestionBox { id: format!("b{place}"), pick_one: make.random.one_in(2), findings }
        })
        .collect();
    let mut screen: Vec<Ask> = (0..make.random.below(3)).map(|_| Ask::Finding(make.any_finding())).collect();
    screen.extend((0..boxes.len()).filter(|_| make.random.one_in(3)).map(Ask::Box));
    screen.sort_unstable();
    screen.dedup();
    let act_at = make.random.pick(&[[0.05, 0.1, 0.2, 0.4], [0.3, 0.5, 0.7, 0.9], [0.01, 0.02, 0.5, 1.0]]);
    Pack {
        ask_when_contradicted: make.random.one_in(2).then(|| make.random.pick(&yes_no)),
        ask_when_told: make.random.some(&yes_no, 2),
        insufficient: make.random.pick(&URGENCIES[..4]),
        findings: make.findings,
        tells,
        conditions,
        flags,
        boxes,
        screen,
        act_at,
    }
}

/// Sorted by id, as the engine sorts them: age, then f00 and so on, then sex.
fn findings(random: &mut Random) -> Vec<Finding> {
    let count = 8 + random.below(16);
    let mut finding = |id: String, about_person: bool, kind: Kind| Finding {
        id,
        about_person,
        kind,
        has_question: !random.one_in(8),
        asked_of_patient: !random.one_in(6),
        family: random.one_in(3).then(|| format!("family_{}", random.below(4))),
        implies: Vec::new(),
        opposites: Vec::new(),
    };
    let mut list = vec![finding("age".to_owned(), true, Kind::Number)];
    for i in 0..count {
        let kind = match i {
            0..6 => Kind::YesNo,
            _ if i % 7 == 0 => Kind::Number,
            _ if i % 5 == 0 => Kind::Choice(2 + i % 3),
            _ if i % 11 == 0 => Kind::Multiple(3),
            _ => Kind::YesNo,
        };
        list.push(finding(format!("f{i:02}"), i % 4 == 0, kind));
    }
    list.push(finding("sex".to_owned(), true, Kind::Choice(2)));
    list
}

struct Make<'a> {
    random: &'a mut Random,
    findings: Vec<Finding>,
    /// Yes-or-no findings.
    tiers: [Vec<usize>; 3],
}

impl Make<'_> {
    fn any_finding(&mut self) -> usize {
        self.random.below(self.findings.len())
    }

    /// `implies` and `opposite_of`, within a tier.
    fn relations(&mut self) {
        for _ in 0..self.random.below(5) {
            let tier = self.random.below(3);
            let own = self.random.pick(&self.tiers[tier]);
            let other = self.random.pick(&self.tiers[tier]);
            let implies = self.random.one_in(2);
            let finding = &mut self.findings[own];
            if own != other && !finding.implies.contains(&other) && !finding.opposites.contains(&other) {
                if implies { finding.implies.push(other) } else { finding.opposites.push(other) }
            }
        }
    }

    fn tell(&mut self) -> Option<Tell> {
        let tier = self.random.below(2);
        let from: Vec<usize> = self.tiers[..=tier].concat();
        let when = self.expr(2, &from);
        let to = self.tiers[tier + 1].clone();
        let (present, mut absent) = (self.random.some(&to, 2), self.random.some(&to, 2));
        // Mostly one way only; both ways about one finding is a pack at odds with itself, and allowed.
        if !self.random.one_in(4) {
            absent.retain(|finding| !present.contains(finding));
        }
        Some(Tell { when, present, absent })
    }

    fn leaf(&mut self, from: &[usize]) -> Expr {
        let finding = self.random.pick(from);
        match self.findings[finding].kind {
            Kind::YesNo => Expr::Present(finding),
            Kind::Choice(options) | Kind::Multiple(options) => Expr::Is(finding, self.random.below(options)),
            Kind::Number => {
                let comparisons = [Comparison::Below, Comparison::AtMost, Comparison::AtLeast, Comparison::Above];
                let limit = i64::try_from(10 + 10 * self.random.below(8)).expect("a small number");
                Expr::Compare(finding, self.random.pick(&comparisons), limit)
            }
        }
    }

    fn expr(&mut self, depth: usize, from: &[usize]) -> Expr {
        if depth == 0 || self.random.one_in(3) {
            let leaf = self.leaf(from);
            return if self.random.one_in(5) { Expr::Not(Box::new(leaf)) } else { leaf };
        }
        let items: Vec<Expr> = (0..=self.random.below(4)).map(|_| self.expr(depth - 1, from)).collect();
        let inner = match self.random.below(5) {
            0 | 1 => Expr::All(items),
            2 | 3 => Expr::Any(items),
            _ => Expr::AtLeast(1 + self.random.below(items.len()), items),
        };
        if self.random.one_in(6) { Expr::Not(Box::new(inner)) } else { inner }
    }

    fn any_expr(&mut self) -> Expr {
        let all: Vec<usize> = (0..self.findings.len()).collect();
        let depth = self.random.pick(&[0, 0, 1, 2, 2, 3, 5]);
        self.expr(depth, &all)
    }

    fn says(&mut self) -> Says {
        let strengths = [Strength::Weak, Strength::Moderate, Strength::Strong];
        match self.random.below(6) {
            0 | 1 => Says::Supports(self.random.pick(&strengths)),
            2 => Says::Against(self.random.pick(&strengths)),
            3 => Says::Ratio(self.random.pick(&[0.001, 0.2, 1.0, 3.0, 1000.0])),
            4 => Says::Ratios(self.random.pick(&[1.5, 4.0, 50.0]), self.random.pick(&[0.1, 0.5, 0.9])),
            _ => Says::Probability(self.random.pick(&[0.01, 0.3, 0.6, 0.99]), self.random.pick(&[0.05, 0.3, 0.5])),
        }
    }

    fn condition(&mut self, place: usize) -> Condition {
        let mut rules: Vec<Rule> = (0..1 + self.random.below(9))
            .map(|i| Rule {
                id: format!("r{i:02}"),
                when: self.any_expr(),
                says: self.says(),
                family: self.random.one_in(5).then(|| format!("named_{}", self.random.below(3))),
                stands_for: Vec::new(),
            })
            .collect();
        self.joint_rules(&mut rules);
        Condition {
            id: format!("c{place:02}"),
            urgency: self.random.pick(&URGENCIES),
            odds: self.random.pick(&[0.000_001, 0.01, 0.1, 0.5, 2.0, 1000.0]),
            part_of: (place > 0 && self.random.one_in(3)).then(|| self.random.below(place)),
            rules,
        }
    }

    /// Turns some rules into joint rules, which stand for single rules that look at one of their findings.
    fn joint_rules(&mut self, rules: &mut [Rule]) {
        for joint in 0..rules.len() {
            if !self.random.one_in(4) {
                continue;
            }
            let findings = rules[joint].when.findings();
            let shares = |rule: &Rule| rule.when.findings().iter().any(|finding| findings.contains(finding));
            let mut parts: Vec<usize> = (0..rules.len())
                .filter(|&part| part != joint && rules[part].stands_for.is_empty() && shares(&rules[part]))
                .filter(|&part| rules.iter().all(|rule| rule.stands_for.is_empty() || rule.id != rules[part].id))
                .collect();
            parts.truncate(1 + self.random.below(3));
            let is_a_part = rules.iter().any(|rule| rule.stands_for.contains(&joint));
            if !parts.is_empty() && !is_a_part {
                rules[joint].stands_for = parts;
                rules[joint].says = Says::Ratio(self.random.pick(&[0.1, 4.0, 30.0]));
            }
        }
    }

    fn flag(&mut self, place: usize) -> Flag {
        let given = (!self.random.one_in(3)).then(|| self.any_expr());
        let floor = self.random.pick(&URGENCIES[1..]);
        let while_unknown = self.random.pick(&URGENCIES[..=floor.index()]);
        Flag {
            id: format!("x{place}"),
            or_unknown: given.is_some() && self.random.one_in(3),
            sign: self.any_expr(),
            unless: self.random.one_in(4).then(|| self.any_expr()),
            while_unknown: (given.is_some() && self.random.one_in(2)).then_some(while_unknown),
            given,
            floor,
        }
    }
}

/// A request, as the naive evaluator takes it and as the engine takes it.
pub fn request(random: &mut Random, pack: &Pack) -> (Vec<Statement>, bool, Submission) {
    let groups: &[&str] = if random.one_in(4) { &["", "new", "old"] } else { &[""] };
    let mut statements: Vec<Statement> = Vec::new();
    let most = if random.one_in(3) { pack.findings.len() * 2 } else { 6 };
    for _ in 0..random.below(most) {
        let finding = random.below(pack.findings.len());
        let told = match pack.findings[finding].kind {
            _ if random.one_in(12) => Told::NotKnown,
            Kind::YesNo => Told::Present(!random.one_in(3)),
            Kind::Number => Told::Number(i64::try_from(random.below(101)).expect("a small number")),
            Kind::Choice(options) => Told::Options(vec![random.below(options)], true),
            Kind::Multiple(options) => {
                let chosen = random.some(&(0..options).collect::<Vec<_>>(), 2);
                Told::Options(chosen, random.one_in(2))
            }
        };
        let group = if pack.findings[finding].about_person { "" } else { random.pick(groups) };
        statements.push((finding, told, group.to_owned()));
    }
    let by_clinician = random.one_in(3);
    let observations = statements.iter().map(|statement| observation(pack, statement)).collect();
    let reporter = Some(if by_clinician { Reporter::Clinician } else { Reporter::Patient });
    (statements, by_clinician, Submission { observations, reporter, ..Submission::default() })
}

fn observation(pack: &Pack, (finding, told, group): &Statement) -> Observation {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let value = match told {
        Told::NotKnown => Value::NotKnown(true),
        Told::Present(present) => Value::Present(*present),
        Told::Number(value) => Value::Quantity { value: *value as f64, unit: String::new() },
        Told::Options(chosen, complete) => {
            let single = matches!(pack.findings[*finding].kind, Kind::Choice(_));
            let options = chosen.iter().map(|option| format!("o{option}")).collect();
            Value::Selection { options, complete: *complete && !single }
        }
    };
    Observation { finding: pack.findings[*finding].id.clone(), value: Some(value), group: group.clone() }
}
