import type { MessagePort } from "node:worker_threads";
import { assertNever, defined } from "../base/assert.ts";
import type { MachineAnswer, ObjectBackend } from "../transport/object-backend.ts";
import { gatherBytes, transferOf } from "./backend-port.ts";
import { packError } from "./channel.ts";
import {
  type FromObjects,
  type ObjectAnswer,
  type ObjectRequest,
  packParts,
  packReplies,
  type ToObjects,
  unpackParts,
} from "./object-port.ts";

/** Serves the machines of this thread to one proxy on another one. */
export class ObjectServer {
  readonly #port: MessagePort;
  readonly #objects: ObjectBackend;
  readonly #cancels = new Map<number, AbortController>();
  #answers: ObjectAnswer[] = [];
  #bytes: Uint8Array[] = [];
  #bytesLength = 0;
  #flushScheduled = false;

  constructor(port: MessagePort, objects: ObjectBackend) {
    this.#port = port;
    this.#objects = objects;
    port.on("message", ({ requests }: ToObjects) => {
      for (const request of requests) void this.#serve(request);
    });
    port.on("close", () => this.#onClose());
  }

  /** What has its answer by now is delivered. */
  close(): void {
    this.#flush();
    this.#onClose();
    this.#port.close();
  }

  #onClose(): void {
    for (const cancel of this.#cancels.values()) cancel.abort();
    this.#cancels.clear();
  }

  async #serve(request: ObjectRequest): Promise<void> {
    const { requestId } = request;
    if (request.kind === "cancel") return this.#cancels.get(requestId)?.abort();
    const cancel = new AbortController();
    this.#cancels.set(requestId, cancel);
    try {
      // Meanwhile others are flushed, with the array that was there before.
      const answer = await this.#answer(request, cancel.signal);
      this.#answers.push(answer);
    } catch (cause) {
      this.#answers.push({ kind: "failed", requestId, error: packError(cause) });
    }
    this.#cancels.delete(requestId);
    this.#scheduleFlush();
  }

  async #answer(request: Exclude<ObjectRequest, { kind: "cancel" }>, signal: AbortSignal): Promise<ObjectAnswer> {
    const { requestId } = request;
    const objects = this.#objects;
    switch (request.kind) {
      case "replies": {
        const replies = await objects.replies(request.commands, signal);
        const packed = packReplies(replies, this.#bytes, this.#bytesLength);
        for (const length of packed.lengths) if (length > 0) this.#bytesLength += length;
        return { kind: "replies", requestId, ...packed };
      }
      case "ask":
        return { kind: "answer", requestId, answer: owned(await objects.ask(request.question, signal)) };
      case "askMany": {
        const { machine, questions, appliedTo } = request;
        const asked = unpackParts(questions).map((question) => defined(question, "a question"));
        const { answers, position } = await objects.askMany({ machine, questions: asked, appliedTo }, signal);
        return { kind: "answers", requestId, answers: packParts(answers), position };
      }
      case "changes": {
        const { changes, next } = await objects.changes(request.question, signal);
        const told = changes.map(({ change, ...rest }) => ({ ...rest, change: Uint8Array.from(change) }));
        return { kind: "changes", requestId, changes: { changes: told, next } };
      }
      case "list": {
        const machines = (await objects.list()).map(({ stopped, ...rest }) => ({
          ...rest,
          stopped: stopped === undefined ? undefined : packError(stopped),
        }));
        return { kind: "list", requestId, machines };
      }
      case "snapshot":
        return { kind: "snapshot", requestId, found: await objects.snapshot(request.wanted) };
      default:
        return assertNever(request);
    }
  }

  /** All that was settled in this turn goes together. */
  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#answers.length === 0) return;
    const message: FromObjects = { answers: this.#answers, buffer: gatherBytes(this.#bytes) };
    this.#answers = [];
    this.#bytes = [];
    this.#bytesLength = 0;
    this.#port.postMessage(message, transferOf(message));
  }
}

/** A view would take the whole buffer along that it is of. */
const owned = ({ answer, position }: MachineAnswer): MachineAnswer => ({ answer: Uint8Array.from(answer), position });
