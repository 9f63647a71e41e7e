// Goal: a faulty configuration is refused before anything is touched, with every fault named. Method: one fault at a time.
import { expect, test } from "vitest";
import { PaxlogError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import { checkConfig, type NodeConfig } from "../../src/node/config.ts";

const check = (config: NodeConfig) => checkConfig(config, (dir) => `/resolved/${dir}`);

function faultOf(config: NodeConfig): PaxlogError {
  try {
    check(config);
  } catch (error) {
    if (error instanceof PaxlogError) return error;
    throw error;
  }
  throw new Error("no fault was found");
}

const three = [
  { name: "b", peerAddress: "127.0.0.1:7202" },
  { name: "a", peerAddress: "127.0.0.1:7201" },
  { name: "c", peerAddress: "127.0.0.1:7203" },
];

test("members are ordered by name, whatever the order in which they are given", () => {
  const config = check({ dir: "d", name: "b", cluster: three });
  expect(config.members.map((member) => member.name)).toEqual(["a", "b", "c"]);
  expect(config.dir).toBe("/resolved/d");
});

test("a node that is alone needs nothing but a directory", () => {
  const config = check({ dir: "d" });
  expect(config.members).toEqual([{ name: "node", peerAddress: "" }]);
  expect(config.listen).toBe("127.0.0.1:7100");
});

test.each([
  ["a cluster list without the own name", { name: "x", cluster: three }, /\(b, a, c\) does not name this node, x/],
  ["a cluster without an own name", { cluster: three }, /needs its own name/],
  ["an empty cluster", { name: "a", cluster: [] }, /list is empty/],
  ["a name twice", { name: "a", cluster: [...three, three[0]!] }, /names b twice/],
  [
    "a peer address twice",
    { name: "a", cluster: [...three, { name: "d", peerAddress: "127.0.0.1:7201" }] },
    /two nodes/,
  ],
  [
    "a client address that is a peer address",
    { name: "a", cluster: three, listen: "127.0.0.1:7202" },
    /also a peer address/,
  ],
  ["peer port 0", { name: "a", cluster: [{ name: "a", peerAddress: "127.0.0.1:0" }] }, /needs a port other than 0/],
  ["an address without a port", { listen: "localhost" }, /must be HOST:PORT/],
  ["a port out of range", { listen: "localhost:65536" }, /port from 0 to 65535/],
  ["a name with a slash", { name: "a/b" }, /must be of letters/],
  ["a name that is too long", { name: "a".repeat(limits.nameBytesMax + 1) }, /longer than 64 bytes/],
  ["a segment that is too small", { segmentBytes: 4096 }, /segment size must be from/],
  ["a negative segment size", { segmentBytes: -1 }, /segment size must be from/],
  ["a segment size that is no multiple of a block", { segmentBytes: limits.segmentBytesMin + 1 }, /multiple of 4096/],
  ["an empty directory name", { dir: "" }, /directory's name is empty/],
] as const)("%s is INVALID_ARGUMENT", (_, config, message) => {
  const error = faultOf({ dir: "d", ...config } as NodeConfig);
  expect(error.code).toBe("INVALID_ARGUMENT");
  expect(error.message).toMatch(message);
});

test("more voters than the limit are refused", () => {
  const many = Array.from({ length: limits.votersMax + 1 }, (_, index) => ({
    name: `n${index}`,
    peerAddress: `127.0.0.1:${8000 + index}`,
  }));
  expect(faultOf({ dir: "d", name: "n0", cluster: many }).message).toMatch(/at most 7 can vote/);
});

test("an address that is not on loopback is INSECURE_ADDRESS unless it is allowed", () => {
  expect(faultOf({ dir: "d", listen: "0.0.0.0:7100" }).code).toBe("INSECURE_ADDRESS");
  expect(check({ dir: "d", listen: "0.0.0.0:7100", insecure: true }).insecure).toBe(true);
  const cluster = [{ name: "a", peerAddress: "10.0.0.1:7201" }];
  expect(faultOf({ dir: "d", name: "a", cluster }).code).toBe("INSECURE_ADDRESS");
});

test("what is advertised is an address that a client could dial, of a node that listens", () => {
  expect(check({ dir: "d" }).advertise).toBeUndefined();
  expect(check({ dir: "d", advertise: "log.example:7100" }).advertise).toBe("log.example:7100");
  expect(faultOf({ dir: "d", advertise: "log.example:0" }).message).toMatch(/needs a port other than 0/);
  expect(faultOf({ dir: "d", advertise: "0.0.0.0:7100" }).message).toMatch(/names no machine/);
  expect(faultOf({ dir: "d", listen: false, advertise: "log.example:7100" }).message).toMatch(/nobody listens/);
});

test("all faults are told at once", () => {
  const error = faultOf({ dir: "", name: "a b", listen: "x" });
  expect(error.message).toMatch(/directory's name is empty; the name "a b".*; the client address "x"/);
});
