// Goal: a relay that is cut does as a network that drops packets: silence, and nothing lost by a way that heals.
// Method: echoes over loopback.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Relay } from "../../soak/relay.ts";

let echo: Server;
let heard: string;
let relay: Relay;
const sockets: Socket[] = [];

beforeEach(async () => {
  heard = "";
  echo = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      heard += bytes.toString();
      socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  relay = await Relay.listen(`127.0.0.1:${(echo.address() as AddressInfo).port}`);
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await relay.close();
  await new Promise((resolve) => echo.close(resolve));
});

interface Caller {
  readonly socket: Socket;
  said: string;
  ended: boolean;
}

function call(): Caller {
  const [host, port] = relay.address.split(":");
  const caller: Caller = { socket: connect(Number(port), host), said: "", ended: false };
  sockets.push(caller.socket);
  caller.socket.on("data", (bytes) => {
    caller.said += bytes.toString();
  });
  caller.socket.on("error", () => {});
  caller.socket.on("close", () => {
    caller.ended = true;
  });
  return caller;
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 20_000, interval: 5 });
const silence = () => new Promise((resolve) => setTimeout(resolve, 50));

test("what is sent into a cut way arrives when it heals, in order; the other way goes on", async () => {
  const caller = call();
  caller.socket.write("one ");
  await eventually(() => expect(caller.said).toBe("one "));
  relay.cut("back");
  caller.socket.write("two ");
  await eventually(() => expect(heard).toBe("one two "));
  relay.cut("there");
  caller.socket.write("three ");
  await silence();
  expect([heard, caller.said]).toEqual(["one two ", "one "]);
  relay.heal("there");
  await eventually(() => expect(heard).toBe("one two three "));
  expect(caller.said).toBe("one ");
  relay.heal("back");
  await eventually(() => expect(caller.said).toBe("one two three "));
});

test("whoever dials while one way is cut waits, and is served when it heals", async () => {
  relay.cut("back");
  const caller = call();
  caller.socket.write("hello");
  await silence();
  expect([heard, caller.said]).toEqual(["", ""]);
  relay.heal("back");
  await eventually(() => expect(caller.said).toBe("hello"));
});

test("an end is not heard over a cut way, but when it heals", async () => {
  const caller = call();
  caller.socket.write("hello");
  await eventually(() => expect(caller.said).toBe("hello"));
  relay.cut("there");
  caller.socket.destroy();
  await silence();
  expect(relay.connectionCount).toBe(1);
  relay.heal("there");
  await eventually(() => expect(relay.connectionCount).toBe(0));
});

test("a reset ends what is there, and a target that is not there ends who dials", async () => {
  const caller = call();
  caller.socket.write("hello");
  await eventually(() => expect(caller.said).toBe("hello"));
  relay.reset();
  await eventually(() => expect(caller.ended).toBe(true));
  await new Promise((resolve) => echo.close(resolve));
  const late = call();
  await eventually(() => expect(late.ended).toBe(true));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
});
