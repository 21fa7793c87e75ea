# Sourced, after ports.sh: Realmgate itself, as built, on a free port with a folder of its own.
#
#   service_start PROGRAM DIR [VARIABLE=VALUE…]   starts it; sets SERVICE_URL
#   service_stop                                  stops exactly that process, the way an operator would

SERVICE_PID=
SERVICE_URL=

service_start() {
    local program=$1 dir=$2 port try tenths name
    local -a unset_ours=()
    shift 2
    # A test's service knows nothing of the settings of whoever runs the test.
    for name in "${!REALMGATE_@}"; do
        unset_ours+=(-u "$name")
    done
    mkdir -p "$dir"
    for try in 1 2 3 4 5; do
        port=$(free_port)
        (cd "$dir" && exec env ${unset_ours[@]+"${unset_ours[@]}"} "REALMGATE_LISTEN=127.0.0.1:$port" "$@" "$program" >"$dir/service.out" 2>"$dir/service.err") &
        SERVICE_PID=$!
        for ((tenths = 0; tenths < 300; tenths++)); do
            if grep -q '^Realmgate is ready' "$dir/service.err" 2>/dev/null; then
                SERVICE_URL=http://127.0.0.1:$port
                return 0
            fi
            kill -0 "$SERVICE_PID" 2>/dev/null || break
            sleep 0.1
        done
        service_stop || true
        # Another process may have taken the port in the meantime; anything else is worth no other try.
        grep -q "can't listen" "$dir/service.err" || break
    done
    echo "the service did not start:" >&2
    tail -n 20 "$dir/service.err" >&2
    return 1
}

service_stop() {
    [[ -n $SERVICE_PID ]] || return 0
    local code=0
    kill -TERM "$SERVICE_PID" 2>/dev/null || true
    wait "$SERVICE_PID" 2>/dev/null || code=$?
    SERVICE_PID=
    return "$code"
}
