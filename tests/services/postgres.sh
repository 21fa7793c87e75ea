# Sourced: a throw-away PostgreSQL server in a folder of its own.
#
#   postgres_find                  whether the programs are installed (sets POSTGRES_BIN)
#   postgres_start DIR [durable]   starts a server in DIR/postgres; sets POSTGRES_PORT and POSTGRES_URL
#   postgres_stop                  stops exactly that server
#
# Without `durable` nothing is flushed to disk, which is right for tests and wrong for measuring. The server refuses to run
# as root, so root starts it as the `postgres` user that the Debian package makes.

# shellcheck source=tests/services/ports.sh
source "$(dirname "${BASH_SOURCE[0]}")/ports.sh"

POSTGRES_BIN=
POSTGRES_DATA=
POSTGRES_PORT=
POSTGRES_URL=

postgres_find() {
    local candidate
    # Debian keeps the server's programs out of PATH, one folder a major version: take the newest.
    candidate=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
    [[ -n $candidate ]] || candidate=$(command -v initdb || true)
    [[ -n $candidate ]] || return 1
    POSTGRES_BIN=$(dirname "$(readlink -f "$candidate")")
}

# Runs a command as a user that PostgreSQL accepts, from a folder that this user may enter.
postgres_as() {
    if [[ $(id -u) -eq 0 ]]; then
        (cd / && runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

postgres_start() {
    local dir=$1 durable=${2:-} try port options
    POSTGRES_DATA=$dir/postgres
    mkdir -p "$POSTGRES_DATA"
    chmod 0700 "$POSTGRES_DATA"
    if [[ $(id -u) -eq 0 ]]; then
        chmod 0711 "$dir"
        chown postgres "$POSTGRES_DATA"
    fi
    if ! postgres_as "$POSTGRES_BIN/initdb" --pgdata="$POSTGRES_DATA/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1; then
        echo "initdb failed:" >&2
        cat "$dir/initdb.log" >&2
        return 1
    fi
    for try in 1 2 3 4 5; do
        port=$(free_port)
        options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$POSTGRES_DATA -c max_connections=200"
        [[ $durable == durable ]] || options+=" -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        if postgres_as "$POSTGRES_BIN/pg_ctl" start --wait --silent --pgdata="$POSTGRES_DATA/data" --log="$POSTGRES_DATA/server.log" --options="$options" >/dev/null; then
            POSTGRES_PORT=$port
            POSTGRES_URL=postgres://postgres@127.0.0.1:$port/postgres
            return 0
        fi
        echo "PostgreSQL did not start on port $port (try $try of 5)" >&2
    done
    cat "$POSTGRES_DATA/server.log" >&2 || true
    return 1
}

postgres_stop() {
    [[ -n $POSTGRES_DATA ]] || return 0
    # The first line of this file is the process id of the server in our own folder, and of no other.
    if [[ -f $POSTGRES_DATA/data/postmaster.pid ]]; then
        postgres_as "$POSTGRES_BIN/pg_ctl" stop --mode=immediate --wait --silent --pgdata="$POSTGRES_DATA/data" >/dev/null || true
    fi
    POSTGRES_DATA=
}
