//! The schema of rule files, section by section.
//!
//! Owns the hover text of every key that an author can write.

use serde_json::{Value, json};

use super::build::{
    Definitions, Key, between, free_text, list, mapping, may, names, need, number, refer, text, texts, with, words,
};
use crate::engine::unit::UNITS;

/// The root: any of the sections.
pub fn sections() -> Value {
    // A section that is only begun holds nothing yet, which YAML reads as null.
    let section = |item: &str, description: &str| {
        json!({
            "type": ["array", "null"], "description": description, "items": { "$ref": format!("#/definitions/{item}") },
        })
    };
    mapping(
        "A file of a rule pack. Sections may stand in any file, in any order.",
        vec![
            may("pack", refer("pack", "Who and what the pack is, and its thresholds. Once in a pack, in `pack.yaml`.")),
            may("sources", section("source_item", "Literature that rules, advice and red flags cite.")),
            may("findings", section("finding_item", "What can be told about a patient: the vocabulary.")),
            may("boxes", section("box_item", "Questions about several yes-or-no findings at once.")),
            may(
                "derived",
                section("derived_item", "Rules that tell findings from findings, before anything is scored."),
            ),
            may(
                "definitions",
                section("definition_item", "Named pieces of a condition on findings, used by their ids."),
            ),
            may(
                "evidence_sets",
                section("evidence_set_item", "Evidence written once and included by several conditions."),
            ),
            may(
                "conditions",
                section("condition_item", "What it may be: causes, with the evidence for and against each."),
            ),
            may(
                "red_flags",
                section("red_flag_item", "Signs that put a floor under the urgency, whatever else is likely."),
            ),
        ],
    )
}

/// Everything that the sections refer to, but for names.
pub fn definitions() -> Definitions {
    let mut all = Definitions::new();
    let mut add = |name: &str, schema: Value| drop(all.insert(name.to_owned(), schema));
    add("urgency", urgency());
    add("floor", words("An urgency that raises something, so not `self_care`.", &LEVELS[1..]));
    add("strength", strength());
    add("unit", unit());
    add("pack", pack());
    add("source_item", source());
    add("finding_item", finding());
    add("box_item", question_box());
    add("definition_item", definition());
    add("derived_item", derived());
    add("evidence_set_item", evidence_set());
    add("evidence_item", evidence());
    add("condition_item", condition());
    add("advice_item", advice());
    add("red_flag_item", red_flag());
    add("when", when());
    add("when_mapping", when_mapping());
    all
}

/// The five levels, mildest first.
const LEVELS: [(&str, &str); 5] = [
    ("self_care", "Nothing but care at home."),
    ("routine", "An appointment when it is convenient."),
    ("prompt", "A clinician within days."),
    ("urgent", "A clinician on the same day."),
    ("emergency", "An ambulance or an emergency department, now."),
];

/// An urgency.
pub fn urgency() -> Value {
    words("How soon somebody should act, from `self_care` to `emergency`.", &LEVELS)
}

fn strength() -> Value {
    words(
        "A weight in words, where no number is published.",
        &[
            ("weak", "Likelihood ratio of about 2."),
            ("moderate", "Likelihood ratio of about 5."),
            ("strong", "Likelihood ratio of about 15."),
        ],
    )
}

/// Every unit that is known.
pub fn unit() -> Value {
    let known: Vec<(&str, &str)> = UNITS.iter().map(|unit| (unit.code, unit.name)).collect();
    words("A UCUM unit.", &known)
}

