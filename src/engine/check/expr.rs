//! Conditions on findings: names resolved, kinds, units and ranges held against the vocabulary.
//!
//! Owns the resolved expression and its words. Lowering to atoms and nodes is `compile`'s.

use super::super::diagnostic::{Code, Diagnostic};
use super::super::doc::{DefinitionDoc, ExprDoc, ExprMap};
use super::super::parse::tree::At;
use super::super::parse::{Doc, Item};
use super::super::plan::{Test, millionths};
use super::super::suggest;
use super::super::unit;
use super::super::vocabulary::{Finding, FindingIndex, Kind, Vocabulary};
use super::names::Names;
use std::collections::BTreeMap;

/// A condition on findings with every name resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expr {
    Test(FindingIndex, TestOf),
    Not(Box<Expr>),
    All(Vec<Expr>),
    Any(Vec<Expr>),
    AtLeast(usize, Vec<Expr>),
    /// A definition with its name in words, kept for the words only.
    Named(String, Box<Expr>),
}

/// A comparison, public face of the plan's own.
pub type TestOf = Test;

impl Expr {
    /// All findings it looks at.
    pub fn findings(&self, into: &mut Vec<FindingIndex>) {
        match self {
            Expr::Test(finding, _) => into.push(*finding),
            Expr::Not(inner) | Expr::Named(_, inner) => inner.findings(into),
            Expr::All(items) | Expr::Any(items) | Expr::AtLeast(_, items) => {
                for item in items {
                    item.findings(into);
                }
            }
        }
    }

    /// The same without the names of definitions.
    pub fn bare(&self) -> &Expr {
        match self {
            Expr::Named(_, inner) => inner.bare(),
            other => other,
        }
    }

    /// In words, projected from what will run.
    pub fn words(&self, vocabulary: &Vocabulary) -> String {
        match self {
            Expr::Test(finding, test) => test_words(vocabulary.get(*finding), *test),
            Expr::Not(inner) => match inner.bare() {
                Expr::Test(finding, Test::Present) => format!("no {}", vocabulary.get(*finding).name),
                _ => format!("not ({})", inner.words(vocabulary)),
            },
            Expr::All(items) => joined(items, " and ", vocabulary),
            Expr::Any(items) => joined(items, " or ", vocabulary),
            Expr::AtLeast(count, items) => format!("at least {count} of: {}", joined(items, ", ", vocabulary)),
            Expr::Named(name, _) => name.clone(),
        }
    }
}

fn joined(items: &[Expr], with: &str, vocabulary: &Vocabulary) -> String {
    let words: Vec<String> = items
        .iter()
        .map(|item| match item {
            Expr::All(inner) | Expr::Any(inner) if inner.len() > 1 => format!("({})", item.words(vocabulary)),
            _ => item.words(vocabulary),
        })
        .collect();
    words.join(with)
}

fn test_words(finding: &Finding, test: Test) -> String {
    let unit = finding.kind.unit().map_or("", |unit| if unit.code == "1" { "" } else { unit.name });
    let number = |word: &str, limit: i64| {
        #[expect(clippy::cast_precision_loss, reason = "constants in rules are far below 2^52 millionths")]
        let value = limit as f64 / 1e6;
        format!("{} {word} {value} {unit}", finding.name).trim_end().to_owned()
    };
    match test {
        Test::Present => finding.name.clone(),
        Test::Option(option) => format!("{}: {}", finding.name, finding.kind.options()[option].name),
        Test::Below(limit) => number("below", limit),
        Test::AtMost(limit) => number("at most", limit),
        Test::AtLeast(limit) => number("at least", limit),
        Test::Above(limit) => number("above", limit),
    }
}

/// Resolves expressions; definitions are resolved once each and reported once each.
pub struct Resolver<'a, 'v> {
    doc: &'a Doc,
    names: &'v Names,
    vocabulary: &'v Vocabulary,
    definitions: BTreeMap<&'a str, &'a Item<DefinitionDoc>>,
    done: BTreeMap<&'a str, Option<Expr>>,
    under_way: Vec<&'a str>,
    pub found: Vec<Diagnostic>,
}

