-- The last day on which each page has views, and how many views the page had before it, as in `days`. The statement that
-- counts compares the day of the clock with this one. So it opens no day before a later one, whatever the clock says, and a
-- batch looks into `days` only when it opens a day.
ALTER TABLE pages
    ADD COLUMN last_day date,
    ADD COLUMN views_before_last_day bigint NOT NULL DEFAULT 0 CHECK (views_before_last_day >= 0);

-- A clock that was ahead and then corrected has left days that begin with fewer views than days before them, whose views
-- would be negative. These days now begin with as many views as the later day, and so have none.
UPDATE days SET views_before = later.fewest
FROM (
    SELECT page, day, min(views_before) OVER (PARTITION BY page ORDER BY day DESC) AS fewest FROM days
) AS later
WHERE later.page = days.page AND later.day = days.day AND later.fewest < days.views_before;

UPDATE pages SET last_day = last.day, views_before_last_day = last.views_before
FROM (SELECT DISTINCT ON (page) * FROM days ORDER BY page, day DESC) AS last
WHERE last.page = pages.page;