fn pack() -> Value {
    let levels = "What each answer of one urgency says; one entry for each urgency it is needed for.";
    mapping(
        "Who and what the pack is, and its thresholds.",
        vec![
            need(
                "id",
                json!({
                    "type": "string", "pattern": "^[a-z][a-z0-9-]{0,63}$",
                    "patternErrorMessage": "lower-case words joined by `-`, at most 64 characters",
                    "description": "The pack's id: lower-case words joined by `-`. Requests name the pack by it.",
                }),
            ),
            need("title", text("What the pack is about, in a few words.")),
            need("version", text("The author's version, in quotes.")),
            may("language", text("Language of all texts, a BCP 47 tag. Default: en.")),
            may("jurisdiction", free_text("Where its advice applies.")),
            may("summary", free_text("What it helps with, in a sentence.")),
            may("review", review()),
            need(
                "insufficient_urgency",
                refer("urgency", "The least urgency of an answer when too little is known to tell the causes apart."),
            ),
            need("act_at", act_at()),
            need("frequencies", frequencies()),
            may(
                "screen",
                names(0, "screen", "What every patient is asked first, in this order: ids of findings or boxes."),
            ),
            may(
                "ask_when_contradicted",
                refer(
                    "yes_no",
                    "The yes-or-no finding that asks whether there are two kinds of spots, asked when answers contradict each other.",
                ),
            ),
            may(
                "ask_when_told",
                names(
                    0,
                    "yes_no",
                    "Findings of old spots, such as `long_standing`: told of the only group of spots, they bring the question of `ask_when_contradicted`, so that old spots hide no new ones.",
                ),
            ),
            may("advice", list(5, &format!("The headline of an answer. {levels}"), headline())),
            may("safety_net", list(3, &format!("What to watch for, below `urgent`. {levels}"), safety_net())),
        ],
    )
}

fn review() -> Value {
    let status = words(
        "Whether the pack is signed off. A draft says so in every answer.",
        &[("draft", "Not for clinical use."), ("signed_off", "Signed off: fill in `by` and `on`.")],
    );
    mapping(
        "Who stands behind the pack.",
        vec![
            may("status", status),
            may("by", free_text("Who signed it off.")),
            may("on", free_text("When, as a date in quotes.")),
        ],
    )
}

fn act_at() -> Value {
    let share = |level: &str| {
        let description = format!(
            "Advise `{level}` when conditions that need it or more have this share together (0.05 is five per cent)."
        );
        json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1, "description": description })
    };
    mapping(
        "From which summed share of conditions each level is advised; rising from `emergency` to `routine`.",
        vec![
            need("emergency", share("emergency")),
            need("urgent", share("urgent")),
            need("prompt", share("prompt")),
            may("routine", share("routine")),
        ],
    )
}

fn frequencies() -> Value {
    let odds = |word: &str| between(1e-6, 1e3, &format!("Odds of a {word} condition against \"something else\"."));
    mapping(
        "What the words for priors mean, as odds against \"something else\"; falling from `very_common` to `very_rare`.",
        vec![
            need("very_common", odds("very common")),
            need("common", odds("common")),
            need("uncommon", odds("uncommon")),
            need("rare", odds("rare")),
            need("very_rare", odds("very rare")),
        ],
    )
}

fn headline() -> Value {
    mapping(
        "The headline of one urgency.",
        vec![
            need("urgency", refer("urgency", "The urgency that it is for.")),
            need("text", text("What the answer says, in one plain sentence.")),
            may("provisional", text("What it says instead while red-flag questions are open.")),
        ],
    )
}

fn safety_net() -> Value {
    mapping(
        "The safety net of one urgency.",
        vec![
            need("urgency", refer("urgency", "The urgency that it is for.")),
            need("act_within", text("Within what time to act.")),
            need("reassess_after", text("When to look again.")),
            may("watch_for", texts("Signs that call for help sooner.")),
        ],
    )
}

fn source() -> Value {
    mapping(
        "A literature source.",
        vec![
            need("id", text("Short key by which rules cite it.")),
            need("title", text("Authors, journal, year, pages; in quotes.")),
            may("url", free_text("Where it can be read.")),
        ],
    )
}

fn kind() -> Value {
    words(
        "What kind of value it takes.",
        &[
            ("yes_no", "Present or absent."),
            ("number", "A number: give `unit` and `range`."),
            ("choice", "One of `options`."),
            ("multiple_choice", "Any of `options`."),
        ],
    )
}

