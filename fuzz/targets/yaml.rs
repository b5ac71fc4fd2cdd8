//! Any text to the reader of YAML alone: never a panic, every place inside the text, bounded remarks, and what it
//! accepts means what it does to another reader.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rubor_fuzz::seeds;

fuzz_target!(init: seeds::write_if_asked(seeds::texts), |data: &[u8]| {
    rubor::engine::hold_the_reading(&String::from_utf8_lossy(data));
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    rubor_fuzz::mutate_text(data, size, max_size, seed)
});
