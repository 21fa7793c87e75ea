# Sourced: a real SMTP server on the loopback address that writes every mail it gets into a folder.
#
#   smtp_find         whether the programs are there (sets SMTP_PYTHON)
#   smtp_start DIR    starts it; sets SMTP_URL and SMTP_DIR
#   smtp_stop         stops exactly that process

SMTP_SCRIPT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/smtp_server.py
SMTP_PYTHON=
SMTP_PID=
SMTP_URL=
SMTP_DIR=

smtp_find() {
    local candidate
    # A Python of one's own in PATH doesn't see the modules of the distribution's, so both are tried.
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -c 'import aiosmtpd' 2>/dev/null; then
            SMTP_PYTHON=$candidate
            return 0
        fi
    done
    return 1
}

smtp_start() {
    local dir=$1 tenths=100
    SMTP_DIR=$dir/mails
    mkdir -p "$SMTP_DIR"
    "$SMTP_PYTHON" "$SMTP_SCRIPT" --port-file "$dir/smtp.port" --dir "$SMTP_DIR" >"$dir/smtp.log" 2>&1 &
    SMTP_PID=$!
    # The server writes its port once it listens.
    while [[ ! -s $dir/smtp.port ]]; do
        if ((tenths-- == 0)) || ! kill -0 "$SMTP_PID" 2>/dev/null; then
            echo "the SMTP server did not start:" >&2
            cat "$dir/smtp.log" >&2
            return 1
        fi
        sleep 0.1
    done
    SMTP_URL=smtp://127.0.0.1:$(<"$dir/smtp.port")
}

smtp_stop() {
    [[ -n $SMTP_PID ]] || return 0
    kill "$SMTP_PID" 2>/dev/null || true
    wait "$SMTP_PID" 2>/dev/null || true
    SMTP_PID=
}
