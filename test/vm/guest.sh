#!/bin/bash
# The first process of a guest's root file system. Becomes a node, and does what comes over the second serial line:
#
#     host ──> a bash script, in base64, one line: read byte by byte, as the line has no flow control
#     guest ──> STATUS .STDOUT .STDERR, the two in base64, one line
#
# Ends the guest when nothing comes for some minutes: whoever asked is gone.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
exec >/dev/console 2>&1 </dev/null
stty -F /dev/ttyS1 115200 raw -echo
exec 3<>/dev/ttyS1
mount -t tmpfs tmpfs /tmp
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
bash /test/node.sh node-a || echo "BOOT-FAILED the node cannot be set up, see the console" >&3
work=/run/.node/vm
mkdir -p $work
echo "READY $(uname -r)" >&3
while read -r -t 300 line <&3; do
  base64 -d <<<"$line" >$work/script
  bash $work/script >$work/out 2>$work/err 3>&-
  status=$?
  echo "$status .$(base64 -w0 $work/out) .$(base64 -w0 $work/err)" >&3
done
busybox poweroff -f
