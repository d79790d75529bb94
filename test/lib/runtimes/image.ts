/** A container image that needs no registry: static busybox, links for some of its applets, and the service of `traffic.ts`. */
import type { Node } from "../node/netns.ts";
import { cgi } from "../node/traffic.ts";

/** Runs the service for `ask` on port 80: it answers with the container's host name and the client's address. */
export const serveCommand = ["httpd", "-f", "-p", "80", "-h", "/www"] as const;

/** Sleeps by default; `box` is for containers, `pause` for the sandbox of a pod. */
export const images = { box: "localhost/box:1", pause: "localhost/pause:1" } as const;

/** Creates a docker-archive of one layer in a directory of the node; returns its path. */
export function makeImage(node: Node, directory: string): string {
  node.sh(`mkdir -p ${directory}; cd ${directory}\n${script}`);
  return `${directory}/image.tar`;
}

const script = `
mkdir -p layer/bin layer/tmp layer/www/cgi-bin
cp "$(command -v busybox)" layer/bin/busybox
for applet in sh sleep nc httpd ping echo cat ip hostname sed; do ln -s busybox layer/bin/$applet; done
cat > layer/www/cgi-bin/who <<'END'
${cgi("$(hostname)")}
END
chmod 755 layer/www/cgi-bin/who
tar -C layer -cf layer.tar .
digest=$(sha256sum layer.tar | cut -d ' ' -f 1)
case $(uname -m) in aarch64) arch=arm64 ;; *) arch=amd64 ;; esac
cat > config.json <<END
{"architecture":"$arch","os":"linux","config":{"Cmd":["/bin/sleep","600"]},"rootfs":{"type":"layers","diff_ids":["sha256:$digest"]}}
END
cat > manifest.json <<END
[{"Config":"config.json","RepoTags":${JSON.stringify(Object.values(images))},"Layers":["layer.tar"]}]
END
tar -cf image.tar manifest.json config.json layer.tar
`;
