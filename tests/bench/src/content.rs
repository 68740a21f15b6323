//! Repositories of a given shape, the same in every run.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::Stdio;

use crate::error::BenchError;
use crate::process::{hermetic, timed};

/// The content of a repository: text that compresses like code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) files: usize,
    /// Of all files together.
    pub(crate) bytes: u64,
    /// The spread of their sizes: the standard deviation of their natural logarithms.
    pub(crate) spread: f64,
    /// Whether it has its own files in its work tree, as a clone has.
    pub(crate) checked_out: bool,
}

/// No file is smaller.
const LEAST: f64 = 100.0;
const FILES_IN_A_FOLDER: usize = 20;
const FOLDERS_IN_A_FOLDER: usize = 20;

/// Makes a repository with one commit of all files, in one pack as in a clone.
pub(crate) fn repository(folder: &Path, shape: Shape) -> Result<(), BenchError> {
    let mut init = hermetic("git");
    init.args(["init", "-q", "-b", "main"]).arg(folder);
    timed(init)?;
    import(folder, shape)?;
    let mut then: Vec<&[&str]> = vec![&["repack", "-adq"]];
    if shape.checked_out {
        then.push(&["reset", "-q", "--hard"]);
    }
    for args in then {
        let mut git = hermetic("git");
        // As git has it for files of more than 512 MiB: to compare large ones with each other would take minutes.
        git.args(["-c", "core.bigFileThreshold=50m"]).args(args).current_dir(folder);
        timed(git)?;
    }
    Ok(())
}

fn import(folder: &Path, shape: Shape) -> Result<(), BenchError> {
    let program = || "git fast-import".to_owned();
    let mut import = hermetic("git");
    import.args(["-c", "core.bigFileThreshold=50m", "fast-import", "--quiet"]).current_dir(folder);
    import.stdin(Stdio::piped());
    let mut child = import.spawn().map_err(|source| BenchError::Start { program: program(), source })?;
    // Closed at the end of the statement, which ends the import.
    let written = child.stdin.take().map_or(Ok(()), |stdin| write(&mut BufWriter::new(stdin), shape));
    let status = child.wait().map_err(|source| BenchError::Start { program: program(), source })?;
    if !status.success() {
        return Err(BenchError::Failed { program: program(), status, stderr: String::new() });
    }
    Ok(written?)
}

fn write(out: &mut impl Write, shape: Shape) -> io::Result<()> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let weights: Vec<f64> = (0..shape.files).map(|_| (random.normal() * shape.spread).exp()).collect();
    let scale = shape.bytes as f64 / weights.iter().sum::<f64>();
    out.write_all(b"commit refs/heads/main\ncommitter Bench <bench@example.com> 1767323045 +0000\ndata 7\nContent\n")?;
    for (number, weight) in weights.into_iter().enumerate() {
        let text = text((weight * scale).max(LEAST) as usize, &mut random);
        writeln!(out, "M 100644 inline {}\ndata {}", path(number), text.len())?;
        out.write_all(&text)?;
        writeln!(out)?;
    }
    out.flush()
}

/// The path of a file of a repository.
pub(crate) fn path(number: usize) -> String {
    let folder = number / FILES_IN_A_FOLDER;
    let above = folder / FOLDERS_IN_A_FOLDER;
    format!("area-{above:03}/part-{folder:04}/file-{number:05}.txt")
}

/// Lines of words, the same few again and again with numbers among them.
fn text(length: usize, random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 32] = [
        "let", "mut", "self", "match", "return", "error", "value", "index", "config", "request", "response", "buffer",
        "handle", "pub", "fn", "struct", "impl", "for", "while", "path", "folder", "branch", "commit", "worktree", "(",
        ")", "{", "}", "->", "=>", "::", ";",
    ];
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        let number = random.next();
        let word = WORDS[(number % 32) as usize];
        text.extend_from_slice(word.as_bytes());
        match (number >> 8) % 16 {
            0 | 1 => text.extend_from_slice(b"\n    "),
            2 => text.extend_from_slice(format!("_{:x} ", (number >> 16) & 0xffff).as_bytes()),
            _ => text.push(b' '),
        }
    }
    text.truncate(length);
    text
}

/// Numbers that look random and are the same every time (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Of mean 0 and standard deviation 1, near enough: the sum of twelve uniform ones.
    fn normal(&mut self) -> f64 {
        let uniform = |random: &mut Self| (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (0..12).map(|_| uniform(self)).sum::<f64>() - 6.0
    }
}
