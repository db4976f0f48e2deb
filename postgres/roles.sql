-- The roles of the cluster. The service `roles` runs this as the superuser `pageviews` at every
-- `up`, so existing clusters get these roles too, and a changed password takes effect.
--
--   pageviews_owner    owns the tables and migrates them
--   pageviews_app      counts: `pageviews migrate` grants it what that takes
--   pageviews_backup   reads
\set ON_ERROR_STOP on
\set superuser_password `cat /run/secret/pageviews/database-password`
\set owner_password `cat /run/secret/pageviews_owner/database-password`
\set app_password `cat /run/secret/pageviews_app/database-password`
\set backup_password `cat /run/secret/pageviews_backup/database-password`

BEGIN;
-- The statements below hold passwords. So they enter neither the server's log, whatever its
-- settings are, nor the list of what runs.
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';
SET LOCAL track_activities = off;
-- Two of these at the same time would disturb each other. The lock ends with the session.
SELECT pg_advisory_lock(8097864);

-- A new role may log in, and nothing else.
SELECT format('CREATE ROLE %I LOGIN', wanted)
FROM unnest('{pageviews_owner, pageviews_app, pageviews_backup}'::text[]) AS wanted
WHERE to_regrole(wanted) IS NULL \gexec
ALTER ROLE pageviews PASSWORD :'superuser_password';
ALTER ROLE pageviews_owner PASSWORD :'owner_password';
-- Of the server's 100 connections some remain for the other roles.
ALTER ROLE pageviews_app CONNECTION LIMIT 90 PASSWORD :'app_password';
ALTER ROLE pageviews_backup PASSWORD :'backup_password';

-- Everybody could connect to any database, and make temporary tables there.
REVOKE ALL ON DATABASE pageviews, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE pageviews TO pageviews_owner, pageviews_app, pageviews_backup;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO pageviews_owner;

-- Not the role pg_read_all_data, which may read the hashes of the passwords too.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO pageviews_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO pageviews_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE pageviews_owner GRANT SELECT ON TABLES TO pageviews_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE pageviews_owner GRANT SELECT ON SEQUENCES TO pageviews_backup;
COMMIT;

-- A change of owner waits for everybody who uses the table, and then everybody waits for it. Each
-- change is a transaction of its own: with two tables locked, it could wait for a view that waits
-- for it.
SET lock_timeout = '5s';
-- What the superuser made: the tables of a cluster from before these roles, or of its backup.
SELECT format('ALTER TABLE %s OWNER TO pageviews_owner', oid::regclass) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
    AND relowner <> 'pageviews_owner'::regrole \gexec
SELECT format('ALTER ROUTINE %s OWNER TO pageviews_owner', oid::regprocedure) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proowner <> 'pageviews_owner'::regrole \gexec
