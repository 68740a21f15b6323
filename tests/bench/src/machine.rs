//! The machine of the measurements.

use std::fs;
use std::io::{self, Write};
use std::process::Command;

/// Writes a line about the machine. Where something cannot be told, it says so.
pub(crate) fn write(out: &mut dyn Write) -> io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
    let kernel = kernel.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
    let git = Command::new("git").arg("--version").output();
    let git =
        git.map_or_else(|_| "git unknown".to_owned(), |git| String::from_utf8_lossy(&git.stdout).trim().to_owned());
    writeln!(out, "{cores} cores, kernel {kernel}, {git}, load average {}\n", load())
}

/// The load of the machine over one, five and fifteen minutes.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first: Vec<&str> = text.split(' ').take(3).collect();
    if first.len() == 3 { first.join(" ") } else { "unknown".to_owned() }
}

/// The most memory that this process has had at once, in bytes; `None` where the system does not tell.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
