//! The reload table, with real files: every way in which people and machines change a rules folder, through
//! `store::load`, through the keeper, and through the watcher that serves use.

#![cfg(feature = "server")]
#![allow(clippy::disallowed_methods, reason = "tests change the rules that are served")]

#[path = "common/pack.rs"]
mod pack;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pack::{CASE, OTHER_ID, WEAK, header, write_pack};
use rubor::engine::diagnostic::{Code, Diagnostic};
use rubor::store::keeper::{AttemptResult, HELD, Keeper, ReloadOutcome};
use rubor::store::watch::watch;
use rubor::store::{self, Refusal, RuleSource};
use tempfile::TempDir;

/// The issue allows three seconds from saving to serving.
const IN_TIME: Duration = Duration::from_secs(3);

/// A rules folder with one pack in it.
struct Rules {
    dir: TempDir,
}

impl Rules {
    fn new() -> Self {
        let rules = Rules { dir: tempfile::tempdir().unwrap() };
        write_pack(&rules.pack());
        rules
    }

    fn pack(&self) -> PathBuf {
        self.dir.path().join("spots")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.pack().join(name)
    }

    fn source(&self) -> RuleSource {
        RuleSource::Folder(self.dir.path().to_owned())
    }

    fn keeper(&self) -> Keeper {
        open(&self.source())
    }

    fn set_version(&self, version: &str) {
        fs::write(self.file("pack.yaml"), header("spots", version)).unwrap();
    }
}

fn open(source: &RuleSource) -> Keeper {
    match Keeper::open(source.clone()) {
        Ok(keeper) => keeper,
        Err(refusal) => panic!("{}", words(&refusal)),
    }
}

fn refusal(source: &RuleSource) -> Refusal {
    match store::load(source) {
        Ok(snapshot) => panic!("accepted as {}", snapshot.digest),
        Err(refusal) => refusal,
    }
}

fn words(refusal: &Refusal) -> String {
    lines(&refusal.diagnostics)
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn version(keeper: &Keeper) -> String {
    keeper.current().packs["spots"].plan.header.version.clone()
}

fn digest(keeper: &Keeper) -> String {
    keeper.current().packs["spots"].digest.clone()
}

fn must_refuse(keeper: &Keeper) -> String {
    let before = digest(keeper);
    match keeper.try_reload(false) {
        ReloadOutcome::Refused { diagnostics, digest: refused } => {
            assert_eq!(digest(keeper), before, "a refused set must never half-apply");
            let status = keeper.status();
            assert_eq!(status.refused.as_ref().unwrap().digest, refused);
            assert!(!status.last_reload_successful());
            lines(&diagnostics)
        }
        other => panic!("{other:?}"),
    }
}

fn must_publish(keeper: &Keeper) {
    let outcome = keeper.try_reload(false);
    assert!(
        matches!(&outcome, ReloadOutcome::Published { digest } if *digest == keeper.current().digest),
        "{outcome:?}"
    );
    assert!(keeper.status().last_reload_successful());
}

#[test]
fn a_load_names_the_content_and_nothing_else() {
    let rules = Rules::new();
    let first = store::load(&rules.source()).unwrap_or_else(|refusal| panic!("{}", words(&refusal)));
    assert_eq!(store::fingerprint(&rules.source()), Ok(first.digest.clone()));
    assert_eq!(first.packs["spots"].digest, first.digest);
    assert_eq!(first.digest.len(), 64);
    assert_eq!(first.packs["spots"].cases.len(), 1);
    // Neither times nor hidden or foreign files are content; a comment is.
    fs::write(rules.file(".swap.yaml"), "not: [yaml").unwrap();
    fs::write(rules.file("notes.md"), "x").unwrap();
    fs::write(rules.file("pack.yaml"), header("spots", "1")).unwrap();
    assert_eq!(store::fingerprint(&rules.source()), Ok(first.digest.clone()));
    fs::write(rules.file("pack.yaml"), header("spots", "1") + "# a comment\n").unwrap();
    assert_ne!(store::fingerprint(&rules.source()), Ok(first.digest));
}

#[test]
fn a_folder_without_rules_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, message) in [(dir.path().join("gone"), "does not exist"), (dir.path().to_owned(), "holds no rules")] {
        let refusal = refusal(&RuleSource::Folder(folder));
        assert_eq!(refusal.diagnostics.len(), 1);
        assert_eq!(refusal.diagnostics[0].code, Code::NoRules);
        assert!(words(&refusal).contains(message), "{}", words(&refusal));
        assert!(refusal.diagnostics[0].help.as_ref().unwrap().contains("--rules"));
    }
}

