//! Any text, as the files of a pack, through the one door that loads rules; and whatever is accepted keeps the laws, for
//! patients made of the pack's own findings.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rubor::store;
use rubor_fuzz::mutate::Chance;
use rubor_fuzz::{anything, parts, patient, seeds};

/// How many patients an accepted pack is asked about.
const PATIENTS: usize = 4;

fuzz_target!(init: seeds::write_if_asked(seeds::packs), |data: &[u8]| {
    let files = parts::files("rules.yaml", &String::from_utf8_lossy(data));
    let mut chance = Chance(rubor_fuzz::hash(data));
    match store::try_out(files) {
        Ok(pack) => {
            for _ in 0..PATIENTS {
                let told = patient::any(&pack.plan, &mut chance);
                let more = patient::observations(&pack.plan, 4, &mut chance);
                anything::hold(&pack.plan, &told, &more, patient::answer);
                let twice = || format!("{:?}", patient::answer(&pack.plan, &told));
                assert_eq!(twice(), twice(), "the same again is something else");
            }
            patient::asked(&pack.plan, &mut chance);
        }
        Err(refusal) => {
            assert!(!refusal.diagnostics.is_empty(), "a refusal says why");
            assert!(refusal.diagnostics.is_sorted(), "in order");
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    rubor_fuzz::mutate_text(data, size, max_size, seed)
});
