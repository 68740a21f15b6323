//! The token that names a command under a shim.

use std::fmt;
use std::str::FromStr;

use crate::shim::record::{ProcessId, Started};

/// The text of an [`ExecIdentity::token`](gadugi_core::executor::ExecIdentity::token), version 2:
/// `pid 4711 v2 shim=4710:<ticks> boot=<id> start=<ticks> nonce=<16 digits>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShimToken {
    pub(super) leader: ProcessId,
    pub(super) shim: ProcessId,
    pub(super) boot: String,
    pub(super) nonce: String,
}

impl ShimToken {
    pub(super) fn of(started: &Started) -> Self {
        let Started { leader, shim, boot, nonce, .. } = started.clone();
        Self { leader, shim, boot, nonce }
    }
}

impl FromStr for ShimToken {
    type Err = ();

    /// Reads what [`Display`](fmt::Display) wrote, and nothing else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = |before: &str| words.next().and_then(|word| word.strip_prefix(before)).ok_or(());
        word("pid")?;
        let leader = pid(word("")?)?;
        word("v2").and_then(nothing)?;
        let (shim, shim_start) = word("shim=")?.split_once(':').ok_or(())?;
        let shim = ProcessId { pid: pid(shim)?, start: shim_start.parse().map_err(drop)? };
        let boot = word("boot=")?.to_owned();
        let start = word("start=")?.parse().map_err(drop)?;
        let nonce = word("nonce=")?.to_owned();
        let is_nonce = nonce.len() == 16 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
        if words.next().is_some() || boot.is_empty() || !is_nonce {
            return Err(());
        }
        Ok(Self { leader: ProcessId { pid: leader, start }, shim, boot, nonce })
    }
}

fn nothing(text: &str) -> Result<(), ()> {
    if text.is_empty() { Ok(()) } else { Err(()) }
}

/// Parses a pid: neither that of the first process, nor a group.
fn pid(text: &str) -> Result<i32, ()> {
    text.parse().ok().filter(|&pid| pid > 1).ok_or(())
}

impl fmt::Display for ShimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leader, shim, boot, nonce } = self;
        write!(
            f,
            "pid {} v2 shim={}:{} boot={boot} start={} nonce={nonce}",
            leader.pid, shim.pid, shim.start, leader.start
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let text = "pid 4711 v2 shim=4710:918272 boot=5d0c start=918273 nonce=0123456789abcdef";
        let token: ShimToken = text.parse().expect("a token");
        assert_eq!(token.leader, ProcessId { pid: 4711, start: 918_273 });
        assert_eq!(token.to_string(), text);
        for length in 0..text.len() {
            assert_eq!(text[..length].parse::<ShimToken>(), Err(()), "{}", &text[..length]);
        }
        for (from, to) in [("4711", "1"), ("4711", "-4711"), ("v2", "v3"), ("4710", "0"), ("f", "g"), (":", "=")] {
            assert_eq!(text.replace(from, to).parse::<ShimToken>(), Err(()), "{to} for {from}");
        }
        assert!(format!("{text} more").parse::<ShimToken>().is_err());
    }
}
