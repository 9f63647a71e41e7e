import { MessageChannel } from "node:worker_threads";
import { PaxlogError } from "../../src/base/errors.ts";
import { BackendProxy } from "../../src/runtime/backend-proxy.ts";
import { BackendServer } from "../../src/runtime/backend-server.ts";
import type { CreditBounds } from "../../src/runtime/credit.ts";
import type { LogBackend } from "../../src/transport/backend.ts";

/** The backend as another thread has it, with how many messages went each way. Resolves once it serves. */
export async function overPort(backend: LogBackend, credit?: CreditBounds) {
  const { port1, port2 } = new MessageChannel();
  const messages = { toBackend: 0, fromBackend: 0 };
  port1.on("message", () => (messages.toBackend += 1));
  port2.on("message", () => (messages.fromBackend += 1));
  const server = new BackendServer({ port: port1, backend });
  const proxy = await new Promise<BackendProxy>((resolve) => {
    const made: BackendProxy = new BackendProxy({
      port: port2,
      name: "node",
      onServing: () => resolve(made),
      ...(credit === undefined ? {} : { credit }),
    });
    made.onTail(() => {});
  });
  return {
    backend: proxy,
    messages,
    closeOther: () => server.close(),
    close: () => {
      proxy.end(new PaxlogError("CLOSED", "closed by the test"));
      server.close();
    },
  };
}
