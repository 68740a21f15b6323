//! The two output streams, and how much goes to them: results to one, everything else to the other.
//!
//! All that is printed is printed here, and no text but raw bytes passes without the filter: what a terminal would obey is shown, and
//! not sent.

mod announcer;
mod size;
mod table;
mod time;

use std::io::{self, BufWriter, IsTerminal, Write};

use gadugi_registry::sanitize::{escape_in_json, escaped};

use crate::args::{ColorChoice, Global};

pub(crate) use self::announcer::Announcer;
pub(crate) use self::size::{seed_text, size_text};
pub(crate) use self::table::columns;
pub(crate) use self::time::duration_text;
pub(crate) use gadugi_registry::sanitize::harmless;

/// What a piece of text is, for colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Notice,
    Faint,
}

/// Where text goes. Write errors on the standard output are returned, so that a broken pipe ends a
/// command; those on the standard error have nowhere to be said and are passed over.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    color_out: bool,
    color_err: bool,
    pub(crate) live: bool,
    pub(crate) verbose: bool,
    pub(crate) quiet: bool,
}

impl Terminal {
    /// Looks at the streams and at `NO_COLOR` and `TERM` (<https://no-color.org>).
    pub(crate) fn new(global: &Global, no_color: bool, dumb: bool) -> Self {
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let color = |tty: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => tty && !no_color && !dumb,
        };
        Self {
            color_out: color(out),
            color_err: color(err),
            live: err && !dumb && !global.quiet,
            verbose: global.verbose,
            quiet: global.quiet,
        }
    }

    /// Prints lines of a result.
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        self.bytes(shown(text, self.color_out).as_bytes())
    }

    /// Prints one line of a result, whatever it holds.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        self.bytes((shown_line(text, self.color_out) + "\n").as_bytes())
    }

    /// Prints JSON, which has an escape of its own for what must not reach a terminal.
    pub(crate) fn json(&self, json: &str) -> io::Result<()> {
        self.bytes(escape_in_json(json).as_bytes())
    }

    /// Prints raw bytes of a result.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Prints a result as it is made, which has an escape of its own.
    pub(crate) fn written(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        out.flush()
    }

    /// Says something beside the result, on a line; not with `-q`.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Says something, on a line, for those who want to know more (`-v`).
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.insist(&self.toned_err(Tone::Faint, text));
        }
    }

    /// Says something in any case, on a line.
    pub(crate) fn insist(&self, text: &str) {
        // There is no other place to report this to.
        drop(writeln!(io::stderr().lock(), "{}", self.drawn(text)));
    }

    /// What is to be drawn for a line of text, for what draws on the standard error by itself.
    pub(crate) fn drawn(&self, text: &str) -> String {
        shown_line(text, self.color_err)
    }

    /// Passes on what another process of ours says.
    pub(crate) fn relay(&self, mut from: impl io::Read) {
        // What cannot be relayed was not meant for the result.
        drop(io::copy(&mut from, &mut io::stderr()));
    }

    /// Rings the bell of a terminal, or shows a text where it shows notices (OSC 9).
    pub(crate) fn ring(&self, notice: Option<&str>) {
        let sequence = match notice {
            Some(text) => format!("\x1b]9;{}\x07", harmless(text)),
            None => "\x07".to_owned(),
        };
        if self.live {
            // A terminal that cannot be written to hears nothing.
            drop(io::stderr().write_all(sequence.as_bytes()));
        }
    }

    /// The text in its colour, for the standard output.
    pub(crate) fn toned(&self, tone: Tone, text: &str) -> String {
        paint(tone, text)
    }

    /// The text in its colour, for the standard error.
    pub(crate) fn toned_err(&self, tone: Tone, text: &str) -> String {
        paint(tone, text)
    }
}

/// Marks for colours, which become sequences when a text is printed and never before, so that no sequence of another origin is taken
/// for one of ours. These code points stand for no characters.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdd4}';

fn paint(tone: Tone, text: &str) -> String {
    let mark = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => '\u{fdd1}',
        Tone::Bad => '\u{fdd2}',
        Tone::Notice => '\u{fdd3}',
        Tone::Faint => '\u{fdd4}',
    };
    format!("{mark}{}\u{fdd0}", text.replace(|c| MARKS.contains(&c), ""))
}

/// What a mark becomes where there are colours.
fn sequence(mark: char) -> &'static str {
    match mark {
        '\u{fdd1}' => "\u{1b}[32m",
        '\u{fdd2}' => "\u{1b}[31m",
        '\u{fdd3}' => "\u{1b}[33m",
        '\u{fdd4}' => "\u{1b}[2m",
        _ => "\u{1b}[0m",
    }
}

/// Lines of text as they are printed: with colours for the marks or without, and nothing else that a terminal would obey.
fn shown(text: &str, color: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(['\n', '\t']) {
        let line = piece.strip_suffix(['\n', '\t']).unwrap_or(piece);
        shown.push_str(&shown_line(line, color));
        shown.push_str(&piece[line.len()..]);
    }
    shown
}

/// The same for one line, which stays one.
fn shown_line(text: &str, color: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for (at, mark) in text.char_indices().filter(|(_, c)| MARKS.contains(c)) {
        shown.push_str(&escaped(&text[from..at]));
        shown.push_str(if color { sequence(mark) } else { "" });
        from = at + mark.len_utf8();
    }
    shown + &escaped(&text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_of_ours_reach_a_terminal() {
        let text = format!("{} of \u{1b}[31mx\u{202e}\n\ty", paint(Tone::Good, "all\u{1b}]0;t\u{7}"));
        assert_eq!(shown_line(&text, true), "\u{1b}[32mall\\u{1b}]0;t\\u{7}\u{1b}[0m of \\u{1b}[31mx\\u{202e}\\n\\ty");
        assert_eq!(shown(&text, false), "all\\u{1b}]0;t\\u{7} of \\u{1b}[31mx\\u{202e}\n\ty");
    }
}
