/** A test's own certificate authority and the certificates that it signs for 127.0.0.1. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** Writes the files to the directory; the certificate is valid for both ends of a connection. */
export function makeCertificates(directory: string, subject = "/CN=tortie"): Certificates {
  const openssl = (...args: readonly string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  const extensions = "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n";
  writeFileSync(join(directory, "extensions"), extensions);
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca", "-days", "2");
  openssl("req", ...curve, "-keyout", "tls.key", "-out", "tls.csr", "-subj", subject);
  const signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions"];
  openssl("x509", "-req", "-in", "tls.csr", ...signing, "-out", "tls.crt");
  return { ca: join(directory, "ca.crt"), cert: join(directory, "tls.crt"), key: join(directory, "tls.key") };
}
