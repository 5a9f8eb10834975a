#!/bin/sh
# Runs one agent and tells the truth about it: heartbeats while it lives, an exit record when it ends, its output in a log.
# Usage: supervisor.sh RUN_DIR   (the program of a tmux pane; POSIX sh, works with dash, bash and busybox)
#
# Reads    run.sh (settings and the agent's argv), env (its environment; gone once read), prompt (its stdin)
# Writes   started/ (the fence), process, agent.hb, output.log, output.log.1, log.base, exit.json
# Asked by agent.probe (a beat now) and SIGTERM (passed on to the agent's group)

fleet_run=$1

# The second life of this script: the agent's own process, in a clean environment. It becomes the agent.
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
# Caught, not ignored: what is ignored stays ignored in the agent, and it may want these for itself.
trap CAUGHT=1 HUP INT QUIT TSTP

# The process that makes this folder decides: we, and the agent runs; or one that closed the attempt, and it never will.
mkdir "$RUN/started" 2>/dev/null || exit 75
. "$RUN/run.sh"

# ---- what the kernel says about a process: STATE START CPU_TICKS -------------------------------------------------------

look_at() {
  STATE=
  read -r line 2>/dev/null <"/proc/$1/stat" || return 1
  # The name in parentheses may hold anything; the fields begin after the last parenthesis.
  case $line in *") "*) ;; *) return 1 ;; esac
  fields=${line##*) }
  set -- $fields
  STATE=$1
  shift 9
  # Now $3 is utime (field 14): own time and that of children who have ended.
  CPU_TICKS=$(($3 + $4 + $5 + $6))
  shift 9
  START=$2
}

# ---- output: a pipe, so that the log can be capped and rotated under the agent's feet ---------------------------------------

# dd writes what it reads at once. One run of it takes at most 256 reads, then the size is looked at.
write_log() {
  trap '' HUP INT QUIT TSTP TERM
  # Both ends are open now: the name has served.
  rm -f "$RUN/.out"
  base=0
  printf 0 >"$RUN/log.base"
  : >>"$RUN/output.log"
  while :; do
    { dd bs=65536 count=256 2>"$RUN/.records"; } | tee -a "$RUN/output.log" 2>/dev/null
    # Without a run directory there is nothing to write to, and nobody to tell.
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

# Into the file $1. A beat only for a process that can act: one that is stopped, dead or another process by now gets none.
beat() {
  look_at "$CHILD" || return 1
  [ "$START" = "$CHILD_START" ] || return 1
  case $STATE in T | t | Z | X) return 0 ;; esac
  base=0
  read -r base 2>/dev/null <"$RUN/log.base"
  size=0
  [ -s "$RUN/output.log" ] && size=$(wc -c <"$RUN/output.log" 2>/dev/null)
  out=$((${base:-0} + ${size:-0}))
  ts=$(now)
  # A date that does not know fractions of a second prints the letters.
  case $ts in *N*) NOW=+%Y-%m-%dT%H:%M:%SZ && ts=$(now) ;; esac
  status=ok
  [ "$out" -gt "$LAST_OUT" ] && status=busy && LAST_OUTPUT=$ts
  [ "$CPU_TICKS" -gt "$LAST_CPU" ] && status=busy
  LAST_OUT=$out
  LAST_CPU=$CPU_TICKS
  printf 'ts=%s pid=%s status=%s start=%s cpu_ms=%s out_bytes=%s last_output=%s\n' \
    "$ts" "$CHILD" "$status" "$START" "$((CPU_TICKS * 10))" "$out" "$LAST_OUTPUT" >"$RUN/$1"
}

# Ends with the agent or with the supervisor: nobody beats for the dead.
beat_on() {
  trap '' HUP INT QUIT TSTP
  # In the background, because a shell hears nothing while it waits for a program in front.
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
# An agent of another user may open its own input and output again by name (/dev/stdin); the folder stays closed to it.
[ -n "$fleet_user" ] && chown "$fleet_user" "$RUN/.out" "$RUN/prompt"
write_log <"$RUN/.out" &

# A shell makes what runs in the background ignore INT and QUIT; the agent gets them back where env can do that.
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
look_at "$CHILD"
CHILD_START=$START
printf 'pid=%s start=%s supervisor=%s\n' "$CHILD" "$CHILD_START" "$SUPERVISOR" >"$RUN/process"
# The first beat replaces nothing, so it needs no rename; a reader that finds it half written sees no beat yet.
beat agent.hb
beat_on &
BEATER=$!
# Ctrl-S in an attached terminal must not stop the agent's output.
stty -ixon 2>/dev/null

# A caught signal ends the wait, not the agent, and its number hides the agent's own code where both come at once: wait
# again. The second wait for an agent whose end was told already says 127.
CODE=
while :; do
  CAUGHT=
  wait "$CHILD"
  TOLD=$?
  { [ "$TOLD" = 127 ] && [ -n "$CODE" ]; } || CODE=$TOLD
  [ -n "$CAUGHT" ] || break
done

# An agent that was killed before it had opened its output leaves the log waiting for it: somebody else opens and closes it.
OPENER=
[ -p "$RUN/.out" ] && { : >"$RUN/.out" & } 2>/dev/null && OPENER=$!

# The last output arrives before the exit is told, unless somebody who outlives the agent holds the pipe.
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
  # Nobody of ours sent it: then it is how the kernel ends what takes too much memory.
  [ "$CODE" = 137 ] && [ ! -e "$RUN/stopping" ] && OOM=true
fi
printf '{"code":%s,"signal":%s,"ended_at":"%s","oom":%s}\n' "$CODE" "$SIGNAL" "$(now)" "$OOM" >"$RUN/exit.json.new"
mv -f "$RUN/exit.json.new" "$RUN/exit.json"
# Nothing of ours outlives us.
kill "$BEATER" 2>/dev/null
wait "$BEATER"
exit "$CODE"
