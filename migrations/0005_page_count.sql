-- How many rows `pages` has, in the only row. Who adds a page locks it first, so that the limit on the number of pages is
-- exact. A replica of the version before adds pages without it, so each replica counts the pages again when it connects.
CREATE TABLE page_count (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    pages bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO page_count (pages) SELECT count(*) FROM pages;