#[test]
fn all_packs_are_diagnosed_at_once_and_two_of_one_id_are_refused() {
    let rules = Rules::new();
    write_pack(&rules.dir.path().join("copy"));
    let two = words(&refusal(&rules.source()));
    assert!(two.contains("R003") && two.contains("copy/pack.yaml") && two.contains("spots/pack.yaml"), "{two}");

    fs::write(rules.dir.path().join("copy/pack.yaml"), header(OTHER_ID, "1")).unwrap();
    let both = store::load(&rules.source()).unwrap_or_else(|refusal| panic!("{}", words(&refusal)));
    assert_eq!(both.packs.keys().collect::<Vec<_>>(), [OTHER_ID, "spots"]);
    assert_ne!(both.packs[OTHER_ID].digest, both.packs["spots"].digest);

    fs::write(rules.dir.path().join("copy/rules.yaml"), "conditions: 3\n").unwrap();
    fs::write(rules.file("rules.yaml"), "conditions: 4\n").unwrap();
    let broken = words(&refusal(&rules.source()));
    assert!(broken.contains("copy/rules.yaml:1:") && broken.contains("spots/rules.yaml:1:"), "{broken}");
}

#[test]
fn in_place_writes_rename_overs_added_deleted_and_restored_files() {
    let rules = Rules::new();
    let keeper = rules.keeper();
    assert_eq!(keeper.try_reload(false), ReloadOutcome::Unchanged);
    let first = digest(&keeper);

    rules.set_version("2");
    must_publish(&keeper);
    assert_eq!(version(&keeper), "2");

    let temporary = rules.file(".pack.yaml.tmp");
    fs::write(&temporary, header("spots", "3")).unwrap();
    fs::rename(&temporary, rules.file("pack.yaml")).unwrap();
    must_publish(&keeper);
    assert_eq!(version(&keeper), "3");

    let before = digest(&keeper);
    fs::create_dir(rules.file("more")).unwrap();
    fs::write(rules.file("more/sources.yml"), "sources:\n  - { id: BOOK, title: \"A book\" }\n").unwrap();
    must_publish(&keeper);
    assert_eq!(keeper.current().packs["spots"].plan.sources.len(), 1);
    fs::remove_file(rules.file("more/sources.yml")).unwrap();
    must_publish(&keeper);
    assert_eq!(digest(&keeper), before, "a deleted file leaves the digest of before");

    let rules_text = fs::read(rules.file("rules.yaml")).unwrap();
    fs::remove_file(rules.file("rules.yaml")).unwrap();
    must_refuse(&keeper);
    fs::write(rules.file("rules.yaml"), rules_text).unwrap();
    assert_eq!(keeper.try_reload(false), ReloadOutcome::Unchanged, "restored");
    assert!(keeper.status().last_reload_successful());
    rules.set_version("1");
    must_publish(&keeper);
    assert_eq!(digest(&keeper), first);
}

#[test]
fn a_half_written_file_is_refused_with_its_place_and_the_rest_of_it_is_accepted() {
    let rules = Rules::new();
    let keeper = rules.keeper();
    let whole = fs::read_to_string(rules.file("rules.yaml")).unwrap();
    let half = whole.find("because: \"").unwrap() + 12;
    fs::write(rules.file("rules.yaml"), &whole[..half]).unwrap();
    let why = must_refuse(&keeper);
    assert!(why.contains("spots/rules.yaml:"), "{why}");
    let refused = keeper.status();
    assert_eq!(refused.last_attempt.result, AttemptResult::Refused);
    assert_eq!(refused.reloads_refused, 1);

    // Nothing is tried again while it stays; asked for by name, it is.
    let _ = keeper.try_reload(false);
    assert_eq!(keeper.status().reloads_refused, 1);
    assert!(matches!(keeper.try_reload(true), ReloadOutcome::Refused { .. }));
    assert_eq!(keeper.status().reloads_refused, 2);
    assert_eq!(keeper.status().refused.unwrap().at, refused.refused.unwrap().at, "first refused then");

    fs::write(rules.file("rules.yaml"), whole.replace("supports: strong", "supports: moderate")).unwrap();
    must_publish(&keeper);
    assert_eq!(keeper.status().reloads_published, 1);
}

