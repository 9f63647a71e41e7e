import { assert } from "./assert.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** Every bound of the product, in one place, checked against each other below. Sizes in bytes, times in milliseconds. */
export const limits = {
  /** One record: value, type, tags and metadata together. */
  recordBytesMax: 1 * MiB,
  /** One encoded RecordBatch. */
  batchBytesMax: 2 * MiB,
  /** Values of a batch before compression: what a reader has to have room for. */
  uncompressedBytesMax: 16 * MiB,
  /** Fewer bytes of values are not worth compressing. */
  compressBytesMin: 512,
  batchRecordsMax: 65_536,
  tagsPerRecordMax: 64,
  typeBytesMax: 256,
  tagBytesMax: 256,

  /** Commands of one handle of a machine that are sent and not answered. */
  machineExecutesMax: 65_536,
  /** Replies that a handle remembers while own commands are under way. */
  machineRepliesMax: 262_144,
  /** Changes that one step of a watch asks a machine for. */
  machineChangesStep: 1024,
  /** Reply of a machine on a node, as its codec writes it: a value of a built-in machine and what stands around it. */
  machineReplyBytesMax: 68 * KiB,

  /** Names and keys of the built-in machines, in bytes, and their values. A change of these or of those below is a new version. */
  objectNameBytesMax: 1024,
  objectValueBytesMax: 64 * KiB,
  countersMax: 1024 * 1024,
  registersMax: 1024 * 1024,
  /** Names and values of all registers together. */
  registersBytesMax: 256 * MiB,
  /** Sessions that hold a lease or stand in line for it, over all leases, and in one line. */
  leasePlacesMax: 256 * 1024,
  leaseLineMax: 1024,
  /** ... of which so many are told to those who ask. */
  leaseLineToldMax: 100,
  leasesBytesMax: 64 * MiB,
  decisionsMax: 256 * 1024,
  /** Names of all decisions and their participants together. */
  decisionsBytesMax: 64 * MiB,
  decisionParticipantsMax: 64,
  /** Names of the participants of one decision together. */
  decisionParticipantsBytesMax: 32 * KiB,
  /** From a decision's begin to its deadline. */
  decisionTimeoutMsMax: 366 * 24 * 3_600_000,
  spaceKeysMax: 4 * 1024 * 1024,
  /** Keys and values of the space, and about what each key takes beside them. */
  spaceBytesMax: 512 * MiB,
  spaceKeyOverheadBytes: 128,
  /** Comparisons of one transaction, and operations of each of its lists. */
  transactionOperationsMax: 128,
  /** Keys that one transaction or procedure looks at, writes or deletes, and bytes of keys and values. */
  transactionKeysMax: 16 * 1024,
  transactionBytesMax: 4 * MiB,
  /** Calls that one procedure makes of its transaction. */
  procedureStepsMax: 16 * 1024,
  procedureNameBytesMax: 64,
  /** Why a command was refused, as text. */
  refusalTextMax: 1024,
  /** Entries of one answer about the space; at least one is told. */
  spaceAnswerBytes: 1 * MiB,
  /** Changes that each built-in machine remembers for watches; and the bytes that they take, as they are saved. */
  changesMax: 64 * 1024,
  changesBytesMax: 16 * MiB,

  /** What a machine on a node says to one command: part of the state that every replica keeps. */
  replyBytesMax: 64 * KiB,
  /** Replies that each machine of a node keeps for retries, with what surrounds them; and, beside its state, for those who wait now. */
  replyCacheBytes: 16 * MiB,
  /** What a machine on a node answers to one question. */
  answerBytesMax: 3 * MiB,
  /** Machines of its user that a node runs, each on a thread of its own. */
  machinesMax: 8,
  /** A machine that is at one command for so long is reported, and again each time that this has doubled. */
  machineBusyMs: 2_000,
  /** Those who wait for one machine at once: for replies, answers and changes. */
  machineWaitsMax: 16_384,
  /** Changes in one answer of a watch, but never a part of one record's; and how long a watch without any goes without a word. */
  watchChangesMax: 256,
  watchHeartbeatMs: 2_000,
  /** Whoever asks how far machines are lets them apply what is there for so long. */
  machineLookMs: 100,
  /** A node that stops gives a machine so long to save its state: well within `closeMs`. */
  machineLeaveMs: 2_000,
  /** A machine on a node is compared between nodes, and saved, after so many commands, ... */
  machinePointCommands: 16_384,
  /** ... or more, where its state is large: one for each so many bytes of it, so that saving takes a bounded share of the time. */
  machinePointBytesPerCommand: 512,
  /** It is saved in between, too, when the log has grown by so many records: they could not be trimmed otherwise. */
  machineSnapshotRecords: 256 * 1024,
  /** A state is saved for so long between two turns of its machine's thread: as long as those take, but within these. */
  machineSaveMsMin: 2,
  machineSaveMsMax: 50,
  /** How often a node that leads looks after the machines of all nodes: their hold, and what their states were. */
  upkeepMs: 2_000,
  /** Commands that a machine applies before others of its thread have a turn. */
  machineTurnCommands: 16 * 1024,

  /** Time to live of a session whose opener names none, in log time. */
  sessionTtlMsDefault: 60_000,
  /** What one append may demand: more would hold up the appends behind it while it is judged. */
  guardConditionsMax: 16,
  guardStreamsMax: 64,
  queryItemsMax: 32,
  queryTypesMax: 64,
  queryTagsMax: 64,
  /** All guards of one append, as encoded. */
  guardBytesMax: 64 * KiB,

  /** W of the protocol: a leader proposes slot s only while s - decidedEnd < windowSlots. */
  windowSlots: 1024,
  /** ... and while the undecided bytes are at most this. */
  windowBytes: 32 * MiB,
  /** A leader takes nothing more while so much waits for its own disk, even if the others decide without it. */
  unflushedSlots: 16 * 1024,
  unflushedBytes: 64 * MiB,
  /** Decided entries that a replica keeps in memory for followers and readers that are a little behind. */
  cacheBytes: 48 * MiB,
  /** What an entry in memory takes beside its bytes, about. */
  entryOverheadBytes: 512,
  /** Entries of one Accept, sync chunk or Read answer: as many as fit, at least one. */
  messageEntryBytes: 1 * MiB,
  /** ... of the answer to a Fetch: a node that is far behind waits a round trip for each. */
  fetchEntryBytes: 3 * MiB,
  /** Largest gRPC message, either way. */
  messageBytesMax: 4 * MiB,
  /** Sent to one follower and not yet acknowledged. */
  inFlightBytesPerFollower: 16 * MiB,
  /** Nonvoters that are connected to one member at once; it feeds each, so they cost it. */
  nonvotersMax: 64,
  /** Pushed to one nonvoter and not yet acknowledged. */
  feedBytes: 4 * MiB,
  /** Proposals that wait in the engine for room in the window. */
  proposalQueueBytes: 16 * MiB,
  proposalQueueCount: 16_384,

  /** A leader orders a snapshot after so many entries, or so many bytes of them: what a restart reads behind it. */
  snapshotEntries: 256 * 1024,
  snapshotBytes: 256 * MiB,
  /** How often a leader looks whether its retention policy lets go of something. */
  retentionMs: 5_000,
  /** Holds of the log at once. */
  holdsMax: 1024,
  holdOwnerBytesMax: 256,
  /** Time to live of a hold, in log time. */
  holdTtlMsMin: 1_000,
  holdTtlMsDefault: 24 * 3_600_000,
  holdTtlMsMax: 366 * 24 * 3_600_000,

  /** Requests of one session in flight, and answers that it keeps for retries. */
  sessionWindow: 256,
  /** Sessions of the log at once: with their answers at most 100 MiB. */
  sessionsMax: 4096,
  /** Time to live of a session, in log time. */
  sessionTtlMsMin: 1_000,
  sessionTtlMsMax: 24 * 3_600_000,
  /** While sessions are open and nothing else is appended, a TICK entry moves log time on about this often. */
  tickEntryMs: 1_000,
  /** Hashes of types and tags that an entry carries, 8 bytes each; an entry with more carries one that stands for anything. */
  entryGuardBytesMax: 512 * KiB,
  /** Hashes of recent entries by which conditions are judged, 32 bytes each: 32 MiB. A power of two. */
  windowPostings: 1024 * 1024,
  /** Postings that one guard looks at, and bytes of batches that it compares, before it asks the history instead. */
  guardStepsMax: 1024,
  guardBatchBytesMax: 4 * MiB,
  /** Appends that wait for the history or for a refusal to be confirmed, with all that waits behind them. */
  heldProposals: 8192,
  heldBytes: 16 * MiB,
  /** Bytes of the log that one piece of a search of the history reads: heartbeats wait for the end of a piece. */
  searchPieceBytes: 256 * KiB,
  /** ... or entries in memory that it looks at. */
  searchEntriesMax: 4096,
  /** Batches that queries looked into last, with what was made of them. */
  selectableBytes: 8 * MiB,

  /** Largest group that joins waiting appends; a REPLACE of a whole window may be larger. */
  groupBytesMax: 4 * MiB,
  replaceBytesMax: 32 * MiB + 3 * MiB,
  /** Groups start at multiples of this, and a synced block is never written again. */
  blockBytes: 4 * KiB,
  /** Zeros written ahead at once, which hold up a group that comes meanwhile: a millisecond of the disk's time. */
  fillBytes: 1 * MiB,
  /** Between two such writes of an idle node: other nodes may share its disk. */
  fillPauseMs: 10,
  /** Under load zeros are written ahead of groups up to this size; for larger ones they cost as much as they save. */
  fillGroupBytesMax: 256 * KiB,
  /** Memory that direct writes are gathered in: the largest joined group in one write, larger ones in several. */
  stagingBytes: 4 * MiB + 8 * KiB,
  segmentBytesDefault: 64 * MiB,
  segmentBytesMin: 1 * MiB,
  segmentBytesMax: 1024 * MiB,
  /** Four of them make the superblock. */
  superblockCopyBytes: 4 * KiB,
  /** A snapshot is written, sent and checked in pieces of this size; all nodes must have the same. */
  snapshotChunkBytes: 1 * MiB,
  /** The bytes of a snapshot are made so many at a time on the engine's loop: about a millisecond. */
  snapshotEncodeBytes: 256 * KiB,
  /** Sessions with their answers, the window of postings and what is around them. */
  snapshotBytesMax: 192 * MiB,
  /** ... and written in pieces of this size, each of which may make one group wait. */
  snapshotPieceBytes: 256 * KiB,
  /** Between two pieces of a snapshot, or other work of storage that no append waits for, under load: half of the disk's time. */
  backgroundPauseMs: 10,
  /** While the disk is full: between two looks whether there is room again. */
  seekRoomMs: 1_000,
  /** Chunks of a snapshot that were received and wait for the disk; more are dropped, and asked for again. */
  snapshotChunksWaiting: 4,
  /** Trimmed segments that wait to be the next ones; more of them are removed. */
  recycledSegmentsMax: 4,
  /** Files of a segment's size that keep room for when the disk is full: two for the log, one for a snapshot. */
  reserveFiles: 3,
  /** A node's quota has room for its reserve, the open segment, the next one, and some that are kept. */
  quotaSegmentsMin: 8,
  /** Torn ends that recovery put aside; older ones are removed. */
  trashFilesMax: 8,
  /** Recovery and readers read at least this much at once. */
  readAheadBytes: 1 * MiB,
  /** Segments that one reader holds open. */
  readerFilesMax: 8,
  /** Places inside of groups that one reader remembers, so that a reader that goes on need not scan a group again. */
  readerPlacesMax: 256,

  /** Postings of one table of an index: what building one takes in memory, 24 bytes for each. */
  indexTablePostings: 256 * 1024,
  /** How often it is looked whether a segment can be indexed; and how long the worker that does it waits for another one. */
  indexPollMs: 200,
  /** A segment was trimmed before the word of it comes; one that is not there for so long is lost. */
  segmentMissingMs: 60_000,
  /** While the log grows no index is built for so many times as long as the last one took. */
  indexRestFactor: 20,
  indexWorkerIdleMs: 10_000,
  /** For so long a step of a query waits for the index of a closed segment; then the engine reads a piece of the segment itself. */
  indexWaitMs: 1_000,
  /** Between two pieces of an index that is built on the thread of the node's owner. */
  indexPauseMs: 40,
  /** Pages of indexes that one reader keeps in memory. */
  indexCacheBytes: 16 * MiB,
  /** Indexes that one reader holds open. */
  indexFilesMax: 128,
  /** Hashes in memory of entries that no index covers, 24 bytes each; entries before them are searched in the log itself. */
  memoryPostings: 1024 * 1024,
  /** ... in tables of so many: a power of two. */
  memoryTablePostings: 64 * 1024,
  /** Slots that one piece of a search by types and tags names, and steps that it takes to find them. */
  candidateSlotsMax: 512,
  candidateStepsMax: 16 * 1024,

  /** T of the protocol: heartbeat period and election round. */
  roundMs: 200,
  ticksPerRound: 8,
  /** After this idle time a MARK group proves the last group durable. */
  markIdleMs: 10,

  votersMax: 7,
  nameBytesMax: 64,
  /** Seven members with names and addresses this long fit one copy of the superblock. */
  addressBytesMax: 224,

  streamsPerConnection: 1024,
  /** Of a connection between nodes, which needs one or two. */
  peerStreamsPerConnection: 32,
  sessionMemoryMegabytes: 64,
  headerListBytesMax: 16 * KiB,
  http2WindowBytes: 16 * MiB,
  handshakeMs: 5_000,
  unaryDeadlineMs: 10_000,
  /** Connections of one listener; more are closed at once. */
  connectionsMax: 1024,
  /** Calls of one listener that are open at once, over all its connections. */
  callsMax: 16 * 1024,
  /** Why a node was refused: text that names two lists of members. */
  reasonBytesMax: 4 * KiB,
  /** A peer is pinged after this idle time, and given up when no answer comes. Longer than any pause that is worth surviving. */
  peerKeepaliveMs: 1_000,
  peerKeepaliveTimeoutMs: 4_000,
  clientKeepaliveMs: 10_000,
  clientKeepaliveTimeoutMs: 10_000,
  /** Between two attempts to reach a peer, at first and at last; a link that held so long starts again with the first. */
  redialMsFirst: 50,
  redialMsMax: 1_000,
  /** Handed to one reader's stream and not yet taken by its socket. */
  readerBufferBytes: 4 * MiB,
  /** ... when many readers stall, and all of them together. */
  readerBufferBytesMin: 64 * KiB,
  readersBufferBytes: 128 * MiB,
  /** What a message that waits takes in memory beside its bytes, about: a thousand small ones are not free. */
  readMessageOverheadBytes: 1 * KiB,
  /** Time that all reads of a thread together take of one turn of its event loop: heartbeats and appends wait no longer for them. */
  readTurnMs: 2,
  /** A reader that follows hears the tail about this often; less often where a node would send more heartbeats than so many a second. */
  readHeartbeatMs: 1_000,
  readHeartbeatMsMax: 3_000,
  readHeartbeatsPerSecond: 2_000,
  /** How often a node that somebody watches looks at its own health. */
  healthPeriodMs: 500,
  /** A listener that closes lets calls finish for this long. */
  drainMs: 2_000,

  /** Appends that one turn of the engine's loop hands to the core, at least one: heartbeats wait for the end of a turn. */
  turnProposalBytes: 2 * MiB,
  /** A Decide waits so long for an Accept that says the same. */
  decideDelayMs: 1,
  /** A turn that begins so long after the one before need not wait for what else the loop may bring. */
  turnGapMs: 0.1,
  /** Appends under way to the engine from another thread, not counting those that it has taken. */
  portAppendBytes: 4 * MiB,
  portAppendCount: 4096,
  /** Another thread hears this late at most that the tail moved, where nobody on it listens. */
  portTailMs: 50,
  /** Questions to a machine that travel together, and the bytes of them, or of their answers; what is more is asked by itself. */
  askManyQuestions: 1024,
  askManyBytes: 1 * MiB,
  /** A machine that nobody waits for hears of its commands this late at most: one wake-up for many of them. */
  followLazyMs: 50,
  /** ... and is one again when nobody has waited for so long. */
  followPromptMs: 1_000,
  /** What the engine reads for other threads in one turn, at least one answer. */
  turnReadBytes: 4 * MiB,
  /** Linearizable reads that wait on one node, and how long each may. */
  linearReadsMax: 16_384,
  linearizeMs: 5_000,
  /** Handed to one peer's stream and not yet taken by its socket; above it messages to that peer are dropped. */
  peerBufferBytes: 56 * MiB,
  /** Memory of entries, shared by engine and storage: made as it is needed, slab by slab, and used again. */
  arenaSlabBytes: 4 * MiB,
  arenaSlabsMax: 32,
  /** A clean stop takes at most this long; what is not done by then is ended. */
  closeMs: 5_000,

  /** Sent on one AppendStream and not yet answered; the library's user may set both. */
  clientInFlightBytes: 8 * MiB,
  clientInFlightBatches: 256,
  /** Batches of commands in flight, of one session. */
  clientInFlightExecutes: 2,
  /** The library closes a batch that has grown this large; one call's records stay together even above it. */
  clientBatchBytes: 256 * KiB,
  /** With this many batches in flight the next one waits for an answer or for this many bytes: each message has its cost. */
  clientEagerBatches: 8,
  clientGatherBytes: 64 * KiB,
  /** Batches made in one turn of the event loop, so that a flood of appends does not hold it up. */
  clientBatchesPerTurn: 4,
  /** How long the library looks for a node that does it before a call fails; the user may set it. */
  clientDeadlineMs: 10_000,
  /** ... and how long a leader that is connected may leave everything that was sent unanswered. */
  clientAnswerMs: 30_000,
  /** A leader that leaves everything unanswered for this long may be frozen or cut off: the other nodes are asked who leads. */
  clientQuietMs: 1_000,
  /** A read that hears nothing from its node for this long goes on at another: nodes send heartbeats, or fail, well before. */
  clientReadQuietMs: 8_000,
  /** One question to one node, before the next one is asked. */
  clientAskMs: 2_500,
  /** Calls of append that wait in one queue of the library, for room or for a leader; the user may set it. */
  clientWaitingAppends: 1024 * 1024,
  /** Signs of life that the library gives within the ttl of a session: two may be lost. */
  clientKeepsPerTtl: 3,
  /** What a session holds is taken for lost such a part of its ttl early: clocks do not run alike. */
  clientLifeMarginPart: 10,
  /** Time to live of a lease whose taker names none, in log time. */
  leaseTtlMsDefault: 10_000,
  /** How often whoever waits for a decision that is late asks the log to look at its clock. */
  clientTimeoutEveryMs: 250,
  /** Sessions that one Log has open: each has a stream of its own. */
  clientSessionsMax: 256,
  /** One attempt to connect to one node, and the pause after all were tried, at first and at last. */
  clientConnectMs: 2_000,
  clientRetryMsFirst: 25,
  clientRetryMsMax: 200,
  /** A node that comes back is found again this soon after it listens. */
  clientRedialMsMax: 250,
  /** Messages of a read that wait for the reader: one for now and one to be ready next. */
  clientReadAheadMessages: 2,
  /** Connections of a process to one node, each for as many calls as it carries less a few to spare. */
  clientConnectionsMax: 32,
  clientStreamsSpare: 64,
  /** Addresses that one Log knows: those it was given and those of leaders it was sent to. */
  clientNodesMax: 32,
} as const;

