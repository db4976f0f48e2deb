//! What a badge must look like.

use std::collections::{BTreeMap, HashSet};

use pageviews::number::{compact, thousands};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use roxmltree::{Document, Node};

use super::requests::{Request, STYLES};
use super::{Connection, fail};

/// The shapes that badges of each style have, without a label (`true`) and with one.
pub struct Shapes(BTreeMap<(&'static str, bool), HashSet<Vec<String>>>);

/// The elements of a picture and their attributes, without texts and values.
fn shape(picture: &Document<'_>) -> Vec<String> {
    let named = |node: Node<'_, '_>| {
        let attributes: Vec<_> = node
            .attributes()
            .map(|attribute| attribute.name())
            .collect();
        format!(
            "{:?} {:?} {attributes:?}",
            node.node_type(),
            node.tag_name()
        )
    };
    picture
        .descendants()
        .filter(|node| !node.is_text())
        .map(named)
        .collect()
}

impl Shapes {
    /// Asks for the badges of `readme`.
    pub fn known(connection: &mut Connection) -> Self {
        let mut shapes = BTreeMap::new();
        for style in STYLES {
            for label in ["views", ""] {
                // Text is dark or white, as its background needs it.
                for colors in [
                    "",
                    "&color=white",
                    "&labelColor=white",
                    "&color=white&labelColor=white",
                ] {
                    let query = format!("count=no&style={style}&label={label}{colors}");
                    let badge = Request::get(format!("/badge/readme.svg?{query}"));
                    let badge = connection.ask(&badge.bytes()).unwrap();
                    let picture = Document::parse(&badge.body).unwrap();
                    let known: &mut HashSet<_> =
                        shapes.entry((style, label.is_empty())).or_default();
                    known.insert(shape(&picture));
                }
            }
        }
        Self(shapes)
    }

    /// Checks that the answer to `request` shows `number` as it was asked to.
    pub fn check(&self, request: &Request, number: i64, body: &str) -> TestCaseResult {
        let value = match request.asks("format").as_deref() {
            Some("compact") => compact(number),
            _ => thousands(number),
        };
        let style = request.asks("style").unwrap_or("flat".into());
        let style = STYLES.iter().find(|known| **known == style).unwrap();
        let label = &*request.asks("label").unwrap_or("views".into());
        let mut letters = label.chars();
        let (label, value) = &match (*style, letters.next()) {
            ("for-the-badge", _) => (label.to_uppercase(), value.to_uppercase()),
            ("social", Some(first)) => {
                let first = first.to_uppercase().collect::<String>();
                (first + letters.as_str(), value)
            }
            _ => (label.into(), value),
        };
        let (label, value) = (label.as_str(), value.as_str());
        let (name, texts) = match label {
            "" => (value.into(), vec![value]),
            _ => (format!("{label}: {value}"), vec![label, value]),
        };
        let picture = Document::parse(body).map_err(|problem| fail(problem, body))?;
        let said = |element: &str| -> Vec<_> {
            let elements = picture
                .descendants()
                .filter(|node| node.has_tag_name(element));
            elements.map(|node| node.text().unwrap_or("")).collect()
        };
        // Each text stands there up to three times, for its shadow.
        let mut shown = said("text");
        shown.retain(|text| !text.is_empty());
        shown.dedup();
        prop_assert_eq!(shown, texts);
        prop_assert_eq!(said("title"), [&name]);
        prop_assert_eq!(picture.root_element().attribute("aria-label"), Some(&*name));
        prop_assert!(self.0[&(*style, label.is_empty())].contains(&shape(&picture)));
        Ok(())
    }
}
