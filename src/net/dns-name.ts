/** Names that Kubernetes accepts for nodes and most other objects: a DNS subdomain in lower case (RFC 1123 section 2.1). */

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const maxNameLength = 253;

export function isDnsSubdomain(text: string): boolean {
  return text.length <= maxNameLength && subdomain.test(text);
}
