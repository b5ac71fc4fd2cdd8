//! What the reader takes, skips and refuses, with real files.

use super::*;

fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn paths(content: &Content) -> Vec<String> {
    content.packs.iter().flat_map(|pack| pack.files.iter().map(|file| join(&pack.folder, &file.path))).collect()
}

fn messages(content: &Content) -> Vec<String> {
    content.problems.iter().map(|problem| problem.to_string().lines().next().unwrap().to_owned()).collect()
}

#[test]
fn one_pack_and_a_folder_of_packs_have_the_same_digest() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "red/pack.yaml", "a");
    write(dir.path(), "red/deep/er/rules.yml", "b");
    write(dir.path(), "red/.hidden.yaml", "x");
    write(dir.path(), "red/.git/config.yaml", "x");
    write(dir.path(), "red/notes.md", "x");
    write(dir.path(), "docs/readme.txt", "x");
    let (all, one) = (folder(dir.path()), folder(&dir.path().join("red")));
    assert_eq!(paths(&all), ["red/deep/er/rules.yml", "red/pack.yaml"]);
    assert_eq!(paths(&one), ["deep/er/rules.yml", "pack.yaml"]);
    assert_eq!(all.digest, one.digest);
    assert_eq!(all.digest, table(&[("red/pack.yaml", "a"), ("red/deep/er/rules.yml", "b")]).digest);
}

#[test]
fn a_missing_an_empty_and_a_wrong_folder_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "file.yaml", "x");
    fs::create_dir(dir.path().join("empty")).unwrap();
    for (name, words) in [("gone", "does not exist"), ("empty", "holds no rules"), ("file.yaml", "is not a folder")] {
        let content = folder(&dir.path().join(name));
        assert_eq!(content.problems.len(), 1, "{name}");
        assert!(content.problems[0].message.contains(words), "{:?}", content.problems);
        assert!(content.problems[0].help.is_some());
    }
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "pack.yaml", "ok");
    write(dir.path(), "a.yaml", b"one: 1\ntwo: \xff\n");
    write(dir.path(), "b.yaml", b"\xef\xbb\xbfone: 1\n");
    let content = folder(dir.path());
    assert_eq!(
        messages(&content),
        [
            "a.yaml:2:6: error[R001]: this file is not UTF-8",
            "b.yaml:1:1: error[R001]: this file begins with a byte order mark",
        ]
    );
    // Another broken content is another digest, so it is reported again.
    write(dir.path(), "a.yaml", b"one: 1\ntwo: \xfe\n");
    assert_ne!(folder(dir.path()).digest, content.digest);
}

#[test]
fn limits_end_the_walk() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "pack.yaml", "ok");
    write(dir.path(), "large.yaml", vec![b' '; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]);
    write(dir.path(), "1/2/3/4/5/6/7/8/ok.yaml", "ok");
    write(dir.path(), "1/2/3/4/5/6/7/8/9/deep.yaml", "ok");
    let content = folder(dir.path());
    assert_eq!(
        messages(&content),
        [
            "1/2/3/4/5/6/7/8/9:1:1: error[R001]: the folders are more than 8 deep",
            "large.yaml:1:1: error[R001]: this file is larger than 1024 KiB",
        ]
    );
    assert!(paths(&content).contains(&"1/2/3/4/5/6/7/8/ok.yaml".to_owned()));
}

#[test]
fn a_file_that_belongs_to_no_pack_is_not_ignored_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "red/pack.yaml", "ok");
    write(dir.path(), "stray.yaml", "ok");
    let content = folder(dir.path());
    assert_eq!(
        messages(&content),
        ["stray.yaml:1:1: error[R002]: this file lies beside the packs and belongs to none of them"]
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_found() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    // The layout of a Kubernetes ConfigMap: visible links through a hidden link to a hidden folder.
    write(dir.path(), "..2024_01/pack.yaml", "ok");
    write(dir.path(), "..2024_01/cases/a.yaml", "case");
    symlink("..2024_01", dir.path().join("..data")).unwrap();
    symlink("..data/pack.yaml", dir.path().join("pack.yaml")).unwrap();
    symlink("..data/cases", dir.path().join("cases")).unwrap();
    let content = folder(dir.path());
    assert_eq!(paths(&content), ["cases/a.yaml", "pack.yaml"]);
    assert_eq!(content.problems, []);

    fs::create_dir(dir.path().join("sub")).unwrap();
    symlink("..", dir.path().join("sub/up")).unwrap();
    symlink("nowhere.yaml", dir.path().join("broken.yaml")).unwrap();
    let words = messages(&folder(dir.path())).join("\n");
    assert!(words.contains("broken.yaml:1:1: error[R001]: this name cannot be read"), "{words}");
    assert!(words.contains("sub/up:1:1: error[R001]: this link leads back to a folder that it lies in"), "{words}");
}

#[test]
fn files_handed_over_have_the_digest_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "pack.yaml", "a");
    write(dir.path(), "deep/rules.yml", "b");
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    let handed = inline(vec![file("pack.yaml", "a"), file("deep/rules.yml", "b")]);
    let read = folder(dir.path());
    assert_eq!((handed.digest, handed.packs), (read.digest, read.packs));
    let marked = inline(vec![file("pack.yaml", "\u{feff}a")]);
    assert_eq!(messages(&marked), ["pack.yaml:1:1: error[R001]: this file begins with a byte order mark"]);
}

#[test]
fn a_path_stays_within_its_pack() {
    for good in ["pack.yaml", "cases/a b.yml", "a/b/c.d/e.YAML", "caf\u{e9}.yaml", "a..b.yaml"] {
        assert_eq!(path_fault(good), None, "{good}");
    }
    let wrong = [
        "",
        "/pack.yaml",
        "//x.yaml",
        "../pack.yaml",
        "a/../pack.yaml",
        "..",
        "./pack.yaml",
        "a//b.yaml",
        "a.yaml/",
        ".git/a.yaml",
        ".hidden.yaml",
        "a\\b.yaml",
        "C:/a.yaml",
        "C:a.yaml",
        "file:///etc/a.yaml",
        "a\0.yaml",
        "a\n.yaml",
        "notes.md",
        "yaml",
        "lost+found/a.yaml",
        "%2e%2e\\a.yaml",
    ];
    for wrong in wrong {
        assert!(path_fault(wrong).is_some(), "{wrong:?}");
    }
}
