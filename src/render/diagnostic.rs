//! Diagnostics as text with the source line underlined, as JSON, and as annotations of a build on GitHub.
//!
//! Owns their look. The words are the diagnostic's own.

use serde_json::{Value, json};
use std::fmt::Write as _;

use super::{Ink, Style, clean};
use crate::engine::diagnostic::{Diagnostic, Place, Severity};

/// What stands for the parts of a long line that are left out.
const CUT: &str = "...";
/// The least that is shown of a line.
const NARROWEST: usize = 40;

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
    let room = style.width.saturating_sub(margin.len() + 3).max(NARROWEST);
    let (line, before, marks) = clip(&clean(&line), place, room);
    let underline = style.paint(ink, &format!("{}{what}", "^".repeat(marks)));
    let _ = writeln!(out, "{margin} {wall}");
    let _ = writeln!(out, "{} {wall} {line}", style.paint(Ink::Blue, &number));
    let _ = writeln!(out, "{margin} {wall} {}{underline}", " ".repeat(before));
    out
}

/// The part of a line that fits into `room`, around the place, with where the marks begin and how many there are.
fn clip(line: &str, place: &Place, room: usize) -> (String, usize, usize) {
    let length = line.chars().count();
    let before = (place.column.max(1) as usize - 1).min(length);
    let marks = (place.length.max(1) as usize).min((length - before).max(1));
    if length <= room {
        return (line.to_owned(), before, marks);
    }
    let inner = room - 2 * CUT.len();
    // A third of the room goes to what comes before: what follows a mistake mostly says more.
    let start = before.saturating_sub(inner / 3).min(length - inner);
    let (left, right) = (if start == 0 { "" } else { CUT }, if start + inner >= length { "" } else { CUT });
    let middle: String = line.chars().skip(start).take(inner).collect();
    let before = before - start;
    (format!("{left}{middle}{right}"), before + left.len(), marks.min((inner - before.min(inner)).max(1)))
}

/// One diagnostic as a workflow command of GitHub, which shows it beside the line. Ends with the end of the line.
#[must_use]
pub fn github(diagnostic: &Diagnostic, files: &impl Files) -> String {
    let command = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
    let mut properties = Vec::new();
    if let Some(place) = &diagnostic.place {
        properties.push(format!("file={}", property(&files.shown(&place.file))));
        properties.push(format!("line={},col={}", place.line, place.column));
        properties.push(format!("endColumn={}", place.column.saturating_add(place.length)));
    }
    properties.push(format!("title={}", diagnostic.code));
    let mut message = diagnostic.message.clone();
    for (place, what) in &diagnostic.related {
        let _ = write!(message, "\n{}:{}:{}: {what}", files.shown(&place.file), place.line, place.column);
    }
    if let Some(help) = &diagnostic.help {
        let _ = write!(message, "\nhelp: {help}");
    }
    format!("::{command} {}::{}\n", properties.join(","), data(&message))
}

/// Text as GitHub's commands take it: one line, and `%` for itself.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
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
    fn a_build_on_github_shows_it_beside_the_line() {
        let diagnostic = Diagnostic::error(Code::UnknownFinding, Some(place(2, 8, 4)), "unknown finding `fevr`, 100%")
            .help("did you mean `fever`?")
            .related(Some(place(1, 1, 5)), "in this condition");
        let expected = "::error file=rules/a.yaml,line=2,col=8,endColumn=12,title=R101::unknown finding `fevr`, 100%25\
                        %0Arules/a.yaml:1:1: in this condition%0Ahelp: did you mean `fever`?\n";
        assert_eq!(github(&diagnostic, &Two), expected);
        let folder = Diagnostic::warning(Code::NoRules, None, "none\r\nat all");
        assert_eq!(github(&folder, &Two), "::warning title=R002::none%0D%0Aat all\n");
        assert_eq!(property("a,b:c"), "a%2Cb%3Ac");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let line: String = (0..200).map(|i| if i % 10 == 0 { 'x' } else { '-' }).collect();
        for column in 1..=200 {
            let (shown, before, marks) = clip(&line, &place(1, column, 3), 60);
            assert!(shown.chars().count() <= 60, "{column}");
            assert!(before + marks <= shown.chars().count(), "{column}");
            let underlined: String = shown.chars().skip(before).take(marks).collect();
            let wanted: String = line.chars().skip(column as usize - 1).take(3).collect();
            assert_eq!(underlined, wanted, "{column}");
        }
        assert_eq!(clip("short", &place(1, 2, 9), 60), ("short".to_owned(), 1, 4));
    }

    #[test]
    fn places_outside_the_text_do_no_harm() {
        for (line, column, length) in [(1, 99, 99), (9, 1, 1), (1, 0, 0), (2, u32::MAX, u32::MAX)] {
            let diagnostic = Diagnostic::error(Code::Syntax, Some(place(line, column, length)), "wrong");
            assert!(text(&diagnostic, &Two, Style::PLAIN).starts_with("error[R010]: wrong\n"));
        }
    }
}
