//! The tables do not grow with the number of views.

use crate::support;
use crate::support::engine::engine;

#[rocket::async_test]
#[ignore = "takes minutes: cargo test --test system -- --ignored"]
async fn tables_stay_small_under_a_million_batches() {
    let url = support::database().await;
    let mut admin = support::connect(&url).await;
    let writer = uuid::Uuid::new_v4();
    drop(engine(&url).await);
    let mut connection = support::connect(&url).await;
    // Flushing the log later saves time and does not change the size of the tables.
    sqlx::raw_sql("SET synchronous_commit = off")
        .execute(&mut connection)
        .await
        .unwrap();
    let before: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    for number in 1..=1_000_000 {
        pageviews::counter::ledger::add(&mut connection, writer, number, &["/"], &[64], true)
            .await
            .unwrap();
    }
    let wal: i64 =
        sqlx::query_scalar("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::bigint")
            .bind(before)
            .fetch_one(&mut admin)
            .await
            .unwrap();
    let sizes = "SELECT sum(pg_relation_size(c.oid))::bigint FROM pg_class c
                 WHERE relname IN ('pages', 'days', 'writers')";
    let bytes: i64 = sqlx::query_scalar(sizes)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    sqlx::query("SELECT pg_stat_clear_snapshot()")
        .execute(&mut admin)
        .await
        .unwrap();
    let hot = "SELECT min(n_tup_hot_upd::float8 / n_tup_upd) FROM pg_stat_user_tables
               WHERE n_tup_upd > 1000";
    let hot: f64 = sqlx::query_scalar(hot).fetch_one(&mut admin).await.unwrap();
    println!(
        "after 1 M batches: {bytes} bytes of tables, {wal} bytes of WAL, {:.2} % of updates HOT",
        100.0 * hot
    );
    assert!(bytes < 1_000_000, "{bytes}");
    assert!(hot > 0.99, "{hot}");
}
