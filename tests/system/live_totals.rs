//! Open streams show each new total, whichever replica counted, at little cost.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rocket::tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use rocket::tokio::net::TcpStream;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::common::{Stream, eventually, signal};
use crate::support::{self, App, binary, soon, wait};

#[test]
fn a_view_counted_by_one_replica_shows_on_the_other() {
    let url = wait(support::database());
    let [one, other] = [(); 2].map(|()| App::on(&url));
    one.wait_ready();
    other.wait_ready();
    let mut stream = Stream::open(&other.url("/live"));
    assert_eq!(stream.next(), Some(0), "the current total comes at once");
    for number in 1..=3 {
        assert_eq!(one.visit(), number);
        stream.until(number);
    }
    // A later stream begins with the current total, and both streams get the next one.
    let mut late = Stream::open(&other.url("/live"));
    assert_eq!(late.next(), Some(3));
    assert_eq!(other.visit(), 4);
    stream.until(4);
    late.until(4);
}

#[test]
fn each_stream_follows_one_page_that_is_counted() {
    let url = wait(support::database());
    let app = App::start(
        binary()
            .env("DATABASE_URL", &url)
            .env("ROCKET_PAGES", r#"["blog/*"]"#),
    );
    app.wait_ready();
    assert_eq!(app.get("/live/other").status_code, 404);
    let mut blog = Stream::open(&app.url("/live/blog/a"));
    let mut home = Stream::open(&app.url("/live"));
    assert_eq!((blog.next(), home.next()), (Some(0), Some(0)));
    assert_eq!(app.visit(), 1);
    home.until(1);
    app.get("/badge/blog/a.svg");
    assert_eq!(blog.next(), Some(1), "and no message about the other page");
    assert_eq!(wait(support::rows(&url)), 2);
}

#[test]
fn after_the_last_stream_closes_nothing_listens() {
    let url = wait(support::database());
    let app = App::on(&url);
    app.wait_ready();
    let listeners = || {
        wait(async {
            // What only a listener asks here.
            let reading = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND query LIKE '%page = ANY ($1)%'
                    AND pid <> pg_backend_pid()";
            let mut admin = support::connect(&url).await;
            sqlx::query_scalar::<_, i64>(reading)
                .fetch_one(&mut admin)
                .await
                .unwrap()
        })
    };
    let mut stream = Stream::open(&app.url("/live"));
    assert_eq!(stream.next(), Some(0));
    assert_eq!(listeners(), 1);
    drop(stream);
    // The page is still viewed meanwhile, though nobody follows it.
    eventually("the end of listening", || {
        app.visit();
        listeners() == 0
    });
}

#[test]
fn many_views_are_a_few_messages() {
    let app = App::on(wait(support::database()));
    app.wait_ready();
    let mut stream = Stream::open(&app.url("/live"));
    assert_eq!(stream.next(), Some(0));
    let begun = Instant::now();
    let views = 400;
    let messages = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut messages = 1;
            while stream.next().unwrap() != views {
                messages += 1;
            }
            messages
        });
        for _ in 0..views {
            app.visit();
        }
        reader.join().unwrap()
    });
    // At most four messages a second, and the first one.
    let most = begun.elapsed().as_millis() / 250 + 1;
    assert!(messages <= most, "{messages} messages, at most {most}");
}

#[test]
fn streams_go_on_after_the_database_was_away() {
    let server = private_postgres::PrivatePostgres::ephemeral().unwrap();
    let app = App::on(server.url("pageviews"));
    app.wait_ready();
    let mut stream = Stream::open(&app.url("/live"));
    assert_eq!(stream.next(), Some(0));
    for number in 1..=2 {
        signal(server.processes().unwrap()[0], "KILL");
        eventually("the restart", || server.restart().is_ok());
        assert_eq!(app.visit(), number);
        stream.until(number);
    }
}

#[test]
fn open_streams_do_not_delay_the_programs_end() {
    let mut app = App::on(wait(support::database()));
    app.wait_ready();
    let mut streams: Vec<_> = (0..50).map(|_| Stream::open(&app.url("/live"))).collect();
    for stream in &mut streams {
        assert_eq!(stream.next(), Some(0));
    }
    let begun = Instant::now();
    signal(app.id(), "TERM");
    for stream in &mut streams {
        while stream.next().is_some() {}
    }
    // The streams end by themselves. Else Rocket would cut them off after a grace period of 2 s.
    assert!(
        begun.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(app.ended().code(), Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

/// Opens `count` streams on connections of their own, as a proxy does that speaks HTTP/1.1, and
/// reads the first message of each.
async fn open_many(app: &App, count: usize) -> Vec<BufReader<TcpStream>> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let connect = TcpStream::connect(&app.address);
        let mut stream = soon("a connection", connect).await.unwrap();
        let request = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request).await.unwrap();
        streams.push(BufReader::new(stream));
    }
    for stream in &mut streams {
        read_until(stream, "data:").await;
    }
    streams
}

/// Reads until a line begins with `start`.
async fn read_until(stream: &mut BufReader<TcpStream>, start: &str) {
    soon(start, async {
        let mut line = String::new();
        while !line.starts_with(start) {
            line.clear();
            assert!(
                stream.read_line(&mut line).await.unwrap() > 0,
                "an early end"
            );
        }
    })
    .await;
}

#[rocket::async_test]
async fn a_thousand_streams_cost_less_than_40_mib() {
    // This process has the other ends of the connections.
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let binary = binary();
    let variables = binary
        .get_envs()
        .filter_map(|(key, value)| Some((key, value?)));
    let app = App::start(
        // The program raises this limit by itself.
        Command::new("sh")
            .args(["-c", "ulimit -Sn 256 && exec \"$0\""])
            .arg(binary.get_program())
            .env_clear()
            .envs(variables)
            .env("DATABASE_URL", support::database().await)
            .env("ROCKET_LIVE", "{streams=1100,streams_per_client=1100}")
            // As in the image. Otherwise the allocator takes a third more.
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
    );
    app.wait_ready();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", app.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<i64>().unwrap()
    };
    // The first requests allocate memory that later ones reuse.
    drop(open_many(&app, 50).await);
    app.visit();
    let before = memory();
    let mut streams = open_many(&app, 1000).await;
    let number = app.visit();
    for stream in &mut streams {
        read_until(stream, &format!("data:{number}\n")).await;
    }
    let cost = memory() - before;
    println!("1,000 streams: {cost} KiB");
    assert!(cost < 40 * 1024, "{cost} KiB");
}

#[test]
fn a_slow_reader_misses_only_old_totals() {
    let app = App::on(wait(support::database()));
    app.wait_ready();
    let mut lazy = Stream::open(&app.url("/live"));
    assert_eq!(lazy.next(), Some(0));
    for _ in 0..300 {
        app.visit();
    }
    // The stream holds some of the totals, in order, and ends with the newest.
    let mut last = 0;
    while last != 300 {
        let next = lazy.next().unwrap();
        assert!(next > last);
        last = next;
    }
}
