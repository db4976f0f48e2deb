-- What each writer (a process that counts) committed last: its batch's number, and the totals that it made.
-- A batch that is sent again after a lost connection finds here whether it was committed the first time.
CREATE TABLE writers (
    writer uuid PRIMARY KEY,
    batch bigint NOT NULL,
    -- In the order of the batch's pages.
    totals bigint[] NOT NULL
) WITH (fillfactor = 50);
