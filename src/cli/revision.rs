//! A folder of rules as it was in a git revision: `HEAD~1:rules/red-spots`.
//!
//! Owns asking `git`. The files go into a folder of their own for as long as they are compared, so that they are read
//! by the same reader, under the same limits, as any others.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::store::read::{MAX_FILE_BYTES, MAX_FILES};

/// Rules to compare: a folder that is there, or one that is taken out of git and removed again afterwards.
pub struct Rules {
    folder: PathBuf,
    temporary: bool,
}

impl Rules {
    /// The folder of that name, else `REV:PATH` as git reads it.
    pub fn open(name: &str) -> Result<Self, String> {
        if Path::new(name).exists() {
            return Ok(Rules { folder: PathBuf::from(name), temporary: false });
        }
        // A name that begins with `-` would be an option of git's.
        if name.starts_with('-') || name.split_once(':').is_none_or(|(revision, _)| revision.is_empty()) {
            return Err(format!("`{name}` is no folder; a git revision is written `REV:PATH`, as `HEAD~1:rules`"));
        }
        let tree = git(&["rev-parse", "--verify", "--quiet", name], None)
            .map_err(|error| format!("`{name}` is neither a folder nor one in a git revision{error}"))?;
        let tree = String::from_utf8_lossy(&tree).trim().to_owned();
        let rules = Rules { folder: new_folder()?, temporary: true };
        rules.fill(&tree).map_err(|error| format!("`{name}` cannot be read out of git{error}"))?;
        Ok(rules)
    }

    /// Where the files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes every file of a tree. An error begins with what stands between it and its subject.
    fn fill(&self, tree: &str) -> Result<(), String> {
        let listing = git(&["ls-tree", "-r", "-z", "--full-tree", tree], None)?;
        let mut wanted = Vec::new();
        for entry in listing.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
            let entry = String::from_utf8_lossy(entry);
            // `100644 blob <hash>\t<path>`; links and other repositories hold no rules of this revision.
            let Some((head, path)) = entry.split_once('\t') else { continue };
            let parts: Vec<&str> = head.split(' ').collect();
            if let [mode, "blob", hash] = parts[..]
                && mode.starts_with("100")
                && Path::new(path).extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
            {
                wanted.push((hash.to_owned(), path.to_owned()));
            }
        }
        if wanted.len() > MAX_FILES {
            return Err(format!(": it holds more than {MAX_FILES} rule files"));
        }
        let hashes: String = wanted.iter().map(|(hash, _)| format!("{hash}\n")).collect();
        let contents = git(&["cat-file", "--batch"], Some(&hashes))?;
        let mut rest = contents.as_slice();
        for (_, path) in &wanted {
            let (content, after) = next_blob(rest).ok_or(": git said something else than was expected")?;
            rest = after;
            self.write(path, content)?;
        }
        Ok(())
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<(), String> {
        let failed = |error: std::io::Error| format!(": `{path}` cannot be written to a temporary folder: {error}");
        // The reader says what is wrong with a file that is too large; it needs no more than that it is.
        let most = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX).saturating_add(1);
        let target = self.folder.join(path);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(&target, &content[..content.len().min(most)]).map_err(failed)
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        if self.temporary {
            // Nobody is left to tell, and the system cleans its temporary folder.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// One answer of `cat-file --batch`: `<hash> blob <size>\n<content>\n`, and what follows it.
fn next_blob(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let size: usize = head.split(' ').nth(2)?.parse().ok()?;
    let content = bytes.get(end + 1..end + 1 + size)?;
    Some((content, bytes.get(end + 2 + size..)?))
}

fn new_folder() -> Result<PathBuf, String> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("rubor-diff-{}-{number}", std::process::id()));
    // A folder that somebody else made before must not be written into.
    std::fs::create_dir(&folder).map_err(|error| format!("`{}` cannot be made: {error}", folder.display()))?;
    Ok(folder)
}

fn git(arguments: &[&str], input: Option<&str>) -> Result<Vec<u8>, String> {
    let mut child = Command::new("git")
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!(": `git` cannot be run: {error}"))?;
    // Written beside the reading, because git answers while it is still being asked.
    let writer = child.stdin.take().zip(input.map(str::to_owned)).map(|(mut stdin, input)| {
        std::thread::spawn(move || {
            let _ = stdin.write_all(input.as_bytes());
        })
    });
    let output = child.wait_with_output().map_err(|error| format!(": `git` cannot be run: {error}"))?;
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.is_empty() { String::new() } else { format!(": {said}") })
}

#[cfg(test)]
mod tests {
    use super::next_blob;

    #[test]
    fn blobs_are_told_apart_by_their_sizes() {
        let bytes = b"aa blob 3\na\nb\nbb blob 0\n\n";
        let (one, rest) = next_blob(bytes).expect("a blob");
        assert_eq!(one, b"a\nb");
        let (two, rest) = next_blob(rest).expect("another");
        assert!(two.is_empty() && rest.is_empty());
        assert!(next_blob(b"aa missing\n").is_none() && next_blob(b"aa blob 9\nshort\n").is_none());
    }
}
