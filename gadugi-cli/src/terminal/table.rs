//! Text in columns.

use gadugi_registry::sanitize::escaped;
use unicode_width::UnicodeWidthStr;

/// Lays out rows in columns as wide as their widest cell; the last column is not padded. Widths
/// are those on a terminal. Colours are added afterwards, by `paint(row, column, padded cell)`. A cell is always one line.
pub(crate) fn columns(rows: &[Vec<String>], paint: impl Fn(usize, usize, &str) -> String) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let last = column + 1 == row.len();
            let padding = if last { 0 } else { widths[column] - cell.width() };
            line.push_str(&paint(at, column, &format!("{cell}{:padding$}", "")));
            if !last {
                line.push_str("  ");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_column_begin_at_the_same_place() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text = columns(&[row(["ID", "STATE", "X"]), row(["länger", "ok", "end"])], |_, _, cell| cell.to_owned());
        assert_eq!(text, "ID      STATE  X\nlänger  ok     end\n");
        let wide = columns(&[row(["作業", "ok", "X"]), row(["abcde", "ok", "end"])], |_, _, cell| cell.to_owned());
        assert_eq!(wide, "作業   ok  X\nabcde  ok  end\n");
    }
}
