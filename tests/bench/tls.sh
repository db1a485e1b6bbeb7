#!/bin/sh
# TLS in figures: records, handshakes, relayed frames, keystrokes during a storm of
# handshakes, with and without worker_priority; nginx terminating the same TLS in the same
# run. As root, about three minutes.
#   sh tests/bench/tls.sh
set -eu
cd "$(dirname "$0")/../.."
seconds=8
tmp=$(mktemp -d)
lab=/run/tgw/lab
children=""
stop() {
    for p in $children; do kill "$p" 2>/dev/null || true; done
    sh platform/lab/run.sh --stop >/dev/null 2>&1 || true
    rm -rf "$tmp"
}
trap stop EXIT
trap 'exit 1' INT TERM

echo "== one thread"
build/tests/bench/bench-tls
echo "== one thread, relayed frames: plain, then TLS on the browsers' leg"
sh platform/lab/certificates.sh "$tmp/tls"
for n in 100 1000; do
    build/tests/bench/bench-inside $n echo 64 2000 0 2>/dev/null
    build/tests/bench/bench-inside $n echo 64 2000 0 "$tmp/tls" 2>/dev/null
done

ticks=$(getconf CLK_TCK)

# cpu PID [TID]: ticks used so far.
cpu() {
    awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/${2:+task/$2/}stat"
}
typing() { # NAMESPACE URL CA [TOKEN]
    namespace=$1
    shift
    ip netns exec "$namespace" chrt -f 10 /usr/bin/python3 tests/bench/keystroke.py "$1" "$2" $seconds ${3:+"$3"}
}
storm() { # NAMESPACE ADDRESS
    storming=""
    for i in 1 2; do
        ip netns exec "$1" nice -n 19 openssl s_time -connect "$2" -new -time $((seconds + 1)) -tls1_3 \
            >"$tmp/storm$i" 2>&1 &
        storming="$storming $!"
        children="$children $!"
    done
}
handshakes() {
    awk '/ real seconds/ { n += $1 } END { print n }' "$tmp/storm1" "$tmp/storm2"
}
token() {
    build/tgwctl token mint --allocation lab | cut -d' ' -f2
}
rate() { # HANDSHAKES TICKS
    awk -v n="$1" -v t="$2" -v hz="$ticks" 'BEGIN { if (t) printf "%d", n * hz / t }'
}

resumed() { # NAMESPACE ADDRESS CA
    ip netns exec "$1" /usr/bin/python3 tests/bench/handshakes.py "$2" "$3" 4 resumed
}

