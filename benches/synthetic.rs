//! Synthetic packs and requests from a seed, and a naive evaluator to measure against. Knows nothing of rubor's code.
//!
//! N rules over N/10 conditions and max(30, N/5) findings: a tenth like ages, a tenth like temperatures, two tenths coded
//! with six values, the others yes or no. A rule holds 2 to 5 comparisons under alternating `all` and `any`, a comparison is
//! negated with p 0.12, a connective with p 0.04, and a rule that holds weighs -20 to 30 decibans. Findings are drawn by a
//! Zipf law with the given exponent, in rules and requests alike; 15 findings a request.

use std::fmt::Write as _;

pub const RULES_A_CONDITION: usize = 10;
pub const FAMILIES: usize = 4;
const FINDINGS_A_REQUEST: usize = 15;
const FILE_LIMIT: usize = 900_000;

/// Splitmix64.
pub struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

#[derive(Clone, Copy)]
pub enum Kind {
    Age,
    Temperature,
    Coded,
    YesNo,
}

/// A value told: an age in years, a temperature in tenths, an option, or 1 for yes.
#[derive(Clone, Copy)]
pub struct Told {
    pub finding: usize,
    pub value: i64,
}

pub enum Expr {
    /// Finding, and the option or the limit that it reaches; negated or not.
    Leaf(usize, i64, bool),
    /// `all` or `any`; negated or not.
    Group(bool, Vec<Expr>, bool),
}

pub struct Rule {
    pub when: Expr,
    pub decibans: i32,
}

pub struct Synthetic {
    pub kinds: Vec<Kind>,
    pub rules: Vec<Rule>,
    pub requests: Vec<Vec<Told>>,
}

fn kind_of(finding: usize) -> Kind {
    match finding % 10 {
        0 => Kind::Age,
        1 => Kind::Temperature,
        2 | 3 => Kind::Coded,
        _ => Kind::YesNo,
    }
}

impl Synthetic {
    pub fn new(rules: usize, exponent: f64, requests: usize) -> Self {
        let mut random = Random(rules as u64);
        let findings = (rules / 5).max(30);
        let mut sums = Vec::with_capacity(findings);
        let mut sum = 0.0;
        for i in 0..findings {
            sum += ((i + 1) as f64).powf(-exponent);
            sums.push(sum);
        }
        // The popularity of a finding says nothing about its kind or its place among the ids.
        let mut order: Vec<usize> = (0..findings).collect();
        for i in (1..findings).rev() {
            order.swap(i, random.below(i + 1));
        }
        let mut draw = |random: &mut Random| {
            let at = random.unit() * sum;
            order[sums.partition_point(|&s| s < at).min(findings - 1)]
        };
        let rules = (0..rules)
            .map(|_| {
                let leaves = 2 + random.below(4);
                let all = random.chance(0.5);
                let when = expr(&mut random, &mut draw, leaves, all);
                let decibans = loop {
                    let weight = random.below(51) as i32 - 20;
                    if weight != 0 {
                        break weight;
                    }
                };
                Rule { when, decibans }
            })
            .collect();
        let requests = (0..requests)
            .map(|_| {
                let mut told: Vec<Told> = Vec::new();
                while told.len() < FINDINGS_A_REQUEST {
                    let finding = draw(&mut random);
                    if told.iter().all(|other| other.finding != finding) {
                        told.push(Told { finding, value: value(&mut random, finding) });
                    }
                }
                told
            })
            .collect();
        Self { kinds: (0..findings).map(kind_of).collect(), rules, requests }
    }

    pub fn id(&self, finding: usize) -> String {
        format!("f{finding:05}")
    }

