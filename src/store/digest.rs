//! The name of a rule set: SHA-256 over what its files are called and what they say.
//!
//! Owns the two digests and their byte layout. It reads nothing and knows nothing of rules.
//!
//! A pack's digest is SHA-256 over its files, sorted by path (bytewise); for each file the path, a zero byte, the
//! length in decimal, a zero byte, and the bytes. Paths are relative to the pack's folder, so a pack has one digest
//! whether it is served alone, beside others, or from inside the binary.

use sha2::{Digest as _, Sha256};

/// The digest of one pack, as lower-case hex. `files` holds path and bytes, and must be sorted by path.
#[must_use]
pub fn of_pack<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = Sha256::new();
    for (path, bytes) in files {
        hasher.update(path.as_bytes());
        hasher.update([0]);
        hasher.update(bytes.len().to_string().as_bytes());
        hasher.update([0]);
        hasher.update(bytes);
    }
    hex(&hasher.finalize())
}

/// The digest of a whole rule set: that of its only pack, or one over the sorted digests of several.
///
/// A pack's id is part of what its files say, so the digests name the ids too; what the folders are called is no
/// part of it. `problems` are reading errors: content that cannot be read has a name of its own as well, so that it is
/// reported once and not at every poll.
#[must_use]
pub fn of_set(packs: &[String], problems: &[String]) -> String {
    if let ([only], []) = (packs, problems) {
        return only.clone();
    }
    let mut sorted: Vec<&String> = packs.iter().collect();
    sorted.sort();
    let mut hasher = Sha256::new();
    for digest in sorted {
        hasher.update(digest.as_bytes());
        hasher.update([0]);
    }
    for problem in problems {
        hasher.update([1]);
        hasher.update(problem.as_bytes());
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_of_no_files_is_the_digest_of_nothing() {
        assert_eq!(of_pack([]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn moving_a_byte_between_files_changes_the_digest() {
        let one = of_pack([("a.yaml", b"xy".as_slice()), ("b.yaml", b"z")]);
        let two = of_pack([("a.yaml", b"x".as_slice()), ("b.yaml", b"yz")]);
        assert_ne!(one, two);
        assert_ne!(of_pack([("a", b"b".as_slice())]), of_pack([("b", b"a".as_slice())]));
    }

    #[test]
    fn a_set_of_one_pack_has_its_digest_and_order_does_not_matter() {
        let (a, b) = ("aa".to_owned(), "bb".to_owned());
        assert_eq!(of_set(std::slice::from_ref(&a), &[]), a);
        assert_eq!(of_set(&[a.clone(), b.clone()], &[]), of_set(&[b, a.clone()], &[]));
        assert_ne!(of_set(std::slice::from_ref(&a), &["broken".to_owned()]), a);
    }
}
