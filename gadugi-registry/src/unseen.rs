//! Characters that draw nothing and change how others are drawn. What a task says may hold them; what is
//! printed must not.

/// Whether it is a control character, or one that turns the direction of writing or joins and parts
/// others unseen.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The same JSON, with unseen characters written as `\uXXXX`. Those below the space are so already, and
/// where they stand between values they stay.
pub(crate) fn escape_in_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c >= '\u{7f}' && is_unseen(c) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}
