//! The templates: all loaded at start, so that a broken one stops the launch and not a visitor.

use rocket::fairing::Fairing;
use rocket_dyn_templates::Template;
use rocket_dyn_templates::minijinja::UndefinedBehavior;

/// Every file in `templates/`, without `.html.j2` or `.svg.j2`.
pub const NAMES: [&str; 5] = ["badge", "base", "chart", "error", "home"];

/// Loads the templates.
pub fn stage() -> impl Fairing {
    Template::try_custom(|engines| {
        let environment = &mut engines.minijinja;
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("thousands", thousands);
        for name in NAMES {
            environment.get_template(name)?;
        }
        Ok(())
    })
}

/// `1234567` as `1,234,567`.
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
