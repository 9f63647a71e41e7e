import { once } from "node:events";
import { type PaxlogError, toPaxlogError } from "../base/errors.ts";

/** Standard output that nobody reads any more is no error. */
export function endQuietlyWhenUnread(onUnread: () => void = () => {}): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    onUnread();
  });
}

/**
 * What a command says. Results go to standard output: as text for people, or with --json as one JSON object per line. Progress,
 * remarks and errors go to standard error, so that a pipe carries results only.
 */
export class Output {
  readonly json: boolean;
  #closed = false;

  constructor(json: boolean) {
    this.json = json;
    endQuietlyWhenUnread(() => {
      this.#closed = true;
    });
  }

  /** True once nobody reads standard output any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** One result, as an object or as text. False when the pipe is full: `drained` tells when it is not. */
  result(object: Readonly<Record<string, unknown>>, text: string): boolean {
    return this.write(this.json ? JSON.stringify(object) : text);
  }

  /** One line, as it is. */
  write(line: string): boolean {
    return this.#closed || process.stdout.write(`${line}\n`);
  }

  async drained(): Promise<void> {
    if (this.#closed || process.stdout.writableLength === 0) return;
    const ended = new AbortController();
    const options = { signal: ended.signal };
    // `once` rejects on an error event; an EPIPE was noted above and ends the wait.
    await Promise.race([once(process.stdout, "drain", options), once(process.stdout, "close", options)]).catch(
      () => {},
    );
    ended.abort();
  }

  /** A remark for people: not part of the result. */
  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  error(cause: unknown): void {
    const error = toPaxlogError(cause);
    process.stderr.write(
      `${this.json ? JSON.stringify(errorObject(error)) : `paxlog: ${error.message} (${error.code})`}\n`,
    );
  }
}

export function errorObject(error: PaxlogError): Record<string, unknown> {
  return {
    error: error.code,
    message: error.message,
    outcome: error.outcome,
    retryable: error.retryable,
    ...(Object.keys(error.facts).length === 0 ? {} : { facts: error.facts }),
  };
}

/** 1234567 as "1,234,567"; the same in every locale. */
export function grouped(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** "1 record", "2,000 records". */
export function recordCount(count: number): string {
  return `${grouped(count)} ${count === 1 ? "record" : "records"}`;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** As fields of a JSON object: text where the bytes are any, otherwise base64. */
export function bytesField(name: string, bytes: Uint8Array): Record<string, string> {
  try {
    return { [name]: utf8.decode(bytes) };
  } catch {
    return { [`${name}Base64`]: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64") };
  }
}
