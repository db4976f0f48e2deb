//! Visits that see a count and add nothing to it, because nobody looks at the page.

use pageviews::config::{Bots, Web};
use rocket::http::{Header, Status};
use rocket::local::asynchronous::{Client, LocalRequest, LocalResponse};
use rocket::serde::json::{Value, json};

use crate::common::answer::number;
use crate::support;

pub const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/156.0.0.0 Safari/537.36";

const BOTS: [&str; 20] = [
    "http.rb/5.1.1 (Mastodon/4.2.8; +https://mastodon.social/) Bot",
    "Scrapy/2.13.3 (+https://scrapy.org)",
    "Mozilla/5.0 (Windows NT 6.3; WOW64; Trident/7.0; rv:11.0; BingPreview/1.0b) like Gecko",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; \
     +https://openai.com/gptbot)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; \
     +claudebot@anthropic.com)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23.20.0",
    "Twitterbot/1.0",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; +http://www.linkedin.com)",
    "Mastodon/4.3.0 (http.rb/5.2.0; +https://mastodon.social/) Bot",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    "kube-probe/1.30",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     HeadlessChrome/156.0.0.0 Safari/537.36",
];

const NO_BOTS: [&str; 17] = [
    PERSON,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/18.6 Mobile/22G100 Safari/604.1 MetaIAB Facebook",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Mobile/22G100 [FBAN/FBIOS;FBAV/540.0]",
    "Mozilla/5.0 (Linux; Android 14; SM-A1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 \
     Mobile Safari/537.36 SogouMSE,SogouMobileBrowser/5.22.8",
    "Mozilla/5.0 (Linux; Android 5.1; X2 Build/LMY47D; wv) AppleWebKit/537.36 (KHTML, like Gecko) \
     Version/4.0 Chrome/54.0.2840.68 Mobile Safari/537.36 ACHEETAHI/1",
    "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE S) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/120.0 Mobile Safari/537.36",
    "",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "curl/8.14.1",
    "Wget/1.25.0",
    "python-requests/2.32.5",
    "Go-http-client/2.0",
    "github-camo (a1b2c3d4)",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "NetNewsWire (RSS Reader; https://netnewswire.com/)",
];

pub async fn client(url: &str, web: Web) -> Client {
    let mut config = support::config_of(url, &["readme"]);
    config.web = web;
    support::client_with(&config).await
}

/// A visitor: the name of the program, and the address that the proxy has seen.
#[derive(Clone, Copy)]
pub struct Visitor<'a>(pub &'a str, pub Option<&'a str>);

impl Visitor<'_> {
    pub async fn get<'c>(self, client: &'c Client, path: &'c str) -> LocalResponse<'c> {
        self.ask(client.get(path)).await
    }

    pub async fn ask<'c>(self, mut request: LocalRequest<'c>) -> LocalResponse<'c> {
        let Self(user_agent, address) = self;
        if !user_agent.is_empty() {
            request.add_header(Header::new("User-Agent", user_agent.to_string()));
        }
        if let Some(address) = address {
            request.add_header(Header::new("X-Real-IP", address.to_string()));
        }
        let answer = request.dispatch().await;
        assert!(
            answer.status().class().is_success(),
            "{user_agent}: {answer:?}"
        );
        answer
    }

    /// The number on the page `/`, and whether it is that of this visit.
    pub async fn visit(self, client: &Client) -> (i64, bool) {
        let html = self.get(client, "/").await.into_string().await.unwrap();
        (number(&html).unwrap(), html.contains("You are view number"))
    }

    pub async fn post(self, client: &Client) -> (Status, Value) {
        let answer = self.ask(client.post("/api/pages/readme")).await;
        let origin = answer.headers().get_one("Access-Control-Allow-Origin");
        assert_eq!(origin, Some("*"));
        (answer.status(), answer.into_json().await.unwrap())
    }

    async fn badge(self, client: &Client) -> String {
        let answer = self.get(client, "/badge/readme.svg").await;
        let svg = answer.into_string().await.unwrap();
        let (_, title) = svg.split_once("<title>").unwrap();
        title.split_once("</title>").unwrap().0.to_string()
    }
}

/// How many visits the metrics have of `reason`.
pub async fn not_counted(client: &Client, reason: &str) -> u64 {
    let metrics = client.get("/metrics").dispatch().await;
    let metrics = metrics.into_string().await.unwrap();
    let start = format!("pageviews_views_not_counted_total{{reason=\"{reason}\"}} ");
    let found = metrics.lines().find_map(|line| line.strip_prefix(&start));
    found.unwrap().parse().unwrap()
}

