//! Random changes of a kind that people make: something deleted, doubled, swapped or misspelt. The random numbers are our
//! own and begin with a seed, so that whatever they bring about can be repeated.

#![allow(dead_code, reason = "each user uses a part")]

/// A small generator (splitmix64): the same numbers everywhere.
pub struct Chance(pub u64);

impl Chance {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another one; 0 where there is none.
    pub fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.number() % most.max(1) as u64).expect("below a usize")
    }
}

/// Words, numbers, single marks, and stretches of spaces; together they are the text.
fn tokens(text: &str) -> Vec<&str> {
    let kind = |c: char| match c {
        '\n' => 3,
        _ if c.is_whitespace() => 2,
        _ if c.is_alphanumeric() || matches!(c, '_' | '.') => 1,
        _ => 0,
    };
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match kind(first) {
            0 | 3 => first.len_utf8(),
            same => rest.find(|c| kind(c) != same).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after;
    }
    tokens
}

fn misspelt(word: &str, chance: &mut Chance) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let place = chance.below(letters.len());
    match chance.below(4) {
        0 => drop(letters.remove(place)),
        1 => letters.insert(place, char::from(b'a' + u8::try_from(chance.below(26)).expect("a letter"))),
        2 if place + 1 < letters.len() => letters.swap(place, place + 1),
        _ => letters[place] = ['x', '0', '9', ':', '"', '{', ' ', '-', '\u{fc}', '#'][chance.below(10)],
    }
    letters.into_iter().collect()
}

/// One thing deleted, doubled, swapped or misspelt: a token or a whole line. An empty text stays as it is.
pub fn mutate(text: &str, chance: &mut Chance) -> String {
    let by_line = chance.below(4) == 0;
    let mut parts: Vec<&str> = if by_line { text.split_inclusive('\n').collect() } else { tokens(text) };
    if parts.is_empty() {
        return String::new();
    }
    // A text of spaces alone would be searched for ever.
    let is_blank = text.trim().is_empty();
    let pick = |parts: &[&str], chance: &mut Chance| loop {
        let place = chance.below(parts.len());
        // Of the spaces between words only a few are worth breaking.
        if is_blank || !parts[place].trim().is_empty() || chance.below(8) == 0 {
            return place;
        }
    };
    let place = pick(&parts, chance);
    let changed;
    match chance.below(4) {
        0 => drop(parts.remove(place)),
        1 => parts.insert(place, parts[place]),
        2 => {
            let other = pick(&parts, chance);
            parts.swap(place, other);
        }
        _ => {
            changed = misspelt(parts[place], chance);
            parts[place] = &changed;
        }
    }
    parts.concat()
}
