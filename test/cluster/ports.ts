import { createServer, type Server } from "node:net";

/** Below the ports that Linux gives to whoever asks for any: what is free here stays free until the one who asked listens. */
const lowest = 10_000;
const highest = 32_000;

/** Free ports of the loopback address, all held at once while they are chosen, so that none is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries === 1000) throw new Error(`no ${count} free ports from ${lowest} to ${highest}`);
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    const server = createServer();
    const listens = await new Promise<boolean>((resolve) => {
      server
        .once("error", () => resolve(false))
        .listen({ host: "127.0.0.1", port, exclusive: true }, () => resolve(true));
    });
    if (!listens) continue;
    servers.push(server);
    ports.push(port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
