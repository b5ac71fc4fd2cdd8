//! An answer for a person in a terminal: what matters first.
//!
//! Owns the order and the layout: urgency and red flags on top, then the ranked list with its reasons, the questions,
//! the notices, the safety net and the disclaimer. Every word that is not layout comes from the answer.

use super::{Ink, Style, clean, count, percent};
use crate::engine::answer::{
    Answer, Citation, Contribution, Counting, Differential, Group, Outcome, Question, QuestionKind, RedFlag,
    RedFlagState, SafetyNet, UrgencyReasonKind, UrgencyStatus,
};
use crate::engine::plan::Header;
use crate::engine::urgency::Urgency;
use std::fmt::Write as _;

/// For how many conditions of a group every reason is shown; the others keep theirs for JSON.
const REASONED: usize = 3;

/// The whole answer. `digest` is that of the rules behind it.
#[must_use]
pub fn text(answer: &Answer, header: &Header, digest: &str, style: Style) -> String {
    let mut out = String::new();
    out.push_str(&headline(answer, style));
    out.push_str(&red_flags(&answer.red_flags, style));
    for group in &answer.groups {
        out.push_str(&differential(answer, group, style));
    }
    out.push_str(&questions(answer, style));
    if !answer.notices.is_empty() {
        out.push_str(&style.heading("Notices"));
        for notice in &answer.notices {
            out.push_str(&style.wrap("  - ", &format!("{}{}", notice.text, about(&notice.group))));
        }
    }
    if let Some(net) = &answer.safety_net {
        out.push_str(&safety_net(net, style));
    }
    out.push('\n');
    let draft = header.review_status != "signed_off";
    let disclaimer = style.wrap("", &answer.disclaimer);
    out.push_str(&if draft { style.paint(Ink::Yellow, disclaimer.trim_end()) + "\n" } else { disclaimer });
    let rules = format!(
        "rules: {} {} ({}), digest {}",
        header.id,
        clean(&header.version),
        if draft { "draft" } else { "signed off" },
        digest.get(..12).unwrap_or(digest)
    );
    out.push_str(&style.paint(Ink::Dim, &rules));
    out.push('\n');
    out
}

/// The level in its colour and in capitals, such as `SELF_CARE`.
#[must_use]
pub fn level(urgency: Urgency, style: Style) -> String {
    let ink = match urgency {
        Urgency::Emergency | Urgency::Urgent => Ink::Red,
        Urgency::Prompt => Ink::Yellow,
        Urgency::Routine | Urgency::SelfCare => Ink::Green,
    };
    style.paint(ink, &urgency.as_str().to_uppercase())
}

/// How many open red flags are named; an early answer has dozens, and the questions are what matters then.
const OPEN_FLAGS_SHOWN: usize = 5;

/// `final`, or `provisional` and how far it could rise.
#[must_use]
pub fn status(answer: &Answer) -> String {
    match answer.urgency_status {
        UrgencyStatus::Final => "final".to_owned(),
        UrgencyStatus::Provisional if answer.could_rise_to > answer.urgency => {
            format!("provisional, could rise to {}", answer.could_rise_to)
        }
        UrgencyStatus::Provisional => "provisional".to_owned(),
    }
}

fn headline(answer: &Answer, style: Style) -> String {
    let mut out = format!("{}  {}\n", level(answer.urgency, style), status(answer));
    if !answer.urgency_text.is_empty() {
        out.push_str(&style.wrap("  ", &answer.urgency_text));
    }
    for reason in &answer.urgency_reasons {
        let kind = match reason.kind {
            UrgencyReasonKind::RedFlag => "red flag",
            UrgencyReasonKind::Precaution => "precaution",
            UrgencyReasonKind::Conditions => "conditions",
            UrgencyReasonKind::Insufficient => "too little known",
        };
        // What a red flag says stands below it; here its name is enough.
        let flag = answer.red_flags.iter().find(|flag| flag.id == reason.id && flag.group == reason.group);
        let text = flag.map_or(&reason.text, |flag| &flag.name);
        let text = format!("{} ({kind}): {text}{}", reason.urgency, about(&reason.group));
        out.push_str(&style.wrap("  because ", &text));
    }
    out
}

