//! What is wrong with a rule set: one value that text, JSON and the status RPC are made from.
//!
//! Owns codes, severities and the order of diagnostics. It renders one line; underlining the source is the shell's.

pub use super::source::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The rule set is refused.
    Error,
    /// The rule set is accepted; somebody should look.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// A stable number for each kind of diagnostic. Numbers are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The number as written in messages and docs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $number,)* }
            }
        }
    };
}

codes! {
    /// A file that is not UTF-8, is too large or cannot be read.
    UnreadableFile = "R001";
    /// A rules folder that is missing or holds no rules.
    NoRules = "R002";
    /// Two packs with one id.
    DuplicatePack = "R003";
    /// Text that is not YAML.
    Syntax = "R010";
    /// A key twice in one mapping.
    DuplicateKey = "R011";
    /// YAML that rule files do not use: anchors, aliases, tags, merge keys, explicit keys.
    Feature = "R012";
    /// Too deep, too many nodes.
    Limit = "R013";
    /// A value of the wrong shape, a missing field.
    Shape = "R014";
    /// A key that nothing reads.
    UnknownKey = "R015";
    /// Not exactly one of several keys.
    OneOf = "R016";
    /// An id that is not lower-case words.
    BadId = "R017";
    /// A file without a pack header, or with two.
    Header = "R018";
    /// An id twice.
    DuplicateId = "R100";
    /// A finding or definition that does not exist.
    UnknownFinding = "R101";
    /// A condition that does not exist.
    UnknownCondition = "R102";
    /// A source that does not exist.
    UnknownSource = "R103";
    /// An option that the finding does not have.
    UnknownOption = "R104";
    /// A unit that is unknown or measures something else.
    Unit = "R105";
    /// A box or screen question that does not exist.
    UnknownBox = "R106";
    /// An evidence set that does not exist.
    UnknownSet = "R107";
    /// A rule that does not exist.
    UnknownRule = "R108";
    /// A red flag that does not exist.
    UnknownRedFlag = "R109";
    /// A coding that is malformed or used twice for findings.
    Coding = "R110";
    /// A comparison that does not fit the finding's kind.
    Kind = "R200";
    /// A number outside its range.
    Range = "R201";
    /// Definitions, derived findings or parents that lead back to themselves.
    Cycle = "R202";
    /// A list that must not be empty, or a count that does not fit it.
    Count = "R203";
    /// A probability, likelihood ratio or frequency that cannot be.
    Weight = "R204";
    /// `implies`, `opposite_of` or a box on a finding that is not yes or no.
    YesNoOnly = "R205";
    /// A red flag whose precaution is above its floor or that can never matter.
    RedFlag = "R206";
    /// A joint rule that stands for itself, or for a rule whose findings it does not look at.
    Joint = "R207";
    /// A finding that lacks what its kind needs.
    FindingKind = "R208";
    /// A weight that claims to be published or calculated and names no source.
    GradeWithoutSource = "R209";
    /// A worked case that no longer holds.
    CaseBroken = "R300";
    /// A worked case that says something the vocabulary does not allow.
    CaseInput = "R301";
    /// A finding that nothing uses.
    UnusedFinding = "R400";
    /// A definition that nothing uses.
    UnusedDefinition = "R401";
    /// A source that nothing cites.
    UnusedSource = "R402";
    /// An evidence set that no condition includes.
    UnusedSet = "R403";
    /// A box that is never asked.
    UnusedBox = "R404";
    /// A finding that rules look at and no question asks about.
    Unasked = "R405";
    /// A question whose answer no rule looks at.
    IdleQuestion = "R406";
    /// One name for two things.
    Shadowed = "R407";
    /// A family with one member.
    LoneFamily = "R408";
    /// A condition on findings that can never be true.
    NeverTrue = "R410";
    /// A condition on findings that is always true.
    AlwaysTrue = "R411";
    /// A rule or red flag that nobody's answers can decide.
    NeverDecides = "R412";
    /// Two rules of one condition that say the same.
    DuplicateRule = "R413";
    /// Two rules of one condition that let the same evidence pull both ways.
    ContradictoryRules = "R414";
    /// A rule that counts beside the joint rule it is a part of.
    PartStillCounts = "R415";
    /// A red flag that fires in no worked case.
    SilentRedFlag = "R420";
    /// A condition that comes first in no worked case.
    NeverFirst = "R421";
    /// A pack without worked cases.
    NoCases = "R422";
    /// Two spaces in a row, or a space at the beginning or end of a text.
    Spacing = "R430";
    /// A bracket or quote that is not closed, or not opened.
    Unclosed = "R431";
    /// A sentence without a final period.
    NoPeriod = "R432";
    /// A text that says it is not finished.
    Unfinished = "R433";
    /// A text with nothing in it.
    EmptyText = "R434";
    /// Unquoted text that other YAML readers take for something else.
    Unquoted = "R435";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing wrong, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// Lower case, no final period, names in backticks.
    pub message: String,
    /// Where; `None` only for the whole folder.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places that matter, each with what is there.
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(code: Code, place: Option<Place>, message: impl Into<String>) -> Self {
        Self { code, severity: Severity::Error, message: message.into(), place, help: None, related: Vec::new() }
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: Code, place: Option<Place>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// The same with help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with help where there is any.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// The same with a second place.
    #[must_use]
    pub fn related(mut self, place: Option<Place>, what: impl Into<String>) -> Self {
        if let Some(place) = place {
            self.related.push((place, what.into()));
        }
        self
    }

    fn key(&self) -> (&Option<Place>, Code, &str) {
        (&self.place, self.code, &self.message)
    }
}

impl PartialOrd for Diagnostic {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Diagnostic {
    /// By file, line and column, then by code and message.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}[{}]: {}", self.code, self.message)?;
        for (place, what) in &self.related {
            write!(f, "\n  {place}: {what}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}
