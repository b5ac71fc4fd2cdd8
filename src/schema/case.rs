//! The schema of worked cases.
//!
//! Owns the hover text of every key of a case.

use serde_json::{Value, json};

use super::build::{
    Definitions, alias, free_text, list, mapping, may, names, need, number, refer, text, texts, truth, with, words,
};
use super::rules;

/// The root: one case.
pub fn root() -> Value {
    let told = |name: &str, what: &str| names(0, name, &format!("{what} Short for `observations`."));
    mapping(
        "A worked case.",
        vec![
            need("id", refer("new_id", "Lower-case words joined by `_`, unique in the pack.")),
            need("title", text("One line for a clinician.")),
            may("kind", kind()),
            may("patient", patient()),
            may("present", told("told_yes_no", "Yes-or-no findings that are present.")),
            may("absent", told("told_yes_no", "Yes-or-no findings that were asked and are absent.")),
            may("not_known", told("told", "Findings that were asked, and the answer is \"don't know\".")),
            may(
                "observations",
                list(
                    0,
                    "What is told, as in a request: numbers, choices and groups of spots.",
                    json!({ "$ref": "#/definitions/observation" }),
                ),
            ),
            may(
                "none_of_these",
                list(
                    0,
                    "Boxes declared absent, with all their findings.",
                    json!({ "$ref": "#/definitions/none_of_these" }),
                ),
            ),
            may("reporter", reporter()),
            may("article_rows", texts("Which rows of the source article it shows.")),
            may("source", free_text("Where its facts come from.")),
            may("expect", refer("expect", "What must hold. A rule set that breaks it is refused.")),
            may("truth", refer("truth", "What a clinician says is so. It is measured, and never refuses a rule set.")),
            may("complete", truth("Findings that the case leaves out were asked and are absent; for interviews.")),
        ],
    )
}

/// Everything that a case refers to, but for names.
pub fn definitions() -> Definitions {
    let mut all = Definitions::new();
    let mut add = |name: &str, schema: Value| drop(all.insert(name.to_owned(), schema));
    add("urgency", rules::urgency());
    add("unit", rules::unit());
    add("observation", observation());
    add("none_of_these", none_of_these());
    add("expect", expect());
    add("truth", truth_of_case());
    all
}

/// The words, and the names of the protobuf enum, which are read as well.
fn enum_words(description: &str, known: &[(&str, &str)], prefix: &str) -> Value {
    let long: Vec<String> = known.iter().map(|(word, _)| format!("{prefix}{}", word.to_uppercase())).collect();
    json!({
        "description": description,
        "anyOf": [words(description, known), alias(json!({ "type": "string", "enum": long }))],
    })
}

fn kind() -> Value {
    words(
        "How much it tells; the figures keep the kinds apart. Default: other.",
        &[
            ("other", "Shows one thing and claims to be typical of nothing."),
            ("typical", "A full history of the usual picture."),
            ("sparse", "What a patient volunteers in one sentence: two to four findings."),
            ("near_miss", "Looks like one condition and is another."),
        ],
    )
}

fn patient() -> Value {
    let age = |unit: &str| json!({ "type": "number", "minimum": 0, "description": format!("Age in {unit}.") });
    let sex = enum_words("Sex.", &[("female", "Female."), ("male", "Male."), ("other", "Other.")], "SEX_");
    let keys = vec![
        may("age_years", age("years; 0 is a newborn")),
        may("age_months", age("months")),
        may("age_days", age("days")),
        may("sex", sex),
    ];
    mapping("Age and sex; one age is enough.", keys)
}

fn reporter() -> Value {
    let who = [
        ("patient", "The patient, at home."),
        ("caregiver", "Somebody who looks after the patient."),
        ("clinician", "A clinician, who also knows signs and laboratory values."),
    ];
    enum_words("Who answers, which decides what can be asked. Default: patient.", &who, "REPORTER_")
}

