//! Views are imported while visitors come.

use std::fs;
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use crate::common::eventually;
use crate::importing::{PAGES, is_sound, run};
use crate::support::{self, App, binary, deployed, wait};

/// How many pages the file has, with one view each.
const FILE: i64 = 20_000;

/// An import of the pages `blog/0`, `blog/1` and so on, which has begun.
fn begin(url: &str, folder: &tempfile::TempDir) -> Child {
    let lines: String = (0..FILE)
        .map(|n| format!("blog/{n},2026-01-01,1\n"))
        .collect();
    let file = folder.path().join("views.csv");
    fs::write(&file, format!("page,day,views\n{lines}")).unwrap();
    let mut import = binary();
    import.args(["import", "--add"]).arg(file);
    import.env("DATABASE_URL", url).env("ROCKET_PAGES", PAGES);
    import.spawn().unwrap()
}

#[test]
fn visits_of_other_pages_go_on() {
    let (url, folder) = (wait(support::database()), tempfile::tempdir().unwrap());
    let app = App::on(&url);
    app.wait_ready();
    assert_eq!(app.visit(), 1);
    let mut import = begin(&url, &folder);
    let mut last = 1;
    eventually("the end of the import", || {
        last += 1;
        assert_eq!(app.visit(), last);
        import.try_wait().unwrap().is_some()
    });
    assert!(import.wait().unwrap().success());
    assert_eq!(run(&url, &["get", "/"]), (0, last.to_string()));
    assert_eq!(wait(support::rows(&url)), FILE + 1);
    is_sound(&url);
}

/// Replicas make the pages that the import makes.
#[test]
fn visits_of_new_pages_end_no_import_and_none_is_lost() {
    let (url, folder) = (wait(support::database()), tempfile::tempdir().unwrap());
    let replicas = [(); 2].map(|()| App::start(deployed(&url).env("ROCKET_PAGES", PAGES)));
    for replica in &replicas {
        replica.wait_ready();
    }
    let mut import = begin(&url, &folder);
    let (attempted, acknowledged) = (AtomicI64::new(0), AtomicI64::new(0));
    let over = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        let (attempted, acknowledged) = (&attempted, &acknowledged);
        let over = &over;
        for (visitor, replica) in replicas.iter().chain(&replicas).enumerate() {
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let n = attempted.fetch_add(1, Ordering::Relaxed);
                    // The pages are imported in the order of their names, and 9 comes last.
                    let path = match visitor {
                        0 | 1 => format!("/badge/blog/{}.svg", (FILE - 1 - n % FILE) / 2),
                        _ => format!("/badge/blog/new-{n}.svg"),
                    };
                    let counted = replica.get(&path).status_code == 200;
                    acknowledged.fetch_add(counted.into(), Ordering::Relaxed);
                }
            });
        }
        let ended = import.wait().unwrap();
        over.store(true, Ordering::Relaxed);
        ended
    });
    assert!(ended.success());
    let counts = wait(support::counts(&url));
    let counted = counts.values().sum::<i64>() - FILE;
    let (attempted, acknowledged) = (attempted.into_inner(), acknowledged.into_inner());
    assert!(acknowledged > 0 && (acknowledged..=attempted).contains(&counted));
    assert!((0..FILE).all(|n| counts[&format!("blog/{n}")] >= 1));
    is_sound(&url);
}
