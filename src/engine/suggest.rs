//! "Did you mean": the nearest known names to one that is not known.
//!
//! Owns edit distance and nothing else.

/// Up to three known names nearest to `wrong`, nearest first, ties by name. Empty when none is near.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wrong: Vec<char> = wrong.chars().take(64).flat_map(char::to_lowercase).collect();
    let limit = (wrong.len() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let chars: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
            let distance =
                if wrong.len().abs_diff(chars.len()) > limit { usize::MAX } else { distance(&wrong, &chars) };
            let one_in_the_other =
                (wrong.len() >= 4 && contains(&chars, &wrong)) || (chars.len() >= 4 && contains(&wrong, &chars));
            (distance <= limit || one_in_the_other).then_some((distance, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// The same as help text, or `None` when nothing is near.
#[must_use]
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = nearest(wrong, known);
    (!near.is_empty()).then(|| format!("did you mean {}?", quoted(&near)))
}

/// Names in backticks with commas and a last "or".
#[must_use]
pub fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

fn contains(haystack: &[char], needle: &[char]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Edit distance that counts a swap of neighbours as one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    if a.len().abs_diff(b.len()) > 6 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{did_you_mean, nearest};

    #[test]
    fn finds_misspellings_and_parts() {
        assert_eq!(nearest("fevr", ["fever", "itch"]), ["fever"]);
        assert_eq!(nearest("non_blanchign", ["non_blanching", "fever"]), ["non_blanching"]);
        assert_eq!(nearest("platelets", ["platelet_count", "recent_platelets"]), ["recent_platelets"]);
        assert_eq!(nearest("itching", ["itch", "fever"]), ["itch"]);
        assert_eq!(nearest("books", ["BOOK"]), ["BOOK"]);
        assert_eq!(did_you_mean("zzz", ["fever"]), None);
    }
}
