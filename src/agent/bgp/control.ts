/**
 * BIRD's control socket: one command per connection. A reply is lines with a four-digit code, all but the last followed by "-"; lines
 * that begin with a space repeat the code before. Codes from 8000 on are errors.
 */
import { connect } from "node:net";

const timeoutMs = 5000;

export class BirdError extends Error {
  override readonly name = "BirdError";
}

/** The text of the reply, without codes. Rejects with `BirdError` if BIRD refuses, and with the socket's error if it does not run. */
export async function askBird(socketPath: string, command: string): Promise<string> {
  const reply = await exchange(socketPath, command);
  if (reply.code >= 8000) throw new BirdError(reply.text);
  return reply.text;
}

export interface Reply {
  readonly code: number;
  readonly text: string;
}

/** The reply at the start of the text, and the length that it takes; `undefined` while it is not complete. */
export function parseReply(received: string): { readonly reply: Reply; readonly length: number } | undefined {
  const lines: string[] = [];
  let at = 0;
  for (;;) {
    const end = received.indexOf("\n", at);
    if (end < 0) return undefined;
    const line = received.slice(at, end);
    at = end + 1;
    const [, code, mark, text] = /^(\d{4})([ -])(.*)$/.exec(line) ?? [];
    lines.push(text ?? line.slice(1));
    if (mark === " ") return { reply: { code: Number(code), text: lines.join("\n") }, length: at };
  }
}

function exchange(socketPath: string, command: string): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    let received = "";
    let hasGreeted = false;
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setEncoding("utf8").setTimeout(timeoutMs, () => fail(new BirdError("BIRD does not answer")));
    socket.on("error", fail).on("end", () => fail(new BirdError("BIRD closed the connection")));
    socket.on("data", (chunk: string) => {
      received += chunk;
      for (let found = parseReply(received); found !== undefined; found = parseReply(received)) {
        received = received.slice(found.length);
        if (hasGreeted) {
          socket.destroy();
          return resolve(found.reply);
        }
        hasGreeted = true;
        socket.write(`${command}\n`);
      }
    });
  });
}
