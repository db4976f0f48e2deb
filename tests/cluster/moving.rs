//! Views move in and out of a cluster, with the commands of docs/moving.md.

use std::fs;

use crate::compose::Cluster;
use crate::documents::commands;

const VIEWS: &str =
    "page,day,views\n/blog/new-post/,2026-01-31,5\nold-post,2026-01-31,3\nold-post,,2\n";

#[test]
#[ignore = "needs Docker"]
fn views_move_in_get_another_name_and_move_out() {
    let cluster = Cluster::with_settings("ROCKET_PAGES='[\"old-post\", \"blog/*\"]'\n");
    cluster.compose(&["up", "-d"]);
    cluster.wait_healthy();
    fs::write(cluster.folder.join("views.csv"), VIEWS).unwrap();
    let [dry_run, import, list, add] = commands("## Move in");
    assert!(
        cluster
            .run_as_written(&dry_run)
            .contains("would import 10 views of 2 pages")
    );
    assert!(
        cluster
            .run_as_written(&import)
            .contains("imported 10 views of 2 pages")
    );
    let listed = cluster.run_as_written(&list);
    assert!(
        listed.contains("blog/new-post") && listed.contains("old-post"),
        "{listed}"
    );
    assert!(
        cluster
            .run_as_written(&add)
            .contains("2 of the pages had views")
    );
    let badge = cluster.get("/badge/old-post.svg");
    assert!(badge.as_str().unwrap().contains("<title>views: 11</title>"));

    cluster.write_settings("ROCKET_PAGES='[\"blog/*\"]'\n");
    cluster.compose(&["up", "-d"]);
    cluster.wait_healthy();
    let [rename] = commands("## Rename a page");
    let said = cluster.run_as_written(&rename);
    let expected = "old-post -> blog/new-post: 21, with the 10 that blog/new-post had";
    assert!(said.contains(expected), "{said}");
    let [export] = commands("## Move out");
    cluster.run_as_written(&export);
    let csv = fs::read_to_string(cluster.folder.join("views.csv")).unwrap();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "page,day,views",
            "blog/new-post,,4",
            "blog/new-post,2026-01-31,16"
        ]
    );
    assert!(lines.len() == 4 && lines[3].ends_with(",1"), "{csv}");

    cluster.compose(&["run", "--rm", "-T", "app", "set", "blog/old", "9"]);
    let [delete] = commands("## Delete a page");
    // The page of the document is gone already.
    let delete = delete.replace("old-post", "blog/old --repeat-numbers");
    assert!(
        cluster
            .run_as_written(&delete)
            .contains("blog/old: 9 -> deleted")
    );
    let (passed, said) = cluster.check();
    assert!(passed, "{said}");
}
