//! The files of a batch: opened, gone on with where a run was cut off, written in order.
//!
//! Owns what stands in the output and beside it. It knows no request: lines come from `work`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Args;
use super::work::Outcome;

/// What a run reads and writes.
pub struct Files {
    /// The requests.
    pub input: Box<dyn BufRead + Send>,
    /// How many bytes they have, where that can be known.
    pub size: Option<u64>,
    /// How many lines of them are done already.
    pub done: u64,
    /// Where the answers go.
    pub sink: Sink,
}

/// Where answers and bad lines go.
pub struct Sink {
    output: Box<dyn Write>,
    output_name: String,
    rejected: Option<(PathBuf, BufWriter<File>)>,
}

impl Files {
    /// Opens everything, or says what to do instead.
    pub fn open(args: &Args, digests: &[String]) -> Result<Self, String> {
        let is_stdout = args.output == Path::new("-");
        let aside = args.rejected.clone().or_else(|| (!is_stdout).then(|| beside(&args.output)));
        let shown = args.output.display();
        let (mut done, output): (u64, Box<dyn Write>) = if is_stdout {
            if args.resume {
                return Err("`--resume` needs an output that is a file, so that it can be seen what is done".to_owned());
            }
            (0, Box::new(io::stdout().lock()))
        } else {
            let exists = args.output.metadata().is_ok_and(|known| known.len() > 0);
            if exists && !args.resume && !args.overwrite {
                return Err(format!(
                    "`{shown}` is there already: go on with it with `--resume`, write over it with `--overwrite`, or \
                     name another file"
                ));
            }
            let mut file = writable(&args.output, args.resume)?;
            let done = if args.resume { resume(&mut file, &shown.to_string(), digests)? } else { 0 };
            (done, Box::new(BufWriter::with_capacity(1 << 20, file)))
        };
        let rejected = match aside {
            Some(path) => {
                let mut file = writable(&path, args.resume)?;
                keep_until(&mut file, done).map_err(|error| cannot("read", &path, &error))?;
                Some((path, BufWriter::new(file)))
            }
            None => None,
        };
        let (mut input, size) = input(&args.input)?;
        let wanted = done;
        done = skip(&mut input, done).map_err(|error| cannot("read", &args.input, &error))?;
        if done < wanted {
            return Err(format!(
                "`{shown}` has answers to {wanted} lines, and the input has {done}: it is another input"
            ));
        }
        Ok(Self { input, size, done, sink: Sink { output, output_name: shown.to_string(), rejected } })
    }
}

impl Sink {
    /// Writes what came of one line.
    pub fn write(&mut self, index: u64, outcome: Outcome) -> Result<(), String> {
        let (line, aside) = match outcome {
            Outcome::Blank => return Ok(()),
            Outcome::Answered { line, .. } => (line, None),
            Outcome::Bad { line, input, why } => (line, Some(json!({ "line": index + 1, "why": why, "input": input }))),
        };
        // Bad lines first: what is in the output is done, and would not be written aside any more.
        if let (Some((path, file)), Some(aside)) = (&mut self.rejected, aside) {
            writeln!(file, "{aside}").and_then(|()| file.flush()).map_err(|error| cannot("write", path, &error))?;
        }
        let written = writeln!(self.output, "{line}");
        written.map_err(|error| format!("`{}` cannot be written: {error}", self.output_name))
    }

    /// Writes what is still held back.
    pub fn finish(&mut self) -> Result<(), String> {
        self.output.flush().map_err(|error| format!("`{}` cannot be written: {error}", self.output_name))
    }

    /// Where bad lines were written.
    pub fn aside(&self) -> Option<&Path> {
        self.rejected.as_ref().map(|(path, _)| path.as_path())
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> String {
    let done = if what == "read" { "read" } else { "written" };
    format!("`{}` cannot be {done}: {error}", path.display())
}

/// `answers.ndjson` -> `answers.ndjson.rejected`.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".rejected");
    name.into()
}

fn writable(path: &Path, keep: bool) -> Result<File, String> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(!keep).open(path);
    opened.map_err(|error| cannot("write", path, &error))
}

