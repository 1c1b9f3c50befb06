# shellcheck shell=bash
# Shared by all host commands: strict mode, environment file, lock, log, steps, and the one place where a job ends.
#
# A job is a list of steps. The first that fails ends it; `finish` writes the last log line, the state file and the ping of every end.
set -Eeuo pipefail
shopt -s inherit_errexit
source "$HERE/lib/priority.sh"
umask 077
export PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1

readonly EXIT_LOCKED=75 EXIT_CONFIG=78
ENV_FILE=${TTS_ENV_FILE:-/etc/tts/backup.env} STEP=start JOB='' CHILD='' STARTING=''

# Print the comment block at the top of the script that was called.
usage() {
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"
}

# log LEVEL KEY=VALUE... : one line to stderr and, inside a job, to its log file.
log() {
  local line
  line="$(date -u +%Y-%m-%dT%H:%M:%SZ) level=$1 job=${JOB:--} ${*:2}"
  printf '%s\n' "$line" >&2
  if [[ -n ${TTS_LOG_FILE:-} ]]; then printf '%s\n' "$line" >>"$TTS_LOG_FILE"; fi
}

# die STATUS MESSAGE
die() {
  log error "error=\"$2\""
  exit "$1"
}

# Load the environment file. A line that bash could read as anything but a plain value is refused, by key, before it is sourced.
load_env() {
  [[ -r $ENV_FILE ]] || die "$EXIT_CONFIG" "$ENV_FILE is missing or unreadable: deploy the backup jobs again (pulumi up), and run this as root"
  local bad
  bad=$(grep -vE '^([A-Z][A-Z0-9_]*=[A-Za-z0-9_@%+=:,./-]*|#.*)?$' "$ENV_FILE" | cut -d= -f1 | tr '\n' ' ' || true)
  [[ -z $bad ]] || die "$EXIT_CONFIG" "$ENV_FILE has values with characters outside A-Za-z0-9_@%+=:,./- for: $bad"
  set -a
  # shellcheck disable=SC1090
  source "$ENV_FILE"
  set +a
  # What a person's shell has for other stores or another restic must not reach ours: each repository brings its own.
  unset "${!AWS_@}" "${!AZURE_@}" "${!B2_@}" "${!GOOGLE_@}" "${!OS_@}" "${!RCLONE_@}" "${!RESTIC_@}" "${!ST_@}" STORAGE_EMULATOR_HOST
  export TTS_STATE_DIR=${TTS_STATE_DIR:-/var/lib/tts} TTS_LOG_DIR=${TTS_LOG_DIR:-/var/log/tts} TTS_JOB_TIMEOUT=${TTS_JOB_TIMEOUT:-14400}
}

# py MODULE ARG... : a step written in Python. It ends when this shell does, however the shell dies, and after TTS_JOB_TIMEOUT.
py() {
  PYTHONPATH=$HERE/lib exec setpriv --pdeathsig TERM timeout --kill-after 60 "$TTS_JOB_TIMEOUT" \
    setpriv --pdeathsig TERM python3 -m "tts_host.$1" "${@:2}"
}

# begin JOB SECONDS : log file, low priority, the one lock (75 when still held after SECONDS), and from here on `finish` at every exit.
begin() {
  JOB=$1 STEP=lock
  mkdir -p "$TTS_LOG_DIR" "$TTS_STATE_DIR/state"
  export TTS_JOB=$JOB TTS_LOG_FILE=$TTS_LOG_DIR/$JOB.log TTS_RUN_DIR=$TTS_STATE_DIR/run/$JOB TTS_WAIT=$2
  trap 'finish $?' EXIT
  trap 'exit 143' TERM
  trap 'exit 130' INT HUP
  step_back
  exec 9>>"$TTS_STATE_DIR/lock"
  flock --wait "$2" 9 || die "$EXIT_LOCKED" "another job holds the lock: $(head -c 200 "$TTS_STATE_DIR/lock.holder" 2>/dev/null || true)"
  printf 'job=%s pid=%s since=%s\n' "$JOB" $$ "$(date -u +%FT%TZ)" >"$TTS_STATE_DIR/lock.holder"
  { rm -rf -- "$TTS_RUN_DIR" && mkdir -p "$TTS_RUN_DIR"; } || die 1 "$TTS_RUN_DIR cannot be emptied"
  date -u +%FT%TZ >"$TTS_RUN_DIR/started"
  if [[ -n ${TTS_ALERTS_FILE:-} ]]; then
    py notify 9>&- &
    STARTING=$! # beside the job; `finish` ends it, so that no late "start" follows the job's end
  fi
}

# step NAME COMMAND... : run it as a child that a signal to this shell ends at once.
step() {
  STEP=$1
  log info "step=$STEP"
  "${@:2}" &
  CHILD=$!
  wait "$CHILD"
  CHILD=''
}

# Every job ends here, well or not.
finish() {
  local status=$1
  trap - EXIT TERM INT HUP
  set +e
  if [[ -n $STARTING ]]; then kill -TERM "$STARTING" 2>/dev/null && wait "$STARTING" 2>/dev/null; fi
  if [[ -n $CHILD ]]; then
    kill -TERM "$CHILD" 2>/dev/null
    wait "$CHILD" 2>/dev/null
  fi
  if ((status != EXIT_LOCKED)) && declare -F clean_up >/dev/null; then clean_up; fi
  (py finish "$status" "$STEP") || log error "result=failed step=finish"
  if ((status != EXIT_LOCKED)); then rm -rf -- "$TTS_RUN_DIR"; fi
  exit "$status"
}
