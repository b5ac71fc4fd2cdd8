//! What must hold of the reading of any text at all, with another reader as the yardstick. For tests and fuzz targets
//! alone; no program that anybody runs has it.

use serde::Deserialize as _;

use super::super::source::{Place, SourceFile};
use super::tree::{self, Document};
use super::written::Written;

/// Most remarks on one file: a few kinds, each with its own limit.
const MOST_REMARKS: usize = 4 * tree::MAX_PROBLEMS;

/// Reads a text as a rule file, and panics where something does not hold: every place lies inside the text, remarks are
/// bounded, and what is accepted means what it does elsewhere.
///
/// # Panics
/// When a law is broken.
pub fn hold(text: &str) {
    let file = SourceFile { path: "file.yaml".to_owned(), text: text.to_owned() };
    let text = file.without_mark();
    let lines: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
    let read = super::parse(&file);
    let errors = read.found.iter().filter(|problem| problem.severity == super::super::diagnostic::Severity::Error);
    assert!(errors.count() <= MOST_REMARKS, "{} remarks", read.found.len());
    for problem in &read.found {
        let places = problem.place.iter().chain(problem.related.iter().map(|(place, _)| place));
        places.for_each(|place| lies_inside(place, &lines, &problem.message));
    }
    let (documents, found) = tree::build(&file.path, text);
    for document in documents.iter().filter(|_| found.is_empty()) {
        for node in 0..=document.root() {
            let place = Written::new(document, node).at(&file.path).place();
            lies_inside(&place, &lines, "a value");
        }
    }
    // Where the last line has no end, readers disagree whether a block of text has one.
    let ended = format!("{text}\n");
    let (documents, found) = tree::build(&file.path, &ended);
    // Text by itself is no rule file, and readers disagree where it ends.
    let is_text = |document: &Document| !Written::whole(document).is_map() && !Written::whole(document).is_list();
    if found.is_empty() && !documents.iter().any(is_text) {
        means_the_same(&ended, &documents);
    }
}

/// The line after the last one is inside, and so is the column after the last one: that is where something is missing.
fn lies_inside(place: &Place, lines: &[usize], what: &str) {
    let line = place.line as usize;
    let length = line.checked_sub(1).and_then(|line| lines.get(line)).copied().unwrap_or(0);
    assert!((1..=lines.len() + 1).contains(&line), "{what}: line {line} of {}", lines.len());
    let end = (place.column + place.length) as usize;
    assert!(
        place.column >= 1 && end <= length + 2,
        "{what}: column {} and {} more of {length}",
        place.column,
        place.length
    );
}

/// Where both readers accept a text, they read the same values.
///
/// # Panics
/// When they do not.
pub fn means_the_same(text: &str, documents: &[Document]) {
    let elsewhere: Result<Vec<_>, _> =
        serde_yaml::Deserializer::from_str(text).map(serde_yaml::Value::deserialize).collect();
    let Ok(elsewhere) = elsewhere else { return };
    let here = documents
        .iter()
        .map(|document| serde_yaml::Value::deserialize(Written::whole(document)).expect("any value can be read"));
    // One of the readers sees an empty document where there is none.
    let values = |all: &mut dyn Iterator<Item = serde_yaml::Value>| -> Vec<String> {
        all.filter(|value| !value.is_null()).map(|value| format!("{value:?}")).collect()
    };
    let (here, elsewhere) = (values(&mut here.into_iter()), values(&mut elsewhere.into_iter()));
    assert!(here == elsewhere, "here\n{here:#?}\nelsewhere\n{elsewhere:#?}");
}

#[cfg(test)]
mod tests {
    use super::hold;

    /// Texts that fuzzing found: each broke something once.
    #[test]
    fn what_broke_something_once() {
        let texts = [
            // Another program sees a line where this one sees a part of one.
            "definitions::\n  \r id: flag\n    name: spots\n",
            "a: \"one\u{2028}  two\"\n",
            "a: one\u{85}b: two\n",
            // A byte order mark that marks nothing.
            "a:::\n\u{feff}\u{feff}",
            // A question mark makes a key of what follows, for some.
            "present: [pus, ?spreading]\n",
            // The reader goes past the end of the line before it says what is wrong.
            "%xiajhxiajh\u{fffd}a: \0\n",
            // A block of text at the end, without an end of its line.
            "a:\n |\n one\n \n  two",
            // Text by itself: comment or text?
            "|\n#one\n#\n",
        ];
        texts.iter().for_each(|text| hold(text));
    }
}
