//! A pack as a plain tree, and the same in YAML.

use rubor::engine::urgency::Urgency;
use rubor::engine::weight::{Strength, Weight};
use std::fmt::Write as _;

pub struct Pack {
    pub findings: Vec<Finding>,
    pub tells: Vec<Tell>,
    pub conditions: Vec<Condition>,
    pub flags: Vec<Flag>,
    pub boxes: Vec<QuestionBox>,
    pub screen: Vec<Ask>,
    pub ask_when_contradicted: Option<usize>,
    pub ask_when_told: Vec<usize>,
    pub insufficient: Urgency,
    /// The thresholds of emergency, urgent, prompt and routine.
    pub act_at: [f64; 4],
}

pub struct Finding {
    pub id: String,
    pub about_person: bool,
    pub kind: Kind,
    pub has_question: bool,
    pub asked_of_patient: bool,
    pub family: Option<String>,
    pub implies: Vec<usize>,
    pub opposites: Vec<usize>,
}

pub enum Kind {
    YesNo,
    Number,
    Choice(usize),
    Multiple(usize),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Comparison {
    Below,
    AtMost,
    AtLeast,
    Above,
}

#[derive(Clone, PartialEq)]
pub enum Expr {
    Present(usize),
    Is(usize, usize),
    Compare(usize, Comparison, i64),
    Not(Box<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    AtLeast(usize, Vec<Expr>),
}

pub struct Tell {
    pub when: Expr,
    pub present: Vec<usize>,
    pub absent: Vec<usize>,
}

pub struct Condition {
    pub id: String,
    pub urgency: Urgency,
    pub odds: f64,
    pub part_of: Option<usize>,
    pub rules: Vec<Rule>,
}

pub struct Rule {
    pub id: String,
    pub when: Expr,
    pub says: Says,
    pub family: Option<String>,
    /// Places of rules of the same condition.
    pub stands_for: Vec<usize>,
}

pub enum Says {
    Supports(Strength),
    Against(Strength),
    Ratio(f64),
    Ratios(f64, f64),
    Probability(f64, f64),
}

pub struct Flag {
    pub id: String,
    pub given: Option<Expr>,
    pub or_unknown: bool,
    pub sign: Expr,
    pub unless: Option<Expr>,
    pub floor: Urgency,
    pub while_unknown: Option<Urgency>,
}

pub struct QuestionBox {
    pub id: String,
    pub pick_one: bool,
    pub findings: Vec<usize>,
}

/// Boxes before findings, as in the engine's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    Box(usize),
    Finding(usize),
}

impl Comparison {
    pub fn holds(self, value: i64, limit: i64) -> bool {
        match self {
            Comparison::Below => value < limit,
            Comparison::AtMost => value <= limit,
            Comparison::AtLeast => value >= limit,
            Comparison::Above => value > limit,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Comparison::Below => "below",
            Comparison::AtMost => "at_most",
            Comparison::AtLeast => "at_least",
            Comparison::Above => "above",
        }
    }
}

impl Says {
    /// The weights when True and when False.
    pub fn weights(&self) -> (Weight, Weight) {
        match self {
            Says::Supports(strength) => (strength.weight(), Weight::ZERO),
            Says::Against(strength) => (strength.weight().negate(), Weight::ZERO),
            Says::Ratio(ratio) => (Weight::from_ratio(*ratio), Weight::ZERO),
            Says::Ratios(present, absent) => (Weight::from_ratio(*present), Weight::from_ratio(*absent)),
            Says::Probability(with, without) => {
                (Weight::from_ratio(with / without), Weight::from_ratio((1.0 - with) / (1.0 - without)))
            }
        }
    }
}

impl Expr {
    /// Every finding that it looks at, again and again.
    pub fn findings(&self) -> Vec<usize> {
        match self {
            Expr::Present(finding) | Expr::Is(finding, _) | Expr::Compare(finding, ..) => vec![*finding],
            Expr::Not(inner) => inner.findings(),
            Expr::All(items) | Expr::Any(items) | Expr::AtLeast(_, items) => {
                items.iter().flat_map(Expr::findings).collect()
            }
        }
    }

    fn leaves<'a>(&'a self, into: &mut Vec<&'a Expr>) {
        match self {
            Expr::Not(inner) => inner.leaves(into),
            Expr::All(items) | Expr::Any(items) | Expr::AtLeast(_, items) => {
                items.iter().for_each(|item| item.leaves(into));
            }
            leaf => into.push(leaf),
        }
    }

