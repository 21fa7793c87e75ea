# Sourced by the other pieces of this folder: free TCP ports on the loopback address, without any tool beyond bash.

# Prints a port nobody listens on. Another process may still take it first, so callers try again when a start fails.
free_port() {
    local port try
    for try in {1..100}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return 0
        fi
    done
    echo "no free port found in $try tries" >&2
    return 1
}

# Waits until PORT accepts connections, for at most SECONDS: wait_for_port PORT SECONDS
wait_for_port() {
    local port=$1 tenths=$(($2 * 10))
    while ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        ((tenths-- > 0)) || return 1
        sleep 0.1
    done
}
