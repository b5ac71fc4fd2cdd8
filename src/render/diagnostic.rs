//! Diagnostics as text with the source line underlined, and as JSON.
//!
//! Owns their look. The words are the diagnostic's own.

use serde_json::{Value, json};
use std::fmt::Write as _;

use super::{Ink, Style, clean};
use crate::engine::diagnostic::{Diagnostic, Place, Severity};

/// Where the text of a file comes from, and what its path is called for the reader.
pub trait Files {
    /// The path as the reader can open it.
    fn shown(&self, file: &str) -> String;
    /// A line of the file, from 1.
    fn line(&self, file: &str, line: u32) -> Option<String>;
}

/// One diagnostic with its source line; ends with an empty line.
#[must_use]
pub fn text(diagnostic: &Diagnostic, files: &impl Files, style: Style) -> String {
    let (ink, severity) = match diagnostic.severity {
        Severity::Error => (Ink::Red, "error"),
        Severity::Warning => (Ink::Yellow, "warning"),
    };
    let head = style.paint(ink, &format!("{severity}[{}]", diagnostic.code));
    let mut out = format!("{head}: {}\n", style.paint(Ink::Bold, &clean(&diagnostic.message)));
    if let Some(place) = &diagnostic.place {
        out.push_str(&snippet(place, "", ink, files, style));
    }
    for (place, what) in &diagnostic.related {
        out.push_str(&snippet(place, what, Ink::Blue, files, style));
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(out, "  {} {}", style.paint(Ink::Blue, "help:"), clean(help));
    }
    out.push('\n');
    out
}

fn snippet(place: &Place, what: &str, ink: Ink, files: &impl Files, style: Style) -> String {
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let arrow = style.paint(Ink::Blue, "-->");
    let mut out = format!("{margin}{arrow} {}:{}:{}\n", files.shown(&place.file), place.line, place.column);
    let wall = style.paint(Ink::Blue, "|");
    let what = if what.is_empty() { String::new() } else { format!(" {}", clean(what)) };
    let Some(line) = files.line(&place.file, place.line) else {
        if !what.is_empty() {
            let _ = writeln!(out, "{margin} {wall}{what}");
        }
        return out;
    };
    let line = clean(&line);
    let length = line.chars().count();
    let before = (place.column.max(1) as usize - 1).min(length);
    let marks = (place.length.max(1) as usize).min((length - before).max(1));
    let underline = style.paint(ink, &format!("{}{what}", "^".repeat(marks)));
    let _ = writeln!(out, "{margin} {wall}");
    let _ = writeln!(out, "{} {wall} {line}", style.paint(Ink::Blue, &number));
    let _ = writeln!(out, "{margin} {wall} {}{underline}", " ".repeat(before));
    out
}

/// One diagnostic for programs.
#[must_use]
pub fn value(diagnostic: &Diagnostic, files: &impl Files) -> Value {
    let place = |place: &Place| {
        json!({
            "file": files.shown(&place.file), "line": place.line, "column": place.column, "length": place.length,
        })
    };
    let mut value = json!({
        "code": diagnostic.code.to_string(),
        "severity": if diagnostic.severity == Severity::Error { "error" } else { "warning" },
        "message": diagnostic.message,
    });
    if let Some(at) = &diagnostic.place {
        value["place"] = place(at);
    }
    if let Some(help) = &diagnostic.help {
        value["help"] = json!(help);
    }
    if !diagnostic.related.is_empty() {
        let related = diagnostic.related.iter().map(|(at, what)| json!({ "place": place(at), "message": what }));
        value["related"] = related.collect();
    }
    value
}

/// `2 errors and 1 warning`; empty when there are none.
#[must_use]
pub fn tally(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = diagnostics.len() - errors;
    let parts = [(errors, "error", "errors"), (warnings, "warning", "warnings")];
    let words: Vec<String> = parts
        .iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| super::count(*number, one, many))
        .collect();
    words.join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::diagnostic::Code;

    struct Two;

    impl Files for Two {
        fn shown(&self, file: &str) -> String {
            format!("rules/{file}")
        }

        fn line(&self, _: &str, line: u32) -> Option<String> {
            ["first:", "\twhen: fevr"].get(line as usize - 1).map(|line| (*line).to_owned())
        }
    }

    fn place(line: u32, column: u32, length: u32) -> Place {
        Place { file: "a.yaml".to_owned(), line, column, length }
    }

    #[test]
    fn the_wrong_word_is_underlined() {
        let diagnostic = Diagnostic::error(Code::UnknownFinding, Some(place(2, 8, 4)), "unknown finding `fevr`")
            .help("did you mean `fever`?")
            .related(Some(place(1, 1, 5)), "in this condition");
        let expected = "\
error[R101]: unknown finding `fevr`
 --> rules/a.yaml:2:8
  |
2 |  when: fevr
  |        ^^^^
 --> rules/a.yaml:1:1
  |
1 | first:
  | ^^^^^ in this condition
  help: did you mean `fever`?

";
        assert_eq!(text(&diagnostic, &Two, Style::PLAIN), expected);
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        for (line, column, length) in [(1, 99, 99), (9, 1, 1), (1, 0, 0), (2, u32::MAX, u32::MAX)] {
            let diagnostic = Diagnostic::error(Code::Syntax, Some(place(line, column, length)), "wrong");
            assert!(text(&diagnostic, &Two, Style::PLAIN).starts_with("error[R010]: wrong\n"));
        }
    }
}
