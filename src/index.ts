/** The public surface. What is not named here may change without notice. */
export { type ErrorCode, type ErrorFacts, errorCodes, type Outcome, PaxlogError } from "./base/errors.ts";
export type { Compression } from "./client/compression.ts";
export { connect } from "./client/connect.ts";
export { encodeBatch } from "./client/encode-batch.ts";
export type {
  AppendCondition,
  Appended,
  AppendedMany,
  AppendOptions,
  CallOptions,
  ConnectOptions,
  Fence,
  Hold,
  HoldOptions,
  Log,
  LogBounds,
  LogRead,
  ReadFreshness,
  ReadNotice,
  ReadOptions,
  ReadPlace,
  RecordQuery,
  RecordQueryItem,
  Session,
  SessionAppendOptions,
  SessionOptions,
  SessionState,
  StatusOptions,
  StreamExpectation,
  TailOptions,
  Trimmed,
} from "./client/log.ts";
export type { LogBatch, LogRecord } from "./client/log-batch.ts";
export type {
  MachineAskOptions,
  MachineCaller,
  MachineHandle,
  MachineOptions,
  MachineWatchOptions,
  NodeMachineOptions,
} from "./client/machines.ts";
export type * from "./client/objects/handles.ts";
export { jsonBytes, type StoredBytes } from "./client/objects/stored-bytes.ts";
export { type Barrier, type BarrierOptions, type BarrierVisit, barrier } from "./client/recipes/barrier.ts";
export { type Election, type ElectionOptions, election, type Leadership } from "./client/recipes/election.ts";
export { type Permit, type Semaphore, type SemaphoreOptions, semaphore } from "./client/recipes/semaphore.ts";
export {
  type InstanceChange,
  type Registration,
  type RegistryOptions,
  type ServiceRegistry,
  serviceRegistry,
} from "./client/recipes/service-registry.ts";
export {
  type Job,
  type Worker,
  type WorkQueue,
  type WorkQueueOptions,
  workQueue,
} from "./client/recipes/work-queue.ts";
export type { RecordInput } from "./format/batch-encode.ts";
export type { MachineStatus } from "./format/machine-status.ts";
export type { NodeStatus, PeerStatus } from "./format/node-status.ts";
export {
  type AnswerOf,
  type ApplyContext,
  type Codec,
  type CommandOf,
  defineMachine,
  type Machine,
  type QuestionOf,
  type ReplyOf,
} from "./machine/machine.ts";
export {
  type ProcedureCommand,
  type ProcedureMachineOptions,
  type ProcedureQuestion,
  type ProcedureReply,
  procedureMachine,
} from "./machine/procedure-machine.ts";
export {
  defineProcedures,
  type KeyedValue,
  type Procedure,
  type ProcedureKeys,
  type ProcedurePutOptions,
  type ProcedureRangeOptions,
  type Procedures,
  type ProcedureTable,
  type ProcedureTransaction,
} from "./machine/procedures.ts";
export type { MachineSnapshot } from "./machine/replica.ts";
export type { Layout, RetentionOptions } from "./node/config.ts";
export { type EmbeddedLog, type OpenOptions, open } from "./node/open.ts";
export type { NodeEnd } from "./node/threads.ts";
