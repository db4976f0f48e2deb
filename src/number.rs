//! Numbers as people read them.

/// Writes `number` with its digits in groups of three: `1234567` becomes `1,234,567`.
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<_> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(String::from_utf8_lossy)
        .collect();
    format!("{}{}", if number < 0 { "-" } else { "" }, groups.join(","))
}

/// Writes `number` in up to four characters, rounded down: `1234` becomes `1.2k`.
pub fn compact(number: i64) -> String {
    let units = [
        (10_i64.pow(18), 'E'),
        (10_i64.pow(15), 'P'),
        (10_i64.pow(12), 'T'),
        (1_000_000_000, 'G'),
        (1_000_000, 'M'),
        (1_000, 'k'),
    ];
    match units.into_iter().find(|(unit, _)| number >= *unit) {
        None => number.to_string(),
        Some((unit, letter)) => match (number / unit, number / (unit / 10) % 10) {
            (whole @ 10.., _) | (whole, 0) => format!("{whole}{letter}"),
            (whole, tenth) => format!("{whole}.{tenth}{letter}"),
        },
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_compact_number_never_says_more_than_there_is() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1k"),
            (1_234, "1.2k"),
            (1_999, "1.9k"),
            (12_345, "12k"),
            (999_999, "999k"),
            (3_456_789, "3.4M"),
            (1_000_000_000_000_000, "1P"),
            (i64::MAX, "9.2E"),
        ];
        for (number, text) in cases {
            assert_eq!(super::compact(number), text);
        }
    }

    #[test]
    fn thousands_are_grouped_by_three() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-12_345, "-12,345"),
            (i64::MAX, "9,223,372,036,854,775,807"),
        ];
        for (number, text) in cases {
            assert_eq!(super::thousands(number), text);
        }
    }
}