fn red_flags(flags: &[RedFlag], style: Style) -> String {
    if flags.is_empty() {
        return String::new();
    }
    let mut out = style.heading("Red flags");
    for flag in flags.iter().filter(|flag| flag.state != RedFlagState::Open) {
        let (ink, state) = match flag.state {
            RedFlagState::Fired => (Ink::Red, "fired"),
            _ => (Ink::Yellow, "precaution, until it is answered"),
        };
        let name = style.paint(ink, &format!("! {}", clean(&flag.name)));
        let _ = writeln!(out, "  {name}: {} ({state}){}", flag.floor, about(&flag.group));
        out.push_str(&style.wrap("    ", &format!("{}{}", flag.text, cited(&flag.sources))));
        if !flag.action.is_empty() {
            out.push_str(&style.wrap("    do: ", &flag.action));
        }
        if !flag.findings.is_empty() {
            out.push_str(&style.wrap("    from: ", &flag.findings.join(", ")));
        }
        if !flag.deciding_findings.is_empty() {
            out.push_str(&style.wrap("    answered by: ", &flag.deciding_findings.join(", ")));
        }
        if flag.contradicted {
            out.push_str("    told both ways; the dangerous reading counts\n");
        }
    }
    let open: Vec<&RedFlag> = flags.iter().filter(|flag| flag.state == RedFlagState::Open).collect();
    for flag in open.iter().take(OPEN_FLAGS_SHOWN) {
        let text = format!("{}: open, up to {}{}", flag.name, flag.floor, about(&flag.group));
        out.push_str(&style.wrap("  ? ", &text));
    }
    if open.len() > OPEN_FLAGS_SHOWN {
        let rest = count(open.len() - OPEN_FLAGS_SHOWN, "more is", "more are");
        let _ = writeln!(out, "  ? {rest} open; the questions below would settle them");
    }
    out
}

fn differential(answer: &Answer, group: &Group, style: Style) -> String {
    let title = if group.group.is_empty() {
        "What it may be".to_owned()
    } else {
        format!("What it may be: {} ({})", clean(&group.group), group.urgency)
    };
    let mut out = style.heading(&title);
    if group.outcome == Outcome::Insufficient {
        out.push_str(&style.wrap("  ", "Too little is known to rely on this order."));
    }
    let listed: Vec<&Differential> = answer.differentials.iter().filter(|item| item.group == group.group).collect();
    let names = listed.iter().map(|item| item.condition.name.chars().count()).max().unwrap_or(0);
    let columns = names.clamp("something else".len(), style.width.saturating_sub(38).max(16));
    for item in &listed {
        let head = line(&item.rank.to_string(), &item.condition.name, item.share, columns, style);
        let _ = writeln!(out, "{head} {:>9}  {}", decibans(item.score_decibans), item.urgency);
    }
    let rest = line("", "something else", group.undetermined_share, columns, style);
    let _ = writeln!(out, "{}", rest.trim_end());
    if group.unlisted_share > 0.0005 {
        let _ = writeln!(out, "{}", line("", "not listed here", group.unlisted_share, columns, style).trim_end());
    }
    for item in listed.iter().take(REASONED) {
        out.push_str(&reasons(item, style));
    }
    out
}

/// `  1 cherry angioma       ███░░  71 %`, the name cut or filled to `columns`.
fn line(rank: &str, name: &str, share: f64, columns: usize, style: Style) -> String {
    let mut shown: String = clean(name).chars().take(columns).collect();
    if name.chars().count() > columns {
        shown.pop();
        shown.push('…');
    }
    let filled = format!("{shown}{}", " ".repeat(columns.saturating_sub(shown.chars().count())));
    let bar = style.bar(share, 10);
    format!(" {rank:>2} {} {bar} {:>5}", style.paint(Ink::Bold, &filled), percent(share))
}

fn reasons(item: &Differential, style: Style) -> String {
    let mut out = format!("\n {:>2} {}", item.rank, style.paint(Ink::Blue, &clean(&item.condition.name)));
    let _ = writeln!(out, "{}", style.paint(Ink::Dim, &format!("  {}", item.condition.id)));
    for contribution in &item.contributions {
        out.push_str(&reason(contribution, style));
    }
    if item.contributions.is_empty() {
        out.push_str(&style.wrap("    ", &item.condition.summary));
    }
    if !item.undecided.is_empty() {
        let rules = count(item.undecided.len(), "more reason", "more reasons");
        out.push_str(&style.paint(Ink::Dim, &format!("    {rules} not decided by what was told\n")));
    }
    for (what, advice) in [("next", &item.next_steps), ("care", &item.care)] {
        for advice in advice {
            out.push_str(&style.wrap(&format!("    {what}: "), &format!("{}{}", advice.text, cited(&advice.sources))));
        }
    }
    out
}

