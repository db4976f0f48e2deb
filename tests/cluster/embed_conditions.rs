//! The script for other sites: where it runs, when it counts, and what it costs a site.

use std::fs;

use crate::chromium::Undriven;
use crate::common::{header, or_skip};
use crate::compose::Cluster;
use crate::site::{SITE, Site, counts, line};

/// The longest script that a site should have to load, in bytes, compressed.
const MAX_SIZE: usize = 3_000;

/// Hosts of this machine and of private networks.
const PRIVATE: [&str; 16] = [
    "localhost",
    "localhost.",
    "site.localhost",
    "printer.local",
    "0.0.0.0",
    "127.0.0.1",
    "127.1.2.3",
    "10.1.2.3",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.1",
    "192.168.0.1",
    "[::]",
    "[::1]",
    "[fd00::1]",
    "[fe80::1]",
];

/// Hosts that look a little like those.
const PUBLIC: [&str; 6] = [
    SITE,
    "10.example.com",
    "local.example.com",
    "172.15.0.1",
    "172.32.0.1",
    "192.169.0.1",
];

/// A script of a page that returns when `count.js` has done what it might do: after the page has
/// done the same twice. Each time counts a view of `control`.
fn control(counter: &str) -> String {
    format!(
        r#"const control = async () => {{
          for (const _ of [1, 2]) {{
            await fetch("{counter}/api/pages/control", {{method: "POST"}});
            await fetch("{counter}/api/pages?page=control");
          }}
        }};"#
    )
}

#[test]
#[ignore = "needs Docker"]
fn the_script_is_small_and_every_site_may_load_it() {
    let cluster = Cluster::up(&[]);
    let script = cluster.get("/count.js");
    for (name, value) in [
        ("content-type", "text/javascript"),
        ("cache-control", "max-age=3600"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
    ] {
        assert_eq!(header(&script, name).as_deref(), Some(value), "{name}");
    }
    let compressed = minreq::get(cluster.url("/count.js")).with_header("Accept-Encoding", "gzip");
    let compressed = compressed.with_timeout(20).send().unwrap();
    let coding = header(&compressed, "content-encoding");
    assert_eq!(coding.as_deref(), Some("gzip"));
    assert!(compressed.as_bytes().len() < MAX_SIZE, "it is too long");
}

#[test]
#[ignore = "needs Docker"]
fn nothing_happens_at_home() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["*"]"#)]);
    let counter = cluster.url("");
    let script = line(&counter, "").replace("async ", "") + "<i data-views>kept</i>";
    let control = control(&counter);
    let site = Site::serve(vec![
        (
            "/private",
            format!(
                r#"{script}<script>{control}addEventListener("load", async () => {{
                  await control();
                  say("at " + location.hostname + ": " + document.querySelector("i").textContent);
                }});</script>"#
            ),
        ),
        (
            "/public",
            format!(
                r#"{script}<script>(async () => {{
                  while (document.querySelector("i").textContent === "kept") {{
                    await new Promise(next => setTimeout(next, 20));
                  }}
                  say("at " + location.hostname + ": counted");
                }})();</script>"#
            ),
        ),
    ]);
    let at = |host: &str, path: &str| site.url(path).replace(SITE, host);
    let private = PRIVATE.map(|host| at(host, "/private"));
    let public = PUBLIC.map(|host| at(host, "/public"));
    let frames = private.iter().chain(&public);
    let frames: String = frames
        .map(|url| format!("<iframe src='{url}'></iframe>"))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let say = site.url("/say?at file: ");
    let page = format!(
        r#"<!doctype html>{script}{frames}<script>{control}addEventListener("load", async () => {{
          await control();
          fetch("{say}" + document.querySelector("i").textContent, {{mode: "no-cors"}});
        }});</script>"#
    );
    fs::write(&file, page).unwrap();
    let browser = Undriven::start(
        &format!("file://{}", file.display()),
        [site.port, cluster.http_port],
    );
    let Some(_browser) = or_skip("the script for other sites, at home", browser) else {
        return;
    };
    for host in PRIVATE.iter().chain(&["file"]) {
        assert_eq!(site.wait_for(&format!("at {host}: ")), "kept", "{host}");
    }
    for host in PUBLIC {
        assert_eq!(site.wait_for(&format!("at {host}: ")), "counted", "{host}");
    }
    let controls = 2 * (PRIVATE.len() as i64 + 1);
    assert_eq!(
        cluster.counts(),
        counts(&[("control", controls), ("public", PUBLIC.len() as i64)])
    );
}

#[test]
#[ignore = "needs Docker"]
fn a_page_counts_when_it_is_first_shown() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["*"]"#)]);
    let counter = cluster.url("");
    // As in a tab in the background.
    let hide = r#"<script>let isHidden = true;
      Object.defineProperty(document, "hidden", {get: () => isHidden});</script>"#;
    let script = line(&counter, "").replace("async ", "");
    let control = control(&counter);
    let page = format!(
        r#"{hide}{script}<i data-views>kept</i><script>{control}
        addEventListener("load", async () => {{
          const element = document.querySelector("i");
          await control();
          history.pushState(null, "", "/second");
          await control();
          await say("hidden: " + element.textContent);
          isHidden = false;
          document.dispatchEvent(new Event("visibilitychange"));
          while (element.textContent === "kept") {{
            await new Promise(next => setTimeout(next, 20));
          }}
          await control();
          say("shown: " + element.textContent);
        }});</script>"#
    );
    let site = Site::serve(vec![("/first", page)]);
    let browser = Undriven::start(&site.url("/first"), [site.port, cluster.http_port]);
    let Some(_browser) = or_skip("a page in the background", browser) else {
        return;
    };
    assert_eq!(site.wait_for("hidden: "), "kept");
    assert_eq!(site.wait_for("shown: "), "1");
    // Nobody has seen the first one.
    assert_eq!(cluster.counts(), counts(&[("control", 6), ("second", 1)]));
}

#[test]
#[ignore = "needs Docker"]
fn many_numbers_are_few_requests() {
    let cluster = Cluster::up(&[("ROCKET_PAGES", r#"["*"]"#)]);
    let script = line(&cluster.url(""), "");
    let page = |names: usize, then: &str| {
        let elements: String = (0..names)
            .map(|name| format!("<i data-views=blog/{name}></i><i data-views-today></i>"))
            .collect();
        format!(
            r#"{script}{elements}<script>(async () => {{
              const empty = () => [...document.querySelectorAll("i")].some(i => !i.textContent);
              while (empty()) await new Promise(next => setTimeout(next, 20));
              const loaded = performance.getEntriesByType("resource").map(({{name}}) => name);
              const requests = loaded.filter(name => name.includes("/api/pages?page="));
              await say("{names} names: " + requests.length);
              {then}
            }})();</script>"#
        )
    };
    let site = Site::serve(vec![
        // With the page's own name they are as many as one request has room for.
        ("/few", page(99, "location.href = '/many';")),
        ("/many", page(100, "")),
    ]);
    let browser = Undriven::start(&site.url("/few"), [site.port, cluster.http_port]);
    let Some(_browser) = or_skip("a page with many numbers", browser) else {
        return;
    };
    assert_eq!(site.wait_for("99 names: "), "1");
    assert_eq!(site.wait_for("100 names: "), "2");
}
