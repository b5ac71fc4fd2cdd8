//! Where the fuzzing begins: texts made from the rules in the binary and from the malformed files of the tests.
//!
//! Owns making them. They are made anew by each target, so that none lies in the repository.

#![allow(clippy::disallowed_methods, reason = "seeds are made of files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rubor::store;

use crate::parts::{BASE, BASE_CASE};

/// The folder that seeds are to be written to, and beside it, as `FOLDER.dict`, the words of the rule language.
pub const FOLDER: &str = "RUBOR_FUZZ_SEEDS";
/// Longest seed; longer ones cost more runs than they find.
const LONGEST: usize = 16 * 1024;
/// Without a screen, which would pull findings into every seed.
const HEADER: &str = "screen: [age, fever]";

/// Writes seeds and ends the process, where the environment says so.
pub fn write_if_asked(seeds: impl Fn() -> Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let all = seeds();
    for (number, seed) in all.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number:04}")), seed).expect("a folder that can be written");
    }
    let words: String = dictionary().iter().map(|word| format!("\"{word}\"\n")).collect();
    std::fs::write(folder.with_extension("dict"), words).expect("a folder that can be written");
    println!("{} seeds", all.len());
    std::process::exit(0);
}

/// Every key that a shipped or malformed file has, as it is written there, and every mark.
fn dictionary() -> BTreeSet<String> {
    let shipped = store::embedded::files().iter().map(|(_, text)| (*text).to_owned());
    let mut found: BTreeSet<String> =
        ["- ", "[", "]", "{ ", " }", ": ", "\\x0a  ", "# ", "|\\x0a", ">-\\x0a"].map(String::from).into();
    for text in shipped.chain(malformed()).chain([BASE.to_owned(), BASE_CASE.to_owned()]) {
        for part in text.split('"').step_by(2).flat_map(|code| code.split_inclusive(':')) {
            let word = part
                .strip_suffix(':')
                .and_then(|part| part.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next());
            found.extend(word.filter(|word| word.len() > 1).map(|word| format!("{word}: ")));
        }
    }
    found
}

/// Files of rules and cases, whole where they are short, else item by item; and the malformed files of the tests.
#[must_use]
pub fn texts() -> Vec<Vec<u8>> {
    let whole = store::embedded::files().iter().map(|(_, text)| (*text).to_owned()).filter(|text| text.len() < LONGEST);
    let items = shipped().into_iter().flat_map(|(section, items)| {
        items.into_values().map(move |text| format!("{section}:\n{text}")).collect::<Vec<_>>()
    });
    let malformed = malformed();
    whole.chain(items).chain(malformed).map(String::into_bytes).collect()
}

/// Small packs: each shipped condition, red flag, derived finding and box with what it needs, and the malformed files.
#[must_use]
pub fn packs() -> Vec<Vec<u8>> {
    let shipped = shipped();
    let mut packs = malformed();
    packs.push(format!("# file: pack.yaml\n{BASE}# file: cases/base.yaml\n{BASE_CASE}"));
    for section in ["conditions", "red_flags", "derived", "boxes"] {
        for id in shipped.get(section).into_iter().flat_map(BTreeMap::keys) {
            packs.push(small_pack(&shipped, section, id));
        }
    }
    packs.retain(|pack| pack.len() <= LONGEST);
    packs.into_iter().map(String::into_bytes).collect()
}

fn malformed() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/diagnostics");
    let files = std::fs::read_dir(folder).expect("the malformed files of the tests");
    let paths: BTreeSet<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    let yaml = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    yaml.map(|path| std::fs::read_to_string(path).expect("text")).collect()
}

/// The text of every item of the shipped rules, by section and id.
type Items = BTreeMap<String, BTreeMap<String, String>>;

fn shipped() -> Items {
    let mut items = Items::new();
    for (path, text) in store::embedded::files().iter().filter(|(path, _)| !path.contains("/cases/")) {
        let (mut section, mut id) = ("", "");
        for line in text.split_inclusive('\n') {
            if let Some(name) = line.trim_end().strip_suffix(':').filter(|_| line.starts_with(char::is_alphabetic)) {
                (section, id) = (name, "");
            } else if line.starts_with("  - ") {
                id = line.split_once("id: ").map_or("", |(_, rest)| rest.split([',', ' ', '\n']).next().unwrap_or(""));
            }
            if !id.is_empty() && line.starts_with("  ") {
                items.entry(section.to_owned()).or_default().entry(id.to_owned()).or_default().push_str(line);
            }
        }
        assert!(!section.is_empty() || path.ends_with("pack.yaml"), "{path} has no section");
    }
    items
}

/// The words of an item that may be ids: prose is in quotes.
fn words(text: &str) -> BTreeSet<&str> {
    let code = text.split('"').step_by(2);
    code.flat_map(|code| code.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')))).collect()
}

/// One item with everything that it names, and what that names.
fn small_pack(shipped: &Items, section: &str, id: &str) -> String {
    let mut wanted: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    let mut open = vec![(section, id)];
    while let Some((section, id)) = open.pop() {
        let Some((id, text)) = shipped.get(section).and_then(|items| items.get_key_value(id)) else { continue };
        if wanted.entry(section).or_default().insert(id, text).is_none() {
            let named = words(text);
            for (other, items) in
                shipped.iter().filter(|(section, _)| !["boxes", "derived"].contains(&section.as_str()))
            {
                let ids = items.keys().filter(|id| named.contains(id.as_str()));
                open.extend(ids.map(|id| (other.as_str(), id.as_str())));
            }
        }
    }
    let header = BASE.split("\nsources:").next().unwrap_or(BASE).replace(HEADER, "screen: []");
    let mut pack = format!("# file: pack.yaml\n{header}\n# file: rules.yaml\n");
    for (section, items) in wanted {
        pack.push_str(&format!("{section}:\n"));
        items.values().for_each(|text| pack.push_str(text));
    }
    pack
}
