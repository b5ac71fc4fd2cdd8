//! The rule packs that are part of the binary, for a start without a rules folder.
//!
//! Owns nothing but the table that `build/embed.rs` writes. The files go through the same door as files on disk.

include!(concat!(env!("OUT_DIR"), "/embedded_rules.rs"));

/// Path relative to `rules/` and text of every embedded file, sorted by path.
#[must_use]
pub fn files() -> &'static [(&'static str, &'static str)] {
    FILES
}
