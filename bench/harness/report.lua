-- What wrk prints when it is done, for bench/harness/load.py. No other hook is defined: each would cost time per request.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "bytes": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    e.connect, e.read, e.write, e.timeout, e.status))
end
