//! Formats and rounds times. Several output formats use these functions.

/// Formats a time as `hours:minutes:seconds`, then `separator` and three digits of milliseconds.
pub(super) fn timecode(seconds: f64, separator: char) -> String {
    let ms = milliseconds(seconds);
    format!("{:02}:{:02}:{:02}{separator}{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

pub(super) fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

pub(super) fn centiseconds(seconds: f64) -> u64 {
    (seconds * 100.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timecodes_are_rounded_to_milliseconds() {
        assert_eq!(timecode(0.0, ','), "00:00:00,000");
        assert_eq!(timecode(3661.0414, '.'), "01:01:01.041");
        assert_eq!(timecode(59.9996, '.'), "00:01:00.000");
        assert_eq!(timecode(360_000.0, ','), "100:00:00,000");
    }
}
