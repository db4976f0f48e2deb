//! A page gets another name, and a page is forgotten.

use crate::importing::{days, import, is_sound, run};
use crate::support::{self, App, wait};

#[test]
fn a_page_gets_another_name_and_its_days_go_with_it() {
    let url = wait(support::database());
    let before = "page,day,views\nblog/new,,5\nblog/new,2026-01-02,3\nreadme,2026-01-01,1\n\
                  readme,2026-01-02,2\n";
    assert_eq!(import(&url, before, &[]).0, 0);
    let (code, said) = run(&url, &["rename", "readme", "blog/new"]);
    assert!(code == 1 && said.contains("begin again at 1"), "{said}");
    let rename = |old, new| run(&url, &["rename", old, new, "--repeat-numbers"]);
    assert_eq!(
        rename("readme", "blog/a"),
        (0, "readme -> blog/a: 3".into())
    );
    assert_eq!(
        days(&url)[..2],
        ["blog/a,2026-01-01,1", "blog/a,2026-01-02,2"]
    );
    is_sound(&url);
    assert_eq!(
        rename("/blog/a/", "blog/new"),
        (
            0,
            "blog/a -> blog/new: 11, with the 8 that blog/new had".into()
        )
    );
    assert_eq!(
        days(&url),
        [
            "blog/new,,5",
            "blog/new,2026-01-01,1",
            "blog/new,2026-01-02,5"
        ]
    );
    is_sound(&url);
    for (old, new, part) in [
        ("blog/a", "blog/new", "there is no page blog/a"),
        ("blog/new", "other", "other is not counted"),
        ("blog/new", "blog//new", "the same page"),
    ] {
        let (code, said) = rename(old, new);
        assert!(code == 1 && said.contains(part), "{part}: {said}");
    }
    // Without the flag, if the old name is not counted any more.
    wait(async {
        sqlx::query("INSERT INTO pages VALUES ('old', 9)")
            .execute(&mut support::connect(&url).await)
            .await
            .unwrap()
    });
    let moved = run(&url, &["rename", "old", "blog/b"]);
    assert_eq!(moved, (0, "old -> blog/b: 9".into()));
    is_sound(&url);
}

#[test]
fn a_page_can_be_forgotten() {
    let url = wait(support::database());
    assert_eq!(
        import(
            &url,
            "page,day,views\nreadme,2026-01-01,4\nblog/a,,1\n",
            &[]
        )
        .0,
        0
    );
    let (code, said) = run(&url, &["delete", "readme"]);
    assert!(code == 1 && said.contains("--repeat-numbers"), "{said}");
    let delete = || run(&url, &["delete", "readme", "--repeat-numbers"]);
    assert_eq!(delete(), (0, "readme: 4 -> deleted".into()));
    assert_eq!(days(&url), ["blog/a,,1"]);
    let (code, said) = delete();
    assert!(
        code == 1 && said.contains("there is no page readme"),
        "{said}"
    );
    is_sound(&url);
}

#[test]
fn a_page_that_is_deleted_while_it_is_counted_begins_again() {
    let url = wait(support::database());
    let app = App::on(&url);
    app.wait_ready();
    assert_eq!((app.visit(), app.visit()), (1, 2));
    assert_eq!(run(&url, &["delete", "/", "--repeat-numbers"]).0, 0);
    assert_eq!((app.visit(), app.visit()), (1, 2));
}
