//! What an answer holds. Elements are found by their id, never by the words around them.

/// The number that a page shows, if it shows one.
pub fn number(html: &str) -> Option<i64> {
    value(html, "views")
}

/// The value of the `<data>` element with this id.
pub fn value(html: &str, id: &str) -> Option<i64> {
    let (tag, _) = element(html, id)?;
    let (_, value) = tag.split_once(r#" value=""#)?;
    value.split('"').next()?.parse().ok()
}

/// The text of the element with this id, up to the first element inside it.
pub fn text<'a>(html: &'a str, id: &str) -> Option<&'a str> {
    let (_, text) = element(html, id)?;
    text.split('<').next()
}

/// What the page's `<h1>` says.
pub fn heading(html: &str) -> Option<&str> {
    let (_, rest) = html.split_once("<h1")?;
    let (_, text) = rest.split_once('>')?;
    Some(text.split_once("</h1>")?.0)
}

/// The opening tag of the element with this id, and all that follows.
fn element<'a>(html: &'a str, id: &str) -> Option<(&'a str, &'a str)> {
    let (before, _) = html.split_once(&format!(r#" id="{id}""#))?;
    html[before.rfind('<')?..].split_once('>')
}

/// The value of the header `name`; all values joined if there are several, so that a comparison
/// with one value fails.
pub fn header(answer: &minreq::Response, name: &str) -> Option<String> {
    let found = answer
        .headers
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let values: Vec<_> = found.map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(" AND "))
}
