//! The two output streams, and how much goes to them: results to one, everything else to the other.

use std::io::{self, IsTerminal, Write};

use crate::args::{ColorChoice, Global};

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

    /// Prints a piece of a result.
    pub(crate) fn result(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Prints raw bytes of a result.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Says something beside the result; not with `-q`.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// Says something for those who want to know more (`-v`).
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.insist(&self.toned_err(Tone::Faint, text));
        }
    }

    /// Says something in any case.
    pub(crate) fn insist(&self, text: &str) {
        // There is no other place to report this to.
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// The text in its colour, for the standard output.
    pub(crate) fn toned(&self, tone: Tone, text: &str) -> String {
        paint(self.color_out, tone, text)
    }

    /// The text in its colour, for the standard error.
    pub(crate) fn toned_err(&self, tone: Tone, text: &str) -> String {
        paint(self.color_err, tone, text)
    }
}

fn paint(on: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Plain => return text.to_owned(),
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Notice => "33",
        Tone::Faint => "2",
    };
    if on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Text of a task, made harmless for a terminal: control characters and those that change the direction
/// of writing are left out, except for tabs, which become spaces.
pub(crate) fn harmless(text: &str) -> String {
    let kept = |c: char| match c {
        '\t' => Some(' '),
        c if c.is_control() => None,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        c => Some(c),
    };
    without_sequences(text).chars().filter_map(kept).collect()
}

/// Leaves out escape sequences as ECMA-48 has them: `ESC [ … final`, `ESC ] … BEL or ESC \`, `ESC x`.
fn without_sequences(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
            Some(']' | 'P' | 'X' | '^' | '_') => {
                while let Some(c) = chars.next() {
                    if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_task_cannot_control_the_terminal() {
        let nasty = "a\u{1b}[31mred\u{1b}[0m\u{1b}]52;c;aGk=\u{7}b\u{1b}]8;;http://x\u{1b}\\c\rd\u{9b}e\u{202e}f\tg";
        assert_eq!(harmless(nasty), "aredbcdef g");
    }
}
