//! Lengths of time and amounts of memory, as people write them.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// The longest time that can be asked for: a leap year.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A text that is no length of time or no amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// A bare number of what could be seconds or minutes.
    #[error("`{text}` has no unit of time")]
    TimeWithoutUnit {
        /// As it was given.
        text: String,
    },
    /// Not a length of time.
    #[error("`{text}` is not a length of time")]
    NotATime {
        /// As it was given.
        text: String,
    },
    /// More than a year.
    #[error("`{text}` is longer than 366 days")]
    TooLong {
        /// As it was given.
        text: String,
    },
    /// A limit of no time at all.
    #[error("`{text}` leaves no time at all")]
    NoTime {
        /// As it was given.
        text: String,
    },
    /// A bare number of what could be bytes or megabytes.
    #[error("`{text}` has no unit of memory")]
    SizeWithoutUnit {
        /// As it was given.
        text: String,
    },
    /// Not an amount of memory.
    #[error("`{text}` is not an amount of memory")]
    NotASize {
        /// As it was given.
        text: String,
    },
    /// Nothing, or more than can be counted.
    #[error("`{text}` is out of range")]
    SizeOutOfRange {
        /// As it was given.
        text: String,
    },
}

impl QuantityError {
    /// A remedy.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::TimeWithoutUnit { text } => format!("write `{text}s` for seconds or `{text}m` for minutes"),
            Self::NotATime { .. } => "write for example `90s`, `30m`, `1h30m` or `1.5h`".into(),
            Self::TooLong { .. } => "for no limit, write `none`".into(),
            Self::NoTime { .. } => "for no limit, write `none`".into(),
            Self::SizeWithoutUnit { text } => format!("write `{text}MiB` for megabytes or `{text}GiB` for gigabytes"),
            Self::NotASize { .. } => "write for example `512MiB`, `2GiB` or `64MB`".into(),
            Self::SizeOutOfRange { .. } => "write an amount from `1B` to `8388607TiB`".into(),
        }
    }
}

/// Reads a length of time: numbers with the units `d`, `h`, `m`, `s` and `ms`, from the largest to the
/// smallest, as in `90s`, `30m`, `1h30m` or `1.5h`.
///
/// # Errors
/// [`QuantityError`] for a bare number, anything else, and more than 366 days.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    const UNITS: [(&str, f64); 5] = [("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)];
    let owned = || text.trim().to_owned();
    let not_a_time = || QuantityError::NotATime { text: owned() };
    let mut rest = text.trim();
    match split_number(rest) {
        None => return Err(not_a_time()),
        Some((_, "")) => return Err(QuantityError::TimeWithoutUnit { text: owned() }),
        Some(_) => {}
    }
    let mut total = Duration::ZERO;
    let mut units = &UNITS[..];
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(not_a_time)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = units.iter().position(|(name, _)| *name == &after[..letters]).ok_or_else(not_a_time)?;
        let part = Duration::try_from_secs_f64(number * units[unit].1).unwrap_or(Duration::MAX);
        total = total.saturating_add(part);
        units = &units[unit + 1..];
        rest = after[letters..].trim_start();
    }
    if total > MAX_DURATION { Err(QuantityError::TooLong { text: owned() }) } else { Ok(total) }
}

/// Reads an amount of memory in bytes: a number with one of the units `B`, `KB`, `MB`, `GB`, `TB` (powers of
/// 1000), `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024), as in `512MiB` or `1.5GB`.
///
/// # Errors
/// [`QuantityError`] for a bare number, anything else, nothing at all, and what 64 bits cannot count.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    const UNITS: [(&str, u64); 9] = [
        ("B", 1),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let owned = || text.trim().to_owned();
    let (number, unit) = split_number(text.trim()).ok_or_else(|| QuantityError::NotASize { text: owned() })?;
    if unit.is_empty() {
        return Err(QuantityError::SizeWithoutUnit { text: owned() });
    }
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, bytes) = unit.ok_or_else(|| QuantityError::NotASize { text: owned() })?;
    let bytes = (number * *bytes as f64).round();
    if (1.0..9_223_372_036_854_775_808.0).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(QuantityError::SizeOutOfRange { text: owned() })
    }
}

/// A number without sign and exponent at the start of a text, and what comes after it and its spaces.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, after) = text.split_at(end);
    let digits = number.starts_with(|c: char| c.is_ascii_digit()) && number.ends_with(|c: char| c.is_ascii_digit());
    let number = number.parse().ok().filter(|_| digits)?;
    Some((number, after.trim_start()))
}

/// A limit of time that can also be lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// No limit; written `none`.
    None,
    /// This long, more than nothing.
    After(Duration),
}

impl TimeLimit {
    /// The length of time; `None` for no limit.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::After(duration) => Some(duration),
        }
    }
}

impl FromStr for TimeLimit {
    type Err = QuantityError;

    /// Reads `none`, or what [`parse_duration`] reads, but not zero.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        if text.trim() == "none" {
            return Ok(Self::None);
        }
        match parse_duration(text)? {
            Duration::ZERO => Err(QuantityError::NoTime { text: text.trim().to_owned() }),
            duration => Ok(Self::After(duration)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, millis) in [
            ("90s", 90_000),
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5h", 5_400_000),
            (" 250ms ", 250),
            ("2d", 172_800_000),
            ("1m0.5s", 60_500),
            ("0s", 0),
            ("366d", 31_622_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", " ", "s", "1x", "30m1h", "1h1h", "-5s", "1e3s", "1.h", ".5h", "1h30", "ten minutes", "1:30"] {
            assert_eq!(parse_duration(text), Err(QuantityError::NotATime { text: text.trim().into() }), "{text}");
        }
        for text in ["367d", "366d1s", "99999999999999999999d"] {
            assert_eq!(parse_duration(text), Err(QuantityError::TooLong { text: text.into() }), "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_no_time() {
        let error = parse_duration("90").unwrap_err();
        insta::assert_snapshot!(error, @"`90` has no unit of time");
        insta::assert_snapshot!(error.hint(), @"write `90s` for seconds or `90m` for minutes");
    }

    #[test]
    fn a_limit_can_be_lifted_and_is_never_zero() {
        assert_eq!("none".parse(), Ok(TimeLimit::None));
        assert_eq!("1m".parse(), Ok(TimeLimit::After(Duration::from_secs(60))));
        assert_eq!("0s".parse::<TimeLimit>(), Err(QuantityError::NoTime { text: "0s".into() }));
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("512MiB", 536_870_912),
            ("2GiB", 2_147_483_648),
            ("64MB", 64_000_000),
            ("1.5 KiB", 1536),
            ("7B", 7),
            ("1TiB", 1_099_511_627_776),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "512m", "1G", "512mib", "-1MB", "1MB2KB", "lots"] {
            assert_eq!(parse_size(text), Err(QuantityError::NotASize { text: text.into() }), "{text}");
        }
        for text in ["0B", "0.1B", "9999999999TiB"] {
            assert_eq!(parse_size(text), Err(QuantityError::SizeOutOfRange { text: text.into() }), "{text}");
        }
        let error = parse_size("512").unwrap_err();
        insta::assert_snapshot!(error, @"`512` has no unit of memory");
        insta::assert_snapshot!(error.hint(), @"write `512MiB` for megabytes or `512GiB` for gigabytes");
    }
}
