-- The settings that all replicas share, in the only row.
CREATE TABLE settings (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    -- The time zone in which days begin and end: a name that PostgreSQL knows.
    time_zone text NOT NULL DEFAULT 'UTC'
);
INSERT INTO settings DEFAULT VALUES;