fn observation() -> Value {
    let not_known = json!({ "const": true, "description": "Asked, and the answer is \"don't know\"." });
    let keys = vec![
        need("finding", refer("told", "A finding's id, or a coding.")),
        may("present", truth("Present (`true`) or absent (`false`).")),
        may("quantity", quantity()),
        may("selection", selection()),
        may("not_known", not_known.clone()),
        may("notKnown", alias(not_known)),
        may("group", free_text("Which spots it is about, where there are several kinds.")),
    ];
    let one_value = json!({
        "oneOf": [
            { "required": ["present"] }, { "required": ["quantity"] }, { "required": ["selection"] },
            { "required": ["not_known"] }, { "required": ["notKnown"] },
        ],
        "allOf": [{ "$ref": "#/definitions/observed" }],
    });
    with(mapping("One observation, with exactly one value.", keys), one_value)
}

fn quantity() -> Value {
    mapping(
        "A number.",
        vec![
            need("value", number("The number.")),
            may("unit", refer("unit", "UCUM unit; without one the finding's own.")),
        ],
    )
}

fn selection() -> Value {
    mapping(
        "Options of a choice.",
        vec![
            need("options", list(0, "Ids of the chosen options.", json!({ "type": "string" }))),
            may("complete", truth("The options left out were asked and are absent.")),
        ],
    )
}

fn none_of_these() -> Value {
    let full = mapping(
        "A box declared absent for one group of spots.",
        vec![
            need("name", refer("box", "The box.")),
            may("fingerprint", free_text("The box's fingerprint, as in a request.")),
            may("group", free_text("Which spots it is about.")),
        ],
    );
    json!({ "description": "The id of a box.", "anyOf": [{ "$ref": "#/definitions/box" }, full] })
}

fn expect() -> Value {
    let status = [("final", "No red flag is left open."), ("provisional", "Some red flag is open or a precaution.")];
    let outcome =
        [("determined", "Enough is known to rank conditions."), ("insufficient", "Too little is known for that.")];
    mapping(
        "What must hold.",
        vec![
            may(
                "top",
                refer(
                    "condition_or_undetermined",
                    "What comes first; a parent is satisfied by its child, `undetermined` by an insufficient outcome.",
                ),
            ),
            may("top3", names(0, "condition_or_undetermined", "Each of these is within the first three.")),
            may("not_top", names(0, "condition_or_undetermined", "None of these comes first.")),
            may("urgency", refer("urgency", "Exactly this urgency.")),
            may("urgency_at_least", refer("urgency", "This urgency or more.")),
            may("urgency_at_most", refer("urgency", "This urgency or less.")),
            may("status", words("Whether the urgency is final.", &status)),
            may("red_flags", names(0, "red_flag", "Each of these fires.")),
            may("not_red_flags", names(0, "red_flag", "None of these fires.")),
            may("outcome", words("Whether causes can be told apart at all.", &outcome)),
            may("because", names(0, "rule", "Each of these rules counts, as `condition.rule`.")),
            may(
                "asks_first",
                names(0, "screen", "Each of these is among the first three questions: ids of findings or boxes."),
            ),
            may("safety_net", truth("Whether there is a safety net.")),
        ],
    )
}

fn truth_of_case() -> Value {
    let levels = |description: &str| names(0, "urgency", description);
    let several = mapping(
        "The urgency, with others that are right too.",
        vec![need("is", refer("urgency", "The urgency.")), may("also_right", levels("Others that are right too."))],
    );
    let urgency = json!({
        "description": "The right urgency.",
        "anyOf": [{ "$ref": "#/definitions/urgency" }, several],
    });
    mapping(
        "What a clinician says is so.",
        vec![
            need("condition", refer("condition_or_undetermined", "The true condition, or `undetermined`.")),
            may("also_right", names(0, "condition_or_undetermined", "Others that are right too.")),
            may("urgency", urgency),
            may("urgency_also_right", levels("Other urgencies that are right too.")),
        ],
    )
}
