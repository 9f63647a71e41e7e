/** A process that answers unary appends with nothing, without looking at them: the most that a unary handler can do. */
import { Server, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { logServicePaths } from "#src/format/api-codec";
import { clientServerOptions } from "#src/transport/grpc-options";
import { listenWith } from "#src/transport/listener";
import { bytesMethod } from "#src/transport/log-service";
import { announceReady } from "../lib/child.ts";

const nothing = Buffer.alloc(0);
const server = new Server(clientServerOptions);
server.addService(
  { append: bytesMethod(logServicePaths.append, false, false) },
  { append: (_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => answer(null, nothing) },
);
const { address } = await listenWith(server, {
  listen: "127.0.0.1:0",
  log: (line) => process.stderr.write(`${line}\n`),
});
announceReady({ address });