fn reason(contribution: &Contribution, style: Style) -> String {
    let suffix = match contribution.counting {
        Counting::Counted => String::new(),
        Counting::AlreadyCounted => format!(" (already counted by {})", contribution.counted_by),
        Counting::Replaced => format!(" (replaced by {})", contribution.counted_by),
        Counting::Contradicted => " (told both ways, counts for nothing)".to_owned(),
    };
    let weight = decibans(contribution.weight_decibans);
    // What does not count stands in brackets, so that it can be seen without colour too.
    let (ink, shown) = match (contribution.counting, contribution.weight_decibans >= 0.0) {
        (Counting::Counted, true) => (Ink::Green, format!("{weight:>11} ")),
        (Counting::Counted, false) => (Ink::Yellow, format!("{weight:>11} ")),
        _ => (Ink::Dim, format!("{:>12}", format!("({weight})"))),
    };
    let judged = if contribution.sources.is_empty() { format!(" [{}]", contribution.grade) } else { String::new() };
    let text = format!("{}{}{judged}{suffix}", contribution.because, cited(&contribution.sources));
    style.wrap_at(&format!("  {} ", style.paint(ink, &shown)), 15, &text)
}

fn questions(answer: &Answer, style: Style) -> String {
    if answer.should_stop || answer.next_questions.is_empty() {
        let why = if answer.should_stop {
            "No question is left that would change the advice."
        } else {
            return String::new();
        };
        return style.heading("Questions") + &style.wrap("  ", why);
    }
    let mut out = style.heading("Ask next");
    for (index, question) in answer.next_questions.iter().enumerate() {
        out.push_str(&ask(&format!(" {:>2}. ", index + 1), question, style));
    }
    out
}

/// One question with its options and why it is asked.
#[must_use]
pub fn ask(first: &str, question: &Question, style: Style) -> String {
    let mut out = style.wrap(first, &format!("{}{}", question.text, about(&question.group)));
    let margin = " ".repeat(first.chars().count());
    let options: Vec<&str> = question.options.iter().map(|option| option.name.as_str()).collect();
    let pick = match question.kind {
        QuestionKind::Choice | QuestionKind::OneOf => "one of: ",
        QuestionKind::MultipleChoice | QuestionKind::AnyOf => "any of: ",
        QuestionKind::YesNo | QuestionKind::Number => "",
    };
    if !pick.is_empty() {
        out.push_str(&style.wrap(&format!("{margin}{pick}"), &options.join("; ")));
    }
    if let Some((low, high)) = question.range {
        let _ = writeln!(out, "{margin}a number from {low} to {high} {}", clean(&question.unit));
    }
    let id = style.paint(Ink::Dim, &format!("{margin}{}", clean(&question.id)));
    let _ = writeln!(out, "{id}");
    if !question.why.is_empty() {
        out.push_str(&style.wrap(&margin, &question.why));
    }
    out
}

fn safety_net(net: &SafetyNet, style: Style) -> String {
    let mut out = style.heading("Safety net");
    if !net.act_within.is_empty() {
        out.push_str(&style.wrap("  act within: ", &net.act_within));
    }
    if !net.reassess_after.is_empty() {
        out.push_str(&style.wrap("  look again: ", &net.reassess_after));
    }
    for sign in &net.watch_for {
        out.push_str(&style.wrap("  - watch for: ", sign));
    }
    out
}

/// `+11.8 dB`.
#[must_use]
pub fn decibans(weight: f64) -> String {
    // A tiny negative number must not be shown as `-0.0`.
    let tenths = (weight * 10.0).round() / 10.0 + 0.0;
    format!("{tenths:+.1} dB")
}

fn cited(sources: &[Citation]) -> String {
    if sources.is_empty() {
        return String::new();
    }
    let ids: Vec<&str> = sources.iter().map(|source| source.id.as_str()).collect();
    format!(" [{}]", ids.join(", "))
}

fn about(group: &str) -> String {
    if group.is_empty() { String::new() } else { format!(" (group `{group}`)") }
}