    fn yaml(&self, pack: &Pack) -> String {
        let id = |finding: &usize| pack.findings[*finding].id.clone();
        let list = |items: &[Expr]| items.iter().map(|item| item.yaml(pack)).collect::<Vec<_>>().join(", ");
        match self {
            Expr::Present(finding) => id(finding),
            Expr::Is(finding, option) => format!("{{finding: {}, is: o{option}}}", id(finding)),
            Expr::Compare(finding, comparison, limit) => {
                format!("{{finding: {}, {}: {limit}}}", id(finding), comparison.key())
            }
            Expr::Not(inner) => format!("{{not: {}}}", inner.yaml(pack)),
            Expr::All(items) => format!("{{all: [{}]}}", list(items)),
            Expr::Any(items) => format!("{{any: [{}]}}", list(items)),
            Expr::AtLeast(k, items) => format!("{{at_least: {k}, of: [{}]}}", list(items)),
        }
    }
}

impl Pack {
    /// Derived findings, and what `implies` and `opposite_of` tell.
    pub fn all_tells(&self) -> Vec<Tell> {
        let tell = |when: Expr, present: Vec<usize>, absent: Vec<usize>| Tell { when, present, absent };
        let mut tells: Vec<Tell> =
            self.tells.iter().map(|t| tell(t.when.clone(), t.present.clone(), t.absent.clone())).collect();
        for (own, finding) in self.findings.iter().enumerate() {
            for &implied in &finding.implies {
                tells.push(tell(Expr::Present(own), vec![implied], vec![]));
                tells.push(tell(Expr::Not(Box::new(Expr::Present(implied))), vec![], vec![own]));
            }
            for &other in &finding.opposites {
                tells.push(tell(Expr::Present(own), vec![], vec![other]));
                tells.push(tell(Expr::Present(other), vec![], vec![own]));
            }
        }
        tells
    }

    /// Every expression of the pack.
    pub fn expressions(&self) -> Vec<&Expr> {
        let rules = self.conditions.iter().flat_map(|condition| &condition.rules).map(|rule| &rule.when);
        let flags = self.flags.iter().flat_map(|flag| flag.given.iter().chain([&flag.sign]).chain(&flag.unless));
        self.tells.iter().map(|tell| &tell.when).chain(rules).chain(flags).collect()
    }

    /// All comparisons with a number.
    pub fn comparisons(&self, finding: usize) -> Vec<&Expr> {
        let mut leaves = Vec::new();
        self.expressions().into_iter().for_each(|expr| expr.leaves(&mut leaves));
        leaves.retain(|leaf| matches!(leaf, Expr::Compare(other, ..) if *other == finding));
        leaves
    }

    pub fn is_within(&self, condition: usize, ancestor: usize) -> bool {
        condition == ancestor
            || self.conditions[condition].part_of.is_some_and(|parent| self.is_within(parent, ancestor))
    }

    pub fn yaml(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes everything");
        text
    }

    fn ids(&self, findings: &[usize]) -> String {
        findings.iter().map(|&finding| self.findings[finding].id.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let screen: Vec<&str> = self
            .screen
            .iter()
            .map(|ask| match ask {
                Ask::Box(place) => self.boxes[*place].id.as_str(),
                Ask::Finding(finding) => self.findings[*finding].id.as_str(),
            })
            .collect();
        let [emergency, urgent, prompt, routine] = self.act_at;
        writeln!(text, "pack:\n  id: random\n  title: Random\n  version: \"1\"")?;
        writeln!(text, "  insufficient_urgency: {}\n  screen: [{}]", self.insufficient, screen.join(", "))?;
        if let Some(finding) = self.ask_when_contradicted {
            writeln!(text, "  ask_when_contradicted: {}", self.findings[finding].id)?;
            let told: Vec<&str> =
                self.ask_when_told.iter().map(|&finding| self.findings[finding].id.as_str()).collect();
            writeln!(text, "  ask_when_told: [{}]", told.join(", "))?;
        }
        writeln!(text, "  act_at: {{emergency: {emergency}, urgent: {urgent}, prompt: {prompt}, routine: {routine}}}")?;
        writeln!(
            text,
            "  frequencies: {{very_common: 1, common: 0.3, uncommon: 0.1, rare: 0.03, very_rare: 0.01}}\n  advice:"
        )?;
        for urgency in Urgency::ALL {
            writeln!(text, "  - {{urgency: {urgency}, text: {urgency}}}")?;
        }
        writeln!(text, "  safety_net:")?;
        for urgency in &Urgency::ALL[..3] {
            writeln!(text, "  - {{urgency: {urgency}, act_within: a day, reassess_after: two days}}")?;
        }
        self.write_findings(text)?;
        self.write_boxes_and_tells(text)?;
        self.write_conditions(text)?;
        self.write_flags(text)
    }

    fn write_findings(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "findings:")?;
        for finding in &self.findings {
            let (kind, options) = match finding.kind {
                Kind::YesNo => ("yes_no", 0),
                Kind::Number => ("number", 0),
                Kind::Choice(options) => ("choice", options),
                Kind::Multiple(options) => ("multiple_choice", options),
            };
            let about = if finding.about_person { "person" } else { "spots" };
            let asked_of = if finding.asked_of_patient { "patient" } else { "clinician" };
            let ask = if finding.has_question { "Is it?" } else { "" };
            let (id, name) = (&finding.id, &finding.id);
            writeln!(
                text,
                "- {{id: {id}, name: {name}, about: {about}, kind: {kind}, asked_of: {asked_of}, ask: \"{ask}\""
            )?;
            if let Some(family) = &finding.family {
                writeln!(text, "  , family: {family}")?;
            }
            if matches!(finding.kind, Kind::Number) {
                writeln!(text, "  , unit: {}, range: [0, 100]", if id == "age" { "a" } else { "\"1\"" })?;
            }
            if options > 0 {
                let options: Vec<String> = (0..options).map(|i| format!("{{id: o{i}, name: O{i}}}")).collect();
                writeln!(text, "  , options: [{}]", options.join(", "))?;
            }
            if !finding.implies.is_empty() {
                writeln!(text, "  , implies: [{}]", self.ids(&finding.implies))?;
            }
            if !finding.opposites.is_empty() {
                writeln!(text, "  , opposite_of: [{}]", self.ids(&finding.opposites))?;
            }
            writeln!(text, "  }}")?;
        }
        Ok(())
    }

