//! What the fuzz targets share: seeds, patients of any pack, and changes of a kind that people make.
//!
//! Owns no law: those are in `tests/common/anything.rs`, which tests use too, and `engine::hold_the_reading`.

#![cfg(fuzzing)]

pub mod patient;
#[cfg(feature = "server")]
pub mod requests;
pub mod seeds;

#[path = "../../tests/common/anything.rs"]
pub mod anything;
#[path = "../../tests/common/mutate.rs"]
pub mod mutate;
#[path = "../../tests/common/parts.rs"]
pub mod parts;

use mutate::{Chance, mutate};

/// A number made of the input, so that the same input makes the same patients (FNV-1a).
#[must_use]
pub fn hash(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Every other time something that a person could do to a text; else whatever libFuzzer does to bytes.
pub fn mutate_text(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut chance = Chance(u64::from(seed));
    if chance.below(2) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let mut text = String::from_utf8_lossy(&data[..size]).into_owned();
    for _ in 0..=chance.below(3) {
        text = mutate(&text, &mut chance);
    }
    let length = text.len().min(max_size);
    data[..length].copy_from_slice(&text.as_bytes()[..length]);
    length
}
