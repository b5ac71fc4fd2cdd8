//! The five levels of urgency, in words and in order.
//!
//! Owns the scale and nothing else: which level an answer gets is decided in `evaluate`.

use serde::Deserialize;

/// How soon somebody should act, from the mildest to the most urgent. The order of the variants is the order of urgency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Nothing but care at home.
    #[default]
    SelfCare,
    /// An appointment when it is convenient.
    Routine,
    /// A clinician within days.
    Prompt,
    /// A clinician on the same day.
    Urgent,
    /// An ambulance or an emergency department, now.
    Emergency,
}

impl Urgency {
    /// All levels, mildest first.
    pub const ALL: [Urgency; 5] =
        [Urgency::SelfCare, Urgency::Routine, Urgency::Prompt, Urgency::Urgent, Urgency::Emergency];

    /// The word that rule files, cases and metrics use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Urgency::SelfCare => "self_care",
            Urgency::Routine => "routine",
            Urgency::Prompt => "prompt",
            Urgency::Urgent => "urgent",
            Urgency::Emergency => "emergency",
        }
    }

    /// Zero for self-care up to four for an emergency.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Urgency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
