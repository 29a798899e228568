#!/bin/sh
# boot.sh IMAGE WHEELS PLACE NAME: a machine made of the root file system IMAGE, with its own systemd as PID 1, in
# namespaces of its own, the network's included. It lasts until standard input ends, and then leaves nothing: what it
# wrote was in memory, its mounts were in its own namespaces, its control group NAME is removed. To be started as root
# in a mount namespace of its own; the console goes to standard output, what this host refuses to standard error.
set -eu
image=$1 wheels=$2 place=$3 name=$4

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$place"
cd "$place"
mkdir groups upper work root
mount -t overlay -o "lowerdir=$image,upperdir=$place/upper,workdir=$place/work" overlay root
mkdir root/srv/wheels
mount --bind "$wheels" root/srv/wheels
mount -t cgroup2 cgroup2 groups
group=$place/groups$(sed -n 's/^0:://p' /proc/self/cgroup)/$name
mkdir "$group"

# shellcheck disable=SC2016 # for the shell inside
sh -euc '
  echo $$ >"$1/cgroup.procs"
  shift
  exec unshare --mount --uts --ipc --pid --net --cgroup --fork --kill-child=KILL sh -euc "$@"
' sh "$group" '
  cd "$1/root"
  mount -t proc proc proc
  mount --bind proc/sys proc/sys # the settings of this host'"'"'s kernel
  mount -o remount,bind,ro proc/sys
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs -o mode=755 tmpfs dev
  for device in null zero full random urandom tty; do
    : >dev/$device
    mount --bind /dev/$device dev/$device
  done
  mkdir dev/shm dev/pts .before
  mount -t tmpfs tmpfs dev/shm
  mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  pivot_root . .before
  umount -l .before
  mount --make-rshared / # as on a real machine: services are shown what systemd mounts for them
  exec env -i container=rig PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=linux \
    /lib/systemd/systemd --show-status=no systemd.unit=multi-user.target \
    systemd.mask=console-getty.service systemd.mask=getty.target systemd.mask=systemd-binfmt.service
' sh "$place" </dev/null &
machine=$!
exec 3<&0
{ cat <&3 >/dev/null && kill -KILL "$machine"; } &
watcher=$!
wait "$machine" || true
kill "$watcher" 2>/dev/null || true # the number may be another process's by now
until grep -q '^populated 0' "$group/cgroup.events"; do sleep 0.02; done
find "$group" -depth -type d -exec rmdir {} \;
