# shellcheck shell=bash
# Part of common.sh: a job takes what the application leaves of processors and disk.

# step_back : low priority within this job's control group, and for the group as a whole. Between groups a nice value counts for
# nothing: each container is one, and beside ten of them a job would have the share of a container.
step_back() {
  { renice -n 10 -p $$ && ionice -c 2 -n 7 -p $$; } >/dev/null 2>&1 || true
  if [[ -d /run/systemd/system ]]; then own_group || log warning "warning=\"no control group of its own: it runs beside the application\""; fi
}

# own_group : move this shell into a scope of its own, which is idle: it runs when no other group wants to.
own_group() {
  local scope="tts-$JOB-$$.scope" tries
  busctl --quiet call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StartTransientUnit \
    'ssa(sv)a(sa(sv))' "$scope" fail 4 PIDs au 1 $$ CPUWeight t 10 IOWeight t 10 CollectMode s inactive-or-failed 0 >/dev/null 2>&1 || return 1
  for ((tries = 0; tries < 100; tries++)); do
    if grep -q "$scope" /proc/$$/cgroup; then
      be_idle
      return 0
    fi
    sleep 0.02
  done
  return 1
}

# be_idle : Linux 5.15 and later, by either version of control groups. Without it the low weight has to do.
# TTS_GROUP is where the server's part of the job goes too: lib/tts_host/aside.py.
be_idle() {
  local group
  group=$(sed -n -e 's|^0::|/sys/fs/cgroup|p' -e 's|^[0-9]*:cpu[^:]*:|/sys/fs/cgroup/cpu|p' /proc/$$/cgroup)
  while read -r group; do
    if [[ -w $group/cpu.idle ]] && echo 1 >"$group/cpu.idle"; then export TTS_GROUP=$group; fi
  done <<<"$group"
}
