import type { DirectoryQuota } from "../base/directory-quota.ts";
import { PaxlogError, toPaxlogError } from "../base/errors.ts";
import type { Hashing } from "../base/hashing.ts";
import type { AnyMachine } from "../machine/machine.ts";
import type { FollowedLog } from "../transport/backend.ts";
import type { ObjectBackend } from "../transport/object-backend.ts";
import type { Activated } from "./activated.ts";
import { builtinMachines } from "./builtins.ts";
import type { BusyMark } from "./busy-mark.ts";
import { fetchState } from "./fetch-state.ts";
import { MachineHost } from "./machine-host.ts";
import { MachineKeeper } from "./machine-keeper.ts";
import { MachineSnapshots } from "./machine-snapshots.ts";
import { ObjectHost } from "./object-host.ts";
import { Upkeep } from "./upkeep.ts";

export interface MachinesOptions {
  /** The node's directory: their states lie in machines/ there. */
  readonly dir: string;
  readonly backend: FollowedLog;
  readonly hashing: Hashing;
  readonly machines: readonly AnyMachine[];
  /** By name, of those whose code came from the user. */
  readonly own: ReadonlyMap<string, Activated>;
  /** Of the hold that keeps what they need. */
  readonly holdName: string;
  /** Shared with those who look whether one of them hangs. */
  readonly busy: BusyMark;
  /** Of the node's directory; without one they may take what the disk gives. */
  readonly quota?: DirectoryQuota | undefined;
  readonly note: (text: string) => void;
}

export interface RunningMachines {
  readonly objects: ObjectBackend;
  /** What waits for them is answered CLOSED. What they saved is durable when it resolves. */
  close(): Promise<void>;
}

/** Runs machines on this thread, from their newest states on. The backend serves already. */
export function runMachines(options: MachinesOptions): RunningMachines {
  const { dir, backend, hashing, machines, own, holdName, busy, quota, note } = options;
  const closing = new AbortController();
  const keepers: MachineKeeper[] = [];
  const hosts = machines.map((machine, place) => {
    const { name } = machine;
    const snapshots = new MachineSnapshots(dir, name, hashing, quota);
    const keeper: MachineKeeper = new MachineKeeper({
      machine,
      // What nodes without procedures do is what all of them did before the log gave them any.
      before: own.has(name) ? builtinMachines.find((builtin) => builtin.name === name)?.apply : undefined,
      snapshots,
      hashing,
      note,
      onPoint: (point) => upkeep.point(point),
      onBroken: (cause) => host.stop(toPaxlogError(cause)),
      fetch: (atLeast) => fetchState({ machine: name, atLeast, backend, snapshots, signal: closing.signal, note }),
    });
    keepers.push(keeper);
    const host: MachineHost = new MachineHost({
      machine,
      own: own.get(name),
      backend,
      keeper,
      busy,
      note,
      admit: (admission) => busy.admit(place, admission),
    });
    return host;
  });
  const upkeep = new Upkeep({ backend, hashing, hosts, holdName });
  const objects = new ObjectHost(hosts);
  const runs = hosts.map((host) => host.run());
  upkeep.start();
  return {
    objects,
    close: async () => {
      const closed = new PaxlogError("CLOSED", "the node is stopping; use another one", { retryable: true });
      upkeep.close();
      await Promise.all(hosts.map((host) => host.leave()));
      closing.abort(closed);
      objects.stop(closed);
      // One that is being restored writes in its directory until it hears of it.
      await Promise.all(runs);
      await Promise.all(keepers.map((keeper) => keeper.close()));
    },
  };
}
