/** Execute and ExecuteStream of ObjectService: appends that are answered with what machines made of them. */
import { PaxlogError, toPaxlogError, withOutcome } from "../base/errors.ts";
import { decodeBatch } from "../format/batch-decode.ts";
import {
  type CommandReply,
  type ExecuteRequest,
  type ExecuteResponse,
  executeRequestCodec,
  executeResponseCodec,
  executeStreamRequestCodec,
  executeStreamResponseCodec,
} from "../format/object-codec.ts";
import type { Decoded } from "../format/wire-value.ts";
import { type CheckedAppend, checkAppend } from "./append-check.ts";
import type { AppendStreamKind } from "./append-stream.ts";
import type { AcknowledgedAppend, AppendOrder, FailedAppend } from "./backend.ts";
import type { ObjectBackend } from "./object-backend.ts";
import type { ServiceContext } from "./service-context.ts";

/** An append whose records are all commands of machines that run here. */
interface CheckedExecute extends CheckedAppend {
  /** As AppendedCommands.machines. */
  readonly machines: readonly string[];
}

/** A batch in the log, with the replies to its commands. */
interface ExecutedAppend extends AcknowledgedAppend {
  readonly replies: readonly CommandReply[];
}

/** What the calls of a service share. */
export interface ObjectContext extends ServiceContext {
  readonly objects: ObjectBackend;
}

/** ExecuteStream: an AppendStream with a wait between an acknowledgement and its answer. */
export const executes = (context: ObjectContext): AppendStreamKind<CheckedExecute, ExecutedAppend> => ({
  check: (bytes) => checkExecute(executeStreamRequestCodec.decode(bytes), context),
  order: (append, done, order) => execute(context, append, done, order),
  encode: (acknowledged, refused) =>
    executeStreamResponseCodec.encode({ executed: acknowledged.map(responseOf), refused }),
});

/** The unary call. Not waiting where there is no room, as Append. */
export async function executeOnce(context: ObjectContext, request: Buffer): Promise<Buffer> {
  const append = checkExecute(executeRequestCodec.decode(request), context);
  if (!context.backend.hasRoom()) {
    throw new PaxlogError(
      "OVERLOADED",
      "more appends wait on this node than it takes: try again later, or use ExecuteStream",
    );
  }
  return new Promise((resolve, reject) => {
    execute(context, append, (result) => {
      if (result.kind === "acknowledged") resolve(executeResponseCodec.encode(responseOf(result)));
      else reject(result.error);
    });
  });
}

function checkExecute(decoded: Decoded<ExecuteRequest>, context: ObjectContext): CheckedExecute {
  const append = checkAppend(decoded, context);
  return { ...append, machines: machinesOf(append.batch.batch, context.objects) };
}

/**
 * Whose commands the records of a batch are: a single name where all are of one machine.
 * @throws PaxlogError INVALID_ARGUMENT for a record that is no command, MACHINE_UNKNOWN, MACHINE_STOPPED, UNAVAILABLE: nothing was written.
 */
function machinesOf(batch: Uint8Array, objects: ObjectBackend): readonly string[] {
  const view = decodeBatch(batch);
  const machines: string[] = [];
  let isOne = true;
  for (let index = 0; index < view.recordCount; index += 1) {
    const type = view.type(index);
    if (!type?.startsWith("$")) {
      const message = `record ${index} of the batch has the type ${JSON.stringify(type ?? "")}: a command has "$" and a machine's name`;
      throw new PaxlogError("INVALID_ARGUMENT", message);
    }
    const machine = type === `$${machines[index - 1]}` ? machines[index - 1]! : type.slice(1);
    if (machine !== machines[index - 1]) {
      if (!objects.has(machine)) throw machineUnknown(machine);
      const admission = objects.admission(machine);
      if (admission !== "now") throw notAdmitted(machine, admission);
    }
    if (index > 0 && machine !== machines[0]) isOne = false;
    machines.push(machine);
  }
  return isOne ? machines.slice(0, 1) : machines;
}

export function machineUnknown(machine: string): PaxlogError {
  const message = `no machine ${JSON.stringify(machine)} runs on this node: look at its name; one of your own is given to nodes by serve --machine`;
  return new PaxlogError("MACHINE_UNKNOWN", message, { facts: { machine } });
}

function notAdmitted(machine: string, admission: "later" | "stopped"): PaxlogError {
  const facts = { machine };
  if (admission === "stopped") {
    const message = `the machine ${machine} stopped on this node, and takes no commands: paxlog status says why`;
    return new PaxlogError("MACHINE_STOPPED", message, { retryable: true, facts });
  }
  const message = `the machine ${machine} takes no commands on this node now: its code waits to be activated, or the node stops`;
  return new PaxlogError("UNAVAILABLE", message, { facts });
}

/** The command is in the log once it is acknowledged: whatever hinders its reply, its outcome is not "none". */
function execute(
  { backend, objects }: ObjectContext,
  { batch, guards, machines }: CheckedExecute,
  done: (result: ExecutedAppend | FailedAppend) => void,
  order?: AppendOrder,
): void {
  backend.append(
    batch,
    guards,
    (result) => {
      if (result.kind === "failed") return done(result);
      const { firstPosition, recordCount } = result;
      objects.replies({ firstPosition, recordCount, machines, session: guards?.session?.id ?? 0 }).then(
        (replies) => done({ ...result, replies }),
        (cause: unknown) => done({ kind: "failed", error: withOutcome(toPaxlogError(cause), "unknown") }),
      );
    },
    order,
  );
}

const responseOf = ({ firstPosition, recordCount, time, replies }: ExecutedAppend): ExecuteResponse => ({
  appended: { firstPosition, recordCount, time },
  replies,
});