# measure PRIORITY: a lab with it; sets quiet, stormy, shaken, shaken_a_s.
measure() {
    TERMINAL_GATEWAY_WORKER_PRIORITY=$1 sh platform/lab/run.sh --detach --no-build --agent-program echo >/dev/null
    # What stands for people and nodes is not to wait for the storm's clients.
    chrt -f -p 10 "$(cat $lab/agent.pid)"
    gateway=$(cat $lab/dataplane.pid)
    thread=$(grep -l tgw-tls-0 /proc/"$gateway"/task/*/comm | cut -d/ -f5)
    url=wss://198.18.0.2/ws/terminal/lab
    quiet=$(typing tgw-client $url $lab/tls/ca.pem "$(token)")
    storm tgw-client 198.18.0.2:443
    before=$(cpu "$gateway" "$thread")
    stormy=$(typing tgw-client $url $lab/tls/ca.pem "$(token)")
    # shellcheck disable=SC2086 # process ids
    wait $storming || true
    shaken=$(handshakes)
    shaken_a_s=$(rate "$shaken" $(($(cpu "$gateway" "$thread") - before)))
}

measure 5
fifo_quiet=$quiet fifo_storm=$stormy fifo_rate=$shaken_a_s fifo_done=$shaken
measure 0
gateway_quiet=$quiet gateway_storm=$stormy gateway_rate=$shaken_a_s gateway_done=$shaken
before=$(cpu "$gateway" "$thread")
count=$(resumed tgw-client 198.18.0.2:443 $lab/tls/ca.pem)
gateway_resumed=$(rate "$count" $(($(cpu "$gateway" "$thread") - before)))

ip netns exec tgw-node build/tgw-agent --insecure-no-grant --program echo --listen 127.0.0.1:7690 >/dev/null &
children="$children $!"
chrt -f -p 10 $!
cat >"$tmp/nginx.conf" <<NGINX
user root; worker_processes 1; daemon off; pid $tmp/nginx.pid; error_log $tmp/nginx.log;
events { worker_connections 10000; }
http {
  access_log off; client_body_temp_path $tmp/b; proxy_temp_path $tmp/p; fastcgi_temp_path $tmp/f;
  uwsgi_temp_path $tmp/u; scgi_temp_path $tmp/s;
  server {
    listen 127.0.0.1:8443 ssl; ssl_protocols TLSv1.3; ssl_session_cache off;
    ssl_certificate $lab/tls/gateway.pem; ssl_certificate_key $lab/tls/gateway.key;
    location / { proxy_pass http://127.0.0.1:7690; proxy_http_version 1.1; proxy_buffering off;
      proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection upgrade; }
  }
}
NGINX
ip netns exec tgw-node nginx -c "$tmp/nginx.conf" &
children="$children $!"
sleep 1
worker=$(pgrep -P "$(cat "$tmp/nginx.pid")")
url="wss://127.0.0.1:8443/v1/terminal/lab?mode=raw&cols=80&rows=24"
before=$(cpu "$worker")
nginx_quiet=$(typing tgw-node "$url" $lab/tls/ca.pem)
nginx_frame=$(awk -v t=$(($(cpu "$worker") - before)) -v hz="$ticks" -v n="${nginx_quiet##* }" \
    'BEGIN { printf "%.1f", t * 1e6 / hz / n / 2 }')
storm tgw-node 127.0.0.1:8443
before=$(cpu "$worker")
nginx_storm=$(typing tgw-node "$url" $lab/tls/ca.pem)
# shellcheck disable=SC2086 # process ids
wait $storming || true
nginx_rate=$(rate "$(handshakes)" $(($(cpu "$worker") - before)))
before=$(cpu "$worker")
count=$(resumed tgw-node 127.0.0.1:8443 $lab/tls/ca.pem)
nginx_resumed=$(rate "$count" $(($(cpu "$worker") - before)))
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$worker/status"; }
held=500
before=$(rss)
ip netns exec tgw-node /usr/bin/python3 tests/bench/handshakes.py 127.0.0.1:8443 $lab/tls/ca.pem hold $held \
    "/v1/terminal/lab?mode=raw&cols=80&rows=24" >"$tmp/held" &
children="$children $!"
tries=0
until grep -q held "$tmp/held"; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { echo "tls.sh: nginx does not hold $held connections" >&2; break; }
    sleep 0.2
done
nginx_bytes=$((($(rss) - before) * 1024 / held))

# row TITLE GATEWAY GATEWAY-WITH-PRIORITY NGINX
row() {
    printf '%-42s %-18s %-18s %s\n' "$@"
}
# p99 in the storm by p99 in quiet
ratio() {
    echo "$1 $2" | awk '{ printf "%.1f", $5 / $2 }'
}
echo "== side by side (keystroke round trips in us: p50 p99 count)"
row "" gateway worker_priority "nginx (with accept and close)"
row "keystroke, quiet" "$gateway_quiet" "$fifo_quiet" "$nginx_quiet"
row "keystroke, storm of full handshakes" "$gateway_storm" "$fifo_storm" "$nginx_storm"
row "p99 in the storm, times p99 in quiet" "$(ratio "$gateway_quiet" "$gateway_storm")" \
    "$(ratio "$fifo_quiet" "$fifo_storm")" "$(ratio "$nginx_quiet" "$nginx_storm")"
row "full handshakes of that storm" "$gateway_done" "$fifo_done" "$(handshakes)"
row "full handshakes a second of CPU" "$gateway_rate" "$fifo_rate" "$nginx_rate"
row "resumed handshakes a second of CPU" "$gateway_resumed" "" "$nginx_resumed"
row "resident bytes an idle relayed connection" "bench-inside: 874" "" "$nginx_bytes"
row "CPU a frame, one at a time, us" "see above: cycles" "" "$nginx_frame"
