-- Views of several replicas, for bench/harness/scaling.py: each thread of wrk drives one of them. Takes how many pages
-- there are, and the replicas' ports.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(folder .. "pages.lua")
local init_pages, threads = init, 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
  init_pages(arguments)
  -- Otherwise all threads would choose the same pages.
  math.randomseed(os.time() * 1000 + number)
  wrk.thread.addr = wrk.lookup(wrk.host, arguments[2 + number % (#arguments - 1)])[1]
end
