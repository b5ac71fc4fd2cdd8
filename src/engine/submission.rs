//! What a caller submits about one patient, before it is held against a vocabulary.
//!
//! Owns the neutral shape that gRPC requests, request files and worked cases are turned into, and the violations that
//! are sent back. It checks nothing: `finding` does.

/// Everything told about one patient.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Submission {
    /// Age and sex.
    pub patient: Patient,
    /// What was observed, in any order.
    pub observations: Vec<Observation>,
    /// Boxes declared absent.
    pub none_of_these: Vec<NoneOfThese>,
    /// Who reports, which decides what can be asked. `None` is read as the patient.
    pub reporter: Option<Reporter>,
    /// True when the caller pinned the rule set, so that a box needs no fingerprint.
    pub pinned: bool,
}

/// Age and sex of the patient.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patient {
    /// Age in the caller's unit.
    pub age: Option<Age>,
    /// Sex, where told.
    pub sex: Option<Sex>,
}

/// An age in one of three units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Age {
    /// Years; 0 is a newborn.
    Years(f64),
    /// Months.
    Months(f64),
    /// Days.
    Days(f64),
}

/// Sex as the `sex` finding of a vocabulary knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
    /// Other.
    Other,
}

/// Who answers the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporter {
    /// The patient at home.
    Patient,
    /// Somebody who looks after the patient.
    Caregiver,
    /// A clinician, who can also give examination signs and laboratory values.
    Clinician,
}

/// One observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// A finding's id, or a coding as `system:code`.
    pub finding: String,
    /// The value; `None` is a violation.
    pub value: Option<Value>,
    /// Which spots it is about; empty for the only ones.
    pub group: String,
}

/// The value of an observation.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Present (true) or absent (false).
    Present(bool),
    /// A number with a UCUM unit; an empty unit means the finding's own.
    Quantity {
        /// The number.
        value: f64,
        /// UCUM unit.
        unit: String,
    },
    /// Chosen options of a choice.
    Selection {
        /// Option ids.
        options: Vec<String>,
        /// True when the options left out were asked and are absent.
        complete: bool,
    },
    /// Asked, and the answer is "don't know". False is a violation.
    NotKnown(bool),
}

/// A box declared absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoneOfThese {
    /// The box's id.
    pub name: String,
    /// The fingerprint that came with the question; needed unless the rule set is pinned.
    pub fingerprint: String,
    /// Which spots it is about; empty for the only ones.
    pub group: String,
}

/// One thing wrong with a submission. Never holds an observed value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The request's field path, such as `observations[2].quantity.unit`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub reason: String,
}
