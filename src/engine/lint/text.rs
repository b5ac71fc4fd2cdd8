//! The words that patients and clinicians will read: spaces, brackets, full stops, and what was left for later.
//!
//! Owns which texts are sentences, and where in a text something is. It reads no meaning into them.

use super::super::diagnostic::{Code, Diagnostic, Place};
use super::super::doc::{AdviceDoc, EvidenceDoc};
use super::super::parse::tree::At;
use super::super::parse::{Doc, Item};

/// What a text is, which says how it must end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// A name, a question, a note.
    Words,
    /// A whole sentence.
    Sentence,
}

/// Words that an author writes for himself.
const UNFINISHED: [&str; 5] = ["TODO", "FIXME", "XXX", "TBD", "???"];

/// Marks that come in pairs.
const MARKS: [char; 10] = ['(', ')', '[', ']', '{', '}', '"', '`', '\u{201c}', '\u{201d}'];

/// Checks every text of one file.
pub fn check(doc: &Doc, file: &str, found: &mut Vec<Diagnostic>) {
    header(doc, file, found);
    vocabulary(doc, file, found);
    rules(doc, file, found);
    for item in &doc.cases {
        let mut texts = Texts::of(doc, item, file, found);
        texts.see("title", &item.doc.title, Style::Words);
        texts.see("source", &item.doc.source, Style::Words);
    }
}

fn header(doc: &Doc, file: &str, found: &mut Vec<Diagnostic>) {
    for item in &doc.packs {
        let mut texts = Texts::of(doc, item, file, found);
        texts.see("title", &item.doc.title, Style::Words);
        texts.see("summary", &item.doc.summary, Style::Sentence);
        texts.see("jurisdiction", &item.doc.jurisdiction, Style::Words);
        for (i, advice) in item.doc.advice.iter().enumerate() {
            let mut texts = texts.inside("advice", i);
            texts.see("text", &advice.text, Style::Sentence);
            texts.see("provisional", advice.provisional.as_deref().unwrap_or("."), Style::Sentence);
        }
        for (i, net) in item.doc.safety_net.iter().enumerate() {
            let mut texts = texts.inside("safety_net", i);
            texts.see("act_within", &net.act_within, Style::Words);
            texts.see("reassess_after", &net.reassess_after, Style::Words);
            texts.list("watch_for", &net.watch_for);
        }
    }
}

fn vocabulary(doc: &Doc, file: &str, found: &mut Vec<Diagnostic>) {
    for item in &doc.sources {
        Texts::of(doc, item, file, found).see("title", &item.doc.title, Style::Words);
    }
    for item in &doc.findings {
        let mut texts = Texts::of(doc, item, file, found);
        texts.see("name", &item.doc.name, Style::Words);
        texts.see("ask", &item.doc.ask, Style::Words);
        texts.see("help", &item.doc.help, Style::Words);
        texts.list("synonyms", &item.doc.synonyms);
        for (i, option) in item.doc.options.iter().enumerate() {
            texts.inside("options", i).see("name", &option.name, Style::Words);
        }
    }
    for item in &doc.boxes {
        let mut texts = Texts::of(doc, item, file, found);
        texts.see("ask", &item.doc.ask, Style::Words);
        texts.see("help", &item.doc.help, Style::Words);
    }
    for item in &doc.definitions {
        Texts::of(doc, item, file, found).see("name", &item.doc.name, Style::Words);
    }
    for item in &doc.derived {
        Texts::of(doc, item, file, found).see("because", &item.doc.because, Style::Sentence);
    }
}

fn rules(doc: &Doc, file: &str, found: &mut Vec<Diagnostic>) {
    for item in &doc.evidence_sets {
        Texts::of(doc, item, file, found).evidence(&item.doc.evidence);
    }
    for item in &doc.conditions {
        let mut texts = Texts::of(doc, item, file, found);
        texts.see("name", &item.doc.name, Style::Words);
        texts.see("summary", &item.doc.summary, Style::Sentence);
        texts.evidence(&item.doc.evidence);
        texts.advice("next_steps", &item.doc.next_steps);
        texts.advice("care", &item.doc.care);
        texts.list("watch_for", &item.doc.watch_for);
    }
    for item in &doc.red_flags {
        let mut texts = Texts::of(doc, item, file, found);
        texts.see("name", &item.doc.name, Style::Words);
        texts.see("because", &item.doc.because, Style::Sentence);
        texts.see("action", &item.doc.action, Style::Sentence);
    }
}

/// The texts of one item.
struct Texts<'a, 'f> {
    at: At<'a>,
    /// The file it stands in.
    file: &'a str,
    found: &'f mut Vec<Diagnostic>,
}

