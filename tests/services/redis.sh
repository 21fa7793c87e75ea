# Sourced: a throw-away Redis server that keeps nothing on disk.
#
#   redis_find         whether the program is installed
#   redis_start DIR    starts it; sets REDIS_URL
#   redis_stop         stops exactly that process

# shellcheck source=tests/services/ports.sh
source "$(dirname "${BASH_SOURCE[0]}")/ports.sh"

REDIS_PID=
REDIS_URL=

redis_find() {
    command -v redis-server >/dev/null
}

redis_start() {
    local dir=$1 try port tenths
    for try in 1 2 3 4 5; do
        port=$(free_port)
        redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" >"$dir/redis.log" 2>&1 &
        REDIS_PID=$!
        # A port that answers isn't enough, it could be somebody else's: ours must run as well.
        for ((tenths = 0; tenths < 50; tenths++)); do
            kill -0 "$REDIS_PID" 2>/dev/null || break
            if port_answers "$port"; then
                REDIS_URL=redis://127.0.0.1:$port
                return 0
            fi
            sleep 0.1
        done
        echo "Redis did not start on port $port (try $try of 5)" >&2
        redis_stop
    done
    cat "$dir/redis.log" >&2
    return 1
}

redis_stop() {
    [[ -n $REDIS_PID ]] || return 0
    kill "$REDIS_PID" 2>/dev/null || true
    wait "$REDIS_PID" 2>/dev/null || true
    REDIS_PID=
}
