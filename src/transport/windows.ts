/**
 * The one file that uses private fields of grpc-js, exactly 1.14.7.
 *
 * By default a server's stream may have 64 KiB in flight and then waits for a round trip: an Accept of 1 MiB needs sixteen. On
 * clients an option opens the windows (`grpc-node.flow_control_window`); on servers grpc-js has none, so the settings of the
 * HTTP/2 server inside are changed before it exists: its first SETTINGS frame already names the window, and each session
 * widens the connection's window as it begins. The same door carries the limits that grpc-js has no option for.
 *
 * `checkServerWindow` and `checkClientWindow` ask a real session what was announced: a later version of grpc-js that ignores
 * any of this costs speed, not correctness, so they answer with a sentence for the log and stop nobody.
 */

import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { Client, type ClientOptions, credentials, type Server, type ServerCredentials } from "@grpc/grpc-js";
import { type Address, isWildcard, showAddress } from "../base/address.ts";
import { limits } from "../base/limits.ts";
import { grpcStatuses } from "../format/error-details.ts";

interface ServerInternals {
  commonServerOptions: http2.ServerOptions;
  createHttp2Server(this: unknown, credentials: ServerCredentials): http2.Http2Server;
}

/** Changes a server before it listens. Returns what to log if this grpc-js is built differently, and then changes nothing. */
export function openServerWindows(server: Server): string | undefined {
  const internals = internalsOf(server);
  if (internals === undefined)
    return "this grpc-js is not the expected one: HTTP/2 windows and limits stay at their defaults";
  const options = internals.commonServerOptions;
  options.settings = {
    ...options.settings,
    initialWindowSize: limits.http2WindowBytes,
    maxHeaderListSize: limits.headerListBytesMax,
  };
  const createHttp2Server = internals.createHttp2Server;
  internals.createHttp2Server = function (credentials) {
    const http2Server = createHttp2Server.call(this, credentials);
    http2Server.on("session", prepareSession);
    guardCalls(http2Server);
    return http2Server;
  };
  return undefined;
}

function internalsOf(server: Server): ServerInternals | undefined {
  const internals = server as unknown as Partial<ServerInternals>;
  if (typeof internals.commonServerOptions !== "object" || typeof internals.createHttp2Server !== "function")
    return undefined;
  return internals as ServerInternals;
}

/** Widens the connection's window, and ends a connection on which nobody speaks HTTP/2 in time. */
function prepareSession(session: http2.ServerHttp2Session): void {
  session.setLocalWindowSize(limits.http2WindowBytes);
  const handshake = setTimeout(() => session.destroy(), limits.handshakeMs);
  session.once("remoteSettings", () => clearTimeout(handshake));
  session.once("close", () => clearTimeout(handshake));
}

/** Refuses a call before grpc-js sees it: one too many, or one that would have to be decompressed. */
function guardCalls(http2Server: http2.Http2Server): void {
  const handlers = http2Server.listeners("stream");
  http2Server.removeAllListeners("stream");
  let open = 0;
  http2Server.on("stream", (stream, headers, flags) => {
    const refusal = refusalOf(headers, open);
    if (refusal !== undefined) {
      // Errors of a stream that is given up are of no interest, but without a listener they would end the process.
      stream.on("error", () => {});
      stream.respond({ ":status": 200, "content-type": "application/grpc", ...refusal }, { endStream: true });
      return;
    }
    open += 1;
    stream.once("close", () => {
      open -= 1;
    });
    for (const handler of handlers) handler.call(http2Server, stream, headers, flags);
  });
}

function refusalOf(headers: http2.IncomingHttpHeaders, open: number): http2.OutgoingHttpHeaders | undefined {
  const encoding = headers["grpc-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    return { "grpc-status": unimplemented, "grpc-message": "compressed messages are not accepted", ...acceptEncoding };
  }
  if (open >= limits.callsMax) {
    return { "grpc-status": grpcStatuses.RESOURCE_EXHAUSTED, "grpc-message": "too many calls are open on this node" };
  }
  return undefined;
}

/** UNIMPLEMENTED is what gRPC has for an encoding that a server does not take, together with those that it takes. */
const unimplemented = 12;
const acceptEncoding = { "grpc-accept-encoding": "identity" };

/** What is wrong with the windows that the listener at `address` opens to its clients; undefined where nothing is. */
export async function checkServerWindow(address: Address): Promise<string | undefined> {
  const host = isWildcard(address.host) ? "localhost" : address.host;
  const session = http2.connect(`http://${showAddress({ host, port: address.port })}`);
  try {
    return complaint("server", await announcedWindows(session));
  } catch (cause) {
    return `the HTTP/2 windows of the listener could not be checked: ${String(cause)}`;
  } finally {
    session.destroy();
  }
}

/** What is wrong with the windows that a client with these options opens to servers; undefined where nothing is. */
export async function checkClientWindow(options: ClientOptions): Promise<string | undefined> {
  const probe = http2.createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  const announced = new Promise<Windows>((resolve, reject) => {
    probe.once("session", (session) => announcedWindows(session).then(resolve, reject));
    client.waitForReady(Date.now() + limits.handshakeMs, (error) => {
      if (error !== undefined) reject(error);
    });
  });
  try {
    return complaint("client", await announced);
  } catch (cause) {
    return `the HTTP/2 windows of a client could not be checked: ${String(cause)}`;
  } finally {
    client.close();
    probe.close();
  }
}

interface Windows {
  readonly stream: number;
  readonly connection: number;
}

/** What the other end of a session lets this one send: settings first, then, behind a ping, its window updates. */
function announcedWindows(session: http2.Http2Session): Promise<Windows> {
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error("no answer in time")), limits.handshakeMs);
    session.once("error", reject);
    session.once("close", () => reject(new Error("the connection was closed")));
    const ask = () =>
      session.ping((error) => {
        clearTimeout(deadline);
        if (error !== null) return reject(error);
        resolve({
          stream: session.remoteSettings.initialWindowSize ?? 0,
          connection: session.state.remoteWindowSize ?? 0,
        });
      });
    session.once("remoteSettings", ask);
  });
}

function complaint(side: "server" | "client", windows: Windows): string | undefined {
  const { stream, connection } = windows;
  if (stream >= limits.http2WindowBytes && connection >= limits.http2WindowBytes) return undefined;
  return (
    `the HTTP/2 windows of a ${side} are ${stream} bytes a stream and ${connection} a connection instead of ` +
    `${limits.http2WindowBytes}: large messages will be slow. Is another version of @grpc/grpc-js installed?`
  );
}