#[test]
fn a_set_that_breaks_its_own_case_is_refused_and_the_case_is_named() {
    let rules = Rules::new();
    let keeper = rules.keeper();
    let text = fs::read_to_string(rules.file("rules.yaml")).unwrap();
    fs::write(rules.file("rules.yaml"), text.replace(WEAK.0, WEAK.1)).unwrap();
    let why = must_refuse(&keeper);
    assert!(why.contains("R300") && why.contains(CASE) && why.contains("spots/cases/one.yaml:1:"), "{why}");
    fs::write(rules.file("rules.yaml"), text).unwrap();
    assert_eq!(keeper.try_reload(false), ReloadOutcome::Unchanged);
    assert_eq!(keeper.status().refused, None, "going back to the served content is healthy");
}

#[test]
fn a_folder_that_is_removed_and_comes_back_changes_nothing() {
    let rules = Rules::new();
    let keeper = rules.keeper();
    let away = tempfile::tempdir().unwrap();
    fs::rename(rules.pack(), away.path().join("spots")).unwrap();
    assert!(must_refuse(&keeper).contains("holds no rules"));
    assert_eq!(version(&keeper), "1");
    fs::rename(away.path().join("spots"), rules.pack()).unwrap();
    assert_eq!(keeper.try_reload(false), ReloadOutcome::Unchanged);
    assert!(keeper.status().last_reload_successful());
}

#[test]
fn the_last_few_digests_are_held_for_pins() {
    let rules = Rules::new();
    let keeper = rules.keeper();
    let mut seen = vec![digest(&keeper)];
    for number in 2..HELD + 4 {
        rules.set_version(&number.to_string());
        must_publish(&keeper);
        seen.insert(0, digest(&keeper));
    }
    seen.truncate(HELD + 1);
    assert_eq!(keeper.held_digests("spots"), seen);
    assert_eq!(keeper.status().held["spots"], seen);
    for digest in &seen {
        assert_eq!(keeper.held("spots", digest).unwrap().digest, *digest);
    }
    assert!(keeper.held("spots", "0").is_none() && keeper.held("other", &seen[0]).is_none());
    assert!(keeper.held_digests("other").is_empty());

    // An old one that comes back is held once, and first.
    rules.set_version(&keeper.held("spots", &seen[2]).unwrap().plan.header.version);
    must_publish(&keeper);
    assert_eq!(keeper.held_digests("spots"), [&seen[2..3], &seen[0..2], &seen[3..]].concat());
}

#[test]
fn a_snapshot_in_use_outlives_a_reload() {
    let rules = Rules::new();
    let keeper = rules.keeper();
    let mine = keeper.current();
    rules.set_version("2");
    must_publish(&keeper);
    assert_eq!(mine.packs["spots"].plan.header.version, "1");
    assert_eq!(version(&keeper), "2");
}

