#!/bin/sh
# Makes the screens that a person sees, as text in build/screens: the console with its completion, webget with its progress,
# and each tool's --help.
#
# Each is a terminal of tmux, 100 columns wide, in which commands are typed. A screen that does not come in its time is an
# error, and what stood there instead is shown.
set -eu
cd "$(dirname "$0")/../.."
. tools/setup/common.sh
usage "$@"
. tools/setup/packages.sh
command -v tmux >/dev/null || install_packages tmux
tools/setup/build.sh boards/qemu_q35/board.toml

screens=build/screens
rm -rf "$screens"
mkdir -p "$screens"
work=$(mktemp -d)
server=
# A terminal server of our own, so that nobody's settings or sessions take part.
terminal() { tmux -L "slopos-$$" -f /dev/null "$@"; }
finish() {
    terminal kill-server 2>/dev/null || true
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# open LINES COMMAND: a terminal with a command in it.
open() {
    terminal kill-session -t screen 2>/dev/null || true
    terminal new-session -d -s screen -x 100 -y "$1" "$2"
}

# shows SECONDS PATTERN: waits until the screen has it.
shows() {
    tenths=$(($1 * 10))
    until terminal capture-pane -p -t screen | grep -qE -e "$2"; do
        tenths=$((tenths - 1))
        if [ "$tenths" -le 0 ]; then
            echo "screens: \`$2\` did not come within $1 s; there was:" >&2
            terminal capture-pane -p -t screen >&2
            exit 1
        fi
        sleep 0.1
    done
}

# keep NAME: writes the screen down, without the empty lines at its end.
keep() {
    terminal capture-pane -p -t screen | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$screens/$1.txt"
    echo "$screens/$1.txt"
}

keys() { terminal send-keys -t screen "$@"; }

# The console: a command completed by Tab, then the choices, which the second Tab shows.
open 40 "./just run"
shows 120 'slopos> '
keys hel Tab
shows 20 'slopos> help'
keys Enter
shows 20 'ps '
keys Enter s Tab Tab
shows 20 'sleep.*start'
keep console
keys C-a x
terminal kill-session -t screen

# webget, in the middle of a download that takes some seconds.
cat >"$work/server.py" <<'PYTHON'
import http.server, time
class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(64 << 18))
        self.end_headers()
        for piece in range(64):
            self.wfile.write(bytes(1 << 18))
            time.sleep(0.15)
    def log_message(self, *words): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Slow)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
python3 "$work/server.py" >"$work/port" &
server=$!
until [ -s "$work/port" ]; do sleep 0.1; done
open 40 "./just webget -v -o null http://10.0.2.2:$(cat "$work/port")/ 2>&1; echo status \$?; sleep 600"
shows 120 '[0-9] ?%'
keep webget-progress
shows 120 '^status 0$'
keep webget

# Each tool's help, on a screen that is long enough.
shown build -p slopos-tree
"${CARGO_TARGET_DIR:-target}/debug/tree" tools >"$work/tools"
# shellcheck disable=SC2046 # a package in each line
shown build $(sed 's/\(.*\) .*/-p \1/' "$work/tools")
while read -r _ tool; do
    open 120 "${CARGO_TARGET_DIR:-target}/debug/$tool --help; echo status \$?; sleep 600"
    shows 20 '^status 0$'
    keep "help-$tool"
done <"$work/tools"
open 60 "./just; echo status \$?; sleep 600"
shows 20 '^status 0$'
keep recipes