fn finding() -> Value {
    let keys: Vec<Key> = vec![
        need(
            "id",
            refer("new_id", "Lower-case words joined by `_`. Rules, cases and requests name the finding by it."),
        ),
        need("name", text("The clinical label in plain words.")),
        need(
            "about",
            words(
                "Whether it is about the person or about the spots; spots may come in groups.",
                &[
                    ("person", "About the whole person, such as a fever."),
                    ("spots", "About the complaint itself, such as its colour."),
                ],
            ),
        ),
        need("kind", kind()),
        may("ask", free_text("The question, in plain words. Without one, nobody is asked.")),
        may("help", free_text("How to tell.")),
        may(
            "asked_of",
            words(
                "Who can know it. Default: patient.",
                &[
                    ("patient", "Anybody, the patient included."),
                    ("clinician", "Only somebody who examines the patient."),
                    ("laboratory", "Only a laboratory."),
                ],
            ),
        ),
        may(
            "family",
            refer(
                "family",
                "Findings that say the same thing share a family: of its weights only the largest for and the largest against count.",
            ),
        ),
        may("synonyms", texts("Other words for it, for suggestions.")),
        may("codings", names(0, "coding", "Codes as `\"system:code\"`, in quotes.")),
        may("implies", names(0, "yes_no", "Present here tells these present; one of these absent tells this absent.")),
        may("opposite_of", names(0, "yes_no", "One present tells the other absent.")),
        may("unit", refer("unit", "UCUM unit of a number.")),
        may(
            "range",
            json!({
                "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2,
                "description": "Lowest and highest possible value in that unit, both allowed.",
            }),
        ),
        may("options", list(1, "Options of a choice.", option())),
    ];
    with(mapping("Something that can be told about a patient.", keys), by_kind())
}

/// What each kind of finding needs, and what it cannot have.
fn by_kind() -> Value {
    let of_kind = |kinds: Value, then: Value| json!({ "if": { "properties": { "kind": kinds }, "required": ["kind"] }, "then": then });
    json!({ "allOf": [
        of_kind(json!({ "const": "yes_no" }), json!({ "properties": { "unit": false, "range": false, "options": false } })),
        of_kind(json!({ "const": "number" }), json!({
            "required": ["unit", "range"], "properties": { "options": false, "implies": { "maxItems": 0 }, "opposite_of": { "maxItems": 0 } },
        })),
        of_kind(json!({ "enum": ["choice", "multiple_choice"] }), json!({
            "required": ["options"],
            "properties": { "unit": false, "range": false, "implies": { "maxItems": 0 }, "opposite_of": { "maxItems": 0 } },
        })),
    ] })
}

fn option() -> Value {
    mapping("An option.", vec![need("id", refer("new_id", "Id of the option.")), need("name", text("In plain words."))])
}

fn question_box() -> Value {
    mapping(
        "A question about several yes-or-no findings; it counts as one question.",
        vec![
            need("id", refer("new_id", "Lower-case words joined by `_`.")),
            need("ask", text("The question.")),
            may("help", free_text("How to tell.")),
            need(
                "pick",
                words(
                    "How many of its findings may be ticked.",
                    &[("any", "All that apply, or none of these."), ("one", "Exactly one, or cannot tell.")],
                ),
            ),
            need("findings", names(2, "yes_no", "Its findings, in the order in which they are shown.")),
        ],
    )
}

fn definition() -> Value {
    mapping(
        "A named piece of a condition on findings.",
        vec![
            need("id", refer("new_id", "Used like the id of a finding.")),
            need("name", text("In plain words; explanations show it.")),
            need("when", refer("when", "What it stands for.")),
        ],
    )
}

fn derived() -> Value {
    let told = json!({ "anyOf": [
        { "required": ["present"], "properties": { "present": { "minItems": 1 } } },
        { "required": ["absent"], "properties": { "absent": { "minItems": 1 } } },
    ] });
    let keys = vec![
        need("id", refer("new_id", "Lower-case words joined by `_`.")),
        need("when", refer("when", "When it tells.")),
        may("present", names(0, "yes_no", "Findings that are then told present.")),
        may("absent", names(0, "yes_no", "Findings that are then told absent.")),
        need("because", text("Why, in one plain sentence.")),
        may("sources", names(0, "source", "Where that is from.")),
    ];
    with(mapping("A rule that tells findings from findings. It only ever adds.", keys), told)
}

fn evidence_set() -> Value {
    mapping(
        "Evidence written once for several conditions.",
        vec![
            need("id", refer("new_id", "Conditions name it under `include`.")),
            need("evidence", list(0, "Its rules.", json!({ "$ref": "#/definitions/evidence_item" }))),
        ],
    )
}

