//! What a role may do that counts but does not own the tables.

use sqlx::{AssertSqlSafe, PgConnection};

/// Lets `role` use the tables that the role of `connection` will make. This comes before the
/// migrations, because replicas that run may use a new table at once, through a trigger.
///
/// # Errors
/// There is no such role, or the database did not answer.
pub async fn on_new_tables(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let grant = "SELECT format(
        'ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE ON TABLES TO %I', $1)";
    execute(connection, grant, role).await
}

/// Lets `role` use the tables that exist. It may only read which migrations were applied.
///
/// # Errors
/// There is no such role, or the database did not answer.
pub async fn on_all_tables(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let grant = "SELECT format(
        'GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA %2$I TO %1$I;
         REVOKE INSERT, UPDATE ON _sqlx_migrations FROM %1$I', $1, current_schema())";
    execute(connection, grant, role).await
}

/// Executes the statements that `format` makes of `role`: GRANT takes no parameters.
async fn execute(
    connection: &mut PgConnection,
    format: &'static str,
    role: &str,
) -> Result<(), sqlx::Error> {
    let statements: String = sqlx::query_scalar(format)
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await?;
    Ok(())
}