assert(
  338 + limits.votersMax * (23 + limits.nameBytesMax + 2 * limits.addressBytesMax) <= limits.superblockCopyBytes,
  "seven members fit a superblock",
);
assert(limits.recordBytesMax < limits.batchBytesMax, "a record must fit a batch");
assert(limits.machineExecutesMax <= limits.machineRepliesMax, "the replies of all that is under way are remembered");
assert(
  limits.objectValueBytesMax + 2 * limits.objectNameBytesMax + 256 <= limits.machineReplyBytesMax,
  "the reply of a built-in machine has room for a value with its name",
);
assert(8 * limits.leaseLineToldMax + 64 < limits.objectNameBytesMax, "a lease with its line fits a reply");
assert(
  2 * (limits.decisionParticipantsBytesMax + 8 * limits.decisionParticipantsMax) + limits.objectNameBytesMax + 256 <=
    limits.machineReplyBytesMax,
  "a decision in which all have voted fits a reply",
);
assert(
  limits.spaceAnswerBytes + limits.objectValueBytesMax + 64 * KiB < limits.messageBytesMax,
  "an answer about the space fits a message",
);
assert(limits.objectValueBytesMax < limits.recordBytesMax, "a value fits a command");
assert(
  limits.askManyBytes + 16 * limits.askManyQuestions < limits.messageBytesMax,
  "questions that travel together fit a message, and so do their answers",
);
assert(limits.batchBytesMax <= limits.uncompressedBytesMax, "what fits a batch may be compressed");
assert(limits.batchBytesMax + 64 * KiB < limits.messageBytesMax, "a batch must fit a message");
assert(limits.batchBytesMax + limits.guardBytesMax + 64 * KiB < limits.messageBytesMax, "its guards fit with it");
assert(limits.queryTagsMax >= limits.tagsPerRecordMax, "a query may ask for all tags of a record");
assert(limits.fetchEntryBytes + 64 * KiB < limits.messageBytesMax, "the answer to a Fetch fits a message");
assert(
  limits.entryGuardBytesMax >= 8 * limits.batchRecordsMax,
  "a full batch of one tag for each record carries its hashes",
);
assert(
  limits.messageEntryBytes + limits.entryGuardBytesMax + limits.batchBytesMax + 64 * KiB < limits.messageBytesMax,
  "entries fit a message",
);
assert(
  limits.windowBytes + limits.entryGuardBytesMax + limits.batchBytesMax < limits.replaceBytesMax,
  "a window must fit one REPLACE group",
);
assert(Number.isInteger(Math.log2(limits.windowPostings)), "the window of postings is a power of two");
assert(limits.entryGuardBytesMax / 8 < limits.windowPostings, "one entry fits the window of postings");
assert(Number.isInteger(Math.log2(limits.memoryTablePostings)), "a table in memory is addressed by a power of two");
assert(limits.entryGuardBytesMax / 8 <= limits.memoryTablePostings, "one entry fits a table in memory");
assert(limits.memoryTablePostings <= limits.memoryPostings, "at least one table in memory");
assert(limits.segmentBytesMax <= 0xffff_ffff, "an offset in a segment fits 32 bits");
assert(limits.stagingBytes % limits.blockBytes === 0, "staging holds whole blocks");
assert(limits.replaceBytesMax + limits.messageBytesMax < limits.unflushedBytes, "a new leader has room at once");
assert(
  limits.inFlightBytesPerFollower + limits.messageBytesMax + limits.replaceBytesMax < limits.peerBufferBytes,
  "a sync goes out whole behind what is in flight: cut short each time, it would never be taken",
);
assert(limits.portAppendBytes >= limits.batchBytesMax, "any batch fits the way to the engine");
assert(limits.messageBytesMax <= limits.arenaSlabBytes, "the entries of any message fit a slab");
assert(
  limits.cacheBytes + limits.windowBytes + 4 * limits.arenaSlabBytes < limits.arenaSlabsMax * limits.arenaSlabBytes,
  "the arena holds what the core keeps in memory, and slabs that are not full or rest",
);
assert(
  limits.clientReadQuietMs > limits.linearizeMs + 2 * limits.readHeartbeatMs,
  "a node that works is heard before its reader leaves it",
);
assert(limits.readersBufferBytes / 8 > limits.readerBufferBytes, "a reader that stalls alone has its whole buffer");
assert(
  limits.clientReadQuietMs > 2 * limits.readHeartbeatMsMax,
  "a reader does not leave a node that has many readers",
);
assert(limits.clientSessionsMax < limits.streamsPerConnection / 2, "sessions leave streams for reads");
assert(limits.snapshotChunkBytes + 64 * KiB < limits.messageBytesMax, "a chunk of a snapshot fits a message");
assert(limits.reserveFiles + 2 < limits.quotaSegmentsMin, "a quota has room for more than the reserve");
assert(limits.segmentBytesMin >= 2 * limits.blockBytes, "a segment holds a header and a group");
