import { PaxlogError } from "../../base/errors.ts";
import { limits } from "../../base/limits.ts";
import type * as machine from "../../machine/builtin/decisions.ts";
import { cancelled, pause } from "../abort.ts";
import type { CallOptions } from "../log.ts";
import { timerMsMax } from "../settings.ts";
import { decisions } from "./builtins.ts";
import type { Decision, DecisionOptions, DecisionState, ExecuteOptions, GetOptions } from "./handles.ts";
import type { MachineCalls } from "./machine-calls.ts";
import { decoded, MachineStub } from "./machine-stub.ts";
import { objectsFull } from "./refusals.ts";

/** One decision of the machine "decisions". */
export class NodeDecision implements Decision {
  readonly name: string;
  readonly #decisions: MachineStub<
    machine.DecisionCommand,
    machine.DecisionState,
    machine.DecisionQuestion,
    machine.DecisionState
  >;

  constructor(calls: MachineCalls, name: string) {
    this.name = name;
    this.#decisions = new MachineStub(calls, decisions);
  }

  begin({ participants, timeoutMs, ...options }: DecisionOptions): Promise<DecisionState> {
    return this.#execute({ kind: "begin", name: this.name, participants, timeoutMs }, options);
  }

  vote(participant: string, yes: boolean, options?: ExecuteOptions): Promise<DecisionState> {
    return this.#execute({ kind: "vote", name: this.name, participant, yes }, options);
  }

  async get(options?: GetOptions): Promise<DecisionState> {
    const { answer } = await this.#decisions.ask({ name: this.name }, options);
    return stateOf(answer);
  }

  async outcome({ signal }: CallOptions = {}): Promise<DecisionState> {
    const { answer, position } = await this.#decisions.ask({ name: this.name }, { signal });
    if (answer.outcome === "unknown") {
      throw new PaxlogError("INVALID_ARGUMENT", `there is no decision "${this.name}": begin it, or it was forgotten`);
    }
    if (answer.outcome !== "pending") return stateOf(answer);
    const over = new AbortController();
    const late = this.#abortWhenLate(answer.deadline, over.signal);
    try {
      const watched = AbortSignal.any([over.signal, ...(signal === undefined ? [] : [signal])]);
      for await (const { change } of this.#decisions.changes(
        { name: this.name },
        { from: position, signal: watched },
      )) {
        const now = decoded(decisions.answers, change, decisions.name);
        if (now.outcome !== "pending") return stateOf(now);
      }
      throw cancelled(signal, "none");
    } finally {
      over.abort();
      await late;
    }
  }

  async forget(options?: ExecuteOptions): Promise<void> {
    await this.#execute({ kind: "forget", name: this.name }, options);
  }

  /** Nobody else may come by: whoever waits asks the log to look at its clock once the time is over by the own one, and again. */
  async #abortWhenLate(deadline: number, signal: AbortSignal): Promise<void> {
    for (let delayMs = deadline - Date.now(); ; delayMs = limits.clientTimeoutEveryMs) {
      await pause(Math.min(Math.max(delayMs, limits.clientTimeoutEveryMs), timerMsMax), signal);
      if (signal.aborted) return;
      // What fails here is told by the watch, or passes.
      await this.#execute({ kind: "timeout", name: this.name }, { signal }).catch(() => {});
    }
  }

  async #execute(command: machine.DecisionCommand, options: ExecuteOptions | undefined): Promise<DecisionState> {
    const { reply } = await this.#decisions.execute(command, options);
    return stateOf(reply);
  }
}

function stateOf({ outcome, ...rest }: machine.DecisionState): DecisionState {
  if (outcome === "tooMany") throw objectsFull("decisions", rest.name);
  return { ...rest, outcome };
}
