//! Words for people in a terminal, and JSON for programs.
//!
//! Owns layout: colour, width, bars, underlined source lines. It decides nothing and prints nothing; the commands write
//! what it returns. Everything shown comes from a value that the engine made.

#![allow(clippy::disallowed_methods, reason = "layout asks the terminal how wide it is")]

pub mod answer;
pub mod diagnostic;

use std::io::{IsTerminal as _, Write as _};

/// Narrowest and widest page that text is laid out for.
const WIDTHS: (usize, usize) = (40, 120);
/// Width where nothing tells another.
const DEFAULT_WIDTH: usize = 80;

/// How text may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether to use colour.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

/// The few colours that are used, by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Danger, errors.
    Red,
    /// Care, warnings.
    Yellow,
    /// All is well.
    Green,
    /// Names and places.
    Blue,
    /// What can be skipped.
    Dim,
    /// What must not be skipped.
    Bold,
}

impl Style {
    /// No colour, the default width: for files and tests.
    pub const PLAIN: Style = Style { colour: false, width: DEFAULT_WIDTH };

    /// For what standard output is: colour only on a terminal and without `NO_COLOR`.
    #[must_use]
    pub fn for_stdout() -> Style {
        let terminal = std::io::stdout().is_terminal();
        let wished_away = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Style { colour: terminal && !wished_away && !dumb, width: width(terminal) }
    }

    /// The same text, coloured where that is allowed.
    #[must_use]
    pub fn paint(self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Red => "1;31",
            Ink::Yellow => "1;33",
            Ink::Green => "1;32",
            Ink::Blue => "1;34",
            Ink::Dim => "2",
            Ink::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A heading on a line of its own, with an empty line before it.
    #[must_use]
    pub fn heading(self, text: &str) -> String {
        format!("\n{}\n", self.paint(Ink::Bold, text))
    }

    /// Text broken into lines of at most the width; the first begins with `first`, the others with as many spaces.
    #[must_use]
    pub fn wrap(self, first: &str, text: &str) -> String {
        self.wrap_at(first, first.chars().count(), text)
    }

    /// The same, with the column of the text given, for a `first` that holds colour.
    #[must_use]
    pub fn wrap_at(self, first: &str, column: usize, text: &str) -> String {
        let room = self.width.saturating_sub(column).max(20);
        let mut out = String::from(first);
        let mut used = 0;
        for word in clean(text).split_whitespace() {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > room {
                out.push('\n');
                out.push_str(&" ".repeat(column));
                used = 0;
            } else if used > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
        out.push('\n');
        out
    }

    /// A bar of `columns` for a share between 0 and 1.
    #[must_use]
    pub fn bar(self, share: f64, columns: usize) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share times a small width"
        )]
        let full = (share.clamp(0.0, 1.0) * columns as f64).round() as usize;
        let full = full.min(columns);
        format!("{}{}", "█".repeat(full), self.paint(Ink::Dim, &"░".repeat(columns - full)))
    }
}

/// A share in per cent, for people: no false precision.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value > 0.0 && value < 0.95 { "<1 %".to_owned() } else { format!("{value:.0} %") }
}

/// Text without control characters, which could otherwise steer the terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `1 case`, `2 cases`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Writes to standard output at once. A reader that has gone away (`| head`) is no error.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error; nobody is left to tell if that fails.
pub fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// `COLUMNS`, else what the terminal says, else the default.
fn width(terminal: bool) -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    let width = told.or_else(|| if terminal { ask_terminal() } else { None }).unwrap_or(DEFAULT_WIDTH);
    width.clamp(WIDTHS.0, WIDTHS.1)
}

/// Asks `stty`, since the standard library cannot tell and one number is not worth a dependency.
fn ask_terminal() -> Option<usize> {
    let terminal = std::fs::File::open("/dev/tty").ok()?;
    let output = std::process::Command::new("stty")
        .arg("size")
        .stdin(terminal)
        .stderr(std::process::Stdio::null())
        .output()
        .ok()?;
    let columns = String::from_utf8(output.stdout).ok()?.split_whitespace().nth(1)?.parse().ok()?;
    (columns > 0).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_under_itself() {
        let style = Style { colour: false, width: 40 };
        let text = style.wrap("  - ", "one two three four five six seven eight nine ten");
        assert_eq!(text, "  - one two three four five six seven\n    eight nine ten\n");
        assert!(text.lines().all(|line| line.chars().count() <= 40));
    }

    #[test]
    fn bars_are_always_as_wide_as_asked() {
        for share in [-1.0, 0.0, 0.004, 0.5, 1.0, 2.0, f64::NAN] {
            assert_eq!(Style::PLAIN.bar(share, 12).chars().count(), 12, "{share}");
        }
        assert_eq!(percent(0.004), "<1 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.555), "56 %");
    }

    #[test]
    fn colour_is_only_used_when_allowed() {
        assert_eq!(Style::PLAIN.paint(Ink::Red, "x"), "x");
        assert_eq!(Style { colour: true, width: 80 }.paint(Ink::Red, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(clean("a\x1b[31mb\tc"), "a [31mb c");
    }
}