impl<'a, 'v> Resolver<'a, 'v> {
    pub fn new(doc: &'a Doc, names: &'v Names, vocabulary: &'v Vocabulary) -> Self {
        let definitions = doc.definitions.iter().map(|item| (item.doc.id.as_str(), item)).collect();
        let (done, under_way, found) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut resolver = Self { doc, names, vocabulary, definitions, done, under_way, found };
        for item in &doc.definitions {
            resolver.definition(&item.doc.id);
        }
        resolver
    }

    /// A definition without its name; `None` when something in it is wrong.
    pub fn resolved(&self, id: &str) -> Option<Expr> {
        match self.done.get(id)? {
            Some(Expr::Named(_, inner)) => Some(Expr::clone(inner)),
            other => other.clone(),
        }
    }

    /// The vocabulary it resolves against.
    pub fn vocabulary(&self) -> &'v Vocabulary {
        self.vocabulary
    }

    /// Resolves one expression; `None` when something in it is wrong, which is then reported.
    pub fn expr(&mut self, doc: &'a ExprDoc, at: At<'a>) -> Option<Expr> {
        match doc {
            ExprDoc::Name(name) => self.name(name, at),
            ExprDoc::Map(map) => self.map(map, at),
        }
    }

    fn name(&mut self, name: &'a str, at: At<'a>) -> Option<Expr> {
        if let Some(index) = self.vocabulary.by_id(name) {
            let finding = self.vocabulary.get(index);
            if finding.kind == Kind::YesNo {
                return Some(Expr::Test(index, Test::Present));
            }
            let example = match &finding.kind {
                Kind::Number { .. } => format!("write `{{ finding: {name}, at_least: ... }}`"),
                _ => format!(
                    "write `{{ finding: {name}, is: {} }}`",
                    finding.kind.options().first().map_or("...", |o| &o.id)
                ),
            };
            let message = format!("`{name}` is {}, so its name alone says nothing", finding.kind.words());
            self.found.push(Diagnostic::error(Code::Kind, Some(at.place()), message).help(example));
            return None;
        }
        if self.under_way.contains(&name) {
            let message = format!("the definition `{name}` leads back to itself");
            let way = self.under_way.join("` -> `");
            self.found.push(
                Diagnostic::error(Code::Cycle, Some(at.place()), message)
                    .help(format!("`{way}` -> `{name}`: break the circle")),
            );
            return None;
        }
        if self.definitions.contains_key(name) {
            return self.definition(name);
        }
        self.unknown(name, at);
        None
    }

    fn unknown(&mut self, name: &str, at: At<'_>) {
        if self.names.has("findings", name) || self.names.has("definitions", name) {
            return; // It is declared, but broken, and reported where it is declared.
        }
        let mut problem = self.names.unknown(
            Code::UnknownFinding,
            "finding or definition",
            name,
            &["findings", "definitions"],
            at.place(),
        );
        if problem.help.is_none() {
            problem.help = self
                .vocabulary
                .suggest(name)
                .or_else(|| Some("declare it under `findings`, or under `definitions`".to_owned()));
        }
        self.found.push(problem);
    }

    fn definition(&mut self, name: &str) -> Option<Expr> {
        let (&key, &item) = self.definitions.get_key_value(name)?;
        if let Some(done) = self.done.get(key) {
            return done.clone();
        }
        self.under_way.push(key);
        let resolved = self.expr(&item.doc.when, self.doc.at(item).key("when"));
        self.under_way.pop();
        let resolved = resolved.map(|expr| Expr::Named(item.doc.name.clone(), Box::new(expr)));
        self.done.insert(key, resolved.clone());
        resolved
    }

    fn map(&mut self, map: &'a ExprMap, at: At<'a>) -> Option<Expr> {
        let ExprMap { all, any, not, of, finding, below, at_most, at_least, above, unit, is, is_one_of } = map;
        let forms = [all.is_some(), any.is_some(), not.is_some(), of.is_some(), finding.is_some()];
        if forms.iter().filter(|form| **form).count() != 1 {
            let message = "exactly one of `all`, `any`, `not`, `at_least` with `of`, or `finding` belongs here";
            self.found.push(
                Diagnostic::error(Code::OneOf, Some(at.place()), message)
                    .help("nest one inside the other to combine them"),
            );
            return None;
        }
        let numbers = [("below", below), ("at_most", at_most), ("at_least", at_least), ("above", above)];
        if let Some(id) = finding {
            return self.comparison(id, &numbers, unit.as_deref(), (is.as_deref(), is_one_of.as_deref()), at);
        }
        let stray = numbers
            .iter()
            .find(|(name, value)| value.is_some() && !(of.is_some() && *name == "at_least"))
            .map(|(name, _)| *name);
        let stray = stray
            .or(unit.as_ref().map(|_| "unit"))
            .or(is.as_ref().map(|_| "is"))
            .or(is_one_of.as_ref().map(|_| "is_one_of"));
        if let Some(stray) = stray {
            let message = format!("`{stray}` needs a `finding` to compare");
            self.found.push(
                Diagnostic::error(Code::OneOf, Some(at.key_itself(stray).place()), message)
                    .help("write `{ finding: ..., ".to_owned() + stray + ": ... }`"),
            );
            return None;
        }
        if let Some(inner) = not {
            return Some(Expr::Not(Box::new(self.expr(inner, at.key("not"))?)));
        }
        if let Some(items) = all {
            return self.list(items, at.key("all")).map(Expr::All);
        }
        if let Some(items) = any {
            return self.list(items, at.key("any")).map(Expr::Any);
        }
        let items = self.list(of.as_deref().unwrap_or_default(), at.key("of"))?;
        self.count(*at_least, items, at)
    }

    fn count(&mut self, at_least: Option<f64>, items: Vec<Expr>, at: At<'_>) -> Option<Expr> {
        let n = items.len();
        #[expect(clippy::cast_precision_loss, reason = "lists in rule files are short")]
        let fits = at_least.is_some_and(|k| k >= 1.0 && k <= n as f64 && k.fract() == 0.0);
        if !fits {
            let message = format!("`at_least` must be a whole number from 1 to {n} here");
            self.found.push(
                Diagnostic::error(Code::Count, Some(at.key("at_least").place()), message)
                    .help("it counts the items of `of`"),
            );
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be a small whole number"
        )]
        let k = at_least? as usize;
        Some(Expr::AtLeast(k, items))
    }

    fn list(&mut self, items: &'a [ExprDoc], at: At<'a>) -> Option<Vec<Expr>> {
        if items.is_empty() {
            self.found.push(
                Diagnostic::error(Code::Count, Some(at.place()), "this list is empty")
                    .help("name at least one finding"),
            );
            return None;
        }
        // All items are resolved before any is given up, so that every mistake is reported.
        let resolved: Vec<Option<Expr>> =
            items.iter().enumerate().map(|(i, item)| self.expr(item, at.index(i))).collect();
        resolved.into_iter().collect()
    }

    fn comparison(
        &mut self,
        id: &'a str,
        numbers: &[(&'static str, &Option<f64>)],
        unit: Option<&str>,
        (is, is_one_of): (Option<&str>, Option<&[String]>),
        at: At<'a>,
    ) -> Option<Expr> {
        let Some(index) = self.vocabulary.by_id(id) else {
            self.unknown(id, at.key("finding"));
            return None;
        };
        let finding = self.vocabulary.get(index);
        let numeric = numbers.iter().any(|(_, value)| value.is_some());
        match (&finding.kind, numeric, is, is_one_of) {
            (Kind::YesNo, false, None, None) if unit.is_none() => Some(Expr::Test(index, Test::Present)),
            (Kind::Number { .. }, true, None, None) => self.number(index, finding, numbers, unit, at),
            (Kind::Choice { .. } | Kind::MultipleChoice { .. }, false, Some(option), None) if unit.is_none() => {
                self.option(index, finding, option, at.key("is"))
            }
            (Kind::Choice { .. } | Kind::MultipleChoice { .. }, false, None, Some(options)) if unit.is_none() => {
                if options.is_empty() {
                    self.found.push(
                        Diagnostic::error(Code::Count, Some(at.key("is_one_of").place()), "this list is empty")
                            .help("name at least one option"),
                    );
                    return None;
                }
                let at = at.key("is_one_of");
                let tests: Vec<Option<Expr>> =
                    options.iter().enumerate().map(|(i, o)| self.option(index, finding, o, at.index(i))).collect();
                tests.into_iter().collect::<Option<Vec<_>>>().map(Expr::Any)
            }
            (kind, ..) => {
                let help = match kind {
                    Kind::YesNo => format!("write `{id}` alone, or `{{ not: {id} }}`"),
                    Kind::Number { .. } => "compare it with `below`, `at_most`, `at_least` or `above`".to_owned(),
                    _ => "compare it with `is` or `is_one_of`".to_owned(),
                };
                let message = format!("this does not fit `{id}`, which is {}", kind.words());
                self.found.push(Diagnostic::error(Code::Kind, Some(at.place()), message).help(help));
                None
            }
        }
    }

    fn option(&mut self, index: FindingIndex, finding: &Finding, option: &str, at: At<'_>) -> Option<Expr> {
        let options = finding.kind.options();
        if let Some(place) = options.iter().position(|known| known.id == option) {
            return Some(Expr::Test(index, Test::Option(place)));
        }
        let known: Vec<&str> = options.iter().map(|option| option.id.as_str()).collect();
        let help = suggest::did_you_mean(option, known.iter().copied())
            .unwrap_or_else(|| format!("its options are {}", suggest::quoted(&known)));
        let message = format!("`{}` has no option `{option}`", finding.id);
        self.found.push(Diagnostic::error(Code::UnknownOption, Some(at.place()), message).help(help));
        None
    }

    fn number(
        &mut self,
        index: FindingIndex,
        finding: &Finding,
        numbers: &[(&'static str, &Option<f64>)],
        unit: Option<&str>,
        at: At<'_>,
    ) -> Option<Expr> {
        let (Kind::Number { low, high, .. }, Some(own)) = (&finding.kind, finding.kind.unit()) else { return None };
        let from = match unit {
            None => own,
            Some(code) => match unit::find(code).filter(|unit| unit.dimension == own.dimension) {
                Some(unit) => unit,
                None => {
                    self.found.push(wrong_unit(&finding.id, code, own, at.key("unit")));
                    return None;
                }
            },
        };
        let mut tests = Vec::new();
        for (name, value) in numbers {
            let Some(value) = **value else { continue };
            let converted = from.convert(value, own).unwrap_or(f64::NAN);
            if !(converted >= *low && converted <= *high) {
                let message =
                    format!("`{}` lies between {low} and {high} {}, so this can never be told", finding.id, own.code);
                self.found.push(
                    Diagnostic::error(Code::Range, Some(at.key(name).place()), message)
                        .help("correct the number, or add its `unit`"),
                );
                return None;
            }
            let limit = millionths(converted);
            tests.push(Expr::Test(
                index,
                match *name {
                    "below" => Test::Below(limit),
                    "at_most" => Test::AtMost(limit),
                    "at_least" => Test::AtLeast(limit),
                    _ => Test::Above(limit),
                },
            ));
        }
        if tests.len() == 1 { tests.pop() } else { Some(Expr::All(tests)) }
    }
}

/// A unit that is unknown or measures something else.
pub fn wrong_unit(finding: &str, code: &str, own: &unit::Unit, at: At<'_>) -> Diagnostic {
    let message = match unit::find(code) {
        None => format!("unknown unit `{code}` for `{finding}`"),
        Some(other) => format!("`{code}` ({}) does not measure what `{finding}` is", other.name),
    };
    Diagnostic::error(Code::Unit, Some(at.place()), message).help(own.instead_of(code))
}
