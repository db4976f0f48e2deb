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

#[cfg(test)]
mod tests {
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
