#!/bin/sh
# Runs one agent and reports on it: heartbeats while it is alive, an exit record when it ends, and its output in a log.
# Usage: supervisor.sh RUN_DIR   (it runs in a tmux pane; POSIX sh, works with dash, bash and busybox)
#
# Reads    run.sh (settings and the agent's argv), env (its environment, deleted once read), prompt (its stdin)
# Writes   started/ (the fence), process, agent.hb, output.log, output.log.1, log.base, exit.json
# Controls agent.probe (requests a heartbeat now), SIGTERM (is passed on to the agent's process group)

fleet_run=$1

# The script calls itself with "agent" to become the agent's process in a clean environment.
if [ "$2" = agent ]; then
  . "$fleet_run/env"
  rm -f "$fleet_run/env"
  . "$fleet_run/run.sh"
  cd "$fleet_cwd" || exit 126
  unset OLDPWD
  exec "$@"
  exit 127
fi

RUN=$fleet_run
umask 077
SELF=$0
# The signals are caught, not ignored, because the agent would inherit ignored signals and may need them itself.
trap CAUGHT=1 HUP INT QUIT TSTP

# The process that makes this folder decides: we, and the agent runs; or one that closed the attempt, and it never will.
mkdir "$RUN/started" 2>/dev/null || exit 75
. "$RUN/run.sh"

# ---- the kernel's record of a process: STATE START CPU_TICKS ------------------------------------------------------------

read_stat() {
  STATE=
  read -r line 2>/dev/null <"/proc/$1/stat" || return 1
  # The name in parentheses may contain anything; the fields start after the last parenthesis.
  case $line in *") "*) ;; *) return 1 ;; esac
  fields=${line##*) }
  set -- $fields
  STATE=$1
  shift 9
  # $3 is now utime (field 14). The sum is the process's own time and that of its ended children.
  CPU_TICKS=$(($3 + $4 + $5 + $6))
  shift 9
  START=$2
}

# ---- output goes through a pipe, so that the log can be limited and rotated while the agent writes -------------------------

# dd writes at once what it reads. Each run of dd does at most 256 reads, after which the size is checked.
write_log() {
  trap '' HUP INT QUIT TSTP TERM
  # Both ends of the pipe are open now, so its name is no longer needed.
  rm -f "$RUN/.out"
  base=0
  printf 0 >"$RUN/log.base"
  : >>"$RUN/output.log"
  while :; do
    { dd bs=65536 count=256 2>"$RUN/.records"; } | tee -a "$RUN/output.log" 2>/dev/null
    # If the attempt folder was deleted, there is nothing left to do.
    read -r records _ 2>/dev/null <"$RUN/.records" || break
    [ "$records" = 0+0 ] && break
    size=$(wc -c <"$RUN/output.log")
    if [ "$((size * 2))" -ge "$fleet_log_bytes" ]; then
      base=$((base + size))
      mv -f "$RUN/output.log" "$RUN/output.log.1"
      printf %s "$base" >"$RUN/log.base.new"
      mv -f "$RUN/log.base.new" "$RUN/log.base"
      : >>"$RUN/output.log"
    fi
  done
  : >"$RUN/.drained"
}

# ---- heartbeats ----------------------------------------------------------------------------------------------------------

now() { date -u "$NOW"; }

# Writes a heartbeat to the file $1, but only for a live process: not if it is stopped or dead, or if its pid was reused.
beat() {
  read_stat "$CHILD" || return 1
  [ "$START" = "$CHILD_START" ] || return 1
  case $STATE in T | t | Z | X) return 0 ;; esac
  base=0
  read -r base 2>/dev/null <"$RUN/log.base"
  size=0
  [ -s "$RUN/output.log" ] && size=$(wc -c <"$RUN/output.log" 2>/dev/null)
  out=$((${base:-0} + ${size:-0}))
  ts=$(now)
  # A date command without support for fractions of a second prints the letters, so fall back to seconds.
  case $ts in *N*) NOW=+%Y-%m-%dT%H:%M:%SZ && ts=$(now) ;; esac
  status=ok
  [ "$out" -gt "$LAST_OUT" ] && status=busy && LAST_OUTPUT=$ts
  [ "$CPU_TICKS" -gt "$LAST_CPU" ] && status=busy
  LAST_OUT=$out
  LAST_CPU=$CPU_TICKS
  printf 'ts=%s pid=%s status=%s start=%s cpu_ms=%s out_bytes=%s last_output=%s\n' \
    "$ts" "$CHILD" "$status" "$START" "$((CPU_TICKS * 10))" "$out" "$LAST_OUTPUT" >"$RUN/$1"
}

