//! The time at which a vendor takes requests again, read from a sentence for people.

use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

/// Age up to which a time of day means today's, and not tomorrow's: clocks differ, and a line is read after it was printed.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(15);

/// A time that names a minute means the end of that minute.
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Words that stand directly before the time.
const LEADS: [&str; 3] = ["try again", "resets", "reset"];

/// Reads the time at which requests are taken again: `resets 11:10am (UTC)`, `try again at 4:09 PM`, `try again at Dec 3rd, 2026 4:22 PM`,
/// `try again in 3 days 2 hours`. Times without a zone are of that of `now`.
pub(super) fn reset_time(message: &str, now: &Zoned) -> Option<Timestamp> {
    let lower = message.to_ascii_lowercase();
    LEADS.iter().find_map(|lead| {
        // The last one, since sentences end with it.
        let (at, _) = lower.match_indices(lead).last()?;
        let rest = lower[at + lead.len()..].trim_start();
        match rest.split_once(' ') {
            Some(("in", rest)) => now.timestamp().checked_add(span(rest)?).ok(),
            Some(("at" | "on", rest)) => moment(rest, &message[message.len() - rest.len()..], now),
            _ => moment(rest, &message[message.len() - rest.len()..], now),
        }
    })
}

/// `3 days 2 hours 5 minutes`, `less than a minute`, `11.054s`, `2h 5m`.
fn span(text: &str) -> Option<SignedDuration> {
    if text.starts_with("less than a minute") || text.starts_with("a minute") {
        return Some(MINUTE);
    }
    let mut sum = None;
    let mut rest = text.trim_start_matches("about ");
    loop {
        rest = rest.trim_start_matches([' ', ',']).trim_start_matches("and ");
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Ok(count) = rest[..digits].parse::<f64>() else { break };
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            "ms" => 0.001,
            _ => break,
        };
        rest = &rest[letters..];
        sum = Some(sum.unwrap_or_default() + count * unit);
    }
    let span = Duration::try_from_secs_f64(sum?).ok()?;
    SignedDuration::try_from(span).ok()
}

/// A date, if there is one, a time of day, and a zone in brackets, if there is one. `original` is the same with its capitals.
fn moment(text: &str, original: &str, now: &Zoned) -> Option<Timestamp> {
    if let Some(at) = original.split_whitespace().next().and_then(|word| word.trim_end_matches('.').parse().ok()) {
        return Some(at);
    }
    let zone = match original.split_once('(').and_then(|(_, rest)| rest.split_once(')')) {
        Some((name, _)) => TimeZone::get(name.trim()).ok()?,
        None => now.time_zone().clone(),
    };
    let now = now.with_time_zone(zone.clone());
    let words = text.split(['(', '\n']).next()?;
    let words: Vec<&str> = words.split([' ', ',']).filter(|word| !word.is_empty() && *word != "at").collect();
    let (date, words) = date(&words, &now)?;
    let time = time_of_day(words)?;
    let at = |date: Date| date.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp().checked_add(MINUTE).ok();
    match date {
        Some(date) => at(date),
        None => {
            let today = at(now.date())?;
            if now.timestamp().duration_since(today) <= MAX_AGE {
                Some(today)
            } else {
                at(now.date().tomorrow().ok()?)
            }
        }
    }
}

/// `dec 3rd 2026`, `dec 3`, or nothing; and what follows.
fn date<'a, 'b>(words: &'a [&'b str], now: &Zoned) -> Option<(Option<Date>, &'a [&'b str])> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    if *words.first()? == "tomorrow" {
        return Some((Some(now.date().tomorrow().ok()?), &words[1..]));
    }
    let month = MONTHS.iter().position(|month| words[0].starts_with(month));
    let Some(month) = month.and_then(|month| i8::try_from(month + 1).ok()) else { return Some((None, words)) };
    let day = words.get(1)?.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
    match words.get(2).filter(|word| word.len() == 4).and_then(|word| word.parse().ok()) {
        Some(year) => Some((Some(Date::new(year, month, day).ok()?), &words[3..])),
        None => {
            let date = Date::new(now.year(), month, day).ok()?;
            // In December it speaks of January.
            let is_past = date < now.date().checked_sub(7.days()).ok()?;
            let date = if is_past { Date::new(now.year() + 1, month, day).ok()? } else { date };
            Some((Some(date), &words[2..]))
        }
    }
}

