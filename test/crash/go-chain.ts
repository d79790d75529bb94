/**
 * The chain of Go plugins that the crash tests compare with ours. Without CHECK: that of portmap 1.1.1 looks for IPv6 rules of an IPv4 pod.
 */

export const goChain = JSON.stringify({
  cniVersion: "1.0.0",
  name: "go",
  disableCheck: true,
  plugins: [
    {
      type: "ptp",
      ipMasq: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.45.0.0/16" }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
    { type: "bandwidth", capabilities: { bandwidth: true } },
    { type: "portmap", snat: true, capabilities: { portMappings: true } },
  ],
});

/** host-local's cursor and lock. */
export const goKeeps = /^[-+] file \/var\/lib\/cni\/(networks\/([^/]+\/((last_reserved_ip\.\d|lock) .*)?)?)?$/;
