# Sourced by the other pieces of this folder: free TCP ports on the loopback address, without any tool beyond bash.

# Prints a port nobody listens on, below those that the kernel hands out for outgoing connections. Another process may still
# take it first, so callers try again when a start fails.
free_port() {
    local port try
    for try in {1..100}; do
        port=$((15000 + RANDOM % 17000))
        if ! port_answers "$port"; then
            echo "$port"
            return 0
        fi
    done
    echo "no free port found in $try tries" >&2
    return 1
}

# Whether something listens on the port.
port_answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
