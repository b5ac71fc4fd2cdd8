//! Worked cases as `JUnit` XML, which build servers show.
//!
//! Owns the file format and nothing else.

use std::fmt::Write as _;

use super::failure;
use super::test::PackRun;
use crate::render::Style;

/// All packs as one document.
#[must_use]
pub fn text(runs: &[PackRun]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"rubor\">\n");
    for run in runs {
        let name = escape(&run.plan.header.id);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\">",
            run.cases.len(),
            run.broken().count()
        );
        for (case, result) in &run.cases {
            let head = format!("    <testcase classname=\"{name}\" name=\"{}\"", escape(&case.id));
            if result.failures.is_empty() {
                let _ = writeln!(out, "{head}/>");
            } else {
                let texts: Vec<&str> = result.failures.iter().map(|failure| failure.text.as_str()).collect();
                let explanation = failure::explanation(run, case, result, Style::PLAIN);
                let (words, message) = (escape(&format!("{}\n{explanation}", texts.join("\n"))), escape(texts[0]));
                let _ =
                    writeln!(out, "{head}>\n      <failure message=\"{message}\">{words}</failure>\n    </testcase>");
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn text_cannot_leave_its_attribute() {
        assert_eq!(escape("a<b & \"c\"\u{7}\n"), "a&lt;b &amp; &quot;c&quot; &#10;");
    }
}