#[rocket::async_test]
async fn crawlers_previews_and_monitors_see_the_count_and_add_nothing() {
    let url = support::database().await;
    let client = client(&url, Web::default()).await;
    let person = Visitor(PERSON, None);
    assert_eq!(person.visit(&client).await, (1, true));
    assert_eq!(person.post(&client).await.0, Status::Created);
    assert_eq!(not_counted(&client, "bot").await, 0);
    for bot in BOTS {
        let bot = Visitor(bot, None);
        assert_eq!(bot.visit(&client).await, (1, false), "{}", bot.0);
        assert_eq!(bot.badge(&client).await, "views: 1");
        let expected = (Status::Ok, json!({"page": "readme", "views": 1}));
        assert_eq!(bot.post(&client).await, expected);
    }
    assert_eq!(not_counted(&client, "bot").await, 3 * BOTS.len() as u64);
    assert_eq!(person.visit(&client).await, (2, true));
    assert_eq!(person.badge(&client).await, "views: 2");
    for page in ["/", "readme"] {
        assert_eq!(support::counted(&url, page).await, 2);
    }
}

#[rocket::async_test]
async fn a_crawler_makes_no_page() {
    let url = support::database().await;
    let client = client(&url, Web::default()).await;
    let bot = Visitor(BOTS[0], None);
    assert_eq!(bot.visit(&client).await, (0, false));
    assert_eq!(bot.badge(&client).await, "views: 0");
    assert_eq!(support::rows(&url).await, 0);
}

#[rocket::async_test]
async fn browsers_libraries_and_image_proxies_count() {
    let url = support::database().await;
    let client = client(&url, Web::default()).await;
    for (before, visitor) in NO_BOTS.iter().enumerate() {
        let (visitor, views) = (Visitor(visitor, None), 2 * before as i64);
        assert_eq!(
            visitor.visit(&client).await.0,
            1 + before as i64,
            "{}",
            visitor.0
        );
        let view = json!({"page": "readme", "number": views + 1});
        assert_eq!(visitor.post(&client).await, (Status::Created, view));
        assert_eq!(
            visitor.badge(&client).await,
            format!("views: {}", views + 2)
        );
    }
    assert_eq!(not_counted(&client, "bot").await, 0);
}

#[rocket::async_test]
async fn the_owner_can_count_crawlers() {
    let url = support::database().await;
    let web = Web {
        bots: Bots::Count,
        ..Web::default()
    };
    let client = client(&url, web).await;
    for (before, bot) in BOTS.iter().enumerate() {
        assert_eq!(
            Visitor(bot, None).visit(&client).await,
            (1 + before as i64, true)
        );
    }
}

#[rocket::async_test]
async fn head_answers_what_get_would() {
    let url = support::database().await;
    let client = client(&url, Web::default()).await;
    for visitor in [PERSON, BOTS[0]].map(|name| Visitor(name, None)) {
        for path in ["/", "/badge/readme.svg"] {
            let head = visitor.ask(client.head(path)).await;
            let length = head.body().preset_size();
            let get = visitor.get(&client, path).await;
            assert_eq!(length, get.body().preset_size(), "{path} {}", visitor.0);
            assert!(length.is_some());
        }
    }
    assert_eq!(support::counted(&url, "/").await, 1);
}

#[rocket::async_test]
async fn speculative_requests_are_in_the_metrics() {
    let client = client(&support::database().await, Web::default()).await;
    let purpose = || Header::new("Sec-Purpose", "prefetch;prerender");
    for request in [
        client.get("/"),
        client.post("/api/pages/readme"),
        client.get("/badge/readme.svg"),
        // These never count.
        client.head("/"),
        client.get("/badge/readme.svg?count=no"),
        client.get("/pages/readme"),
    ] {
        request.header(purpose()).dispatch().await;
    }
    assert_eq!(not_counted(&client, "speculative").await, 3);
}

#[rocket::async_test]
async fn only_the_begin_of_a_long_name_is_looked_at() {
    let client = client(&support::database().await, Web::default()).await;
    for (before, is_bot) in [(400, true), (600, false)] {
        let name = format!("{} Googlebot/2.1", "é".repeat(before / 2));
        assert_eq!(Visitor(&name, None).visit(&client).await.1, !is_bot);
    }
}