impl<'a, 'f> Texts<'a, 'f> {
    fn of<T>(doc: &'a Doc, item: &Item<T>, file: &'a str, found: &'f mut Vec<Diagnostic>) -> Self {
        Self { at: doc.at(item), file, found }
    }

    fn inside(&mut self, key: &str, index: usize) -> Texts<'a, '_> {
        Texts { at: self.at.key(key).index(index), file: self.file, found: self.found }
    }

    fn evidence(&mut self, rules: &[EvidenceDoc]) {
        for (i, rule) in rules.iter().enumerate() {
            self.inside("evidence", i).see("because", &rule.because, Style::Sentence);
        }
    }

    fn advice(&mut self, key: &str, list: &[AdviceDoc]) {
        for (i, advice) in list.iter().enumerate() {
            self.inside(key, i).see("text", &advice.text, Style::Sentence);
        }
    }

    fn list(&mut self, key: &str, texts: &[String]) {
        for (i, text) in texts.iter().enumerate() {
            self.text(self.at.key(key).index(i), text, Style::Words);
        }
    }

    fn see(&mut self, key: &str, text: &str, style: Style) {
        if self.at.has(key) {
            self.text(self.at.key(key), text, style);
        }
    }

    fn text(&mut self, at: At<'_>, text: &str, style: Style) {
        // A block of lines ends with the end of a line.
        let text = text.trim_end_matches('\n');
        if text.trim().is_empty() {
            self.warn(Code::EmptyText, at.place(), "this text is empty", "write it, or leave the key out");
            return;
        }
        let written = || Written::new(at, self.file);
        let mut warnings = Vec::new();
        if let Some(place) = spaces(text).then(|| written().spaces()) {
            let message = "a space too many";
            warnings.push((Code::Spacing, place, message.to_owned(), "texts are shown as they are: take it out"));
        }
        if let Some((mark, number)) = unpaired(text) {
            let message = match mark {
                ')' | ']' | '}' | '\u{201d}' => format!("`{mark}` closes nothing"),
                '`' => "a backtick is opened and not closed".to_owned(),
                _ => format!("`{mark}` is opened and not closed"),
            };
            let place = written().nth(mark, number);
            warnings.push((Code::Unclosed, place, message, "brackets and quotes come in pairs"));
        }
        if let Some(word) = UNFINISHED.into_iter().find(|word| holds_word(text, word)) {
            let message = format!("`{word}`: this text is not finished");
            warnings.push((Code::Unfinished, written().word(word), message, "finish it; patients will read it"));
        }
        if style == Style::Sentence && !ends_a_sentence(text) {
            let message = "this sentence has no final period".to_owned();
            warnings.push((Code::NoPeriod, written().last(), message, "end it with a period"));
        }
        for (code, place, message, help) in warnings {
            self.warn(code, place, &message, help);
        }
    }

    fn warn(&mut self, code: Code, place: Place, message: &str, help: &str) {
        self.found.push(Diagnostic::warning(code, Some(place), message).help(help));
    }
}

fn spaces(text: &str) -> bool {
    text.trim() != text || text.contains("  ")
}

fn holds_word(text: &str, word: &str) -> bool {
    let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    text.match_indices(word)
        .any(|(i, _)| outside(text[..i].chars().next_back()) && outside(text[i + word.len()..].chars().next()))
}

fn ends_a_sentence(text: &str) -> bool {
    text.trim_end().trim_end_matches(['"', '\'', ')', '\u{201d}', '\u{2019}']).ends_with(['.', '!', '?', '\u{2026}'])
}

/// The first bracket or quote without its other half, and how many of its kind come before it.
fn unpaired(text: &str) -> Option<(char, usize)> {
    // Most texts hold none of them; the first byte of the curly quotes is that of many other marks.
    if !text.bytes().any(|byte| matches!(byte, b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'`' | 0xe2)) {
        return None;
    }
    let mut open: Vec<(char, usize)> = Vec::new();
    for (before, mark) in text.char_indices().filter(|(_, c)| MARKS.contains(c)) {
        let number = text[..before].matches(mark).count();
        let opens = match mark {
            '(' | '[' | '{' | '\u{201c}' => {
                open.push((mark, number));
                continue;
            }
            ')' => '(',
            ']' => '[',
            '}' => '{',
            '\u{201d}' => '\u{201c}',
            '"' | '`' => {
                match open.iter().rposition(|(known, _)| *known == mark) {
                    Some(place) => drop(open.remove(place)),
                    None => open.push((mark, number)),
                }
                continue;
            }
            _ => continue,
        };
        match open.iter().rposition(|(known, _)| *known == opens) {
            Some(place) => drop(open.remove(place)),
            None => return Some((mark, number)),
        }
    }
    open.first().copied()
}

