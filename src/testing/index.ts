/** For the tests of those who write machines: `import { checkMachine } from "paxlog/testing"`. */
import { checkReplicas, type MachineCheck } from "../machine/check.ts";
import type { Machine } from "../machine/machine.ts";
import { isolated } from "./isolation.ts";

export type { MachineCheck } from "../machine/check.ts";

/**
 * Whether a machine is deterministic, as far as generated commands show: they are applied to several replicas, one of which is saved and
 * loaded again and again, and replies, answers and saved states must agree. In a machine's functions a look at the clock, chance, the
 * environment or the network, a timer and a promise are errors. Synchronous; returns where nothing was found.
 *
 * @throws PaxlogError MACHINE_DIFFERS, NONDETERMINISTIC, MACHINE_FAILED (it threw) or COMMAND_MALFORMED, with the seed that shows it.
 */
export function checkMachine<State, Command, Reply, Question, Answer>(
  machine: Machine<State, Command, Reply, Question, Answer>,
  check: MachineCheck<NoInfer<Command>, NoInfer<Question>>,
): void {
  checkReplicas<State, Command, Reply, Question, Answer>(machine, check, isolated);
}
