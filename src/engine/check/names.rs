//! The names of a pack: declared once, looked up with suggestions.
//!
//! Owns duplicate ids and unknown names. What a thing means is judged beside it.

use super::super::diagnostic::{Code, Diagnostic};
use super::super::parse::Doc;
use super::super::source::Place;
use super::super::suggest;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Everything that an author declared by id, section by section.
#[derive(Debug, Default)]
pub struct Names {
    sections: BTreeMap<&'static str, BTreeMap<String, Option<Place>>>,
    /// How many unknown names got suggestions.
    suggested: Cell<usize>,
}

/// Suggestions for more unknown names than this would cost minutes, and nobody would read them.
const MOST_SUGGESTIONS: usize = 200;

impl Names {
    /// Collects all ids; reports ids twice and malformed ones.
    pub fn collect(doc: &Doc, found: &mut Vec<Diagnostic>) -> Self {
        let mut names = Names::default();
        macro_rules! declare {
            ($($list:ident),*) => {$(
                for item in &doc.$list {
                    let place = doc.at(item).key("id").place();
                    // Sources keep the keys of their literature list, which may hold capitals and hyphens.
                    if stringify!($list) != "sources" {
                        check_id(&item.doc.id, &place, found);
                    }
                    names.declare(stringify!($list), &item.doc.id, Some(place), found);
                }
            )*};
        }
        declare!(sources, findings, boxes, derived, definitions, evidence_sets, conditions, red_flags, cases);
        for broken in &doc.broken {
            names.sections.entry(broken.section).or_default().entry(broken.id.clone()).or_insert(None);
        }
        names.findings_and_definitions_differ(found);
        names
    }

    fn declare(&mut self, section: &'static str, id: &str, place: Option<Place>, found: &mut Vec<Diagnostic>) {
        let ids = self.sections.entry(section).or_default();
        if let Some(first) = ids.get(id) {
            let message = format!("`{id}` is declared twice under `{section}`");
            found.push(
                Diagnostic::error(Code::DuplicateId, place, message)
                    .help("give one of the two another id, or join them")
                    .related(first.clone(), "it is already declared here"),
            );
            return;
        }
        ids.insert(id.to_owned(), place);
    }

    fn findings_and_definitions_differ(&self, found: &mut Vec<Diagnostic>) {
        for (id, place) in self.section("definitions") {
            // What stands in a file that cannot be read may be either.
            if let Some(first @ Some(_)) = self.section("findings").get(id).filter(|_| place.is_some()) {
                let message = format!("`{id}` is a finding and a definition");
                found.push(
                    Diagnostic::error(Code::DuplicateId, place.clone(), message)
                        .help("give the definition another id: both are used by name")
                        .related(first.clone(), "the finding is here"),
                );
            }
        }
    }

    fn section(&self, section: &str) -> &BTreeMap<String, Option<Place>> {
        static NONE: BTreeMap<String, Option<Place>> = BTreeMap::new();
        self.sections.get(section).unwrap_or(&NONE)
    }

    /// Whether an id is declared, in whatever state.
    #[must_use]
    pub fn has(&self, section: &str, id: &str) -> bool {
        self.section(section).contains_key(id)
    }

    /// An unknown name, with suggestions out of the named sections.
    #[must_use]
    pub fn unknown(&self, code: Code, what: &str, id: &str, sections: &[&str], place: Place) -> Diagnostic {
        let problem = Diagnostic::error(code, Some(place), format!("unknown {what} `{id}`"));
        self.suggested.set(self.suggested.get() + 1);
        if self.suggested.get() > MOST_SUGGESTIONS {
            return problem.help("take an id that is declared");
        }
        let known = sections.iter().flat_map(|section| self.section(section).keys().map(String::as_str));
        problem.maybe_help(suggest::did_you_mean(id, known))
    }
}

/// Ids are lower-case words joined by underscores.
pub fn check_id(id: &str, place: &Place, found: &mut Vec<Diagnostic>) {
    let good = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && id.len() <= 80;
    if !good {
        let message = format!("`{id}` is not a good id");
        found.push(
            Diagnostic::error(Code::BadId, Some(place.clone()), message)
                .help("use lower-case words joined by `_`, beginning with a letter, at most 80 characters"),
        );
    }
}
