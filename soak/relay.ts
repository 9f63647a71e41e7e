import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from "node:net";

/** From who dialed to the target, and back. */
export type Way = "there" | "back";

const ways = ["there", "back"] as const;
const other = (way: Way): Way => (way === "there" ? "back" : "there");

/**
 * A TCP relay whose ways can be cut, as by a network that drops packets: connections stay, nobody is told, and what was sent arrives
 * when it heals. Whoever dials while a way is cut waits: a handshake takes both.
 */
export class Relay {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #cut = new Set<Way>();
  readonly #connections = new Set<Connection>();

  private constructor(target: string) {
    const colon = target.lastIndexOf(":");
    this.#target = { host: target.slice(0, colon), port: Number(target.slice(colon + 1)) };
    // What arrives while a way is cut must lie still.
    this.#server = createServer({ pauseOnConnect: true, noDelay: true }, (near) => this.#accept(near));
  }

  /** Listens on a port of its own for a target that need not be there yet. */
  static async listen(target: string): Promise<Relay> {
    const relay = new Relay(target);
    await new Promise<void>((resolve, reject) => {
      relay.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    return relay;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  isCut(way: Way): boolean {
    return this.#cut.has(way);
  }

  cut(way: Way): void {
    this.#cut.add(way);
    this.#apply();
  }

  /** Carries what waited. */
  heal(way: Way): void {
    this.#cut.delete(way);
    this.#apply();
  }

  /** Ends all connections, as a firewall does that has forgotten them. */
  reset(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.reset();
    await closed;
  }

  #accept(near: Socket): void {
    const connection = new Connection(near, this.#target, () => this.#connections.delete(connection));
    this.#connections.add(connection);
    connection.apply(this.#cut);
  }

  #apply(): void {
    for (const connection of [...this.#connections]) connection.apply(this.#cut);
  }
}

class Connection {
  readonly #ends: Record<Way, Socket | undefined>;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #onEnd: () => void;
  readonly #ended = new Set<Way>();
  #cut: ReadonlySet<Way> = new Set();

  constructor(near: Socket, target: { readonly host: string; readonly port: number }, onEnd: () => void) {
    this.#ends = { there: near, back: undefined };
    this.#target = target;
    this.#onEnd = onEnd;
    this.#carry("there", near);
  }

  apply(cut: ReadonlySet<Way>): void {
    this.#cut = cut;
    if (this.#ends.back === undefined) {
      if (cut.size > 0) return;
      this.#ends.back = dial({ ...this.#target, noDelay: true });
      this.#carry("back", this.#ends.back);
    }
    for (const way of ways) {
      if (cut.has(way)) this.#ends[way]?.pause();
      else if (this.#ended.has(way)) return this.destroy();
      else this.#ends[way]?.resume();
    }
  }

  destroy(): void {
    for (const way of ways) this.#ends[way]?.destroy();
    this.#onEnd();
  }

  /** What `socket` says goes `way`, to the socket at the other end. */
  #carry(way: Way, socket: Socket): void {
    socket.on("data", (bytes) => {
      const to = this.#ends[other(way)];
      if (to === undefined || to.write(bytes)) return;
      socket.pause();
      to.once("drain", () => {
        if (!this.#cut.has(way)) socket.resume();
      });
    });
    socket.on("error", () => {});
    // The end is news that travels like any other.
    socket.on("close", () => {
      this.#ended.add(way);
      if (!this.#cut.has(way) || this.#ends.back === undefined) this.destroy();
    });
  }
}
