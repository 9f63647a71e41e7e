import type { MessagePort } from "node:worker_threads";
import { assert } from "../base/assert.ts";
import { PaxlogError, withOutcome } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type {
  Admission,
  AppendedCommands,
  ChangesQuestion,
  CommandReply,
  MachineAnswer,
  MachineAnswers,
  MachineChanges,
  MachineQuestion,
  MachineQuestions,
  MachineStatus,
  ObjectBackend,
  SnapshotPiece,
  SnapshotWanted,
} from "../transport/object-backend.ts";
import { unpackError } from "./channel.ts";
import {
  type FromObjects,
  type ObjectAnswer,
  type ObjectRequest,
  packParts,
  type ToObjects,
  unpackParts,
  unpackReplies,
} from "./object-port.ts";

export interface ObjectProxyOptions {
  /** The other end has an ObjectServer, or will have one: what is asked before waits in the port. */
  readonly port: MessagePort;
  readonly machines: readonly string[];
  /** For how long their thread has been at one command: it answers nothing meanwhile. */
  readonly busyMs?: () => number;
  /** Whether their thread runs. */
  readonly runs?: () => boolean;
  /** Whether commands may be appended for one of the machines, by its place in the list. */
  readonly admission?: (place: number) => Admission;
  /** Called once, at the first request: the machines may not run yet. */
  readonly onNeeded: () => void;
}

