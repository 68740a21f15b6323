//! The token that names a running command for other processes.

use std::fmt;

use rustix::process::Pid;

use crate::os::{nonce, process_table};

/// The text of an [`ExecIdentity::token`](gadugi_core::executor::ExecIdentity::token):
/// `pid 4711 v1 boot=<id> start=<ticks> nonce=<16 digits>`, with `-` for unknown values.
///
/// The pid with the boot and the start time names one process and no later one that gets the same pid;
/// the nonce distinguishes two commands on a system that knows neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) pid: Pid,
    /// The id of the boot of the machine that the process belongs to.
    pub(super) boot: Option<String>,
    /// The start time, in the unit of [`process_table::start_time`].
    pub(super) start: Option<u64>,
    nonce: u64,
}

impl Token {
    /// Returns the token of a process that still has its pid.
    pub(super) fn of(pid: Pid) -> Self {
        let nonce = nonce::number();
        let boot = process_table::boot_id().map(str::to_owned);
        Self { pid, boot, start: process_table::start_time(pid), nonce }
    }

    /// Reads what [`Display`](fmt::Display) wrote; `None` for anything else, also of a newer version.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("pid ")?.split(' ');
        let pid = words.next()?.parse().ok().filter(|&pid| pid > 1).and_then(Pid::from_raw)?;
        if words.next()? != "v1" {
            return None;
        }
        let boot = words.next()?.strip_prefix("boot=")?;
        let start = words.next()?.strip_prefix("start=")?;
        let nonce = u64::from_str_radix(words.next()?.strip_prefix("nonce=")?, 16).ok()?;
        if words.next().is_some() {
            return None;
        }
        let boot = (boot != "-").then(|| boot.to_owned());
        let start = if start == "-" { None } else { Some(start.parse().ok()?) };
        Some(Self { pid, boot, start, nonce })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} v1 boot={} start=", self.pid.as_raw_nonzero(), self.boot.as_deref().unwrap_or("-"))?;
        match self.start {
            Some(start) => write!(f, "{start}")?,
            None => f.write_str("-")?,
        }
        write!(f, " nonce={:016x}", self.nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let own = Token::of(rustix::process::getpid());
        assert_eq!(Token::parse(&own.to_string()), Some(own.clone()));
        let unknown = Token { boot: None, start: None, ..own };
        assert_eq!(Token::parse(&unknown.to_string()), Some(unknown));
    }

    #[test]
    fn nothing_else_is_taken_for_a_token() {
        for text in [
            "",
            "pid 4711",
            "pid 0 v1 boot=b start=1 nonce=00",
            "pid 1 v1 boot=b start=1 nonce=00",
            "pid -5 v1 boot=b start=1 nonce=00",
            "pid 4711 v2 boot=b start=1 nonce=00",
            "pid 4711 v1 boot=b start=soon nonce=00",
            "pid 4711 v1 boot=b start=1 nonce=00 more",
        ] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }
}
