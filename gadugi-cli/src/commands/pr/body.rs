//! The text of a pull request, of which the part between two marks is gadugi's.

/// What stands before the text, and after it.
const BEGIN: &str = "<!-- gadugi: begin -->";
const END: &str = "<!-- gadugi: end -->";

/// Largest length of a text in bytes; GitHub takes 65,536 characters.
const MAX_TEXT: usize = 60_000;

/// The text between its marks.
pub(super) fn text(section: &str) -> String {
    let mut end = section.len().min(MAX_TEXT);
    while !section.is_char_boundary(end) {
        end -= 1;
    }
    // A mark in what an agent has said would end the text.
    let section = section[..end].replace("<!--", "<! --");
    let cut = if end < MAX_TEXT { "" } else { "\n\n… (cut)" };
    format!("{BEGIN}\n{}{cut}\n{END}\n", section.trim_end())
}

/// A text of a pull request with its part of gadugi's replaced; `None` where it has none.
pub(super) fn replaced(body: &str, text: &str) -> Option<String> {
    let begin = body.find(BEGIN)?;
    let end = body.rfind(END).filter(|end| *end > begin)? + END.len();
    Some(format!("{}{}{}", &body[..begin], text.trim_end(), &body[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_marks_is_replaced() {
        let first = text("one <!-- gadugi: end --> two");
        let edited = format!("By a person.\r\n\r\n{first}\r\nCloses #7");
        let again = replaced(&edited, &text("three")).expect("it has the marks");
        assert_eq!(again, format!("By a person.\r\n\r\n{BEGIN}\nthree\n{END}\n\r\nCloses #7"));
        assert_eq!(replaced("all by a person", &first), None);
    }

    #[test]
    fn a_long_text_is_cut_where_a_character_ends() {
        let long = text(&"é".repeat(40_000));
        assert!(long.len() < MAX_TEXT + 100 && long.contains("(cut)"));
    }
}
