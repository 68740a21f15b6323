//! Durations as people read them.

use std::time::Duration;

/// Formats a duration: `0.4s`, `12s`, `3m05s`, `2h07m`.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        let text = |millis| duration_text(Duration::from_millis(millis));
        assert_eq!(
            [text(40), text(9_960), text(12_900), text(185_000), text(7_620_000)],
            ["0.0s", "10.0s", "12s", "3m05s", "2h07m"]
        );
    }
}