interface Waiting {
  readonly kind: ObjectAnswer["kind"];
  readonly resolve: (answer: ObjectAnswer, buffer: ArrayBuffer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

type AnswerOf<Kind> = Extract<ObjectAnswer, { readonly kind: Kind }>;

/** Some of a node's machines, which run on another thread. While anything waits for an answer the port keeps the process alive. */
export class ObjectProxy implements ObjectBackend {
  readonly #port: MessagePort;
  readonly #machines: readonly string[];
  readonly #onNeeded: () => void;
  readonly #busyMs: () => number;
  readonly #runs: () => boolean;
  readonly #admission: (place: number) => Admission;
  /** As they were told last. */
  #listed: readonly MachineStatus[];
  readonly #waiting = new Map<number, Waiting>();
  #requests: ObjectRequest[] = [];
  #flushScheduled = false;
  #lastRequestId = 0;
  #isNeeded = false;
  #ended: PaxlogError | undefined;

  constructor({ port, machines, busyMs, runs, admission, onNeeded }: ObjectProxyOptions) {
    this.#port = port;
    this.#busyMs = busyMs ?? (() => 0);
    this.#runs = runs ?? (() => true);
    this.#admission = admission ?? (() => "now");
    this.#listed = machines.map((name) => ({ name, version: 0, code: "", applied: 0, snapshot: 0, busyMs: 0 }));
    this.#machines = machines;
    this.#onNeeded = onNeeded;
    port.on("message", (message: FromObjects) => this.#onMessage(message));
    port.on("close", () => this.end(threadEnded(machines)));
    port.unref();
  }

  has(machine: string): boolean {
    return this.#machines.includes(machine);
  }

  admission(machine: string): Admission {
    return this.#admission(this.#machines.indexOf(machine));
  }

  replies(commands: AppendedCommands, signal?: AbortSignal): Promise<readonly CommandReply[]> {
    return this.#ask({ kind: "replies", commands }, "replies", unpackReplies, signal);
  }

  ask(question: MachineQuestion, signal?: AbortSignal): Promise<MachineAnswer> {
    return this.#ask({ kind: "ask", question }, "answer", ({ answer }) => answer, signal);
  }

  askMany({ machine, questions, appliedTo }: MachineQuestions, signal?: AbortSignal): Promise<MachineAnswers> {
    const request = { kind: "askMany", machine, questions: packParts(questions), appliedTo } as const;
    const take = ({ answers, position }: AnswerOf<"answers">) => ({ answers: unpackParts(answers), position });
    return this.#ask(request, "answers", take, signal);
  }

  changes(question: ChangesQuestion, signal?: AbortSignal): Promise<MachineChanges> {
    return this.#ask({ kind: "changes", question }, "changes", ({ changes }) => changes, signal);
  }

  /** Of a thread that hangs, or has ended, what it said last. One that nobody needed yet is not started for it: version 0. */
  async list(): Promise<readonly MachineStatus[]> {
    const ended = this.#ended;
    if (ended !== undefined) return this.#listed.map((machine) => ({ ...machine, stopped: machine.stopped ?? ended }));
    if (!this.#runs()) return this.#listed;
    const busyMs = this.#busyMs();
    if (busyMs >= limits.machineBusyMs) return this.#listed.map((machine) => ({ ...machine, busyMs }));
    const late = new Promise<undefined>((resolve) => {
      setTimeout(() => resolve(undefined), limits.machineBusyMs).unref();
    });
    const told = await Promise.race([this.#askForList(), late]);
    if (told === undefined) return this.#listed.map((machine) => ({ ...machine, busyMs: this.#busyMs() }));
    this.#listed = told;
    return told;
  }

  #askForList(): Promise<readonly MachineStatus[]> {
    return this.#ask({ kind: "list" }, "list", ({ machines }) =>
      machines.map(({ stopped, ...rest }) => ({
        ...rest,
        stopped: stopped === undefined ? undefined : unpackError(stopped),
      })),
    );
  }

  snapshot(wanted: SnapshotWanted): Promise<SnapshotPiece> {
    return this.#ask({ kind: "snapshot", wanted }, "snapshot", ({ found }) => found);
  }

  /** Nobody answers any more, and this is why. */
  end(reason: PaxlogError): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    for (const { kind, reject } of this.#waiting.values()) {
      reject(kind === "replies" ? withOutcome(reason, "unknown") : reason);
    }
    this.#waiting.clear();
    this.#port.close();
  }

  #ask<Kind extends ObjectAnswer["kind"], T>(
    request: WithoutId<ObjectRequest>,
    kind: Kind,
    take: (answer: AnswerOf<Kind>, buffer: ArrayBuffer | undefined) => T,
    signal?: AbortSignal,
  ): Promise<T> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (!this.#isNeeded) {
      this.#isNeeded = true;
      this.#onNeeded();
    }
    this.#lastRequestId += 1;
    const requestId = this.#lastRequestId;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (!this.#waiting.delete(requestId)) return;
        this.#send({ kind: "cancel", requestId });
        reject(signal?.reason);
      };
      const settled = (): void => signal?.removeEventListener("abort", onAbort);
      this.#waiting.set(requestId, {
        kind,
        resolve: (answer, buffer) => {
          settled();
          assert(answer.kind === kind, () => `what was asked for ${kind} was answered as ${answer.kind}`);
          resolve(take(answer as AnswerOf<Kind>, buffer));
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#send({ ...request, requestId } as ObjectRequest);
    });
  }

  #send(request: ObjectRequest): void {
    this.#requests.push(request);
    if (this.#waiting.size > 0) this.#port.ref();
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#ended !== undefined) return;
    const message: ToObjects = { requests: this.#requests };
    this.#requests = [];
    this.#port.postMessage(message);
  }

  #onMessage({ answers, buffer }: FromObjects): void {
    for (const answer of answers) {
      // None where the caller gave it up.
      const waiting = this.#waiting.get(answer.requestId);
      this.#waiting.delete(answer.requestId);
      if (answer.kind === "failed") waiting?.reject(unpackError(answer.error));
      else waiting?.resolve(answer, buffer);
    }
    if (this.#waiting.size === 0) this.#port.unref();
  }
}

function threadEnded(machines: readonly string[]): PaxlogError {
  const message = `the thread of ${machines.join(", ")} has ended on this node; its notes say why`;
  return new PaxlogError("MACHINE_STOPPED", message, { retryable: true, facts: { machine: machines[0] ?? "" } });
}

type WithoutId<Request> = Request extends unknown ? Omit<Request, "requestId"> : never;