/// A text as it stands in its file: its lines, each with its number, the column of its first character, and the rest.
struct Written {
    place: Place,
    lines: Vec<(u32, u32, String)>,
}

impl Written {
    fn new(at: At<'_>, file: &str) -> Self {
        let (place, (end_line, end_column)) = (at.place(), at.end());
        let mut lines = Vec::new();
        for (number, line) in (1_u32..).zip(file.lines()).skip(place.line as usize - 1) {
            if number > end_line {
                break;
            }
            let from = if number == place.line { place.column } else { 1 };
            let to = if number == end_line { end_column } else { u32::MAX };
            let text: String = line.chars().skip(from as usize - 1).take(to.saturating_sub(from) as usize).collect();
            let indent = text.chars().count() - text.trim_start().chars().count();
            let column = from + u32::try_from(indent).unwrap_or(0);
            lines.push((number, column, text.trim_start().to_owned()));
        }
        let quote = lines.first().and_then(|(_, _, text)| text.chars().next()).filter(|c| matches!(c, '"' | '\''));
        if quote.is_some() {
            if let Some((_, column, text)) = lines.first_mut() {
                (*column, *text) = (*column + 1, text[1..].to_owned());
            }
            if let Some((_, _, text)) = lines.last_mut() {
                text.pop();
            }
        } else if lines.first().is_some_and(|(_, _, text)| text.starts_with(['|', '>'])) {
            lines.remove(0);
        }
        if quote.is_none() {
            // Outside quotes, spaces at the end of a line are no part of the text, and a comment is none either.
            lines.iter_mut().for_each(|(_, _, text)| text.truncate(text.trim_end().len()));
        }
        while lines.len() > 1 && lines.last().is_some_and(|(_, _, text)| text.is_empty()) {
            lines.pop();
        }
        Self { place, lines }
    }

    /// The place of the first stretch that is found in a line; the whole text where none is.
    fn first(&self, find: impl Fn(&str) -> Option<(usize, usize)>) -> Place {
        for (line, column, text) in &self.lines {
            if let Some((from, length)) = find(text) {
                let before = text[..from].chars().count();
                return self.at(*line, *column, before, text[from..from + length].chars().count());
            }
        }
        self.place.clone()
    }

    fn at(&self, line: u32, column: u32, before: usize, length: usize) -> Place {
        let number = |count: usize| u32::try_from(count).unwrap_or(0);
        Place { file: self.place.file.clone(), line, column: column + number(before), length: number(length.max(1)) }
    }

    fn word(&self, word: &str) -> Place {
        self.first(|text| text.find(word).map(|from| (from, word.len())))
    }

    /// The first run of spaces that does not belong.
    fn spaces(&self) -> Place {
        let run = |text: &str| text.len() - text.trim_start_matches(' ').len();
        self.first(|text| {
            let from = if text.starts_with(' ') { Some(0) } else { text.find("  ") };
            from.or_else(|| text.ends_with(' ').then(|| text.trim_end_matches(' ').len()))
                .map(|from| (from, run(&text[from..])))
        })
    }

    /// The mark that has `number` of its kind before it.
    fn nth(&self, mark: char, number: usize) -> Place {
        let mut left = number;
        for (line, column, text) in &self.lines {
            for (before, c) in text.chars().enumerate() {
                if c == mark {
                    if left == 0 {
                        return self.at(*line, *column, before, 1);
                    }
                    left -= 1;
                }
            }
        }
        self.place.clone()
    }

    /// The last character.
    fn last(&self) -> Place {
        match self.lines.last() {
            Some((line, column, text)) if !text.is_empty() => {
                self.at(*line, *column, text.trim_end().chars().count().saturating_sub(1), 1)
            }
            _ => self.place.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_quotes_come_in_pairs() {
        for good in ["a (b [c]) d", "say \"no\" `x`", "it's 5' tall", "\u{201c}so\u{201d}", ""] {
            assert_eq!(unpaired(good), None, "{good}");
        }
        for (bad, mark) in [("a (b", '('), ("a b)", ')'), ("(a) (b", '('), ("a \"b", '"'), ("`a", '`'), ("(a ]", ']')] {
            assert_eq!(unpaired(bad).map(|(mark, _)| mark), Some(mark), "{bad}");
        }
        assert_eq!(unpaired("(a) (b"), Some(('(', 1)));
    }

    #[test]
    fn sentences_end() {
        for good in ["So it is.", "Is it so?", "\"So it is.\"", "So it is (or so).", "So (it is.)"] {
            assert!(ends_a_sentence(good), "{good}");
        }
        assert!(!ends_a_sentence("So it is"));
        assert!(holds_word("TODO: more", "TODO") && !holds_word("TODOS", "TODO"));
    }
}
