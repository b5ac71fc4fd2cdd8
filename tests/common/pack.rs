//! A small pack for tests: one condition, one red flag, one case.

#![allow(dead_code)]

use std::fs;
use std::path::Path;

/// Id of the pack's only case.
pub const CASE: &str = "dome_for_years";
/// Another pack id.
pub const OTHER_ID: &str = "dots";
/// A change of the rules that breaks the case.
pub const WEAK: (&str, &str) = ("urgency: self_care # of the dome", "urgency: emergency # of the dome");

/// The header of a pack.
pub fn header(id: &str, version: &str) -> String {
    format!(
        r#"pack:
  id: {id}
  title: Spots for tests
  version: "{version}"
  language: en
  jurisdiction: nowhere
  summary: A pack for tests.
  review: {{ status: draft }}
  insufficient_urgency: prompt
  act_at: {{ emergency: 0.05, urgent: 0.10, prompt: 0.20, routine: 0.5 }}
  frequencies: {{ very_common: 0.2, common: 0.1, uncommon: 0.02, rare: 0.005, very_rare: 0.002 }}
  screen: [fever]
  advice:
    - {{ urgency: self_care, text: "Look after it at home.", provisional: "Answer these questions first." }}
    - {{ urgency: routine, text: "See a clinician when convenient." }}
    - {{ urgency: prompt, text: "See a clinician within days." }}
    - {{ urgency: urgent, text: "See a clinician today." }}
    - {{ urgency: emergency, text: "Get help now." }}
  safety_net:
    - {{ urgency: self_care, act_within: "no limit", reassess_after: "4 weeks", watch_for: ["A fever."] }}
    - {{ urgency: routine, act_within: "4 weeks", reassess_after: "4 weeks", watch_for: ["A fever."] }}
    - {{ urgency: prompt, act_within: "3 days", reassess_after: "3 days", watch_for: ["A fever."] }}
"#
    )
}

/// Findings, a condition and a red flag.
pub const RULES: &str = r#"findings:
  - id: bright_dome
    name: smooth bright-red dome
    about: spots
    kind: yes_no
    ask: "Is it a smooth dome?"
  - id: gradual
    name: came slowly
    about: spots
    kind: yes_no
    ask: "Did it come slowly?"
  - id: fever
    name: fever
    about: person
    kind: yes_no
    ask: "Do you have a fever?"
  - id: temperature
    name: temperature
    about: person
    kind: number
    unit: Cel
    range: [25, 45]
    ask: "What is your temperature?"
    family: fever
derived:
  - id: measured_fever
    when: { finding: temperature, at_least: 38 }
    present: [fever]
    because: "A temperature of 38 or more is a fever."
conditions:
  - id: cherry_angioma
    name: cherry angioma
    summary: "A harmless growth."
    urgency: self_care # of the dome
    prior: very_common
    evidence:
      - id: dome
        when: bright_dome
        supports: strong
        because: "A dome is what it looks like."
      - id: slow
        when: gradual
        supports: moderate
        because: "It comes slowly."
red_flags:
  - id: fever_with_spots
    name: fever with spots
    sign: fever
    floor: urgent
    because: "Fever with spots needs a doctor today."
"#;

/// The only case.
pub const CASES: &str = r#"id: dome_for_years
title: A dome for years
patient: { age_years: 52, sex: female }
present: [bright_dome, gradual]
absent: [fever]
article_rows: [A1]
expect:
  top: cherry_angioma
  urgency: self_care
  status: final
truth: { condition: cherry_angioma, urgency: self_care }
"#;

/// Writes the pack into a folder.
pub fn write_pack(folder: &Path) {
    fs::create_dir_all(folder.join("cases")).unwrap();
    fs::write(folder.join("cases/one.yaml"), CASES).unwrap();
    fs::write(folder.join("rules.yaml"), RULES).unwrap();
    fs::write(folder.join("pack.yaml"), header("spots", "1")).unwrap();
}
