//! Values that say something else than their author meant: text that other YAML readers take for a number, a date or a
//! truth value, and keys with nothing after the colon.
//!
//! Owns what YAML 1.1 makes of unquoted words.

use super::super::diagnostic::{Code, Diagnostic};
use super::tree::{At, Document};
use super::written::Written;
use super::{Broken, SECTIONS};

/// How far a broken file is searched for ids.
const MOST_LINES: usize = 100_000;

/// Warns of unquoted text that a YAML 1.1 reader does not read as text.
pub fn ambiguous(document: &Document, path: &str, found: &mut Vec<Diagnostic>) {
    for node in document.plain_values() {
        let text = document.text(node);
        if let Some(other) = reads_as(text)
            && Written::new(document, node).as_str().is_some()
        {
            let message = format!("`{text}` is read as text here, but other YAML readers take it for {other}");
            found.push(
                Diagnostic::warning(Code::Unquoted, Some(At::new(path, &document.tree, node).place()), message)
                    .help(format!("put it in double quotes: `\"{text}\"`")),
            );
        }
    }
}

/// Keys with nothing after the colon. Where the key may be left out, a rule would silently lose a part of itself.
pub fn empty(value: Written<'_>, path: &str, found: &mut Vec<Diagnostic>) {
    for item in value.items() {
        empty(item, path, found);
    }
    for (key, value) in value.entries() {
        let Some(name) = key.as_str().filter(|_| value.is_null()) else {
            empty(value, path, found);
            continue;
        };
        let message = format!("`{name}` has no value");
        found.push(
            Diagnostic::error(Code::Shape, Some(key.at(path).place()), message)
                .help("write the value after the colon, or leave the key out"),
        );
    }
}

/// The ids that a file seems to declare when it cannot be read. Otherwise one missing bracket would make a mistake of
/// every use of every name that the file declares.
pub fn declared_anyway(text: &str) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut section = None;
    for line in text.lines().take(MOST_LINES) {
        let begun = SECTIONS.into_iter().find(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')));
        section = begun.or(section);
        if begun == Some("pack") {
            broken.push(Broken { section: "pack", id: String::new() });
        }
        let start = line.trim_start_matches([' ', '\t', '-', '{']);
        let Some(id) = start.strip_prefix("id:") else { continue };
        let id: String = id
            .trim_start_matches([' ', '"', '\''])
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .collect();
        if let Some(section) = section.filter(|_| !id.is_empty()) {
            broken.push(Broken { section, id });
        }
    }
    broken
}

/// What YAML 1.1 makes of an unquoted word; `None` for text.
fn reads_as(text: &str) -> Option<&'static str> {
    if matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off") {
        return Some("true or false");
    }
    if text == "~" || text.eq_ignore_ascii_case("null") {
        return Some("nothing");
    }
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let only = |allowed: &str| number.chars().all(|c| c.is_ascii_digit() || allowed.contains(c));
    let parts: Vec<&str> = text.split('-').collect();
    if let [year, month, day] = parts.as_slice()
        && year.len() == 4
        && [year, month, day]
            .iter()
            .all(|part| (1..=4).contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit()))
    {
        return Some("a date");
    }
    if only(":") && number.contains(':') && !number.starts_with(':') && !number.ends_with(':') {
        return Some("a time or a number in sixties");
    }
    let based = number.strip_prefix("0x").or_else(|| number.strip_prefix("0b")).or_else(|| number.strip_prefix("0o"));
    if based.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_hexdigit() || c == '_')) {
        return Some("a number");
    }
    // `1.2.3` is text for every reader; so is `10_days`.
    let dots = number.matches('.').count();
    (only("_.") && dots <= 1).then_some("a number")
}

#[cfg(test)]
mod tests {
    use super::reads_as;

    #[test]
    fn words_that_yaml_takes_for_something_else() {
        for text in
            ["no", "Yes", "ON", "off", "y", "~", "2024-01-31", "12:30", "0x1F", "0o17", "1_000", "010", ".5", "-1_0"]
        {
            assert!(reads_as(text).is_some(), "{text}");
        }
        for text in
            ["nothing", "yes please", "1.2.3", "2024-01", "A1", "snomed:1", "10*9/L", "12:", "one", ".", "-", ""]
        {
            assert_eq!(reads_as(text), None, "{text}");
        }
    }
}
