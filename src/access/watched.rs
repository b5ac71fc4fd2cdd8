//! Files that hold credentials, read again when they change.
//!
//! Owns comparing their content and keeping the last good one. What they mean is told by whoever opens them. The content
//! is compared and not the time of a file, so that a swapped link of a ConfigMap or Secret is seen too.

#![allow(clippy::disallowed_methods, reason = "credentials are files")]

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

/// More than any such file needs.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

type Meaning<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync>;

/// The meaning of some files, as of the last time that they were good.
pub struct Watched<T> {
    flag: &'static str,
    paths: Vec<PathBuf>,
    meaning: Meaning<T>,
    current: ArcSwap<T>,
    seen: Mutex<Result<Vec<Vec<u8>>, String>>,
    is_good: AtomicBool,
}

/// Something that is looked at again and again.
pub trait Look: Send + Sync {
    /// Takes what the files hold now, if it is good.
    fn look(&self);
    /// The flag that names the file.
    fn flag(&self) -> &'static str;
    /// False while the files hold something that was refused.
    fn is_good(&self) -> bool;
}

impl<T> Watched<T> {
    /// Reads the files for the first time. `flag` is how the operator named them.
    ///
    /// # Errors
    /// What cannot be read, or what is wrong in it.
    pub fn open(
        flag: &'static str,
        paths: Vec<PathBuf>,
        meaning: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let files = read(&paths).map_err(|error| format!("{flag}: {error}"))?;
        let first = meaning(&files).map_err(|error| format!("{flag}: {error}"))?;
        Ok(Self {
            flag,
            paths,
            meaning: Box::new(meaning),
            current: ArcSwap::from_pointee(first),
            seen: Mutex::new(Ok(files)),
            is_good: AtomicBool::new(true),
        })
    }

    /// What holds now.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }
}

impl<T: Send + Sync> Look for Watched<T> {
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let files = read(&self.paths);
        if *seen == files {
            return;
        }
        match files.as_ref().map_err(Clone::clone).and_then(|files| (self.meaning)(files)) {
            Ok(meaning) => {
                self.current.store(Arc::new(meaning));
                self.is_good.store(true, Ordering::Relaxed);
                tracing::info!(flag = self.flag, "credentials reloaded");
            }
            Err(reason) => {
                self.is_good.store(false, Ordering::Relaxed);
                tracing::error!(flag = self.flag, %reason, "credentials refused; the last good ones hold");
            }
        }
        *seen = files;
    }

    fn flag(&self) -> &'static str {
        self.flag
    }

    fn is_good(&self) -> bool {
        self.is_good.load(Ordering::Relaxed)
    }
}

fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let read = |path: &PathBuf| {
        let mut bytes = Vec::new();
        let shown = path.display();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("`{shown}` is over {MAX_BYTES} bytes"));
        }
        Ok(bytes)
    };
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::{Look as _, Watched};

    #[test]
    fn the_last_good_content_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("number");
        let number = |files: &[Vec<u8>]| {
            String::from_utf8_lossy(&files[0]).trim().parse::<u32>().map_err(|_| "not a number".to_owned())
        };
        assert!(Watched::open("--number", vec![path.clone()], number).is_err());
        std::fs::write(&path, "1").expect("written");
        let watched = Watched::open("--number", vec![path.clone()], number).expect("good");
        for (text, value, is_good) in [("2", 2, true), ("x", 2, false), ("x", 2, false), ("3", 3, true)] {
            std::fs::write(&path, text).expect("written");
            watched.look();
            assert_eq!((*watched.current(), watched.is_good()), (value, is_good), "{text}");
        }
        std::fs::remove_file(&path).expect("removed");
        watched.look();
        assert_eq!((*watched.current(), watched.is_good()), (3, false));
    }

    #[cfg(unix)]
    #[test]
    fn a_swapped_link_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = |files: &[Vec<u8>]| Ok(files.concat());
        for name in ["first", "second"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
            std::fs::write(folder.path().join(name).join("token"), name).expect("written");
        }
        // As the kubelet does it: `token` links into `..data`, and `..data` is renamed over.
        std::os::unix::fs::symlink("first", folder.path().join("..data")).expect("linked");
        std::os::unix::fs::symlink("..data/token", folder.path().join("token")).expect("linked");
        let watched = Watched::open("--tokens", vec![folder.path().join("token")], text).expect("good");
        std::os::unix::fs::symlink("second", folder.path().join("..new")).expect("linked");
        std::fs::rename(folder.path().join("..new"), folder.path().join("..data")).expect("swapped");
        watched.look();
        assert_eq!(*watched.current(), b"second");
    }
}