fn evidence() -> Value {
    let keys = vec![
        need("id", refer("new_rule_id", "Short, unique in the condition; the full id is `condition.rule`.")),
        need("when", refer("when", "What it looks at.")),
        may("supports", refer("strength", "How strongly it speaks for the condition when `when` is true.")),
        may("argues_against", refer("strength", "How strongly it speaks against the condition when `when` is true.")),
        may(
            "likelihood_ratio",
            between(
                0.001,
                1000.0,
                "Published or calculated likelihood ratio when `when` is true; below 1 it argues against.",
            ),
        ),
        may("likelihood_ratio_if_absent", between(0.001, 1000.0, "Likelihood ratio when `when` is told false.")),
        may("probability", probability()),
        need("because", text("Why, in one plain sentence.")),
        may("sources", names(0, "source", "Where that is from. None means judgement.")),
        may(
            "grade",
            words(
                "How the weight came about. Default: judgement.",
                &[
                    ("judgement", "A strength in words, from text or experience."),
                    ("published", "A number in the named source."),
                    ("calculated", "Computed from counts in the named source."),
                ],
            ),
        ),
        may(
            "family",
            refer(
                "family",
                "Rules of one family say the same thing: only the largest weight for and the largest against count.",
            ),
        ),
        may(
            "stands_for",
            names(
                0,
                "part",
                "Makes it a joint rule: when true, it replaces the whole families of these rules of the same condition.",
            ),
        ),
    ];
    let about = "One rule of a score. Exactly one of `supports`, `argues_against`, `likelihood_ratio` or `probability` says how much it weighs.";
    with(mapping(about, keys), one_weight())
}

/// Exactly one way to say how much a rule weighs.
fn one_weight() -> Value {
    let both = |bound: &str| {
        json!({
            "required": ["likelihood_ratio", "likelihood_ratio_if_absent"],
            "properties": { "likelihood_ratio": { bound: 1 }, "likelihood_ratio_if_absent": { bound: 1 } },
        })
    };
    // The last of these: when presence supports a condition, absence must argue against it.
    json!({
        "oneOf": [
            { "required": ["supports"] },
            { "required": ["argues_against"] },
            { "anyOf": [{ "required": ["likelihood_ratio"] }, { "required": ["likelihood_ratio_if_absent"] }] },
            { "required": ["probability"] },
        ],
        "not": { "anyOf": [both("exclusiveMinimum"), both("exclusiveMaximum")] },
    })
}

fn probability() -> Value {
    mapping(
        "How often the finding is there, from which both directions follow.",
        vec![
            need("with", between(0.01, 0.99, "Share of people with this condition who have it.")),
            need("without", between(0.01, 0.99, "Share of people with something else who have it.")),
        ],
    )
}

fn condition() -> Value {
    let word = words(
        "In words; `frequencies` of the pack says what they mean.",
        &[
            ("very_common", "The commonest causes of the complaint."),
            ("common", "Seen every week."),
            ("uncommon", "Seen now and then."),
            ("rare", "Seen once in a while."),
            ("very_rare", "Hardly ever seen."),
        ],
    );
    let prior = json!({
        "description": "How common it is among people who ask about this complaint: a word, or odds against \"something else\".",
        "anyOf": [word, between(1e-6, 1e3, "Odds against \"something else\".")],
    });
    let advice = json!({ "$ref": "#/definitions/advice_item" });
    mapping(
        "Something that it may be.",
        vec![
            need("id", refer("new_id", "Lower-case words joined by `_`.")),
            need("name", text("Its name.")),
            need("summary", text("What it is, in one or two plain sentences.")),
            need("urgency", refer("urgency", "The urgency of its mildest form; severe forms are red flags.")),
            may("part_of", refer("condition", "The condition that it is a form of.")),
            need("prior", prior),
            may("prior_sources", names(0, "source", "Where the prior is from.")),
            may("codings", names(0, "coding", "Codes as `\"system:code\"`, in quotes.")),
            may("include", names(0, "evidence_set", "Evidence sets that count for it too.")),
            may(
                "evidence",
                list(0, "What speaks for it and against it.", json!({ "$ref": "#/definitions/evidence_item" })),
            ),
            may("next_steps", list(0, "What a clinician may do.", advice.clone())),
            may("care", list(0, "What helps.", advice)),
            may("watch_for", texts("Signs for the safety net while it is ranked high.")),
        ],
    )
}

