//! Programs that fetch pages and show them to nobody, by the name that they give themselves.

use iscrawl::crawler_info;

/// Programs of this list that fetch pages for a person: libraries, and readers of feeds.
const FOR_A_PERSON: [&str; 2] = ["feed-reader", "http-library"];

/// They fetch an image when a person sees it. The list takes them for link previews.
const IMAGE_PROXIES: [&str; 4] = [
    "github-camo",
    "go-camo",
    "GoogleImageProxy",
    "YahooMailProxy",
];

/// No browser's name is longer, and to look through a long one takes time.
const MAX_BYTES: usize = 1024;

/// Whether a program of this name is a crawler, a link preview, a monitor or the like.
pub fn is_bot(user_agent: &str) -> bool {
    let name = &user_agent[..user_agent.floor_char_boundary(MAX_BYTES)];
    crawler_info(name).is_some_and(|program| {
        let is_for_a_person = |tag: &String| FOR_A_PERSON.contains(&tag.as_str());
        !program.tags.iter().any(is_for_a_person) && !is_image_proxy(name)
    })
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
