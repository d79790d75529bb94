/**
 * The chain of Go plugins that stands beside ours in the crash tests. Without CHECK: that of portmap 1.1.1 asks an IPv4 pod for rules of IPv6.
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