/// `11:10am`, `4:09 pm`, `4pm`, `16:09`.
fn time_of_day(words: &[&str]) -> Option<Time> {
    let word = words.first()?.trim_end_matches('.');
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let half = match &word[digits.len()..] {
        "" => words.get(1).map(|word| word.trim_matches('.')).filter(|word| matches!(*word, "am" | "pm")),
        half => Some(half),
    };
    let (hour, minute) = digits.split_once(':').unwrap_or((digits, "0"));
    let (hour, minute): (i8, i8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match half {
        Some("am") if (1..=12).contains(&hour) => hour % 12,
        Some("pm") if (1..=12).contains(&hour) => hour % 12 + 12,
        None if digits.contains(':') => hour,
        _ => return None,
    };
    Time::new(hour, minute, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str, now: &str) -> Option<String> {
        let now: Zoned = now.parse().expect("a time");
        reset_time(message, &now).map(|at| at.to_string())
    }

    #[test]
    fn times_are_read_as_the_agents_write_them() {
        let east = "2026-11-30T10:14:10+01:00[+01:00]";
        for (message, expected) in [
            ("You've hit your 5-hour limit · resets 11:10am (UTC)", "2026-11-30T11:11:00Z"),
            ("You've hit your 5-hour limit · resets 3am (UTC)", "2026-12-01T03:01:00Z"),
            ("5-hour limit reached ∙ resets 3pm", "2026-11-30T14:01:00Z"),
            ("You've hit your weekly limit · resets Dec 4, 4pm (UTC)", "2026-12-04T16:01:00Z"),
            ("You've hit your weekly limit · resets Jan 2 at 12am (UTC)", "2027-01-02T00:01:00Z"),
            (
                "You’ve hit your usage limit. Upgrade to Pro (https://x/y), visit z or try again at 11:09 AM.",
                "2026-11-30T10:10:00Z",
            ),
            ("You’ve hit your usage limit. Try again at 8:00 AM.", "2026-12-01T07:01:00Z"),
            ("… or try again at Dec 3rd, 2026 4:22 PM.", "2026-12-03T15:23:00Z"),
            ("… or try again at Dec 31st, 2026 12:05 AM.", "2026-12-30T23:06:00Z"),
            ("… try again in 3 days 2 hours 5 minutes.", "2026-12-03T11:19:10Z"),
            ("… try again in 1 day.", "2026-12-01T09:14:10Z"),
            ("… try again in less than a minute.", "2026-11-30T09:15:10Z"),
            ("Rate limit reached for m on tokens per min. Please try again in 11.5s. Visit", "2026-11-30T09:14:21.5Z"),
            ("try again at 2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            assert_eq!(read(message, east).as_deref(), Some(expected), "{message}");
        }
    }

    #[test]
    fn a_zone_that_this_machine_knows_counts() {
        if TimeZone::get("America/New_York").is_err() {
            eprintln!("skipped: this machine has no time zones");
            return;
        }
        let message = "You've hit your weekly limit · resets Dec 4, 4pm (America/New_York)";
        assert_eq!(read(message, "2026-11-30T11:09:59+00:00[UTC]").as_deref(), Some("2026-12-04T21:01:00Z"));
    }

    #[test]
    fn a_time_of_day_that_has_just_passed_is_not_tomorrows() {
        let message = "You’ve hit your usage limit. Try again at 11:09 AM.";
        assert_eq!(read(message, "2026-11-30T11:09:59+00:00[UTC]").as_deref(), Some("2026-11-30T11:10:00Z"));
        assert_eq!(read(message, "2026-11-30T11:20:00+00:00[UTC]").as_deref(), Some("2026-11-30T11:10:00Z"));
        assert_eq!(read(message, "2026-11-30T11:40:00+00:00[UTC]").as_deref(), Some("2026-12-01T11:10:00Z"));
    }

    #[test]
    fn what_names_no_time_gives_none() {
        for message in [
            "",
            "Try again later.",
            "try again",
            "resets",
            "try again at noon",
            "try again at 25:00",
            "resets 13pm (UTC)",
            "resets 3pm (Nowhere/At_All)",
            "try again in a while",
            "resets Feb 30, 3pm (UTC)",
            "or try again at 7.",
            "This is a server-side issue, usually temporary — try again in a moment.",
        ] {
            assert_eq!(read(message, "2026-11-30T11:09:59+00:00[UTC]"), None, "{message}");
        }
    }
}