    fn write_boxes_and_tells(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "boxes:")?;
        for item in &self.boxes {
            let pick = if item.pick_one { "one" } else { "any" };
            writeln!(text, "- {{id: {}, ask: Any?, pick: {pick}, findings: [{}]}}", item.id, self.ids(&item.findings))?;
        }
        writeln!(text, "derived:")?;
        for (i, tell) in self.tells.iter().enumerate() {
            let (present, absent) = (self.ids(&tell.present), self.ids(&tell.absent));
            let when = tell.when.yaml(self);
            writeln!(text, "- {{id: d{i}, when: {when}, present: [{present}], absent: [{absent}], because: so}}")?;
        }
        Ok(())
    }

    fn write_conditions(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "conditions:")?;
        for condition in &self.conditions {
            let Condition { id, urgency, odds, .. } = condition;
            writeln!(text, "- id: {id}\n  name: {id}\n  summary: {id}\n  urgency: {urgency}\n  prior: {odds}")?;
            if let Some(parent) = condition.part_of {
                writeln!(text, "  part_of: {}", self.conditions[parent].id)?;
            }
            writeln!(text, "  evidence:")?;
            for rule in &condition.rules {
                let says = match &rule.says {
                    Says::Supports(strength) => format!("supports: {strength:?}").to_lowercase(),
                    Says::Against(strength) => format!("argues_against: {strength:?}").to_lowercase(),
                    Says::Ratio(ratio) => format!("likelihood_ratio: {ratio}"),
                    Says::Ratios(present, absent) => {
                        format!("likelihood_ratio: {present}, likelihood_ratio_if_absent: {absent}")
                    }
                    Says::Probability(with, without) => format!("probability: {{with: {with}, without: {without}}}"),
                };
                write!(text, "  - {{id: {}, when: {}, {says}, because: so", rule.id, rule.when.yaml(self))?;
                if let Some(family) = &rule.family {
                    write!(text, ", family: {family}")?;
                }
                if !rule.stands_for.is_empty() {
                    let parts: Vec<&str> = rule.stands_for.iter().map(|&i| condition.rules[i].id.as_str()).collect();
                    write!(text, ", stands_for: [{}]", parts.join(", "))?;
                }
                writeln!(text, "}}")?;
            }
        }
        Ok(())
    }

    fn write_flags(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "red_flags:")?;
        for flag in &self.flags {
            let (id, floor) = (&flag.id, flag.floor);
            write!(text, "- {{id: {id}, name: {id}, floor: {floor}, because: so, sign: {}", flag.sign.yaml(self))?;
            if let Some(given) = &flag.given {
                let key = if flag.or_unknown { "given_or_unknown" } else { "given" };
                write!(text, ", {key}: {}", given.yaml(self))?;
            }
            if let Some(unless) = &flag.unless {
                write!(text, ", unless: {}", unless.yaml(self))?;
            }
            if let Some(urgency) = flag.while_unknown {
                write!(text, ", while_unknown: {urgency}")?;
            }
            writeln!(text, "}}")?;
        }
        Ok(())
    }
}