fn input(path: &Path) -> Result<(Box<dyn BufRead + Send>, Option<u64>), String> {
    if path == Path::new("-") {
        return Ok((Box::new(BufReader::with_capacity(1 << 18, io::stdin())), None));
    }
    let file = File::open(path).map_err(|error| cannot("read", path, &error))?;
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|known| known.len());
    Ok((Box::new(BufReader::with_capacity(1 << 18, file)), size))
}

/// Cuts a half-written line off the output and says how many lines of the input are done.
fn resume(file: &mut File, shown: &str, digests: &[String]) -> Result<u64, String> {
    let unreadable = |error: io::Error| format!("`{shown}` cannot be read: {error}");
    let (start, text) = last_line(file).map_err(unreadable)?;
    file.set_len(start + text.len() as u64).map_err(unreadable)?;
    file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    if text.is_empty() {
        return Ok(0);
    }
    let value: Value = serde_json::from_slice(&text)
        .map_err(|_| format!("the last line of `{shown}` is no answer of a batch: name another output"))?;
    let digest = value.pointer("/response/ruleSet/digest").and_then(Value::as_str);
    if let Some(digest) = digest.filter(|digest| !digests.iter().any(|known| known == digest)) {
        return Err(format!(
            "`{shown}` was begun on other rules (digest {digest}): use those, or begin again with `--overwrite`"
        ));
    }
    match value.get("index").and_then(Value::as_u64) {
        Some(index) => Ok(index + 1),
        None => Err(format!("the last line of `{shown}` is no answer of a batch: name another output")),
    }
}

/// Where the last whole line begins, and the line with its end; nothing where there is none.
fn last_line(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    const BLOCK: u64 = 1 << 16;
    let mut start = file.seek(SeekFrom::End(0))?;
    let mut tail: Vec<u8> = Vec::new();
    loop {
        let end = tail.iter().rposition(|&byte| byte == b'\n').map(|last| last + 1);
        if let Some(end) = end
            && let Some(before) = tail[..end - 1].iter().rposition(|&byte| byte == b'\n')
        {
            return Ok((start + before as u64 + 1, tail[before + 1..end].to_vec()));
        }
        if start == 0 {
            return Ok((0, tail[..end.unwrap_or(0)].to_vec()));
        }
        let more = start.min(BLOCK);
        start -= more;
        let mut block = vec![0; usize::try_from(more).unwrap_or(0)];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        block.extend(tail);
        tail = block;
    }
}

/// Keeps the bad lines up to a number of lines of the input; those after it will come again.
fn keep_until(file: &mut File, done: u64) -> io::Result<()> {
    let mut reader = BufReader::new(&mut *file);
    let (mut kept, mut line) = (0, Vec::new());
    reader.seek(SeekFrom::Start(0))?;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        let number = serde_json::from_slice::<Value>(&line).ok().and_then(|value| value.get("line")?.as_u64());
        if !line.ends_with(b"\n") || number.is_none_or(|number| number > done) {
            break;
        }
        kept += read as u64;
    }
    file.set_len(kept)?;
    file.seek(SeekFrom::Start(kept)).map(|_| ())
}

/// Reads so many lines and forgets them; says how many there were.
fn skip(input: &mut impl BufRead, lines: u64) -> io::Result<u64> {
    let mut done = 0;
    let mut within = false;
    while done < lines {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(done + u64::from(within));
        }
        let (used, ended) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), false),
        };
        input.consume(used);
        within = !ended;
        done += u64::from(ended);
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::{last_line, skip};
    use std::io::Write as _;

    #[test]
    fn the_last_whole_line_is_found_wherever_it_ends() {
        let long = "x".repeat(200_000);
        for (text, start, line) in [
            ("", 0, ""),
            ("half", 0, ""),
            ("one\n", 0, "one\n"),
            ("one\ntwo\nhal", 4, "two\n"),
            (&format!("one\n{long}\n{long}"), 4, format!("{long}\n").as_str()),
        ] {
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(text.as_bytes()).expect("written");
            assert_eq!(last_line(&mut file).expect("read"), (start, line.as_bytes().to_vec()));
        }
    }

    #[test]
    fn lines_are_skipped_and_counted() {
        assert_eq!(skip(&mut "a\nb\nc".as_bytes(), 2).expect("read"), 2);
        assert_eq!(skip(&mut "a\nb\nc".as_bytes(), 3).expect("read"), 3);
        assert_eq!(skip(&mut "a\nb\n".as_bytes(), 3).expect("read"), 2);
    }
}
