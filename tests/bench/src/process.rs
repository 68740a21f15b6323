//! The measured processes. All of them have the same environment, and nothing of the user's.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::error::BenchError;
use crate::job::Job;

/// The name by which this program is the command line `gadugi`.
pub(crate) const GADUGI: &str = "gadugi";

/// The name by which this program is a fresh process for a [`Job`].
pub(crate) const MEASURED: &str = "gadugi-bench-measured";

/// A process that has succeeded.
pub(crate) struct Timed {
    /// From before its start to its end and the end of its output, in seconds.
    pub(crate) wall: f64,
    pub(crate) stdout: Vec<u8>,
}

/// The command line `gadugi`, in a folder.
pub(crate) fn gadugi(folder: &Path) -> Result<Command, BenchError> {
    let mut command = self_as(GADUGI)?;
    command.current_dir(folder);
    Ok(command)
}

/// `xargs` in a folder; the program that its further arguments name is called once for each of these lines.
pub(crate) fn xargs(parallel: usize, lines: &[String], folder: &Path) -> Result<Command, BenchError> {
    let path = folder.join("lines");
    let file = fs::write(&path, lines.join("\n") + "\n").and_then(|()| File::open(&path));
    let file = file.map_err(|source| BenchError::File { path, source })?;
    let mut command = hermetic("xargs");
    command.args(["-P", &parallel.to_string(), "-I{}"]).current_dir(folder).stdin(file);
    Ok(command)
}

/// A program, without input.
pub(crate) fn hermetic(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    let temporary = tempfile::env::temp_dir();
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", &temporary)
        .env("TMPDIR", &temporary)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null());
    command
}

/// Has a job done by a fresh process, and gives its wall time in seconds with its answer.
pub(crate) fn measure<T: DeserializeOwned>(job: &Job) -> Result<(f64, T), BenchError> {
    let json = serde_json::to_string(job).map_err(BenchError::NoJob)?;
    let mut command = self_as(MEASURED)?;
    command.arg(json);
    let done = timed(command)?;
    Ok((done.wall, parse(MEASURED, &done.stdout)?))
}

/// Runs a process to its end.
pub(crate) fn timed(mut command: Command) -> Result<Timed, BenchError> {
    let program = command_name(&command);
    let begun = Instant::now();
    let output = command.output();
    let wall = begun.elapsed().as_secs_f64();
    let output = output.map_err(|source| BenchError::Start { program: program.clone(), source })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(BenchError::Failed { program, status: output.status, stderr });
    }
    Ok(Timed { wall, stdout: output.stdout })
}

/// A process that has ended, in whatever way, and what it took.
pub(crate) struct Measured {
    /// From before its start to its end, in seconds.
    pub(crate) wall: f64,
    /// The peak of its resident set, as far as it was seen: it is looked at every millisecond.
    pub(crate) peak_mib: f64,
}

/// Runs a process to its end, whose output goes nowhere and which may call a run failed.
pub(crate) fn peak(mut command: Command) -> Result<Measured, BenchError> {
    let program = command_name(&command);
    let begun = Instant::now();
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.map_err(|source| BenchError::Start { program: program.clone(), source })?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0.0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak_kib = line.map_or(peak_kib, |line: f64| line.max(peak_kib));
        if let Some(status) = child.try_wait()? {
            let wall = begun.elapsed().as_secs_f64();
            // 1 says that a task did not succeed.
            if matches!(status.code(), Some(0 | 1)) {
                return Ok(Measured { wall, peak_mib: peak_kib / 1024.0 });
            }
            return Err(BenchError::Failed { program, status, stderr: String::new() });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Reads the JSON that a program has printed.
pub(crate) fn parse<T: DeserializeOwned>(program: &str, stdout: &[u8]) -> Result<T, BenchError> {
    serde_json::from_slice(stdout).map_err(|source| BenchError::Unreadable { program: program.to_owned(), source })
}

fn self_as(name: &str) -> Result<Command, BenchError> {
    let program = std::env::current_exe();
    let program = program.map_err(|source| BenchError::Start { program: name.to_owned(), source })?;
    let mut command = hermetic(program);
    command.arg0(name);
    Ok(command)
}

fn command_name(command: &Command) -> String {
    PathBuf::from(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}