# The loop ends with the agent or the supervisor, so that there are no heartbeats for a dead agent.
beat_loop() {
  trap '' HUP INT QUIT TSTP
  # sleep runs in the background, because a shell handles no signals while it waits for a foreground program.
  trap 'kill "$NAP" 2>/dev/null; exit 0' TERM
  waited=0
  while kill -0 "$SUPERVISOR" 2>/dev/null; do
    sleep "$STEP" &
    NAP=$!
    wait "$NAP"
    waited=$((waited + STEP_MS))
    if [ -e "$RUN/agent.probe" ]; then
      rm -f "$RUN/agent.probe"
      waited=$fleet_interval_ms
    fi
    [ "$waited" -ge "$fleet_interval_ms" ] || continue
    waited=0
    beat agent.hb.new || return
    [ -e "$RUN/agent.hb.new" ] && mv -f "$RUN/agent.hb.new" "$RUN/agent.hb"
  done
}

# ---- one agent, from start to end ----------------------------------------------------------------------------------------

SUPERVISOR=$$
LAST_OUT=0
LAST_CPU=0
LAST_OUTPUT=-
STEP_MS=1000
[ "$fleet_interval_ms" -lt 1000 ] && STEP_MS=$fleet_interval_ms
STEP=$((STEP_MS / 1000)).$(printf %03d "$((STEP_MS % 1000))")
NOW=+%Y-%m-%dT%H:%M:%S.%3NZ

mkfifo "$RUN/.out"
# An agent of another user may reopen its input and output by name (/dev/stdin), but has no access to the folder.
[ -n "$fleet_user" ] && chown "$fleet_user" "$RUN/.out" "$RUN/prompt"
write_log <"$RUN/.out" &

# A shell lets background processes ignore INT and QUIT; if env supports it, the agent gets the defaults back.
RESET=
env --default-signal=INT,QUIT true 2>/dev/null && RESET=--default-signal=INT,QUIT
if command -v setsid >/dev/null 2>&1; then
  setsid env -i $RESET "FLEET_TASK=$fleet_task" "FLEET_RUN=$RUN" /bin/sh "$SELF" "$RUN" agent <"$RUN/prompt" >"$RUN/.out" 2>&1 &
else
  set -m
  env -i $RESET "FLEET_TASK=$fleet_task" "FLEET_RUN=$RUN" /bin/sh "$SELF" "$RUN" agent <"$RUN/prompt" >"$RUN/.out" 2>&1 &
  set +m
fi
CHILD=$!
trap 'CAUGHT=1; kill -TERM -- "-$CHILD" 2>/dev/null || kill -TERM "$CHILD" 2>/dev/null' TERM
read_stat "$CHILD"
CHILD_START=$START
printf 'pid=%s start=%s supervisor=%s\n' "$CHILD" "$CHILD_START" "$SUPERVISOR" >"$RUN/process"
# The first beat replaces nothing, so it needs no rename; a reader that finds it half written sees no beat yet.
beat agent.hb
beat_loop &
BEATER=$!
# Ctrl-S in an attached terminal must not stop the agent's output.
stty -ixon 2>/dev/null

# A caught signal interrupts wait and hides the agent's exit code if both come at once, so wait again. If the agent's
# exit code was already returned, the second wait returns 127.
CODE=
while :; do
  CAUGHT=
  wait "$CHILD"
  STATUS=$?
  { [ "$STATUS" = 127 ] && [ -n "$CODE" ]; } || CODE=$STATUS
  [ -n "$CAUGHT" ] || break
done

# If the agent was killed before it opened its output, the log writer still waits for it: open and close the pipe instead.
OPENER=
[ -p "$RUN/.out" ] && { : >"$RUN/.out" & } 2>/dev/null && OPENER=$!

# Wait for the last output before writing the exit record, unless a surviving child process keeps the pipe open.
tries=0
while [ ! -e "$RUN/.drained" ] && [ "$tries" -lt 40 ]; do
  sleep 0.025
  tries=$((tries + 1))
done
[ -z "$OPENER" ] || { kill -KILL "$OPENER" 2>/dev/null; wait "$OPENER" 2>/dev/null; rm -f "$RUN/.out"; }

SIGNAL=null
OOM=false
if [ "$CODE" -gt 128 ] && NAME=$(kill -l "$((CODE - 128))" 2>/dev/null); then
  SIGNAL="\"SIG$NAME\""
  # Fleetwright did not send this SIGKILL, so it is taken for the kernel's out-of-memory killer.
  [ "$CODE" = 137 ] && [ ! -e "$RUN/stopping" ] && OOM=true
fi
printf '{"code":%s,"signal":%s,"ended_at":"%s","oom":%s}\n' "$CODE" "$SIGNAL" "$(now)" "$OOM" >"$RUN/exit.json.new"
mv -f "$RUN/exit.json.new" "$RUN/exit.json"
# No process of the supervisor may outlive it.
kill "$BEATER" 2>/dev/null
wait "$BEATER"
exit "$CODE"
