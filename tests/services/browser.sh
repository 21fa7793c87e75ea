# shellcheck shell=bash
# A headless Chromium and what drives it, for the journeys of tests/browser. Sourced by tests/run.

BROWSER_FOLDER="$PWD/tests/browser"
# Outside of the checkout, and kept from run to run.
BROWSER_MODULES="${REALMGATE_BROWSER_MODULES:-$HOME/.cache/realmgate/browser}"

# browser_find: whether node (18 or newer), npm and Chromium are there.
browser_find() {
    CHROMIUM=$(command -v chromium || command -v google-chrome || true)
    [[ -n $CHROMIUM ]] && command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' 2>/dev/null
}

# browser_install: puts the pinned modules where the journeys find them; does nothing if they are there.
browser_install() {
    mkdir -p "$BROWSER_MODULES"
    if ! cmp -s "$BROWSER_FOLDER/package-lock.json" "$BROWSER_MODULES/package-lock.json" || [[ ! -d $BROWSER_MODULES/node_modules ]]; then
        cp "$BROWSER_FOLDER/package.json" "$BROWSER_FOLDER/package-lock.json" "$BROWSER_MODULES/" &&
            (cd "$BROWSER_MODULES" && npm ci --no-audit --no-fund --ignore-scripts --silent)
    fi
}

# browser_run PROGRAM: the journeys.
browser_run() {
    BROWSER_MODULES=$BROWSER_MODULES CHROMIUM=$CHROMIUM node "$BROWSER_FOLDER/run.mjs" "$1"
}