    /// The files of the pack, each below a megabyte.
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![("pack.yaml".to_owned(), header())];
        let mut text = "findings:\n".to_owned();
        for finding in 0..self.kinds.len() {
            let (id, about) = (self.id(finding), if finding % 3 == 0 { "person" } else { "spots" });
            let (kind, rest) = match self.kinds[finding] {
                Kind::Age => ("number", "    unit: a\n    range: [0, 120]\n"),
                Kind::Temperature => ("number", "    unit: Cel\n    range: [25, 45]\n"),
                Kind::Coded => (
                    "choice",
                    "    options: [{id: o0, name: A}, {id: o1, name: B}, {id: o2, name: C}, {id: o3, name: D}, {id: o4, name: E}, {id: o5, name: F}]\n",
                ),
                Kind::YesNo => ("yes_no", ""),
            };
            write!(text, "  - id: {id}\n    name: Finding {finding}\n    about: {about}\n    kind: {kind}\n    ask: Is finding {finding} there?\n{rest}").expect("text");
            if text.len() > FILE_LIMIT {
                files.push((
                    format!("findings/{:04}.yaml", files.len()),
                    std::mem::replace(&mut text, "findings:\n".to_owned()),
                ));
            }
        }
        files.push((
            format!("findings/{:04}.yaml", files.len()),
            std::mem::replace(&mut text, "conditions:\n".to_owned()),
        ));
        for (place, rules) in self.rules.chunks(RULES_A_CONDITION).enumerate() {
            let urgency = ["self_care", "routine", "prompt", "urgent", "emergency"][place % 5];
            write!(text, "  - id: c{place:05}\n    name: Condition {place}\n    summary: A synthetic condition.\n    urgency: {urgency}\n    prior: {}\n    evidence:\n", prior(place)).expect("text");
            for (i, rule) in rules.iter().enumerate() {
                let ratio = 10_f64.powf(f64::from(rule.decibans) / 10.0);
                let when = self.words(&rule.when);
                write!(text, "      - id: r{i}\n        when: {when}\n        likelihood_ratio: {ratio}\n        family: k{}\n        because: Synthetic rule {i} of condition {place}.\n", i % FAMILIES).expect("text");
            }
            if text.len() > FILE_LIMIT {
                files.push((
                    format!("conditions/{:04}.yaml", files.len()),
                    std::mem::replace(&mut text, "conditions:\n".to_owned()),
                ));
            }
        }
        files.push((format!("conditions/{:04}.yaml", files.len()), text));
        files
    }

    fn words(&self, expr: &Expr) -> String {
        match expr {
            Expr::Leaf(finding, value, negated) => {
                let id = self.id(*finding);
                let leaf = match self.kinds[*finding] {
                    Kind::Age => format!("{{finding: {id}, at_least: {value}}}"),
                    Kind::Temperature => format!("{{finding: {id}, at_least: {}.{}}}", value / 10, value % 10),
                    Kind::Coded => format!("{{finding: {id}, is: o{value}}}"),
                    Kind::YesNo => id,
                };
                if *negated { format!("{{not: {leaf}}}") } else { leaf }
            }
            Expr::Group(all, items, negated) => {
                let items: Vec<String> = items.iter().map(|item| self.words(item)).collect();
                let group = format!("{{{}: [{}]}}", if *all { "all" } else { "any" }, items.join(", "));
                if *negated { format!("{{not: {group}}}") } else { group }
            }
        }
    }
}

/// Odds of a condition before anything was told.
pub fn prior(place: usize) -> f64 {
    [0.001, 0.003, 0.01, 0.03][place % 4]
}

fn value(random: &mut Random, finding: usize) -> i64 {
    match kind_of(finding) {
        Kind::Age => random.below(100) as i64,
        Kind::Temperature => 350 + random.below(70) as i64,
        Kind::Coded => random.below(6) as i64,
        Kind::YesNo => i64::from(random.chance(0.5)),
    }
}

fn expr(random: &mut Random, draw: &mut impl FnMut(&mut Random) -> usize, leaves: usize, all: bool) -> Expr {
    if leaves == 1 {
        let finding = draw(random);
        return Expr::Leaf(finding, value(random, finding), random.chance(0.12));
    }
    // Two parts, so that the tree is as deep as it can be with so few leaves.
    let first = 1 + random.below(leaves - 1);
    let items = vec![expr(random, draw, first, !all), expr(random, draw, leaves - first, !all)];
    Expr::Group(all, items, random.chance(0.04))
}

fn header() -> String {
    let mut text = "pack:\n  id: synthetic\n  title: Synthetic\n  version: \"1\"\n  insufficient_urgency: routine\n  act_at: {emergency: 0.05, urgent: 0.1, prompt: 0.2}\n  frequencies: {very_common: 0.2, common: 0.1, uncommon: 0.02, rare: 0.005, very_rare: 0.002}\n  screen: [f00004]\n  advice:\n".to_owned();
    for urgency in ["self_care", "routine", "prompt", "urgent", "emergency"] {
        writeln!(text, "  - {{urgency: {urgency}, text: Synthetic.}}").expect("text");
    }
    text.push_str("  safety_net:\n");
    for urgency in ["self_care", "routine", "prompt"] {
        writeln!(text, "  - {{urgency: {urgency}, act_within: a day, reassess_after: two days}}").expect("text");
    }
    text.push_str("red_flags:\n");
    for flag in 0..10 {
        writeln!(text, "  - {{id: x{flag}, name: Flag {flag}, floor: urgent, because: Synthetic., sign: {{all: [f0000{}, f0001{}]}}}}", 4 + flag % 6, 4 + flag * 7 % 6).expect("text");
    }
    text
}
