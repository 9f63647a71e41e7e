/** The machines and procedures that a node is started with, as they lie in files of the user's. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { PaxlogError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { type AnyMachine, faultOfMachine } from "../machine/machine.ts";
import type { Procedures } from "../machine/procedures.ts";
import type { Activated } from "../objects/activated.ts";
import { builtinNames } from "../objects/builtin-names.ts";

/** A machine of a file, by what a thread needs to find it there. */
export interface MachineInFile {
  readonly file: string;
  readonly name: string;
  readonly own: Activated;
}

/**
 * The machines that a file exports, under any name. Runs the file.
 * @throws PaxlogError INVALID_ARGUMENT where it cannot be loaded, or has none, or one that cannot run on a node.
 */
export async function machinesIn(file: string): Promise<readonly (MachineInFile & { readonly machine: AnyMachine })[]> {
  const { exports, code } = await load("machine", file);
  const machines = [...new Set(Object.values(exports))].filter(isMachine);
  if (machines.length === 0) {
    throw invalid(file, "exports no machine: make it with defineMachine and export it, as default or by a name");
  }
  return machines.map((machine) => {
    const fault = faultOfMachine(machine);
    if (fault !== undefined) throw invalid(file, fault);
    if (builtinNames.includes(machine.name))
      throw invalid(file, `the name ${machine.name} is that of a built-in machine`);
    return { file, name: machine.name, own: { version: machine.version, code }, machine };
  });
}

/** The machines of all files. What is wrong with one of them is noted, and the node runs without it. */
export async function machinesOfFiles(
  files: readonly string[],
  onFault: (fault: PaxlogError) => void,
): Promise<readonly MachineInFile[]> {
  const found = new Map<string, MachineInFile>();
  for (const file of files) {
    try {
      for (const { machine: _, ...each } of await machinesIn(file)) {
        if (found.has(each.name)) throw invalid(file, `another file has a machine ${each.name}, too`);
        if (found.size >= limits.machinesMax)
          throw invalid(file, `a node runs at most ${limits.machinesMax} machines of its user`);
        found.set(each.name, each);
      }
    } catch (cause) {
      onFault(cause as PaxlogError);
    }
  }
  return [...found.values()];
}

export interface LoadedProcedures {
  readonly procedures: Procedures;
  readonly own: Activated;
}

/**
 * The procedures that a file exports as default or by a name, with the number that it exports as `version`; 1 unless it does. Runs the file.
 * @throws PaxlogError INVALID_ARGUMENT where it cannot be loaded, or has none.
 */
export async function proceduresIn(file: string): Promise<LoadedProcedures> {
  const { exports, code } = await load("procedures", file);
  const [procedures, another] = [...new Set(Object.values(exports))].filter(isProcedures);
  if (procedures === undefined || another !== undefined) {
    throw invalid(file, "must export one value of defineProcedures, as default or by a name");
  }
  const version = exports.version ?? 1;
  if (!Number.isSafeInteger(version) || (version as number) < 1)
    throw invalid(file, "its version must be a whole number from 1");
  return { procedures, own: { version: version as number, code } };
}

type Exports = Readonly<Record<string, unknown>>;

async function load(what: string, file: string): Promise<{ readonly exports: Exports; readonly code: string }> {
  try {
    const code = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
    const exports = (await import(pathToFileURL(file).href)) as Exports;
    return { exports, code };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new PaxlogError("INVALID_ARGUMENT", `the ${what} file ${file} does not load: ${reason}`, {
      cause,
      facts: { file },
    });
  }
}

function isMachine(value: unknown): value is AnyMachine {
  if (typeof value !== "object" || value === null) return false;
  const { name, create, apply, save, load: restore } = value as Partial<AnyMachine>;
  return typeof name === "string" && [create, apply, save, restore].every((each) => typeof each === "function");
}

const isProcedures = (value: unknown): value is Procedures =>
  typeof value === "object" && value !== null && (value as Partial<Procedures>).kind === "procedures";

const invalid = (file: string, what: string): PaxlogError =>
  new PaxlogError("INVALID_ARGUMENT", `the file ${file}: ${what}`, { facts: { file } });
