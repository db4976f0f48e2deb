//! Programs that fetch pages and show them to nobody, by the name that they give themselves.

use iscrawl::crawler_info;

/// Programs of the list that call themselves so show pages to nobody, whatever the list says.
const BOTS: [&str; 5] = ["bot", "crawl", "preview", "scrap", "spider"];

/// The list's kinds of programs that fetch pages for a person: libraries, and readers of feeds.
const FOR_A_PERSON: [&str; 2] = ["feed-reader", "http-library"];

/// The list's kinds of programs that have a browser's name and show pages to nobody.
const BROWSERS_OF_NOBODY: [&str; 2] = ["browser-automation", "monitoring"];

/// They fetch an image when a person sees it. The list takes them for link previews.
const IMAGE_PROXIES: [&str; 4] = [
    "github-camo",
    "go-camo",
    "GoogleImageProxy",
    "YahooMailProxy",
];

/// Few browsers' names are longer, and to look through a long one takes time.
const MAX_BYTES: usize = 512;

/// Whether a program of this name is a crawler, a link preview, a monitor or the like.
pub fn is_bot(user_agent: &str) -> bool {
    let name = &user_agent[..user_agent.floor_char_boundary(MAX_BYTES)];
    let Some(program) = crawler_info(name).filter(|_| !is_image_proxy(name)) else {
        return false;
    };
    let lower = name.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if says(&BOTS) {
        return true;
    }
    let is = |kinds: &[&str]| program.tags.iter().any(|tag| kinds.contains(&tag.as_str()));
    // Crawlers that imitate a browser add an address, or that they are compatible with it. Other
    // such names are in the list for the app around a browser, or for a part that is there by
    // chance, such as the name of a phone.
    match name.starts_with("Mozilla/") && !says(&["compatible;", "http"]) {
        true => is(&BROWSERS_OF_NOBODY),
        false => !is(&FOR_A_PERSON),
    }
}

/// Whether a program of this name fetches images for many people, each time for one of them.
pub fn is_image_proxy(user_agent: &str) -> bool {
    let mut proxies = IMAGE_PROXIES.iter();
    proxies.any(|proxy| user_agent.contains(proxy))
}

/// Reads the list. Otherwise the first visit would wait for that.
pub fn load() {
    is_bot("");
}
