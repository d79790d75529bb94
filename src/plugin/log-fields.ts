/** The fields of every line that a request logs: plugin, operation, attachment, and the trace that the runtime has started. */
import { parseArgs } from "../cni/args.ts";
import type { Environment } from "../cni/environment.ts";

export function logFields(
  plugin: string,
  environment: Environment,
  network: unknown,
): Readonly<Record<string, unknown>> {
  const { command, containerId, ifname, args, traceparent } = environment;
  const { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: pod } = parseArgs(args);
  const attachment = { network, containerID: containerId || undefined, ifname: ifname || undefined };
  return { plugin, command, ...attachment, namespace, pod, ...traceOf(traceparent) };
}

/** Version, trace, span and flags (W3C Trace Context, section 3.2); a later version may append more. */
const traceParent = /^(?!ff|00-.{53})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-|$)/;

/** With the names that OpenTelemetry's instrumentation of pino uses. */
function traceOf(text: string) {
  const [, trace_id, span_id, trace_flags] = traceParent.exec(text) ?? [];
  return { trace_id, span_id, trace_flags };
}