#[test]
fn readers_never_see_a_mixture() {
    let rules = Rules::new();
    let keeper = Arc::new(rules.keeper());
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (keeper, done) = (Arc::clone(&keeper), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut reads = 0_u32;
                while !done.load(Ordering::Relaxed) {
                    let snapshot = keeper.current();
                    assert_eq!(snapshot.digest, snapshot.packs["spots"].digest);
                    assert!(keeper.held("spots", &snapshot.digest).is_some());
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    for number in 2..22 {
        rules.set_version(&number.to_string());
        must_publish(&keeper);
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    assert_eq!(keeper.status().reloads_published, 20);
}

#[test]
fn the_rules_inside_the_binary_go_through_the_same_door() {
    let files = store::embedded::files();
    if files.is_empty() {
        return;
    }
    assert!(files.iter().any(|(path, _)| path.ends_with("/pack.yaml")));
    let keeper = open(&RuleSource::Embedded);
    assert_eq!(keeper.try_reload(false), ReloadOutcome::Unchanged);
    let folder = RuleSource::Folder(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules"));
    assert_eq!(store::fingerprint(&folder), Ok(keeper.current().digest.clone()), "the same rules as on disk");
}

/// Runs the watcher beside `work`, which changes files and waits.
fn watching(rules: &Rules, poll: Duration, work: impl FnOnce(&Keeper)) {
    let keeper = Arc::new(rules.keeper());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let watcher = runtime.spawn(watch(Arc::clone(&keeper), poll, async {
        let _ = stopped.await;
    }));
    work(&keeper);
    let _ = stop.send(());
    runtime.block_on(watcher).unwrap();
}

fn wait(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < IN_TIME, "{what}: not within {IN_TIME:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_watcher_follows_every_way_of_saving() {
    let rules = Rules::new();
    watching(&rules, Duration::from_secs(1), |keeper| {
        rules.set_version("2");
        wait("written in place", || version(keeper) == "2");

        let temporary = rules.file("4913~");
        for number in ["3", "4"] {
            fs::write(&temporary, header("spots", number)).unwrap();
            fs::rename(&temporary, rules.file("pack.yaml")).unwrap();
            wait("renamed over", || version(keeper) == number);
        }

        let text = fs::read(rules.file("rules.yaml")).unwrap();
        fs::write(rules.file("rules.yaml"), "conditions: [").unwrap();
        wait("broken", || keeper.status().refused.is_some());
        assert_eq!(version(keeper), "4");
        fs::write(rules.file("rules.yaml"), text).unwrap();
        wait("restored", || keeper.status().refused.is_none());
        assert_eq!(keeper.status().reloads_refused, 1, "refused once, not at every look");

        // A folder that is new, and a file in it.
        fs::create_dir(rules.file("late")).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        fs::write(rules.file("late/sources.yaml"), "sources:\n  - { id: BOOK, title: \"A book\" }\n").unwrap();
        wait("added in a new folder", || keeper.current().packs["spots"].plan.sources.len() == 1);

        // The whole folder goes and comes back as another one.
        fs::remove_dir_all(rules.pack()).unwrap();
        wait("removed", || keeper.status().refused.is_some());
        write_pack(&rules.pack());
        wait("back", || version(keeper) == "1" && keeper.status().refused.is_none());
        rules.set_version("5");
        wait("written in the new folder", || version(keeper) == "5");
    });
}

#[test]
fn the_poll_alone_is_enough() {
    let rules = Rules::new();
    // Events come from folders, not from what a link in them points to: this change raises none.
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("header");
    fs::write(&target, header("spots", "1")).unwrap();
    fs::remove_file(rules.file("pack.yaml")).unwrap();
    link(&target, &rules.file("pack.yaml"));
    watching(&rules, Duration::from_millis(200), |keeper| {
        std::thread::sleep(Duration::from_millis(300));
        fs::write(&target, header("spots", "2")).unwrap();
        wait("changed behind a link", || version(keeper) == "2");
    });
}

#[test]
fn a_slow_writer_is_waited_for() {
    let rules = Rules::new();
    watching(&rules, Duration::from_millis(100), |keeper| {
        let text = fs::read_to_string(rules.file("rules.yaml")).unwrap() + "# the end\n";
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for count in 1..=lines.len() {
            fs::write(rules.file("rules.yaml"), lines[..count].concat()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        wait("written to the end", || keeper.status().reloads_published == 1);
        assert_eq!(keeper.status().reloads_refused, 0, "no half of it was loaded");
    });
}

#[cfg(unix)]
#[test]
fn a_configmap_is_swapped_by_one_rename() {
    let dir = tempfile::tempdir().unwrap();
    let volume = dir.path().join("volume");
    // What kubelet does: a hidden folder, a hidden link to it, and visible links through the hidden link.
    let publish = |number: &str| {
        let hidden = volume.join(format!("..{number}"));
        write_pack(&hidden);
        fs::write(hidden.join("pack.yaml"), header("spots", number)).unwrap();
        link(Path::new(&format!("..{number}")), &volume.join("..data_tmp"));
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    fs::create_dir(&volume).unwrap();
    publish("1");
    for name in ["pack.yaml", "rules.yaml", "cases"] {
        link(&Path::new("..data").join(name), &volume.join(name));
    }
    let source = RuleSource::Folder(volume.clone());
    let keeper = open(&source);
    assert_eq!(keeper.current().packs["spots"].cases.len(), 1);

    publish("2");
    fs::remove_dir_all(volume.join("..1")).unwrap();
    must_publish(&keeper);
    assert_eq!(version(&keeper), "2");

    let keeper = Arc::new(keeper);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // So long a poll that only an event can be in time.
    let watcher = runtime.spawn(watch(Arc::clone(&keeper), Duration::from_secs(60), std::future::pending()));
    std::thread::sleep(Duration::from_millis(300));
    for (number, old) in [("3", "2"), ("4", "3"), ("5", "4")] {
        publish(number);
        fs::remove_dir_all(volume.join(format!("..{old}"))).unwrap();
        wait("swapped", || version(&keeper) == number);
    }
    assert_eq!(keeper.status().reloads_refused, 0);
    watcher.abort();
}

#[cfg(unix)]
fn link(target: &Path, name: &Path) {
    std::os::unix::fs::symlink(target, name).unwrap();
}

#[cfg(not(unix))]
fn link(target: &Path, name: &Path) {
    std::os::windows::fs::symlink_file(target, name).unwrap();
}
