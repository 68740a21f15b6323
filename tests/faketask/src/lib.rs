//! The command `gadugi-faketask`, for a binary of another package that has to be one too. `main.rs` lists what
//! it does.

mod processes;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::Duration;

use processes::Offspring;

/// The exit code for a verb that is not known, or that failed.
const FAILED: u8 = 64;

/// Does what the arguments of this process say.
pub fn main() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Where there is nobody to hear it, the exit code says it.
            writeln!(io::stderr(), "faketask: {error}").ok();
            ExitCode::from(FAILED)
        }
    }
}

fn run(mut words: impl Iterator<Item = OsString>) -> io::Result<u8> {
    let mut next = Offspring::default();
    while let Some(verb) = words.next() {
        let mut word = || words.next().ok_or_else(|| io::Error::other("a word is missing"));
        let verb = verb.to_string_lossy().into_owned();
        match verb.as_str() {
            "sleep" => sleep(millis(&word()?)?),
            "await" => await_file(Path::new(&word()?)),
            "print" => say(&[word()?.as_encoded_bytes(), b"\n"].concat())?,
            "flood" => flood(number(&word()?)?)?,
            "touch" => drop(OpenOptions::new().append(true).create(true).open(word()?)?),
            "append" => append(Path::new(&word()?), word()?.as_encoded_bytes())?,
            "pid" => append(Path::new(&word()?), std::process::id().to_string().as_bytes())?,
            "commit" => commit(&word()?, Path::new(&word()?))?,
            "exit" => return u8::try_from(number(&word()?)?).map_err(io::Error::other),
            "signal" => processes::die_by(i32::try_from(number(&word()?)?).map_err(io::Error::other)?),
            "stop-self" => processes::stop_self(),
            "ignore-term" => processes::ignore_term(),
            "exit-on-term" => processes::exit_on_term(i32::try_from(number(&word()?)?).map_err(io::Error::other)?),
            "trace" => processes::trace(&word()?)?,
            "bare" => next.bare = true,
            "mute" => next.mute = true,
            "daemon" => {
                let (sleep, file) = (word()?, word()?);
                let before = std::fs::metadata(&file).map_or(0, |file| file.len());
                next.leave(&[
                    "pid".into(),
                    file.clone(),
                    "sleep".into(),
                    sleep,
                    "append".into(),
                    file.clone(),
                    "outlived".into(),
                ])?;
                while std::fs::metadata(&file).map_or(0, |file| file.len()) == before {
                    sleep_a_little();
                }
                next = Offspring::default();
            }
            "hold-output" => {
                next.leave(&["sleep".into(), word()?])?;
                next = Offspring::default();
            }
            "hop" => {
                next.bare = true;
                next.leave(&["ignore-term".into(), "be-hopper".into(), word()?])?;
                next = Offspring::default();
            }
            "be-hopper" => processes::hop(millis(&word()?)?)?,
            "storm" => {
                next.leave(&["be-storm".into(), word()?])?;
                next = Offspring::default();
            }
            "be-storm" => processes::storm(number(&word()?)?)?,
            other => return Err(io::Error::other(format!("unknown verb `{other}`"))),
        }
    }
    Ok(0)
}

fn number(word: &OsString) -> io::Result<u64> {
    let text = word.to_str().ok_or_else(|| io::Error::other("a number is not text"))?;
    text.parse().map_err(|_| io::Error::other(format!("`{text}` is no number")))
}

fn millis(word: &OsString) -> io::Result<Duration> {
    number(word).map(Duration::from_millis)
}

fn sleep_a_little() {
    sleep(Duration::from_millis(2));
}

fn await_file(path: &Path) {
    while !path.exists() {
        sleep_a_little();
    }
}

fn say(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn flood(bytes: u64) -> io::Result<()> {
    let piece = [b'x'; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(piece.len() as u64);
        say(&piece[..usize::try_from(count).map_err(io::Error::other)?])?;
        left -= count;
    }
    Ok(())
}

/// With one write, which the system does not mix with others at the end of a file.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let line = [line, b"\n"].concat();
    if file.write(&line)? == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

fn commit(text: &OsString, ids: &Path) -> io::Result<()> {
    let changed = PathBuf::from("faketask.txt");
    append(&changed, text.as_encoded_bytes())?;
    git(&["add".into(), "--".into(), changed.into()])?;
    git(&[
        "-c".into(),
        "user.name=faketask".into(),
        "-c".into(),
        "user.email=faketask@localhost".into(),
        "commit".into(),
        "--quiet".into(),
        "--no-gpg-sign".into(),
        "-m".into(),
        text.clone(),
    ])?;
    let id = git(&["rev-parse".into(), "HEAD".into()])?;
    append(ids, id.trim_ascii_end())
}

fn git(args: &[OsString]) -> io::Result<Vec<u8>> {
    let output = Command::new("git").args(args).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if output.status.success() { Ok(output.stdout) } else { Err(io::Error::other(format!("git {args:?} failed"))) }
}
