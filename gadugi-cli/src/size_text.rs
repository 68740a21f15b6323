//! Amounts of bytes as people read them.

/// `512 B`, `1.5 KiB`, `85.1 MiB`, `2.0 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut number = bytes as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would be rounded to 1024.0 has the next unit too.
    while number >= 1023.95 {
        let Some(next) = units.next() else { break };
        number /= 1024.0;
        unit = Some(next);
    }
    format!("{number:.1} {}", unit.unwrap_or(&UNITS[3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_unit_that_makes_them_short() {
        let sizes = [0, 1023, 1024, 1536, 1_048_570, 1 << 20, 5 << 30, 3 << 40, u64::MAX];
        let texts: Vec<String> = sizes.into_iter().map(size).collect();
        let all = ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB", "3.0 TiB", "16777216.0 TiB"];
        assert_eq!(texts, all);
    }
}
