-- Views of pages that are chosen at random, for bench/harness/load.py: as many pages as the argument says.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "report.lua")

local pages, before, after

function init(arguments)
  pages = tonumber(arguments[1])
  -- Otherwise each run would choose the pages of the run before.
  math.randomseed(os.time())
  before, after = wrk.format("POST", "/api/pages/p/@", nil, ""):match("^(.-)@(.*)$")
end

function request()
  -- Seven digits, whatever the number of pages: all requests are of one length.
  return before .. 1000000 + math.random(pages) .. after
end