fn advice() -> Value {
    mapping(
        "A piece of advice.",
        vec![need("text", text("One plain sentence.")), may("sources", names(0, "source", "Where that is from."))],
    )
}

fn red_flag() -> Value {
    let keys = vec![
        need("id", refer("new_id", "Lower-case words joined by `_`.")),
        need("name", text("Its name.")),
        may(
            "given",
            refer("when", "What makes it live: only then it is asked about. It fires when this and `sign` are true."),
        ),
        may("given_or_unknown", refer("when", "Like `given`, but live also while that is not known.")),
        need("sign", refer("when", "What fires it, together with `given`.")),
        may(
            "unless",
            refer("when", "Takes an unanswered flag off the list. It never silences a flag whose signs were told."),
        ),
        need("floor", refer("floor", "The urgency that it demands when it fires; nothing can lower it.")),
        may(
            "while_unknown",
            refer("urgency", "The urgency that it demands, as a precaution, while it is live and not answered."),
        ),
        need("because", text("Why, in one plain sentence.")),
        may("sources", names(0, "source", "Where that is from.")),
        may("action", free_text("What to do.")),
    ];
    // A precaution is never above the floor: firing a flag must not lower the urgency.
    let precautions: Vec<Value> = (1..LEVELS.len() - 1)
        .map(|level| {
            let up_to: Vec<&str> = LEVELS[..=level].iter().map(|(word, _)| *word).collect();
            json!({
                "if": { "properties": { "floor": { "const": LEVELS[level].0 } }, "required": ["floor"] },
                "then": { "properties": { "while_unknown": { "enum": up_to } } },
            })
        })
        .collect();
    let live = json!({
        "dependencies": { "while_unknown": { "anyOf": [{ "required": ["given"] }, { "required": ["given_or_unknown"] }] } },
        "not": { "required": ["given", "given_or_unknown"] },
        "allOf": precautions,
    });
    with(mapping("A sign that puts a floor under the urgency. Nothing outvotes it.", keys), live)
}

/// A condition on findings: a name, or a mapping.
fn when() -> Value {
    json!({
        "description": "A condition on findings: the id of a yes-or-no finding or of a definition, or `all`, `any`, `not`, `at_least` with `of`, or `finding` with a comparison.",
        "anyOf": [{ "$ref": "#/definitions/when_name" }, { "$ref": "#/definitions/when_mapping" }],
    })
}

fn when_mapping() -> Value {
    let items = |description: &str| list(1, description, json!({ "$ref": "#/definitions/when" }));
    let keys = vec![
        may("all", items("True when every one of these is.")),
        may("any", items("True when one of these is.")),
        may("not", refer("when", "True when this is told false; never when it is not told.")),
        may("of", items("The items that `at_least` counts.")),
        may("finding", refer("finding", "The finding to compare.")),
        may("below", number("Below this number.")),
        may("at_most", number("This number or less.")),
        may("at_least", number("With `finding`: this number or more. With `of`: how many of them.")),
        may("above", number("Above this number.")),
        may("unit", refer("unit", "Unit of the number, where it is not the finding's own.")),
        may("is", refer("option", "The option that was chosen.")),
        may("is_one_of", list(1, "The options of which one was chosen.", json!({ "$ref": "#/definitions/option" }))),
    ];
    let needs_finding = json!(["finding"]);
    let form = json!({
        "oneOf": [
            { "required": ["all"] }, { "required": ["any"] }, { "required": ["not"] }, { "required": ["of"] },
            { "required": ["finding"] },
        ],
        "dependencies": {
            "of": ["at_least"], "below": needs_finding, "at_most": needs_finding, "above": needs_finding,
            "unit": needs_finding, "is": needs_finding, "is_one_of": needs_finding,
            "at_least": { "anyOf": [
                { "required": ["finding"] },
                { "required": ["of"], "properties": { "at_least": { "type": "integer", "minimum": 1 } } },
            ] },
        },
        "allOf": [{ "$ref": "#/definitions/comparisons" }],
    });
    with(mapping("Exactly one of `all`, `any`, `not`, `at_least` with `of`, or `finding`.", keys), form)
}
