#!/bin/sh
# The first process of a guest: loads what mounts the disks, and goes over to the root file system (scripts/vm-images puts it into the image).
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module" || echo "cannot load $module"; done
fail() {
  echo "BOOT-FAILED $*" >/dev/ttyS1
  poweroff -f
}
for _ in $(seq 200); do
  [ -b /dev/vda ] && [ -b /dev/vdb ] && [ -b /dev/vdc ] && break
  sleep 0.05
done
mount -t ext4 /dev/vda /new || fail "no root file system"
mount -t ext4 -o ro /dev/vdb /new/lib/modules || fail "no modules"
mount -t ext4 -o ro /dev/vdc /new/test || fail "no test disk"
for directory in proc sys dev; do mount --move /$directory /new/$directory; done
exec switch_root /new /bin/bash /test/guest.sh
