-- How often each page was viewed: one row per page, updated in place for ever.
CREATE TABLE pages (
    -- "C" compares bytes: the one order in which every replica locks rows, whatever the locale.
    page text COLLATE "C" PRIMARY KEY,
    views bigint NOT NULL CHECK (views >= 0)
-- Room for the next version of a row beside it keeps updates HOT: no index entry, nothing for VACUUM.
) WITH (fillfactor = 50);

-- The history: how many views a page had before its first of each UTC day. The views of a day are the difference to the
-- next, so a row is written once a day, and not with each view; and the days always add up to the page's views.
CREATE TABLE days (
    page text COLLATE "C" NOT NULL,
    day date NOT NULL,
    views_before bigint NOT NULL CHECK (views_before >= 0),
    PRIMARY KEY (page, day)
);
