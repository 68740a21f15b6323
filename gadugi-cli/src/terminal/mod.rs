//! The two output streams: results go to one, everything else to the other.
//!
//! Everything is printed here, and all text but raw bytes passes the filter: control characters are shown, and not sent.

mod announcer;
mod size;
mod table;
mod time;

use std::io::{self, BufWriter, IsTerminal, Write};

use console::Style;
use gadugi_registry::sanitize::{escape_in_json, escaped};
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{ColorChoice, Global};

pub(crate) use self::announcer::Announcer;
pub(crate) use self::size::{seed_text, size_text};
pub(crate) use self::table::columns;
pub(crate) use self::time::duration_text;
pub(crate) use gadugi_registry::sanitize::harmless;

/// The tone of a text, which becomes its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Notice,
    Faint,
}

/// The terminal. Write errors on the standard output are returned, so that a broken pipe ends a
/// command; those on the standard error cannot be reported and are ignored.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    color_out: bool,
    color_err: bool,
    /// Whether the standard output is a terminal.
    pub(crate) out_is_terminal: bool,
    pub(crate) live: bool,
    pub(crate) verbose: bool,
    pub(crate) quiet: bool,
}

/// Limits of a terminal beside the options.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TerminalLimits {
    /// `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) no_color: bool,
    /// `TERM` names a terminal without control sequences, or none.
    pub(crate) dumb: bool,
    /// Traces are printed, whose lines would tear a live view apart.
    pub(crate) traces: bool,
}

impl Terminal {
    /// Inspects the streams.
    pub(crate) fn new(global: &Global, limits: TerminalLimits) -> Self {
        let TerminalLimits { no_color, dumb, traces } = limits;
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let color = |tty: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => tty && !no_color && !dumb,
        };
        Self {
            color_out: color(out),
            color_err: color(err),
            out_is_terminal: out,
            live: err && !dumb && !global.quiet && !traces,
            verbose: global.verbose > 0,
            quiet: global.quiet,
        }
    }

    /// Prints lines of a result.
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        self.bytes(shown(text, self.color_out).as_bytes())
    }

    /// Prints a text as one line of a result.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        self.bytes((shown_line(text, self.color_out) + "\n").as_bytes())
    }

    /// Prints JSON, with control characters in its own escapes.
    pub(crate) fn json(&self, json: &str) -> io::Result<()> {
        self.bytes(escape_in_json(json).as_bytes())
    }

    /// Prints raw bytes of a result.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Prints a result as it is written, with control characters already escaped.
    pub(crate) fn written(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        out.flush()
    }

    /// Prints a line beside the result; not with `-q`.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Prints a line beside the result with `-v`.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.insist(&self.toned_err(Tone::Faint, text));
        }
    }

    /// Prints lines of traces.
    fn trace(&self, text: &str) {
        text.lines().for_each(|line| self.insist(&self.toned_err(Tone::Faint, line)));
    }

    /// Prints a line beside the result, also with `-q`.
    pub(crate) fn insist(&self, text: &str) {
        // There is no other place to report this to.
        drop(writeln!(io::stderr().lock(), "{}", self.drawn(text)));
    }

    /// Filters a line and resolves its colours, for a view that draws on the standard error by itself.
    pub(crate) fn drawn(&self, text: &str) -> String {
        shown_line(text, self.color_err)
    }

    /// Filters a line of a result and resolves its colours, for a pager.
    pub(crate) fn paged(&self, text: &str) -> String {
        shown_line(text, self.color_out) + "\n"
    }

    /// Number of columns of the terminal of the standard output, if it is one.
    pub(crate) fn columns(&self) -> Option<u16> {
        console::Term::stdout().size_checked().map(|(_, columns)| columns).filter(|_| self.out_is_terminal)
    }

    /// Passes on the messages of another gadugi.
    pub(crate) fn relay(&self, mut from: impl io::Read) {
        // A message that cannot be relayed does not concern the result.
        drop(io::copy(&mut from, &mut io::stderr()));
    }

    /// Rings the bell of the terminal, or with a text shows a notice (OSC 9).
    pub(crate) fn ring(&self, notice: Option<&str>) {
        let sequence = match notice {
            Some(text) => format!("\x1b]9;{}\x07", harmless(text)),
            None => "\x07".to_owned(),
        };
        if self.live {
            // On a terminal that cannot be written to, nothing rings.
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

/// Traces are printed line by line through the filter.
impl<'a> MakeWriter<'a> for Terminal {
    type Writer = TraceWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        TraceWriter(self)
    }
}

/// Writes traces to a terminal. Each write is a whole event.
pub(crate) struct TraceWriter<'a>(&'a Terminal);

impl Write for TraceWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.trace(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Marks for colours, which become sequences only when a text is printed, so that no sequence of another origin is taken
/// for one of ours. These code points are noncharacters.
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

/// The style of text after a mark.
fn style(mark: char) -> Style {
    let style = Style::new().force_styling(true);
    match mark {
        '\u{fdd1}' => style.green(),
        '\u{fdd2}' => style.red(),
        '\u{fdd3}' => style.yellow(),
        '\u{fdd4}' => style.dim(),
        _ => style,
    }
}

/// Filters lines of text, and resolves their marks with or without colours.
fn shown(text: &str, color: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(['\n', '\t']) {
        let line = piece.strip_suffix(['\n', '\t']).unwrap_or(piece);
        shown.push_str(&shown_line(line, color));
        shown.push_str(&piece[line.len()..]);
    }
    shown
}

/// Filters one line, which stays one, and resolves its marks.
fn shown_line(text: &str, color: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut current = None;
    loop {
        let end = rest.find(|c| MARKS.contains(&c)).unwrap_or(rest.len());
        let piece = escaped(&rest[..end]);
        match current.filter(|_| color) {
            Some(mark) => shown.push_str(&style(mark).apply_to(piece).to_string()),
            None => shown.push_str(&piece),
        }
        let Some(mark) = rest[end..].chars().next() else { return shown };
        current = Some(mark);
        rest = &rest[end + mark.len_utf8()..];
    }
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
