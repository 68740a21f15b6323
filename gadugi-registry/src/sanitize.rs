//! The one filter for text that is shown: characters that draw nothing and change how others are drawn. What a task says, and
//! what its files are called, may hold them; what is printed must not.

use std::io::{self, Write};

/// Whether it is a control character, or one that turns the direction of writing, joins and parts others unseen, or stands
/// for no character.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fdd0}'..='\u{fdef}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text on one line, with unseen characters written as in a string of Rust: nothing of it is lost, and none of it can begin a
/// line of its own.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if !is_unseen(c) => escaped.push(c),
            '\n' | '\r' | '\t' => escaped.extend(c.escape_default()),
            c => escaped.extend(c.escape_unicode()),
        }
    }
    escaped
}

/// A line that a task has printed: sequences for a terminal and unseen characters are left out, and tabs become spaces.
#[must_use]
pub fn harmless(text: &str) -> String {
    let kept = |c: char| match c {
        '\t' => Some(' '),
        c if is_unseen(c) => None,
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

/// The same JSON, with unseen characters written as `\uXXXX`. Those below the space are so already, and
/// where they stand between values they stay.
#[must_use]
pub fn escape_in_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c >= '\u{7f}' && is_unseen(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Writes JSON on as [`escape_in_json`] has it.
pub(crate) struct EscapedJson<W>(pub(crate) W);

impl<W: Write> Write for EscapedJson<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        // Most of it is.
        if json.iter().all(|byte| *byte < 0x7f) {
            return self.0.write(json);
        }
        // A string is written in whole characters.
        let text = json.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        if text.is_empty() && !json.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.0.write_all(escape_in_json(text).as_bytes())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_task_prints_cannot_control_the_terminal() {
        let nasty = "a\u{1b}[31mred\u{1b}[0m\u{1b}]52;c;aGk=\u{7}b\u{1b}]8;;http://x\u{1b}\\c\rd\u{9b}e\u{202e}f\tg";
        assert_eq!(harmless(nasty), "aredbcdef g");
        let unseen = "a\u{61c}\u{200b}\u{200d}\u{2028}\u{2029}\u{2060}\u{206a}\u{feff}\u{e0041}b";
        assert_eq!(harmless(unseen), "ab");
    }

    #[test]
    fn an_escaped_name_is_one_line_that_shows_everything() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\td\u{202e}"), "a\\u{1b}[2Jb\\nc\\td\\u{202e}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let json = serde_json::to_string("a\u{9b}\u{202e}\u{e0041}").expect("JSON");
        let escaped = escape_in_json(&json);
        let mut written = Vec::new();
        EscapedJson(&mut written).write_all(json.as_bytes()).expect("memory");
        assert_eq!(written, escaped.as_bytes());
        assert!(escaped.is_ascii(), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).expect("JSON"), "a\u{9b}\u{202e}\u{e0041}");
    }
}
