import * as net from "node:net";
import { type Server, ServerCredentials } from "@grpc/grpc-js";
import { BaseServerInterceptingCall } from "@grpc/grpc-js/build/src/server-interceptors.js";
import { type Address, isLoopback, parseAddress, showAddress } from "../base/address.ts";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { answerInFrames } from "../format/grpc-frame.ts";
import { checkServerWindow, openServerWindows } from "./windows.ts";

// Encoders lay large messages in their frames already.
answerInFrames(BaseServerInterceptingCall);

/** A listening gRPC server. */
export interface Listener {
  /** The address as asked for, with the port that was bound. */
  readonly address: string;
  readonly port: number;
  /** Stops listening, lets open calls finish for `graceMs`, then ends every connection. Resolves when all are gone. */
  close(graceMs: number): Promise<void>;
}

export interface ListenOptions {
  /** HOST:PORT; port 0 takes a free one. */
  readonly listen: string;
  /** Allows an address that is not on loopback, although nothing is encrypted or authenticated. */
  readonly insecure?: boolean;
  readonly log: (line: string) => void;
}

/**
 * Listens with a server whose services are registered. The sockets are accepted here and handed to grpc-js, so that a port in
 * use is told by its errno, the number of connections is bounded, and closing leaves none behind.
 *
 * @throws PaxlogError INVALID_ARGUMENT, INSECURE_ADDRESS, ADDRESS_IN_USE or ADDRESS_UNUSABLE.
 */
export async function listenWith(server: Server, options: ListenOptions): Promise<Listener> {
  const wanted = checkedAddress(options);
  const warning = openServerWindows(server);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<net.Socket>();
  const acceptor = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  acceptor.maxConnections = limits.connectionsMax;
  const port = await bind(acceptor, wanted);
  acceptor.on("error", (error) => options.log(`accepting connections on ${options.listen} failed: ${error.message}`));

  const address = { host: wanted.host, port };
  const complaint = warning ?? (await checkServerWindow(address));
  if (complaint !== undefined) options.log(complaint);
  return {
    address: showAddress(address),
    port,
    close: (graceMs) => closeAll(server, acceptor, sockets, graceMs),
  };
}

function checkedAddress(options: ListenOptions): Address {
  const address = parseAddress(options.listen);
  if (typeof address === "string")
    throw new PaxlogError("INVALID_ARGUMENT", `the address "${options.listen}" ${address}`);
  if (!isLoopback(address.host) && options.insecure !== true) {
    throw new PaxlogError(
      "INSECURE_ADDRESS",
      `${options.listen} can be reached from other machines, and nothing is encrypted or authenticated: ` +
        "listen on loopback (127.0.0.1), or allow it with the insecure option",
      { facts: { address: options.listen } },
    );
  }
  return address;
}

function bind(acceptor: net.Server, address: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) => reject(bindError(error, showAddress(address)));
    acceptor.once("error", onError);
    acceptor.listen({ host: address.host, port: address.port }, () => {
      acceptor.removeListener("error", onError);
      resolve((acceptor.address() as net.AddressInfo).port);
    });
  });
}

function bindError(cause: NodeJS.ErrnoException, address: string): PaxlogError {
  if (cause.code === "EADDRINUSE") {
    const message = `${address} is in use by another process: stop that one, or choose another port`;
    return new PaxlogError("ADDRESS_IN_USE", message, { cause, facts: { address } });
  }
  const message = `cannot listen on ${address} (${cause.code ?? cause.message}): use an address of this machine`;
  return new PaxlogError("ADDRESS_UNUSABLE", message, { cause, facts: { address } });
}

async function closeAll(
  server: Server,
  acceptor: net.Server,
  sockets: ReadonlySet<net.Socket>,
  graceMs: number,
): Promise<void> {
  const closed = new Promise<void>((resolve) => acceptor.close(() => resolve()));
  let timer: NodeJS.Timeout | undefined;
  const grace = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, graceMs);
  });
  const drained = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  await Promise.race([drained, grace]);
  clearTimeout(timer);
  server.forceShutdown();
  for (const socket of sockets) socket.destroy();
  // The acceptor is closed once its last socket is.
  await closed;
}
