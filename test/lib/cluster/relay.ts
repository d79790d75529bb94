/** A TCP relay in front of a server. It can cut connections, or discard the answers: the request arrives, the answer never does. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class Relay {
  readonly port: number;
  /** Whether answers are discarded. */
  swallows = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as { readonly port: number }).port;
  }

  /** Starts a relay in front of a port on loopback. */
  static async start(target: number): Promise<Relay> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const relay = new Relay(server);
    server.on("connection", (inner) => relay.#join(inner, connect(target, "127.0.0.1")));
    return relay;
  }

  /** Closes every connection; new ones are accepted. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  stop(): void {
    this.#server.close();
    this.cut();
  }

  #join(inner: Socket, outer: Socket): void {
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on("data", (bytes) => {
        if (from === inner || !this.swallows) to.write(bytes);
      });
    }
  }
}
