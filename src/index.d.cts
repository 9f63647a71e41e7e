/**
 * The types of index.cjs. A CommonJS program of TypeScript may not import an ES module under `module: node16`, so each value is
 * named once more here; test/node/package.test.ts holds the names to those of index.ts.
 */
import type * as paxlog from "./index.ts" with { "resolution-mode": "import" };

export type * from "./index.ts" with { "resolution-mode": "import" };
export declare const barrier: typeof paxlog.barrier;
export declare const connect: typeof paxlog.connect;
export declare const defineMachine: typeof paxlog.defineMachine;
export declare const defineProcedures: typeof paxlog.defineProcedures;
export declare const election: typeof paxlog.election;
export declare const encodeBatch: typeof paxlog.encodeBatch;
export declare const errorCodes: typeof paxlog.errorCodes;
export declare const jsonBytes: typeof paxlog.jsonBytes;
export declare const open: typeof paxlog.open;
export declare const procedureMachine: typeof paxlog.procedureMachine;
export declare const semaphore: typeof paxlog.semaphore;
export declare const serviceRegistry: typeof paxlog.serviceRegistry;
export declare const workQueue: typeof paxlog.workQueue;
export declare const PaxlogError: typeof paxlog.PaxlogError;
export type PaxlogError = paxlog.PaxlogError;
